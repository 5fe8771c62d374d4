"""The lever ``precision``: autocast, loss scaling and TF32. In the worker.

``fp32`` means just that: where torch would use TF32 by itself (convolutions on NVIDIA), it is
switched off. Where the lever is not named, everything stays as torch or the workload set it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from probes.devices.base import Backend
from probes.formatting import first_line
from probes.levers import UnsupportedError

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def prepare(levers: dict[str, Any], backend: Backend) -> None:
    """Check that the device can, and set TF32 for this process. Before the model is built.

    Raises ``UnsupportedError``.
    """
    precision = levers.get("precision")
    if precision is None:
        return
    if reason := backend.precisions()[precision]:
        raise UnsupportedError(f"precision={precision}: {reason}")
    if precision == "fp16":
        _check_scaler(backend)
    if precision in ("fp32", "tf32") and backend.torch_device.type == "cuda":
        # The older of torch's two interfaces: it also settles what the newer one was told, while
        # the other way round torch refuses to read its own flags.
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def autocast(levers: dict[str, Any], device_type: str) -> AbstractContextManager[Any]:
    """The context for forward and loss."""
    dtype = _AUTOCAST.get(levers.get("precision", ""))
    return nullcontext() if dtype is None else torch.autocast(device_type, dtype=dtype)


def gradient_scaler(levers: dict[str, Any], device_type: str) -> torch.amp.GradScaler:
    """A loss scaler that does something for fp16 only."""
    return torch.amp.GradScaler(device_type, enabled=levers.get("precision") == "fp16")


def _check_scaler(backend: Backend) -> None:
    """One scaled step of a single number: not every torch can do that on every device."""
    number = torch.ones(1, device=backend.torch_device, requires_grad=True)
    optimizer = torch.optim.SGD([number], lr=0.0)
    scaler = torch.amp.GradScaler(backend.autocast_kind())
    try:
        scaler.scale(number.sum()).backward()  # type: ignore[no-untyped-call]
        scaler.step(optimizer)
        scaler.update()
    except (NotImplementedError, RuntimeError, TypeError) as error:
        raise UnsupportedError(
            f"precision=fp16: it needs loss scaling, which torch {torch.__version__} cannot do on "
            f"{backend.device} ({first_line(str(error))}). Use bf16 or fp32, or update torch."
        ) from None
