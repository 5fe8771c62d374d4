"""Lines with a loss and no counter: one per step, or one now and then."""

from __future__ import annotations

import pytest

from tests.probes.black_box.corpus import read


def doubt(lines: list[str]) -> str | None:
    """What is said of these lines, which are taken for steps; ``None`` where they are not."""
    choice = read(lines).finder.choice
    return None if choice is None else choice.rival


@pytest.mark.parametrize(
    "line",
    [
        "Progress: 0.1%  words/sec/thread: 17{n}  lr: 0.0999  loss: 1.38{n}  eta: 0h11m",
        '{{"progress":4{n}.3,"loss":0.9{n},"lr":0.0293,"words":18{n},"eta":"0h0m"}}',
        "{n}.5% done, loss 0.9{n}",
        "seen 1{n}.2 GB, loss 0.9{n}",
    ],
)
def test_lines_that_tell_how_far_the_training_is_may_have_steps_between_them(line: str) -> None:
    lines = [line.format(n=n) for n in range(10, 40)]
    assert doubt(lines[:15]) is None
    assert doubt(lines)


def test_so_may_lines_that_tell_of_one_state_twice() -> None:
    states = [f"loss 0.{99 - n}, lr 0.00{99 - n}, clip {n % 7}.5" for n in range(20)]
    lines = [state for state in states for _ in range(2)]
    assert doubt(lines[:15]) is None
    assert doubt(lines)


@pytest.mark.parametrize(
    "line",
    [
        "loss: 2.30",
        "loss 1{n}.5",
        "loss: 0.9{n}",
        "loss: 0.9{n}, time: 1{n}.5",
        "loss: 0.9{n} ({n}.25 s)",
        "loss: {n}.5, accuracy: 99.0%",
        "Train loss = 1.4{n}, acc = 0.5 | Time: {n}.764",
        "loss: 2.1, acc: {n}.5%",
        "loss: 2.1, mem {n}.1GB",
        "loss: 2.1, lr 0.00{n}",
        "loss: 2.1, learning rate: 0.00{n}, grad norm: {n}.5",
    ],
)
def test_a_clock_or_a_loss_that_rises_or_stays_is_no_doubt(line: str) -> None:
    assert doubt([line.format(n=n) for n in range(10, 19)]) == ""
