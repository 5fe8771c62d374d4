"""What interference can have done to a measurement, and what it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from probes.doubt import KILLED, doubts, is_better
from probes.max_batch import Ask
from probes.measurement import Measurement, Purpose, Verdict
from tests.probes.scripted import ScriptedDevice

LOAD, TAKEN = (
    "other processes used 1.2 of 2 cores",
    "process 7 allocated another 2.00 GiB on the device",
)


def run(verdict: Verdict = Verdict.STABLE, step_s: float = 0.1) -> Measurement:
    """A run that was disturbed in both ways."""
    device = ScriptedDevice(
        step_s=lambda b: step_s, faults=lambda b, p: None if verdict is Verdict.STABLE else verdict
    )
    made = device(Ask(8, Purpose.CONFIRM))
    return replace(made, tainted=[LOAD, TAKEN], state={"memory_taints": [TAKEN]})


def test_the_time_of_a_passing_run_is_in_doubt_where_it_matters() -> None:
    assert doubts(run()) == [LOAD, TAKEN]
    assert doubts(run(), time_matters=False) == []


def test_passing_inside_the_time_edge_stands_and_beyond_it_does_not() -> None:
    assert doubts(run(step_s=0.1), longest_step_s=0.2, time_matters=False) == []
    assert doubts(run(step_s=0.3), longest_step_s=0.2, time_matters=False) == [LOAD, TAKEN]


def test_a_crash_is_in_doubt_only_if_the_run_was_killed_from_outside() -> None:
    crashed = run(Verdict.CRASH)
    assert doubts(crashed) == []
    assert doubts(replace(crashed, tainted=[LOAD, KILLED])) == [KILLED]


@pytest.mark.parametrize("verdict", [Verdict.OOM, Verdict.SPILL])
def test_running_out_of_memory_is_in_doubt_only_if_somebody_took_some(verdict: Verdict) -> None:
    assert doubts(run(verdict)) == [TAKEN]
    assert doubts(replace(run(verdict), state={})) == []


@pytest.mark.parametrize(
    "verdict", [v for v in Verdict if v not in (Verdict.STABLE, Verdict.OOM, Verdict.SPILL)]
)
def test_every_other_failure_is_the_configs_own(verdict: Verdict) -> None:
    assert doubts(run(verdict), longest_step_s=0.2) == []


def test_an_undisturbed_run_is_never_in_doubt() -> None:
    assert doubts(replace(run(), tainted=[], state={}), longest_step_s=0.01) == []


def test_a_measurement_of_an_older_version_is_readable() -> None:
    data = run().to_dict()
    del data["state"]["memory_taints"]

    assert Measurement.from_dict(data).memory_taints == []


def test_of_disturbed_runs_the_one_that_passed_or_was_faster_is_nearer_to_the_truth() -> None:
    assert is_better(run(step_s=0.1), run(step_s=0.2))
    assert not is_better(run(step_s=0.2), run(step_s=0.1))
    assert is_better(run(step_s=0.2), run(Verdict.OOM))
    assert not is_better(run(Verdict.OOM), run())
