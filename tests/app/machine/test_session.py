"""A disturbed measurement is repeated where its outcome is in doubt, a bounded number of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.machine.session import QUIET_WAIT_S, MeasuringSession
from app.machine.target import Target
from app.settings import load_settings
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint
from probes.doubt import KILLED
from probes.errors import InputError
from probes.formatting import GIB
from probes.group import Group
from probes.job import ProbeJob, WorkloadRef
from probes.max_batch import Ask
from probes.measurement import Measurement, Purpose, Verdict
from probes.space import Choice, dimension_to_dict
from tests.app import factories

LOAD, TAKEN = (
    "other processes used 1.2 of 2 cores",
    "process 7 allocated another 2.00 GiB on the device",
)
CONFIRM, BRACKET = Ask(8, Purpose.CONFIRM), Ask(8, Purpose.BRACKET)


def clean(mean_s: float = 0.1) -> Measurement:
    return factories.measurement(8, step_time=factories.step_time(mean_s))


def disturbed(mean_s: float = 0.2) -> Measurement:
    return replace(clean(mean_s), tainted=[LOAD])


def starved() -> Measurement:
    return factories.measurement(8, Verdict.OOM, tainted=[TAKEN], state={"memory_taints": [TAKEN]})


def killed() -> Measurement:
    return factories.measurement(8, Verdict.CRASH, tainted=[KILLED])


@dataclass
class FakeProber:
    """Gives the scripted measurements in order."""

    script: list[Measurement]
    jobs: list[ProbeJob] = field(default_factory=list)

    def probe(self, job: ProbeJob, telemetry: Any, on_progress: Any) -> Measurement:
        self.jobs.append(job)
        return self.script[len(self.jobs) - 1]


@dataclass
class FakeTelemetry:
    """A machine that becomes quiet after a given number of seconds."""

    calm_after_s: float = 1.0
    waits: list[float] = field(default_factory=list)

    def wait_for_quiet(self, within_s: float) -> float:
        waited_s = min(within_s, self.calm_after_s)
        self.waits.append(waited_s)
        return waited_s


def bench(
    tmp_path: Path,
    script: Sequence[Measurement],
    telemetry: FakeTelemetry | None = None,
    repeats: int = 2,
    **changes: Any,
) -> tuple[MeasuringSession, FakeProber]:
    prober = FakeProber(list(script))
    target = Target(
        prober=cast(Any, prober),
        facts=DeviceFacts("cpu", "cpu", "Fake", GIB, None),
        telemetry=cast(Any, telemetry or FakeTelemetry()),
        fingerprint=Fingerprint({}, {}),
        interpreter={},
        memory_budget_bytes=None,
    )
    settings = load_settings(
        environ={"TONNAGE_DATA_DIR": str(tmp_path)},
        overrides={"probe": {"repeats_when_disturbed": repeats}},
    )
    return MeasuringSession(
        settings, WorkloadRef("train.py:Net"), target, 0.05, {}, **changes
    ), prober


@pytest.mark.parametrize(
    ("script", "ask", "kept", "runs"),
    [
        ([clean()], CONFIRM, 0, 1),
        ([disturbed(), clean(0.3)], CONFIRM, 1, 2),
        ([disturbed(0.2), disturbed(0.4), disturbed(0.3)], CONFIRM, 0, 3),
        ([disturbed(0.4), disturbed(0.2), disturbed(0.3)], CONFIRM, 1, 3),
        ([disturbed()], BRACKET, 0, 1),
        ([disturbed(), clean()], replace(BRACKET, longest_step_s=0.15), 1, 2),
        ([starved(), clean()], BRACKET, 1, 2),
        ([starved(), starved(), disturbed()], BRACKET, 2, 3),
        ([disturbed(), factories.measurement(8, Verdict.LEAK)], CONFIRM, 1, 2),
        ([killed(), clean()], BRACKET, 1, 2),
    ],
    ids=[
        "clean is taken at once",
        "the first clean one is kept, even if it is slower",
        "of disturbed ones the fastest is kept",
        "whichever it is",
        "a bracket's time only guides the search",
        "beyond the time edge it is a verdict",
        "memory that somebody took is given another chance",
        "a pass under disturbance beats a failure under it",
        "an undisturbed failure is believed",
        "a run that was killed from outside says nothing",
    ],
)
def test_what_is_repeated_and_what_is_kept(
    tmp_path: Path, script: list[Measurement], ask: Ask, kept: int, runs: int
) -> None:
    made, prober = bench(tmp_path, script)

    assert made.measure({}, ask) == script[kept]
    assert len(prober.jobs) == runs
    assert len({id(job) for job in prober.jobs}) == 1


def test_a_probe_is_told_the_effective_batch(tmp_path: Path) -> None:
    made, prober = bench(tmp_path, [clean(), clean()], effective_batch_size=20)

    made.measure({}, CONFIRM)
    assert (prober.jobs[0].effective_batch_size, prober.jobs[0].accumulation) == (20, 3)

    with pytest.raises(InputError, match="micro-batches have 1 to 20"):
        made.measure({}, replace(CONFIRM, batch_size=21))


def test_a_time_that_nobody_asked_for_is_not_repeated(tmp_path: Path) -> None:
    made, prober = bench(tmp_path, [disturbed()], rests_on_time=False)

    assert made.measure({}, CONFIRM).tainted == [LOAD]
    assert len(prober.jobs) == 1


def test_but_one_beyond_the_time_edge_is(tmp_path: Path) -> None:
    made, prober = bench(tmp_path, [disturbed(0.2), clean(0.1)], rests_on_time=False)

    assert made.measure({}, replace(CONFIRM, longest_step_s=0.15)).tainted == []
    assert len(prober.jobs) == 2


def test_repeating_can_be_switched_off(tmp_path: Path) -> None:
    telemetry = FakeTelemetry()
    made, prober = bench(tmp_path, [disturbed()], telemetry, repeats=0)

    assert made.measure({}, CONFIRM).tainted == [LOAD]
    assert (len(prober.jobs), telemetry.waits) == (1, [])


@pytest.mark.parametrize("calm_after_s", [1.0, 6.0, 600.0])
def test_waiting_for_quiet_is_bounded_over_all_repeats(tmp_path: Path, calm_after_s: float) -> None:
    telemetry = FakeTelemetry(calm_after_s)
    said: list[dict[str, Any]] = []
    made, _ = bench(tmp_path, [disturbed()] * 5, telemetry, repeats=4, on_progress=said.append)

    made.measure({}, CONFIRM)

    assert len(telemetry.waits) == 4
    assert sum(telemetry.waits) == min(4 * calm_after_s, QUIET_WAIT_S)
    assert len(said) == 4
    for run, told in enumerate(said, 2):
        assert LOAD in told["note"] and f"{run} of at most 5" in told["note"]


def gang(tmp_path: Path, **changes: Any) -> tuple[MeasuringSession, FakeProber]:
    session, prober = bench(tmp_path, [clean()], **changes)
    facts = replace(session.target.facts, device="cpu:0-1")
    target = replace(session.target, facts=facts, group=Group(("cpu", "cpu")))
    description = {"space": {"layers": dimension_to_dict(Choice([1, 2]))}, "dataset_size": 1001}
    return replace(session, target=target, description=description), prober


def test_a_job_of_a_group_carries_its_devices_and_how_they_train(tmp_path: Path) -> None:
    session, prober = gang(tmp_path, effective_batch_size=100)
    config = session.config({})
    session.probe(config, 8, session.plan(Purpose.BRACKET))

    job = prober.jobs[0]
    assert config == {"layers": 1, "parallel": "ddp"}
    assert (job.device, job.group) == ("cpu:0-1", Group(("cpu", "cpu")))
    assert (job.batch_size, job.accumulation, job.data_parallel) == (8, 7, 2)


def test_the_bounds_of_a_group_are_those_of_one_rank(tmp_path: Path) -> None:
    session, _ = gang(tmp_path, effective_batch_size=101)

    bounds = session.bounds(session.config({}))
    assert (bounds.dataset_size, bounds.effective_batch_size) == (500, 51)
    team = session.bounds({"parallel": "tp", "tensor_parallel": 2})
    assert (team.dataset_size, team.effective_batch_size) == (1001, 101)
