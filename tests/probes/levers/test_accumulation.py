"""Accumulation and the stated effective batch: the same gradient as the big batch, in pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from probes.errors import InputError
from probes.job import WORST_CASE_STEPS, ProbeJob
from tests.probes.levers.small import WIDTH, Small, gradients, job, training

DATA = torch.randn(48, WIDTH, generator=torch.Generator().manual_seed(5))


class InOrder(Small):
    """The first batch is the worst case; then the samples come in their order."""

    def __init__(self) -> None:
        super().__init__(lambda: nn.Linear(WIDTH, WIDTH))

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        yield torch.zeros(batch_size, WIDTH)
        start = 0
        while True:
            yield DATA[start : start + batch_size]
            start += batch_size


def gradient_after_one_step(**asked: Any) -> tuple[torch.Tensor, float]:
    """Of one step on ordinary batches, and the loss that was reported for it."""
    trained = training(InOrder(), **asked)
    for _ in range(WORST_CASE_STEPS):
        trained.step()
    for parameter in trained.model.parameters():  # as they were before the worst case
        parameter.data.fill_(0.1)
    _, loss = trained.step()
    return gradients(trained)["weight"], float(loss)


@pytest.mark.parametrize(
    "pieces",
    [
        {"batch_size": 4, "accumulation": 4},
        {"batch_size": 8, "accumulation": 2},
        {"batch_size": 4, "effective": 16},
        {"batch_size": 16, "effective": 16},
    ],
)
def test_in_pieces_the_gradient_and_the_loss_are_those_of_the_whole(pieces: dict[str, int]) -> None:
    whole, whole_loss = gradient_after_one_step(batch_size=16)
    gradient, loss = gradient_after_one_step(**pieces)

    assert whole.norm() > 0
    torch.testing.assert_close(gradient, whole, rtol=1e-4, atol=1e-7)
    assert loss == pytest.approx(whole_loss, rel=1e-5)


def test_pieces_that_do_not_divide_make_a_slightly_larger_step() -> None:
    asked = job(batch_size=6, effective=16)
    assert asked.accumulation == 3

    larger, _ = gradient_after_one_step(batch_size=18)
    gradient, _ = gradient_after_one_step(batch_size=6, effective=16)

    torch.testing.assert_close(gradient, larger, rtol=1e-4, atol=1e-7)


def test_the_pieces_follow_the_batch_size() -> None:
    trained = training(InOrder(), batch_size=4, effective=16)
    assert trained.accumulation == 4

    trained.use_batch_size(16)

    assert trained.accumulation == 1


def test_every_piece_is_announced() -> None:
    said: list[int] = []
    training(InOrder(), batch_size=4, effective=16).step(lambda: said.append(1))

    assert len(said) == 4


@pytest.mark.parametrize("batch_size", [17, 0])
def test_a_micro_batch_is_part_of_the_effective_batch(batch_size: int) -> None:
    with pytest.raises(InputError, match="micro-batches have 1 to 16 samples"):
        job(batch_size=batch_size, effective=16)


def test_one_says_how_many_pieces_not_two() -> None:
    with pytest.raises(InputError, match="decides the accumulation"):
        job(effective=16, accumulation=2)


def test_a_job_survives_the_way_to_the_worker() -> None:
    asked = job(batch_size=6, effective=16)

    assert ProbeJob.from_dict(asked.to_dict()) == asked
    assert ProbeJob.from_dict(asked.to_dict()).accumulation == 3
    assert job(accumulation=4).accumulation == 4
    assert job().accumulation == 1
