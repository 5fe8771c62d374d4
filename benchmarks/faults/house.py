"""The processes of a campaign: a service, two runners, and what they start."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
TONNAGE = [sys.executable, "-c", "from app.cli import main; main()"]
MARK = "FAULTS_MARK"
PATIENCE_S = 60.0
STARTED_AFTER_S = 8.0
RUNNERS = 2

QUICK = {
    "TONNAGE_PROBE__MEASURE_BUDGET_S": "0.2",
    "TONNAGE_PROBE__CONFIRM_STEPS": "8",
    "TONNAGE_PROBE__MAX_BATCH": "8",
    "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
    "TONNAGE_PROBE__ACCEPT_DISTURBED": "true",
    "TONNAGE_RUNNER__WITH_SERVICE": "false",
    "TONNAGE_RUNNER__CANCEL_GRACE_S": "3",
}
WORKLOAD = """
import torch
from torch import nn


class Tiny:
    def space(self):
        return {"layers": range(1, 3), "width": range(8, 4096)}

    def model(self, config):
        hidden = [nn.Linear(32, 32) for _ in range(config["layers"])]
        return nn.Sequential(*hidden, nn.Linear(32, config["width"]))

    def batches(self, config, batch_size):
        while True:
            yield torch.randn(batch_size, 32)

    def loss(self, model, batch):
        return model(batch).square().mean()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class House:
    """Started with ``start``; ``url`` stays the same whatever is killed."""

    folder: Path
    """For workload, settings and what the processes say."""
    data: Path
    """On the disk that may be full: the database, if it is a file, and the logs."""
    database_url: str
    serve: list[str] = field(default_factory=lambda: [*TONNAGE, "serve"])
    runner: list[str] = field(default_factory=lambda: [*TONNAGE, "runner", "--device", "cpu"])
    job_module: str = "app.jobs.process"
    runners: int = RUNNERS
    port: int = 0
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.clock = self.folder / "clock"
        self.clock.write_text("0")
        (self.folder / "tiny.py").write_text(WORKLOAD)
        reference = self.folder / "tiny.py"
        (self.folder / "tonnage.toml").write_text(
            f'[workloads.tiny]\nreference = "{reference}:Tiny"\n'
        )
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def members(self) -> list[str]:
        return ["web", *(f"runner {number}" for number in range(1, self.runners + 1))]

    def command(self, name: str) -> list[str]:
        """Starts a member."""
        return [*self.serve, "--port", str(self.port)] if name == "web" else self.runner

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                self.command(name),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name[:8] != "TONNAGE_"}
        clock = str(Path(__file__).with_name("clock"))
        return {
            **kept,
            **QUICK,
            "PYTHONPATH": os.pathsep.join([clock, str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "TONNAGE_DATABASE_URL": self.database_url,
            "TONNAGE_DATA_DIR": str(self.data),
            "TONNAGE_PROBE__LEASE_DIR": str(self.folder / "leases"),
            "FAULTS_CLOCK": str(self.clock),
            MARK: str(self.folder),
        }

    def ended(self) -> list[tuple[str, int]]:
        """Members that ended by themselves, with their status: somebody has to start them again."""
        found = [(name, process.poll()) for name, process in self.running.items()]
        return [(name, status) for name, status in found if status is not None]

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].wait()

    def victims(self, kind: str) -> list[psutil.Process]:
        """The processes of a kind that are there now."""
        return self.studies() if kind == "study" else self.workers()

    def studies(self) -> list[psutil.Process]:
        """The processes of jobs: children of a runner, which at first also asks for its devices."""
        found = []
        for name in self.members[1:]:
            with contextlib.suppress(psutil.Error, KeyError):
                children = psutil.Process(self.running[name].pid).children()
                found += [each for each in children if self.job_module in each.cmdline()]
        return found

    def workers(self) -> list[psutil.Process]:
        """Whatever measures: everything below the process of a job."""
        found = []
        for study in self.studies():
            with contextlib.suppress(psutil.Error):
                found += study.children(recursive=True)
        return found

    def stop(self) -> dict[str, int | None]:
        """As an operator does: SIGTERM. The exit status of each; ``None`` for one that had to be
        killed. One that was started a moment ago is left to come to its signal handlers first."""
        began_s = [
            psutil.Process(process.pid).create_time()
            for process in self.running.values()
            if process.poll() is None
        ]
        time.sleep(max(0.0, max(began_s, default=0.0) + STARTED_AFTER_S - time.time()))
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        statuses: dict[str, int | None] = {}
        for name, process in self.running.items():
            try:
                statuses[name] = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                statuses[name] = None
        return statuses

    def left_behind(self) -> list[psutil.Process]:
        """Processes of this campaign, given a moment to end."""
        deadline_s = time.monotonic() + 10
        while (found := self.marked()) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        return found

    def marked(self) -> list[psutil.Process]:
        """Every process of this campaign."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                ours = process.environ().get(MARK) == str(self.folder)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self) -> None:
        """Whatever is left, at once."""
        for process in self.running.values():
            process.kill()
            process.wait()
        for left in self.marked():
            with contextlib.suppress(psutil.Error):
                left.kill()
