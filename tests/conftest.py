"""What all tests need of the process they run in, and how they share a machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warm import WarmEnvironment

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""More threads than cores wait for one another, and tests run beside each other."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the commands under test inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

GROUPS = {
    "commands": (
        "app/checks/test_integrations.py",
        "app/cli",
        "app/runs/test_run.py",
        "compatibility",
    ),
    "finetuning": (
        "finetuning/evaluation",
        "finetuning/models",
        "finetuning/tasks",
        "finetuning/test_",
        "finetuning/training",
    ),
    "journeys": (
        "app/checks/test_probing.py",
        "app/dashboard/test_browser.py",
        "app/jobs/test_end_to_end.py",
        "examples",
        "test_first_gate.py",
    ),
    "workers": (
        "benchmarks",
        "probes/adapters",
        "probes/black_box/test_command_probe.py",
        "probes/black_box/test_first_evaluation.py",
        "probes/black_box/test_leaks_under_load.py",
        "probes/devices/test_cpu.py",
        "probes/levers/test_in_a_worker.py",
        "probes/test_max_batch_real.py",
        "probes/test_prober.py",
        "probes/test_verdicts.py",
        "probes/workloads",
    ),
}
"""Tests that train for real. Those of a group run one after the other: no more than four
trainings at once, with one thread each, whatever else runs beside them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent
    for item in items:
        path = item.path.relative_to(tests).as_posix()
        for group, paths in GROUPS.items():
            if path.startswith(paths):
                item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmEnvironment]:
    """Workers start quickly in here."""
    opened = WarmEnvironment(tmp_path_factory.mktemp("warm"))
    yield opened
    opened.close()
