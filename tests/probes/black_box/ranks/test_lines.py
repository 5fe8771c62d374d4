"""A step that several ranks print is counted once, whatever the lines look like."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from probes.black_box.ranks.lines import RankLines, UnnumberedSteps, separate
from probes.black_box.step_reader import StepReader
from probes.black_box.steps import Seen, StepClock


@dataclass
class Piece:
    data: bytes
    at_s: float
    stream: str = "stdout"


def steps_in(lines: list[tuple[float, str]], pattern: str = "", ranks: int = 2) -> int:
    """Steps that the clock counts, the first included."""
    reader, clock, count = StepReader(pattern, 8, None, ranks=ranks), StepClock(), 0
    for at_s, line in lines:
        before = reader.revision
        seen = reader.read([Piece(f"{line}\n".encode(), at_s)])
        if reader.revision != before:
            clock, count = StepClock(), 0
        count += sum(passed.count for passed in clock.passed(seen))
    return count + (clock.first is not None)


def printed(form: str, steps: int, ranks: int) -> list[tuple[float, str]]:
    """Lines of every rank, 1 ms apart, with steps of 100 ms."""
    return [
        (0.1 * step + 0.001 * rank, form.format(rank=rank, step=step, loss=1 / (step + rank)))
        for step in range(1, steps + 1)
        for rank in range(ranks)
    ]


@pytest.mark.parametrize("ranks", [2, 4, 8])
@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("step {step} loss {loss:.4f}", ""),
        ("[rank{rank}]: step {step} loss {loss:.4f}", ""),
        ("[default{rank}]:iter {step}: loss {loss:.4f}", ""),
        ("GPU {rank} | step {step} | loss {loss:.4f}", ""),
        ("loss: {loss:.4f}", ""),
        ("[rank{rank}]: loss: {loss:.4f}", ""),
        ("tonnage step", ""),
        ("[rank{rank}]: tonnage step", ""),
        ("update done, loss {loss:.4f}", r"update done, loss (?P<loss>\S+)"),
        ("[default{rank}]:it {step}", r"it (?P<step>\d+)"),
        ("Rank {rank}: it {step}", r"it (?P<step>\d+)"),
    ],
)
def test_a_step_that_every_rank_prints_is_one_step(form: str, pattern: str, ranks: int) -> None:
    assert steps_in(printed(form, 20, ranks), pattern, ranks) == 20


@pytest.mark.parametrize("form", ["loss: {loss:.4f}", "tonnage step", "step {step} loss {loss}"])
def test_lines_of_rank_0_alone_are_all_counted(form: str) -> None:
    assert steps_in(printed(form, 20, ranks=1), ranks=4) == 20


def test_lines_without_a_number_that_come_together_count_when_the_last_rank_has_printed() -> None:
    signs = [Seen(0.1 * step + 0.01 * rank) for step in range(4) for rank in range(2)]
    steps = UnnumberedSteps(2).of_one(signs)
    assert [round(step.at_s, 3) for step in steps] == [0.01, 0.11, 0.21, 0.31]


def test_an_evaluation_that_another_ranks_line_told_of_is_kept() -> None:
    signs = [Seen(0.1 * n + 0.01 * r, evaluated=(n, r) == (2, 0)) for n in range(4) for r in (0, 1)]
    steps = UnnumberedSteps(2).of_one(signs)
    assert [step.evaluated for step in steps] == [False, False, True, False]


def test_what_only_one_rank_says_is_not_left_out() -> None:
    lines = RankLines()
    assert lines.counts("[rank1]: warning: 3 kernels were not found")
    assert lines.counts("[rank0]: step 1 loss 0.5") and not lines.counts("[rank1]: step 1 loss 0.4")
    assert lines.counts("[rank0]: step 2 loss 0.5")


def test_ranks_share_the_samples_of_an_epoch() -> None:
    reader = StepReader("", 8, 160, ranks=2)
    for step in range(1, 4):
        reader.read([Piece(f"step {step} loss 0.5\n".encode(), 0.1 * step)])
    assert (reader.epoch_steps, reader.steps_ahead(3)) == (10, 7)


def test_samples_of_one_rank_are_counted_up_to_those_of_all() -> None:
    lines = [(0.1 * n, f"Train Epoch: 1 [{16 * n}/640 (0%)] Loss: 0.5") for n in range(1, 8)]
    assert steps_in([line for line in lines for _ in range(2)]) == 13  # 1 + 6 × 2


def test_lines_of_two_ranks_that_arrive_as_one_are_separated() -> None:
    together = "[RANK0] Epoch 1 | Iter 0 | Loss 4.07[RANK1] Epoch 1 | Iter 0 | Loss 4.08"
    assert separate(together) == [
        "[RANK0] Epoch 1 | Iter 0 | Loss 4.07",
        "[RANK1] Epoch 1 | Iter 0 | Loss 4.08",
    ]
    assert separate("Epoch [rank 1] of [rank 2]") == ["Epoch [rank 1] of [rank 2]"]
