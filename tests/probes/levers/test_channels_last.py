"""channels_last: weights and images reach the convolution in that layout, and results stay."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from probes.levers import UnsupportedError, channels_last
from tests.probes.levers.small import Blocks, Small, gradients, training


def is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


class Net(nn.Module):
    """Two convolutions that remember whether their input came channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 4, 3)
        self.seen: list[bool] = []
        for layer in (self.first, self.second):
            layer.register_forward_pre_hook(
                lambda _, inputs: self.seen.append(is_channels_last(inputs[0]))
            )

    def forward(self, batch: Any) -> torch.Tensor:
        return self.second(self.norm(self.first(images_of(batch))))


@dataclass
class Pair:
    images: torch.Tensor
    labels: torch.Tensor


class Processed(UserDict[str, torch.Tensor]):
    """What an image processor returns: a mapping that can be moved."""

    def to(self, device: torch.device) -> Processed:
        self.data = {key: value.to(device) for key, value in self.data.items()}
        return self


def images_of(batch: Any) -> torch.Tensor:
    if isinstance(batch, torch.Tensor):
        return batch
    if isinstance(batch, Pair):
        return batch.images
    return batch["images"] if not isinstance(batch, (tuple, list)) else images_of(batch[0])


def images(size: int) -> torch.Tensor:
    return torch.randn(size, 3, 9, 9)


@pytest.mark.parametrize(
    "batch",
    [
        images,
        lambda size: (images(size), torch.arange(size)),
        lambda size: {"images": images(size), "labels": torch.arange(size)},
        lambda size: Pair(images(size), torch.arange(size)),
        lambda size: Processed(images=images(size)),
        lambda size: [{"images": images(size)}],
    ],
    ids=["tensor", "tuple", "dict", "dataclass", "processor", "nested"],
)
def test_every_convolution_gets_it(batch: Any) -> None:
    on, off = (training(Small(Net, batch), channels_last=value) for value in (True, False))
    on.step()
    off.step()

    assert on.model.seen == [True, True]
    assert off.model.seen == [False, False]
    assert is_channels_last(on.model.first.weight)
    for name, expected in gradients(off).items():
        torch.testing.assert_close(gradients(on)[name], expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_image_stays_as_it_is() -> None:
    for tensor in (torch.ones(2, 3), torch.ones(2, 3, 4, 5, dtype=torch.int64)):
        assert channels_last.reordered(tensor) is tensor


def test_weights_in_three_dimensions_are_left_alone() -> None:
    model = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3)])

    channels_last.convert(model)

    assert is_channels_last(model[0].weight)
    assert model[1].weight.is_contiguous()


def test_a_model_without_convolutions_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="Blocks has no four-dimensional weights"):
        training(Small(Blocks), channels_last=True)
