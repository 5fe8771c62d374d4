"""Loads what a run saved, and what it is compared with, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetuning.evaluation.generation import TrainedModel
from finetuning.models.loading import check_config, check_folder, load
from finetuning.models.tokenizers import load_tokenizer
from finetuning.run_folder import RunFolder, read_json
from finetuning.settings.files import read_settings
from finetuning.settings.model import FineTuningSettings
from probes.errors import InputError

BASE = "base"
"""As a baseline: the model that the run began with, loaded as for training."""


def load_trained(
    run_folder: Path, *, baseline: str | None = None, device: str | None = None
) -> TrainedModel:
    """The model of a run, or a baseline for it: ``base``, a model's folder, or its name.

    An adapter is put on the base model as it was loaded for training (dtype, 4-bit weights). The
    device is that of the training unless another is given. Raises ``InputError`` where the run has
    no model yet or the baseline cannot be loaded.
    """
    run = RunFolder(run_folder)
    run.check_exists()
    fitted = run.fitted_settings
    settings = read_settings(fitted if fitted.is_file() else run.settings)
    place = device or (read_json(run.sources) or {}).get("device") or "cpu"
    if baseline == BASE:
        return _loaded(settings, place)
    if baseline is not None:
        with _named_as_baseline(baseline):
            return _loaded(_plain(settings, baseline), place)
    run.check_trained()
    if not (run.model / "adapter_config.json").is_file():
        return _loaded(_plain(settings, str(run.model)), place)
    found = _loaded(settings, place, tokenizer=load_tokenizer(str(run.model)))
    from peft import PeftModel

    adapted: Any = PeftModel.from_pretrained(found.model, str(run.model))
    return TrainedModel(adapted.eval(), found.tokenizer)


def check_baseline(run_folder: Path, baseline: str) -> None:
    """Raise ``InputError`` for a baseline that ``load_trained`` could not load, as far as can be
    told without its weights."""
    if baseline == BASE:
        return
    settings = read_settings(RunFolder(run_folder).settings)
    with _named_as_baseline(baseline):
        check_folder(baseline)
        load_tokenizer(baseline)
        check_config(_plain(settings, baseline))


@contextmanager
def _named_as_baseline(baseline: str) -> Iterator[None]:
    """Let what is refused be called what it was given as."""
    try:
        yield
    except InputError as error:
        given = f"model.name={baseline!r}"
        raise InputError(str(error).replace(given, f"--baseline {baseline}", 1)) from error


def _plain(settings: FineTuningSettings, name: str) -> FineTuningSettings:
    """All weights of another model, in the dtype of the run, whatever its longest context is."""
    return settings.changed(
        {"model.name": name, "strategy": "full", "training.max_length": 8, **_dtype(settings)}
    )


def _dtype(settings: FineTuningSettings) -> dict[str, Any]:
    """float16 is refused for full training, and means the same as auto where nothing trains."""
    return {"model.dtype": "auto"} if settings.model.dtype == "float16" else {}


def _loaded(settings: FineTuningSettings, device: str, tokenizer: Any = None) -> TrainedModel:
    found = load(settings, device)
    model = found.model
    if settings.strategy != "qlora":  # 4-bit weights are on their device already
        model = model.to(device)
    return TrainedModel(model.eval(), found.tokenizer if tokenizer is None else tokenizer)
