"""A trained model in the form that another program reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from finetuning.run_folder import RunFolder
from finetuning.settings.files import read_settings
from finetuning.settings.model import FineTuningSettings
from probes.errors import InputError
from probes.worker.channel import Channel


class Form(str, Enum):
    """Forms of a trained model."""

    MERGED = "merged"
    """One model with the adapters added to its weights."""
    ADAPTER = "adapter"
    """The adapters alone, to be loaded over the base model with peft."""
    GGUF_READY = "gguf-ready"
    """Merged, in float16 safetensors, as llama.cpp's converter reads it."""


def export_job(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Write the model of ``arguments["output"]`` in ``arguments["form"]`` to
    ``arguments["destination"]``; the folder appears complete or not at all."""
    from finetuning.training.trainer import import_libraries

    channel.progress("build")
    import_libraries()
    folder = RunFolder(Path(arguments["output"]))
    form = Form(arguments["form"])
    destination = Path(arguments["destination"])
    settings = read_settings(folder.fitted_settings)
    check(folder, form, settings, destination)
    partial = destination.with_name(f"{destination.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    WRITERS[form](folder, settings, partial)
    partial.rename(destination)
    size = sum(file.stat().st_size for file in destination.rglob("*") if file.is_file())
    return {"destination": str(destination), "form": form.value, "size_bytes": size}


def check(folder: RunFolder, form: Form, settings: FineTuningSettings, destination: Path) -> None:
    """Raise ``InputError`` for what cannot be exported, or would overwrite something."""
    folder.check_trained()
    if form is Form.ADAPTER and settings.strategy == "full":
        raise InputError("All weights were trained, so there are no adapters. Use --to merged.")
    if destination.exists():
        raise InputError(f"{destination} exists. Choose another --output, or remove it.")


def _adapter(folder: RunFolder, settings: FineTuningSettings, to: Path) -> None:
    shutil.copytree(folder.model, to)


def _merged(folder: RunFolder, settings: FineTuningSettings, to: Path) -> None:
    _save(merged_model(folder, settings), folder, to)


def _gguf_ready(folder: RunFolder, settings: FineTuningSettings, to: Path) -> None:
    import torch

    _save(merged_model(folder, settings).to(torch.float16), folder, to)


def _save(model: Any, folder: RunFolder, to: Path) -> None:
    from transformers import AutoTokenizer

    model.config.use_cache = True
    model.save_pretrained(str(to))
    AutoTokenizer.from_pretrained(str(folder.model)).save_pretrained(str(to))


WRITERS: dict[Form, Callable[[RunFolder, FineTuningSettings, Path], None]] = {
    Form.ADAPTER: _adapter,
    Form.MERGED: _merged,
    Form.GGUF_READY: _gguf_ready,
}


def merged_model(folder: RunFolder, settings: FineTuningSettings) -> Any:
    """The trained model as one set of float weights, on the CPU.

    Adapters that were trained over 4-bit weights are added to the original ones, which is what
    QLoRA's authors recommend: quantising again would lose what was learnt.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if settings.strategy == "full":
        return AutoModelForCausalLM.from_pretrained(str(folder.model), dtype=torch.float32)
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(settings.model.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(str(folder.model))
    if len(tokenizer) > base.get_input_embeddings().weight.shape[0]:
        base.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return PeftModel.from_pretrained(base, str(folder.model)).merge_and_unload()
