"""The lever ``channels_last``: images stored channel by channel at each pixel. In the worker.

Convolutions on tensor cores and in oneDNN want that layout, and keep it from layer to layer.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

from probes.levers import UnsupportedError


def convert(model: nn.Module) -> None:
    """Store every four-dimensional weight that way, in place.

    Raises ``UnsupportedError`` where there is none, as in models without 2-D convolutions.
    """
    if not any(parameter.dim() == 4 for parameter in model.parameters()):
        raise UnsupportedError(
            f"channels_last=true: {type(model).__name__} has no four-dimensional weights, so no "
            "2-D convolution that would gain from it. Leave the lever out."
        )
    # Not ``model.to(memory_format=…)``: that fails where there are 3-D convolutions as well.
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def reordered(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of a batch: what looks like images in that layout, anything else as it is."""
    if tensor.dim() != 4 or not tensor.is_floating_point():
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)
