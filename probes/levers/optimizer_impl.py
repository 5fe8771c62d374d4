"""The lever ``optimizer_impl``: which implementation of torch's optimizers runs. In the worker.

``forloop`` updates one parameter after the other and needs the least memory, ``foreach`` all of
them in a few calls at the price of copies as large as the parameters, ``fused`` in one kernel.
``default`` leaves the choice to torch and to the workload.
"""

from __future__ import annotations

from typing import Any

import torch

from probes.levers import UnsupportedError


def use(optimizer: torch.optim.Optimizer, impl: str) -> None:
    """Switch a new optimizer over, in place: schedulers and hooks may already hold on to it.

    Raises ``UnsupportedError`` where its class or the parameters' device cannot.
    """
    if impl == "default":
        return
    known = [flag for flag in ("foreach", "fused") if flag in optimizer.defaults]
    if impl in ("foreach", "fused") and impl not in known:
        raise UnsupportedError(
            f"optimizer_impl={impl}: {type(optimizer).__name__} has no {impl} implementation. "
            f"{_which_has(impl)}, or use optimizer_impl=default."
        )
    if impl == "fused":
        _check_fused(optimizer)
    flags: dict[str, Any] = {flag: flag == impl for flag in known}
    optimizer.defaults.update(flags)
    for group in optimizer.param_groups:
        group.update(flags)
    if impl == "fused":
        # What torch's own constructors do: the kernel takes the gradient scaler's factor itself.
        optimizer._step_supports_amp_scaling = True  # type: ignore[attr-defined]


def _which_has(impl: str) -> str:
    if impl == "fused":
        return "torch has one for SGD, Adam, AdamW and Adagrad"
    return "torch has one for most of its own optimizers, not for LBFGS, Muon and SparseAdam"


def _check_fused(optimizer: torch.optim.Optimizer) -> None:
    """What torch checks itself when it is told ``fused=True`` from the beginning."""
    from torch.utils._foreach_utils import _get_fused_kernels_supported_devices

    name = type(optimizer).__name__
    if any(group.get("differentiable") for group in optimizer.param_groups):
        raise UnsupportedError(
            f"optimizer_impl=fused: {name} was made with differentiable=True, which the fused "
            "kernels are not."
        )
    devices = _get_fused_kernels_supported_devices()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.device.type not in devices:
                raise UnsupportedError(
                    f"optimizer_impl=fused: torch {torch.__version__} has no fused {name} on "
                    f"{parameter.device.type}; it has on {', '.join(devices)}."
                )
            if not torch.is_floating_point(parameter):
                raise UnsupportedError(
                    f"optimizer_impl=fused: it takes floating-point parameters only, and one is "
                    f"{parameter.dtype}."
                )
