"""A confirmation of a command lasts to the first evaluation, which may need more than training."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.job import CONFIRM_PLAN, ProbeJob
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts

SCRIPT = Path(__file__).with_name("epochs.py")
MIB = 2**20
PLAN = replace(CONFIRM_PLAN, measure_budget_s=0.2, least_measure_s=0.0, half_width=0.5)
LIMIT_MIB = 100

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the budget is enforced on Linux"
)


def no_torch(job: ProbeJob) -> Footprint:
    return Footprint(job.limit_bytes or 2**30, 0, 0, 2**34, torch="none", python="3")


def prober() -> CommandProber:
    return CommandProber(sys.executable, Timeouts(20.0, 20.0, 60.0), no_torch)


def confirm(
    batch_size: int, rest: str, of: CommandProber | None = None, evaluation_s: float = 60.0
) -> Measurement:
    command = f"{sys.executable} {SCRIPT} --batch-size {{batch_size}} {rest}"
    workload = reference("epochs.py", {"command": command})
    plan = replace(PLAN, evaluation_s=evaluation_s)
    job = ProbeJob(workload, {}, batch_size, "cpu", plan, LIMIT_MIB * MIB, 0.0)
    return (of or prober()).probe(job)


def test_an_evaluation_at_the_end_of_the_epoch_that_needs_too_much_is_found() -> None:
    m = confirm(8, "--samples 640 --evaluation-mib 120")
    assert m.verdict is Verdict.OOM, m.reason
    assert m.phase == "evaluate" and m.steps >= 70
    assert "evaluation" in m.reason


def test_one_that_fits_is_part_of_a_confirmation_that_passes() -> None:
    m = confirm(8, "--samples 640 --evaluation-mib 60 --step-s 0.01")
    assert m.verdict is Verdict.STABLE, m.reason
    assert m.steps >= 80 and not any("evaluation" in note for note in m.notes)
    evaluate, train = m.phase_peak_bytes["evaluate"], m.phase_peak_bytes["train"]
    assert evaluate - train == pytest.approx(52 * MIB, abs=4 * MIB)


def test_an_epoch_that_is_too_long_is_a_note_and_no_doubt_about_the_batch() -> None:
    m = confirm(8, "--samples 8000000")
    assert m.verdict is Verdict.STABLE, m.reason
    (note,) = [note for note in m.notes if "evaluation" in note]
    assert "steps away" in note and "probe.measure_budget_s" in note


def test_an_evaluation_that_takes_long_ends_the_run_with_a_note() -> None:
    m = confirm(8, "--samples 800 --evaluation-s 300", evaluation_s=1.0)
    assert m.verdict is Verdict.STABLE, m.reason
    assert any("took too long" in note for note in m.notes)


def test_after_a_failed_evaluation_a_run_without_one_proves_nothing() -> None:
    same, rest = prober(), "--samples 640 --evaluation-mib 120 --step-s 0.01"
    assert confirm(16, rest, same).phase == "evaluate"
    m = confirm(1, rest, same, evaluation_s=0.1)
    assert m.verdict is Verdict.TIMEOUT
    assert "batch 16" in m.reason
