"""The real thing once: ``tonnage runner``, a real worker, the built-in workload."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from app.bundles import service as bundles
from app.bundles.packing import pack_folder
from app.database import open_database
from app.jobs import events
from app.recommendations import service as recommendations
from app.settings import load_settings
from app.studies import service
from tests.app import contents
from tests.app.cli.conftest import QUICK, TONNAGE, marked_processes
from tests.app.jobs.conftest import kinds, request, state, until
from tests.warm import WarmEnvironment

ASKED = {"pinned": {"width": 32}, "trials": 2, "memory_budget_bytes": 2**30, "device": "cpu"}


@pytest.fixture
def environment(tmp_path: Path, warm: WarmEnvironment) -> dict[str, str]:
    return {
        **os.environ,
        **QUICK,
        "TONNAGE_DATA_DIR": str(tmp_path / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(tmp_path / "leases"),
        "TONNAGE_TEST_MARK": str(tmp_path),
        "TONNAGE_BUNDLES__ACCEPT": "true",
        "VIRTUAL_ENV": str(warm.folder),
    }


@pytest.fixture
def start_runner(environment, tmp_path):
    """Starts ``tonnage runner``; the last one is stopped with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / "runner.err").open("ab") as output:
            started.append(
                subprocess.Popen(
                    [*TONNAGE, "runner"], env=environment, stderr=output, start_new_session=True
                )
            )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def sent(database, tmp_path: Path) -> dict[str, object]:
    """A study of code that only a bundle has: a workload that imports and reads what lies with
    it, and asks where it runs."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "size.txt").write_text("64")
    (folder / "layers.py").write_text("class Net(__import__('torch').nn.Linear): ...")
    (folder / "train.py").write_text(TRAIN)
    bundle = pack_folder(folder, load_settings().bundles)
    bundles.store(database, load_settings().bundles, bundle.id, bundle.archive)
    asked = {"workload": "/home/me/train.py", "bundle": bundle.id, "bundle_entry": "train.py"}
    return {**asked, "pinned": {}}


TRAIN = """
import torch
from layers import Net

class Training:
    def __init__(self): self.width = int(open("size.txt").read())
    def space(self): return {"depth": [1, 2]}
    def model(self, config): return Net(self.width, self.width)
    def batches(self, config, batch_size):
        while True: yield torch.randn(batch_size, self.width)
    def loss(self, model, batch): return model(batch).square().mean()
"""


def probed(database, job) -> list[str]:
    """What was measured again, in order."""
    return [
        json.dumps([event.data[name] for name in ("config", "batch_size", "purpose")])
        for event in events.read(database, job.id)
        if event.kind == "measured"
    ]


def test_killed_taken_over_finished_and_another_cancelled(tmp_path, start_runner):
    database = open_database(f"sqlite:///{tmp_path / 'data' / 'tonnage.db'}")
    job = service.submit(database, request(**ASKED))

    first = start_runner()
    until(lambda: probed(database, job))
    until(lambda: kinds(database, job)[-1] in ("trial", "probe"))
    first.kill()
    first.wait()
    until(lambda: not marked_processes(str(tmp_path)))
    assert state(database, job) == "running"  # nobody has found it dead yet

    second = start_runner()
    until(lambda: service.get(database, job.id).is_over)
    ended = service.get(database, job.id)
    assert (ended.state, ended.message, ended.study_id) == ("finished", "", job.id)
    openings = [e.data["opening"] for e in events.read(database, job.id) if e.kind == "opened"]
    assert openings == ["new", "resumed"]
    assert len(probed(database, job)) == len(set(probed(database, job)))
    assert len(contents.measurements(database)) >= len(probed(database, job))
    recommendation = recommendations.of_study(database, job.id)
    assert recommendation is not None
    assert recommendation.config["width"] == 32

    other = service.submit(database, request(**{**ASKED, **sent(database, tmp_path)}))
    until(lambda: kinds(database, other)[-1] == "probe")
    (measured,) = [e for e in contents.workloads(database) if e.reference == "/home/me/train.py"]
    assert measured.source_hash.startswith("bundle")
    service.cancel(database, other.id)
    until(lambda: state(database, other) == "cancelled")
    until(lambda: len(marked_processes(str(tmp_path))) == 1)  # the runner itself

    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 0
    assert marked_processes(str(tmp_path)) == []
    database.close()
