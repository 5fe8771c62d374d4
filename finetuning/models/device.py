"""What ``auto`` means on the device that trains. Imports torch."""

from __future__ import annotations

from typing import Any

from finetuning.settings.model import AUTO, FineTuningSettings
from probes.devices import backend_for
from probes.levers import UnsupportedError

_AUTOCAST = {"bf16": "bfloat16", "fp16": "float16"}


def precision(settings: FineTuningSettings, device: str) -> str:
    """``fp32``, ``bf16`` or ``fp16``. bf16 is chosen on GPUs that compute in it; a CPU mostly
    emulates it, and is asked for it by name only.

    Raises ``UnsupportedError`` where the device cannot do what was asked for.
    """
    asked = settings.training.precision
    backend = backend_for(device)
    refusals = backend.precisions()
    if asked == AUTO:
        return "fp32" if backend.kind == "cpu" or refusals.get("bf16") else "bf16"
    if reason := refusals.get(asked):
        raise UnsupportedError(f"training.precision={asked}: {reason}")
    return asked


def weights_dtype(settings: FineTuningSettings, device: str) -> Any:
    """The torch dtype that weights are loaded in.

    Weights that are trained stay in float32, where small updates are not lost; frozen ones may be
    in the type of the arithmetic.
    """
    import torch

    if settings.model.dtype != AUTO:
        return getattr(torch, settings.model.dtype)
    arithmetic = precision(settings, device)
    if settings.strategy == "full" or arithmetic == "fp32":
        return torch.float32
    return getattr(torch, _AUTOCAST[arithmetic])


def compute_dtype(settings: FineTuningSettings, device: str) -> Any:
    """The torch dtype that 4-bit weights are multiplied in."""
    import torch

    asked = settings.quantization.compute_dtype
    if asked != AUTO:
        return getattr(torch, asked)
    arithmetic = precision(settings, device)
    return getattr(torch, _AUTOCAST.get(arithmetic, "float32"))
