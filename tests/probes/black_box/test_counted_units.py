"""What a number counts whose unit stands behind it, or is none that steps are counted in."""

from __future__ import annotations

import pytest

from probes.black_box.discovery.choice import CounterChoice
from probes.black_box.discovery.finder import StepFinder

BATCH = 8
STEPS_PER_LINE = 3


def found(line: str, lines: int = 30) -> tuple[CounterChoice | None, int]:
    """What is taken for the steps, and how many were counted; ``line`` has a place for the samples
    seen so far."""
    finder, steps = StepFinder(BATCH, None), 0
    for number in range(1, lines + 1):
        samples = number * BATCH * STEPS_PER_LINE
        for step in finder.read(line.format(samples, 1024 * samples, 2.3 / number), number * 0.5):
            steps = step.number or steps + 1
    return finder.choice, steps


@pytest.mark.parametrize(
    "line",
    [
        "seen {0:,} examples  avg_loss={2:.3f}",
        "{0} examples seen, loss {2:.3f}",
        "processed {0} images | loss {2:.3f}",
        "Trained on {0} sequences (loss {2:.3f})",
    ],
)
def test_samples_are_known_by_the_word_behind_them(line: str) -> None:
    choice, steps = found(line)
    assert choice is not None and choice.samples_per_step == BATCH
    assert steps == 30 * STEPS_PER_LINE


def test_a_rate_of_samples_is_not_a_count() -> None:
    choice, _ = found("loss {2:.3f} at {0} samples/s")
    assert choice is None or choice.samples_per_step == 1


def test_lines_with_an_unknown_number_are_counted_and_the_doubt_is_told() -> None:
    choice, steps = found("tokens={1} loss={2:.3f}")
    assert choice is not None and steps == 30
    assert "not known" in choice.description
