"""A loss that is NaN before the first training step, and one that is NaN from the first step on."""

from __future__ import annotations

import math

from probes.black_box.beginning import LONGEST_S, MOST_LINES, Beginning
from probes.black_box.steps import Seen
from probes.measurement import Verdict
from tests.probes.black_box.test_command_probe import probe


def steps(*losses: float | None) -> list[Seen]:
    return [Seen(float(n), n, loss) for n, loss in enumerate(losses, start=1)]


def test_steps_before_the_first_finite_loss_do_not_count() -> None:
    beginning = Beginning()
    assert beginning.take(steps(math.nan, math.nan), 2.0, ended=False) == []
    later = [Seen(3.0, 3, math.nan), Seen(4.0, 4, 0.5), Seen(5.0, 5, math.nan)]
    assert beginning.take(later, 5.0, ended=False) == later[1:]
    assert beginning.take(steps(math.nan), 6.0, ended=False) == steps(math.nan)


def test_lines_without_a_loss_count_at_once() -> None:
    assert Beginning().take(steps(None, math.nan), 2.0, ended=False) == steps(None, math.nan)


def test_a_loss_that_stays_nan_counts_after_some_lines_or_some_time_or_at_the_end() -> None:
    many = steps(*[math.nan] * MOST_LINES)
    assert Beginning().take(many, 1.0, ended=False) == many
    assert Beginning().take(steps(math.nan), 1.0, ended=True) == steps(math.nan)
    beginning = Beginning()
    assert beginning.take(steps(math.nan), 1.0, ended=False) == []
    assert beginning.take([], LONGEST_S + 2.0, ended=False) == steps(math.nan)
    assert beginning.take([], LONGEST_S + 3.0, ended=False) == []


def test_an_agent_that_fills_its_buffer_first_is_measured() -> None:
    measurement = probe("--mode fills-a-buffer")
    assert measurement.verdict is Verdict.STABLE, measurement.reason


def test_a_training_that_is_nan_from_the_first_step_on_is_told_as_that() -> None:
    assert probe("--mode diverges-at-once").verdict is Verdict.NON_FINITE
    assert probe("--mode diverges-at-once --steps 9").verdict is Verdict.NON_FINITE
