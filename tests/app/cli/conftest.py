"""The real command line in a process of its own, with a data folder of its own."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from probes.devices.base import DeviceFacts
from probes.devices.lease import holder_of, lease
from tests.warm import COMMAND, WarmEnvironment

TONNAGE = [sys.executable, "-c", COMMAND]
QUICK = {
    "TONNAGE_PROBE__MEASURE_BUDGET_S": "0.5",
    "TONNAGE_PROBE__CONFIRM_STEPS": "8",
    "TONNAGE_PROBE__MAX_BATCH": "8",
    "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
    "TONNAGE_PROBE__ACCEPT_DISTURBED": "true",  # whoever runs the tests need not sit still
}
CPU = DeviceFacts("cpu", "cpu", "any", 0, None)
WORKLOAD = '''
import torch
from torch import nn


class Tiny:
    """Needs no import of anything but torch."""

    def space(self):
        return {"layers": range(1, 3), "width": [16, 32]}

    def model(self, config):
        layers = [nn.Linear(32, 32) for _ in range(config["layers"])]
        return nn.Sequential(*layers, nn.Linear(32, config["width"]))

    def batches(self, config, batch_size):
        while True:
            yield torch.randn(batch_size, 32)

    def loss(self, model, batch):
        return model(batch).square().mean()
'''

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a workload in ``train.py``."""
    (tmp_path / "train.py").write_text(WORKLOAD)
    return tmp_path


@pytest.fixture
def environment(folder: Path, warm: WarmEnvironment) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
    return {
        **kept,
        **QUICK,
        "TONNAGE_DATA_DIR": str(folder / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(leases(folder)),
        "TONNAGE_TEST_MARK": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "VIRTUAL_ENV": str(warm.folder),
    }


def leases(folder: Path) -> Path:
    """Where the commands of a test lock devices: tests do not wait for one another."""
    return folder / "leases"


def holder_pid(folder: Path) -> int:
    """Who has the CPU; 0 when nobody has."""
    holder = holder_of(CPU, leases(folder))
    return 0 if holder is None else holder.pid


def holds_still(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Stop a process, but not while it is writing to the database: nobody else could write then."""
    process.send_signal(signal.SIGSTOP)
    with sqlite3.connect(folder / "data" / "tonnage.db", timeout=0) as connection:
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            return False
        connection.rollback()
        return True


@pytest.fixture
def leased(folder: Path) -> Iterator[None]:
    """The CPU is in use by another process: this one."""
    with lease(CPU, command="tonnage tune elsewhere", wait_s=0, folder=leases(folder)):
        yield


@pytest.fixture
def tonnage(folder: Path, environment: dict[str, str], warm: WarmEnvironment) -> Run:
    """Run ``tonnage`` to its end: ``tonnage("tune", "train.py:Tiny", …)``."""

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*warm.tonnage, *arguments],
            cwd=folder,
            env={**environment, **extra},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


def marked_processes(mark: str) -> list[psutil.Process]:
    """Running processes with this test's mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if (
                process.environ().get("TONNAGE_TEST_MARK") == mark
                and process.status() != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found
