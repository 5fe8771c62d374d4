"""What all tests need of the process they run in, and how they share a machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""More threads than cores wait for one another, and tests run beside each other."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the commands under test inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

MEASURING = (
    "app/checks/test_probing.py",
    "app/cli",
    "benchmarks",
    "examples",
    "probes/adapters",
    "probes/black_box/test_command_probe.py",
    "probes/devices/test_cpu.py",
    "probes/levers/test_in_a_worker.py",
    "probes/test_max_batch_real.py",
    "probes/test_prober.py",
    "probes/test_verdicts.py",
    "probes/workloads",
    "test_first_gate.py",
)
"""Tests that train for real. They run one after the other, whatever runs beside them: two trainings
at once are many times slower on a small machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).as_posix().startswith(MEASURING):
            item.add_marker(pytest.mark.xdist_group("device"))
