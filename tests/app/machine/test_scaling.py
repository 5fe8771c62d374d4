"""How much faster a group is than one of its ranks, which is measured alone for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.machine.scaling import compared, config_of_one, measure_scaling
from app.machine.session import MeasuringSession
from probes.errors import MeasurementError
from probes.group import Group
from probes.measurement import Measurement, Verdict
from tests.app import factories
from tests.app.machine.test_session import FakeProber, bench


def gang_session(
    tmp_path: Path, script: list[Measurement], **changes: Any
) -> tuple[MeasuringSession, FakeProber]:
    session, prober = bench(tmp_path, script, **changes)
    facts = session.target.facts
    target = replace(
        session.target,
        facts=replace(facts, device="cpu:0-1"),
        group=Group(("cpu", "cpu"), limits=(800_000_000, 600_000_000)),
        memory_budget_bytes=600_000_000,
        members=(facts, facts),
    )
    return replace(session, target=target, description={"source_hash": "abc"}), prober


RUN = factories.gang_measurement(step_time=factories.step_time(0.125))
ALONE = factories.measurement(config=RUN.config, step_time=factories.step_time(0.1))


def test_the_figure_is_throughput_over_throughput() -> None:
    found = compared(RUN, ALONE).scaling
    assert found is not None
    assert (found.ranks, found.single_step_s) == (2, 0.1)
    assert found.speedup == pytest.approx(1.6)  # 2 × 8 samples in 0.125 s against 8 in 0.1 s
    assert found.efficiency == pytest.approx(0.8)


def test_one_rank_is_measured_as_it_was_in_the_group_and_kept(tmp_path: Path) -> None:
    session, prober = gang_session(tmp_path, [ALONE], effective_batch_size=48)
    kept = []
    run = replace(RUN, accumulation=3)
    measure_scaling(session, run, lambda alone, found: kept.append((alone.scope, found)))

    (job,), ((scope, measurement),) = prober.jobs, kept
    assert job.group is not None and job.group.size == 1
    assert (job.batch_size, job.accumulation) == (8, 3)
    assert job.limit_bytes == 800_000_000
    assert job.config["parallel"] == "ddp"
    assert measurement is ALONE
    assert scope.fingerprint != session.scope.fingerprint


@pytest.mark.parametrize(
    ("single", "words"),
    [
        (factories.measurement(8, Verdict.OOM), "does not train with batch 8 (oom)"),
        (replace(ALONE, step_time=None), "does not train"),
    ],
)
def test_without_a_figure_the_answer_says_why(single: Measurement, words: str) -> None:
    answer = compared(RUN, single)
    assert answer.scaling is None
    assert words in answer.note


def test_what_fails_while_measuring_is_told_and_not_raised(tmp_path: Path) -> None:
    session, prober = gang_session(tmp_path, [])

    def fail(*_: Any) -> Measurement:
        raise MeasurementError("the interpreter is gone")

    prober.probe = fail  # type: ignore[method-assign]
    answer = measure_scaling(session, RUN, lambda alone, found: None)
    assert answer.to_dict() == {
        "scaling": None,
        "scaling_note": "One rank alone could not be measured: the interpreter is gone",
    }


@pytest.mark.parametrize(
    ("config", "alone"),
    [
        ({"layers": 2, "parallel": "fsdp"}, {"layers": 2, "parallel": "fsdp"}),
        ({"layers": 2, "parallel": "tp", "tensor_parallel": 2}, {"layers": 2, "parallel": "ddp"}),
        ({"lr": 0.1}, {"lr": 0.1}),
    ],
)
def test_one_rank_divides_nothing(config: dict[str, Any], alone: dict[str, Any]) -> None:
    assert config_of_one(config) == alone
