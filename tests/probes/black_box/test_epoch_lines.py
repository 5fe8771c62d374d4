"""Lines that come once per epoch and tell how many steps it has."""

from __future__ import annotations

import pytest

from tests.probes.black_box.corpus import read

MMPOSE = "mmpose - INFO - Epoch [{epoch}][{at}/83]\tlr: 5.000e-04, memory: 9832, loss: 0.0012"
WAVERNN = "| Epoch: {epoch}/3846 ({at}/520) | Loss: 4.2{epoch} | 4.2 steps/s | Step: 1001k |"


def numbers(lines: list[str], batch_size: int = 64) -> list[int | None]:
    return [number for _, number, _ in read(lines, batch_size).taken]


def test_a_part_of_the_epoch_that_is_always_the_same_tells_its_steps() -> None:
    lines = [MMPOSE.format(epoch=epoch, at=50) for epoch in range(13, 20)]
    assert numbers(lines) == [83 * epoch for epoch in range(13, 20)]
    choice = read(lines, 64).finder.choice
    assert choice is not None
    assert (choice.steps_per_epoch, choice.rival) == (83, "")


def test_so_does_the_end_of_the_epoch_but_it_may_be_samples() -> None:
    lines = [WAVERNN.format(epoch=epoch, at=520) for epoch in range(1, 8)]
    choice = read(lines, 32).finder.choice
    assert choice is not None
    assert choice.steps_per_epoch == 520
    assert "dataset_size=520" in choice.rival
    choice = read(lines, 1).finder.choice
    assert choice is not None
    assert not choice.rival


@pytest.mark.parametrize("line", ["Epoch {epoch} [0/83] loss 0.5", "Epoch {epoch} [83/83 (1%)]"])
def test_a_percentage_or_the_start_of_an_epoch_does_not_tell_its_steps(line: str) -> None:
    choice = read([line.format(epoch=epoch) for epoch in range(9)], 64).finder.choice
    assert choice is None or choice.steps_per_epoch == 1


def test_more_lines_in_each_epoch_count_as_they_are() -> None:
    lines = [MMPOSE.format(epoch=e, at=at) for e in range(1, 4) for at in (20, 40, 60, 80)]
    assert numbers(lines) == [83 * e + at for e in range(3) for at in (20, 40, 60, 80)]


@pytest.mark.parametrize(
    "line",
    [
        '{{"epoch": {epoch}, "loss": "3.0", "num_updates": {steps}, "lr": 0.0001, "wall": 2}}',
        '{{"episode": {epoch}.0, "episode_reward": 609.8, "step": {steps}}}',
    ],
)
def test_steps_in_the_line_of_an_epoch_win_over_epochs(line: str) -> None:
    """fairseq's and RAD's, with lines about the evaluation between and before."""
    valid = '{{"epoch": {epoch}, "valid_loss": 3.1, "valid_ppl": "2.5"}}'
    lines = [
        each.format(epoch=epoch, steps=2150 * epoch)
        for epoch in range(24, 30)
        for each in (valid, line)
    ]
    assert numbers(lines)[-3:] == [2150 * epoch for epoch in (27, 28, 29)]
