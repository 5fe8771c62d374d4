"""Leaks and what is none, for real, on a machine that has more to do than it has cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.job import CONFIRM_PLAN, ProbeJob
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts

SCRIPT = Path(__file__).with_name("trains.py")
MIB = 2**20
KIB = 2**10
LIMIT_MIB = 2048
PLAN = replace(CONFIRM_PLAN, half_width=0.5)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the budget is enforced on Linux"
)


@pytest.fixture(autouse=True)
def _busy() -> Iterator[None]:
    """A busy process for every core."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    yield
    for other in others:
        other.kill()
    for other in others:
        other.wait()


def confirm(rest: str = "") -> Measurement:
    command = f"{sys.executable} -u {SCRIPT} --batch-size {{batch_size}} {rest}".strip()
    workload = reference("trains.py", {"command": command, "step": r"iter (?P<step>\d+)"})
    prober = CommandProber(
        sys.executable,
        Timeouts(startup_s=120.0, step_s=60.0, probe_s=300.0),
        lambda job: Footprint(job.limit_bytes or 0, 0, 0, 2**40, torch="none", python="3"),
    )
    return prober.probe(ProbeJob(workload, {}, 16, "cpu", PLAN, LIMIT_MIB * MIB, 0.0))


@pytest.mark.parametrize(
    "rest",
    ["", "--prints-every 1 --evaluates-every 0", "--prints-every 20", "--step-s 0.002"],
    ids=["every 5 steps", "every step", "every 20 steps", "quick steps"],
)
def test_what_does_not_leak_is_not_called_a_leak(rest: str) -> None:
    m = confirm(rest)
    assert m.verdict is Verdict.STABLE, m.reason


@pytest.mark.parametrize(
    ("leak_kib", "rest"),
    [
        (1024, ""),
        (1024, "--step-s 0.002 --prints-every 1"),
        (256, "--prints-every 1"),
        (256, "--prints-every 20"),
    ],
    ids=["every 5 steps", "quick steps", "a quarter of a MiB", "every 20 steps"],
)
def test_a_leak_is_found_with_its_size_and_the_step_at_which_it_ends(
    leak_kib: int, rest: str
) -> None:
    m = confirm(f"--leak-kib {leak_kib} {rest}")
    assert m.verdict is Verdict.LEAK, (m.reason, m.notes)
    assert m.growth is not None and m.growth.dies_at_step is not None
    assert leak_kib * KIB / 2 < m.growth.bytes_per_step < 2 * leak_kib * KIB
    ends_at = LIMIT_MIB * MIB / (leak_kib * KIB)
    assert ends_at / 2 < m.growth.dies_at_step < 2 * ends_at
    assert f"near step {m.growth.dies_at_step}" in m.reason
