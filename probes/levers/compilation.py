"""The lever ``compile``: ``torch.compile``. In the worker."""

from __future__ import annotations

import torch
from torch import nn


def preload() -> None:
    """Import the compiler, which takes tens of MiB: before the memory cap counts them."""
    import torch._inductor.compile_fx  # noqa: F401


def compiled(model: nn.Module) -> nn.Module:
    """The model, to be compiled when it is first called. What cannot be compiled here (no C++
    compiler, no Triton, a Python or a GPU it does not know) fails then, and is classified."""
    result: nn.Module = torch.compile(model)  # type: ignore[assignment]
    return result
