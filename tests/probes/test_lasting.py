"""A confirmation whose peak has risen up to the cap goes on for a hundred steps."""

from __future__ import annotations

import pytest

from probes.devices.base import MemoryCap
from probes.worker.evidence import RunEvidence
from probes.worker.lasting import LASTING_STEPS, should_last

CAP = MemoryCap(1000, 1000, 0, enforced=True)


def evidence(first_peak: int, steps: int) -> RunEvidence:
    made = RunEvidence(step_s=[0.1] * (steps + 4), warmup_steps=4)
    made.peaks.append((2, first_peak))
    return made


@pytest.mark.parametrize(
    ("first_peak", "peak", "steps", "goes_on"),
    [
        (980, 995, 24, True),
        (995, 995, 24, False),
        (900, 980, 24, False),
        (980, 995, LASTING_STEPS, False),
    ],
    ids=["risen up to the cap", "stands still", "has room", "has lasted"],
)
def test_it_goes_on_where_the_peak_has_risen_and_has_no_room(
    first_peak: int, peak: int, steps: int, goes_on: bool
) -> None:
    assert should_last(evidence(first_peak, steps), CAP, peak) is goes_on


def test_without_a_step_nothing_is_said() -> None:
    assert not should_last(RunEvidence(), CAP, 999)
