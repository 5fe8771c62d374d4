"""The built-in network for images."""

from __future__ import annotations

import pytest
import torch

from probes.errors import InputError
from probes.levers import channels_last
from probes.workloads.convnet import KINDS, ConvNet
from probes.workloads.interface import check_interface


@pytest.mark.parametrize("kind", KINDS)
def test_it_trains(kind: str) -> None:
    workload = ConvNet(kind, size=8)
    check_interface(workload, "convnet")
    model = workload.model({"blocks": 2, "channels": 16})

    loss = workload.loss(model, next(workload.batches({}, 4)))
    loss.backward()

    assert loss.isfinite()
    assert all(p.grad is not None for p in model.parameters())


def test_batches_are_those_of_the_seed() -> None:
    first, same, other = (next(ConvNet(size=8, seed=s).batches({}, 2))[0] for s in (0, 0, 1))

    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_it_has_what_channels_last_needs(kind: str) -> None:
    model = ConvNet(kind, size=8).model({"blocks": 1, "channels": 16})
    channels_last.convert(model)

    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    assert model[:4](x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("options", [{"kind": "dense"}, {"size": 2}, {"size": True}])
def test_an_option_that_it_cannot_have_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ConvNet(**options)  # type: ignore[arg-type]
