"""TRL's ``SFTTrainer`` from settings: one function for the probe and for the run."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from finetuning.models import quantized
from finetuning.models.device import precision
from finetuning.models.loading import LoadedModel, load
from finetuning.models.outline import expert_refusal
from finetuning.models.tokenizers import first_words
from finetuning.settings.model import FineTuningSettings
from finetuning.training.arguments import Batches, course, run_arguments
from probes.errors import InputError
from probes.levers import UnsupportedError
from probes.workloads.extras import is_installed

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets")


def check_installed(python: str) -> None:
    """Raise ``InputError`` naming what the interpreter lacks, and how to install it."""
    missing = [name for name in LIBRARIES if not is_installed(name)]
    if missing:
        raise InputError(
            f"Fine-tuning needs {', '.join(missing)}, which {python} does not have: "
            f"{python} -m pip install 'tonnage[llm]'"
        )


def import_libraries() -> None:
    """Import what building a trainer imports; let it print no bars and no advice, and send
    nothing."""
    import datasets
    import huggingface_hub
    import peft
    import transformers
    import trl.trainer.sft_trainer

    if is_installed("bitsandbytes"):
        import bitsandbytes  # noqa: F401
    del peft, trl
    huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY = True
    warnings.filterwarnings("ignore", category=FutureWarning)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    start_threads()


def start_threads() -> None:
    """Let pyarrow start its threads now, one of a kind.

    It starts them when there is something to read, more of them at one time than at another, and
    the stack of each counts as memory: 8 MiB that no step needs.
    """
    import pyarrow  # type: ignore[import-untyped,unused-ignore]
    from datasets import Dataset

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    with tempfile.TemporaryDirectory(prefix="sft-") as folder:
        file = Path(folder) / "row.jsonl"
        file.write_text('{"prompt": "a", "completion": "b"}\n', encoding="utf-8")
        Dataset.from_json(str(file), cache_dir=folder)


def build_trainer(
    settings: FineTuningSettings,
    data: Path,
    output: Path,
    batches: Batches,
    device: str,
    *,
    callbacks: Sequence[Any] = (),
    loaded: LoadedModel | None = None,
    host_memory: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Any:
    """The trainer that would train these settings on ``data`` (a folder of prepared rows).

    ``output`` takes checkpoints. Tokenised rows are cached beside the data, so the second trainer
    of the same settings starts quickly. ``host_memory`` surrounds whatever reads or writes a
    checkpoint. Raises ``InputError`` and ``UnsupportedError``.
    """
    from trl import SFTConfig

    from finetuning.training.checkpointing import CheckpointingTrainer

    loaded = loaded or load(settings, device)
    train = rows(data, "train")
    evaluation = rows(data, "eval")
    on_cpu = device == "cpu"
    arithmetic = precision(settings, device)
    arguments = run_arguments(
        settings,
        output,
        batches,
        precision=arithmetic,
        on_cpu=on_cpu,
        length=course(settings, len(train), batches),
        evaluates=evaluation is not None,
    )
    try:
        trainer = CheckpointingTrainer(
            model=loaded.model,
            args=_on_one_device(SFTConfig(**arguments), device),
            train_dataset=train,
            eval_dataset=evaluation,
            processing_class=loaded.tokenizer,
            peft_config=loaded.adapter,
            callbacks=list(callbacks),
            host_memory=host_memory,
        )
    except (ValueError, NotImplementedError) as error:
        raise InputError(_refusal(settings, error)) from error
    if settings.strategy == "qlora":
        quantized.keep_adapters_exact(trainer.model, arithmetic)
    return trainer


def _on_one_device(arguments: Any, device: str) -> Any:
    """The arguments, for the first visible device alone, however many there are.

    transformers puts a single process on the first one, and would copy the model to all others.
    Raises ``UnsupportedError`` for another device.
    """
    kind, _, index = device.partition(":")
    if index not in ("", "0"):
        name = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}.get(kind, "")
        raise UnsupportedError(
            f"Fine-tuning trains on the first visible device, not on {device}. Make it the first: "
            f"{name}={index} tonnage finetune … --device {kind}:0"
        )
    if kind == "cuda":
        assert arguments.device is not None  # counts the devices, once
        arguments._n_gpu = 1
    return arguments


def _refusal(settings: FineTuningSettings, error: Exception) -> str:
    """What a library has against the settings, and what to do where that is known."""
    if refusal := expert_refusal(settings, error):
        return refusal
    return f"The trainer refuses these settings: {first_words(error)}."


def rows(data: Path, split: str) -> Any:
    """Prompt and completion of a split, mapped from the disk; none where it has no rows.

    Raises ``InputError`` where there is nothing to train on.
    """
    from datasets import Dataset

    file = data / f"{split}.jsonl"
    if not file.is_file() or file.stat().st_size == 0:
        if split == "train":
            raise InputError(f"{file} has no rows to train on.")
        return None
    dataset = Dataset.from_json(str(file), cache_dir=str(data / ".cache"))
    extra = [name for name in dataset.column_names if name not in ("prompt", "completion")]
    return dataset.remove_columns(extra)
