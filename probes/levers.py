"""Levers: ways to train that any workload gets for free, as dimensions of its config.

A config that names one is trained that way by the probe, without the workload knowing. A lever
that this model or device cannot do raises ``UnsupportedError`` with the reason.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from probes.errors import TonnageError
from probes.space import Choice, Dimension, Int

if TYPE_CHECKING:
    import torch

LEVERS: dict[str, Dimension] = {
    "precision": Choice(["fp32", "bf16", "fp16"], cost_grows=False),
    "gradient_checkpointing": Choice([False, True], cost_grows=False),
    "compile": Choice([False, True], cost_grows=False),
    "accumulation": Int(1, 1024, cost_grows=False),
}
"""Reserved dimension names and their values."""


class UnsupportedError(TonnageError):
    """The device or the model cannot do what a lever asks for."""


def selected(config: dict[str, Any]) -> dict[str, Any]:
    """The levers among a config's values."""
    return {name: config[name] for name in LEVERS if name in config}


def autocast(levers: dict[str, Any], device_type: str) -> AbstractContextManager[Any]:
    """The precision lever as a context for forward and loss."""
    precision = levers.get("precision", "fp32")
    if precision == "fp32":
        return nullcontext()
    import torch

    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in dtypes:
        raise UnsupportedError(
            f"precision={precision!r} is not known; use one of fp32, {', '.join(dtypes)}."
        )
    if precision == "bf16" and device_type == "cuda" and not torch.cuda.is_bf16_supported(False):
        raise UnsupportedError("precision=bf16: this GPU has no bfloat16 units; use fp16 or fp32.")
    return torch.autocast(device_type, dtype=dtypes[precision])


def gradient_scaler(levers: dict[str, Any], device_type: str) -> torch.amp.GradScaler:
    """A loss scaler that does something for fp16 only."""
    import torch

    return torch.amp.GradScaler(device_type, enabled=levers.get("precision") == "fp16")


def prepare_model(model: torch.nn.Module, levers: dict[str, Any]) -> torch.nn.Module:
    """Apply the levers that change the model. Raises ``UnsupportedError``."""
    if levers.get("gradient_checkpointing"):
        enable = getattr(model, "gradient_checkpointing_enable", None)
        if not callable(enable):
            raise UnsupportedError(
                f"gradient_checkpointing=True: {type(model).__name__} has no "
                "gradient_checkpointing_enable(). Give it that method, or leave the lever out."
            )
        enable()
    if levers.get("compile"):
        import torch

        compiled: torch.nn.Module = torch.compile(model)  # type: ignore[assignment]
        return compiled
    return model
