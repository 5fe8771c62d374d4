"""The workload ``sft``: the very step that a fine-tuning will train, measured by a probe.

Rule of the house: the trainer's own model, loss, collator and optimizer, loaded as the run loads
them. Runs in the user's interpreter.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from finetuning import samples
from finetuning.models.device import precision
from finetuning.settings.files import read_settings
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import DEFAULT_PRESET, preset
from finetuning.training.arguments import Batches
from finetuning.training.trainer import build_trainer, check_installed, import_libraries
from probes.adapters.trl import TRLWorkload, longest_first
from probes.errors import InputError
from probes.space import Choice, unknown_name
from probes.worker.training import to_device
from probes.workloads.adapters import ALL_LINEAR

SEARCHED: dict[str, tuple[Any, ...]] = {
    "strategy": ("lora", "qlora", "full"),
    "lora_r": (8, 16, 32, 64),
    "max_length": (256, 512, 1024, 2048),
    "gradient_checkpointing": (False, True),
    "optimizer": ("adamw_torch", "adamw_8bit"),
}
"""Dimensions, and the values a search tries beside the settings' own."""

ON_REQUEST: dict[str, tuple[Any, ...]] = {
    "packing": (False, True),
    "rslora": (False, True),
    "dora": (False, True),
    "lora_alpha": (16, 32, 64),
    "target_modules": (ALL_LINEAR,),
    "bits": (4, 8),
}
"""Further ones, which are dimensions only where ``search`` names them."""

_NAMES = {
    "strategy": "strategy",
    "lora_r": "lora.r",
    "lora_alpha": "lora.alpha",
    "rslora": "lora.rslora",
    "dora": "lora.dora",
    "target_modules": "lora.target_modules",
    "bits": "quantization.bits",
    "packing": "training.packing",
    "max_length": "training.max_length",
    "gradient_checkpointing": "training.gradient_checkpointing",
    "optimizer": "training.optimizer",
    "precision": "training.precision",
}


class SFT(TRLWorkload):
    """Supervised fine-tuning of a language model with TRL's trainer.

    Options (``--option name=value``):

    - ``data``: a prepared data folder (with ``train.jsonl``), or the folder of a run; or
      ``sample``, rows made of the text that ships with Tonnage.
    - ``settings``: the ``finetuning.yaml`` of a run; or instead:
    - ``model`` and ``preset``: a model's folder, and one of the presets. ``small-llama`` and
      ``small-gpt2`` are untrained models that are made when they are asked for.
    - ``device``: where it will train (``cpu``, ``cuda:0``). Default: the best one here. Say
      it where the probe runs on another.
    - ``search``: dimensions for ``tune`` to search, such as ``lora_r,max_length``; all others keep
      the value that the settings have. Some are dimensions only where they are named here:
      ``packing``, ``rslora``, ``dora``, ``lora_alpha``, ``target_modules`` and ``bits``.

    Raises ``InputError`` for settings, a model or data that cannot be used.
    """

    seed: int | None = None
    """Of adapters, shuffling and dropout, where it is not to be that of the settings."""

    no_estimate = "the trainer's loss picks the tokens to learn by their values"

    def __init__(
        self,
        data: str,
        settings: str | None = None,
        model: str | None = None,
        preset: str = DEFAULT_PRESET,
        device: str | None = None,
        search: str = "",
    ) -> None:
        check_installed(sys.executable)
        import_libraries()  # now: what is imported later counts as memory
        self._scratch = tempfile.TemporaryDirectory(prefix="sft-")
        scratch = Path(self._scratch.name)
        if model is not None and model in samples.MODELS:
            model = str(samples.make_model(scratch / model, model))
        self.settings = _settings(settings, model, preset)
        self.device = device or best_device()
        made = data == samples.SAMPLE
        folder = samples.make_rows(scratch / "rows") if made else _absolute(data)
        self.folder = folder / "data" if (folder / "data" / "train.jsonl").is_file() else folder
        if not (self.folder / "train.jsonl").is_file():
            raise InputError(
                f"data={data!r}: there is no train.jsonl in it. Prepare the data first: "
                "tonnage finetune run --data … --prepare-only"
            )
        held_back = self.folder / "eval.jsonl"
        evaluates = held_back.is_file() and held_back.stat().st_size > 0
        super().__init__(
            self._trainer,
            self._space(search),
            evaluate=evaluates,
            data_files=[]
            if made
            else [self.folder / "train.jsonl", *([held_back] if evaluates else [])],
        )
        if evaluates:
            self.evaluate = self._evaluate

    # -- the workload ----------------------------------------------------------------------

    def space(self) -> dict[str, Any]:
        return dict(self.own_space)

    @property
    def dataset_size(self) -> int | None:
        """Training rows; unknown where they are packed, because sequences are then fewer."""
        if self.settings.training.packing:
            return None
        with (self.folder / "train.jsonl").open("rb") as file:
            return sum(1 for line in file if line.strip())

    @property
    def notes(self) -> list[str]:
        return [
            "The step is that of TRL's SFTTrainer with these settings; the first batch holds the "
            "longest rows."
        ]

    def levers(self, built: Any) -> dict[str, Any]:
        return {}  # they are dimensions already

    def remarks(self, built: Any) -> list[str]:
        return []

    def capacity(self, config: dict[str, Any]) -> float:
        """All configs train the same base model; of two, the higher rank can learn more."""
        strategy, rank = config.get("strategy"), config.get("lora_r")
        whole = (strategy or self.settings.strategy) == "full"
        return 1e6 if whole else float(rank or self.settings.lora.r)

    # -- inside ----------------------------------------------------------------------------

    def _space(self, search: str) -> dict[str, Any]:
        wanted = [name.strip() for name in search.split(",") if name.strip()]
        known = {**SEARCHED, **ON_REQUEST}
        for name in wanted:
            if name not in known:
                raise InputError(unknown_name("dimension to search", name, known))
        space: dict[str, Any] = {
            "precision": Choice([precision(self.settings, self.device)], cost_grows=False)
        }
        for name, others in known.items():
            if name in ON_REQUEST and name not in wanted:
                continue
            own = self._own(name)
            values = [own, *(other for other in others if other != own)]
            space[name] = Choice(values if name in wanted else [own], cost_grows=False)
        return space

    def _evaluate(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        """The loss of the longest rows held back, as many as an evaluation takes at once: that may
        be more than the micro-batch, which is all that ``batch`` holds."""
        asked = self.settings.training.eval_batch_size
        size = len(batch["input_ids"]) if isinstance(asked, str) else asked
        loader = self.first().get_eval_dataloader()
        rows = loader.dataset
        held_back = loader.collate_fn([rows[index] for index in longest_first(rows)[:size]])
        return self.loss(model, to_device(held_back, batch["input_ids"].device))

    def _own(self, name: str) -> Any:
        group, _, field = _NAMES[name].rpartition(".")
        value = getattr(getattr(self.settings, group) if group else self.settings, field)
        return (",".join(value) or ALL_LINEAR) if name == "target_modules" else value

    def settings_of(self, config: dict[str, Any]) -> FineTuningSettings:
        """The settings with the dimensions of a config put in."""
        changes = {_NAMES[name]: value for name, value in config.items() if name in _NAMES}
        if (targets := changes.get("lora.target_modules")) is not None:
            names = [name.strip() for name in str(targets).split(",") if name.strip()]
            changes["lora.target_modules"] = [] if names == [ALL_LINEAR] else names
        if self.seed is not None:
            changes["training.seed"] = self.seed
        return self.settings.changed(changes)

    def _trainer(self, config: dict[str, Any]) -> Any:
        return build_trainer(
            self.settings_of(config),
            self.folder,
            Path(self._scratch.name),
            Batches(micro_batch=1, accumulation=1),
            self.device,
        )


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().absolute()


def best_device() -> str:
    """The accelerator that transformers would train on, or the CPU."""
    import torch

    if torch.cuda.is_available():
        return "cuda:0"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        return "xpu:0"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _settings(file: str | None, model: str | None, preset_name: str) -> FineTuningSettings:
    if file is not None:
        return read_settings(Path(file).expanduser())
    if model is None:
        raise InputError(
            "Give --option settings=out/finetuning.yaml, or --option model=FOLDER and --option "
            "preset=NAME."
        )
    return preset(preset_name).settings(model)
