"""A user's folder where checks are answered without torch: what tonnage would have kept of the
device and the workload, and a store with what was measured on it.

The workload is the built-in ``transformer``. Batch 96 passed and batch 200 did not, in 2000 MiB.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from app.database import open_database
from app.devices import service as devices
from app.machine.local_facts import device_here, remember_devices, remember_workload
from app.recommendations import repository as recommendations
from app.settings import load_settings
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from app.workloads import service as workloads
from optimizer.scope import Scope
from probes.black_box.command import command_of, reference
from probes.black_box.sources import describe
from probes.devices.fingerprint import Fingerprint
from probes.job import WorkloadRef
from probes.measurement import Purpose, Verdict
from probes.space import Space, dimension_to_dict
from probes.timeouts import Timeouts
from tests.app import factories

MIB = 2**20
RECOMMENDATION = "rec_1k0rr48nvttvb71401qp"
CONFIG = {"layers": 2, "activation": "relu"}
TEMPLATE = "{python} train.py --batch-size {batch_size} --layers {layers}"
TIMEOUTS = Timeouts(60.0, 60.0, 60.0)
COMMAND = (sys.executable, "-c", "from app.cli import main; main()")
ROOT = Path(__file__).resolve().parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(folder: Path, tonnage: Sequence[str] = COMMAND) -> dict[str, str]:
    """Of a user whose home this folder is, with ``tonnage`` on the path."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, command in (("tonnage", tonnage), ("python", [sys.executable])):
        if not (programs / name).exists():
            (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            (programs / name).chmod(0o755)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("TONNAGE_", "GIT_", "XDG_"))}
    return {
        **kept,
        "HOME": str(folder),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TONNAGE_DATA_DIR": str(folder / "data"),
    }


def seed_in(folder: Path, tonnage: Sequence[str] = COMMAND) -> Run:
    """Make the folder such a one. The result runs a command in it, where ``tonnage`` is the command
    line given."""

    def run(*command: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(command),
            cwd=folder,
            env={**environment(folder, tonnage), **extra},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    code = "from tests.app.checks.seeded import seed; seed()"
    made = run(sys.executable, "-c", code)
    assert made.returncode == 0, made.stderr
    return run


def facts(torch: str = "2.13.0") -> dict[str, object]:
    """What a worker would say of this machine's devices."""
    device = {
        "device": "cpu",
        "kind": "cpu",
        "name": "Test CPU",
        "total_bytes": 2**33,
        "free_bytes": 2**33,
        "identity": {"vendor": "Test", "model": "Test CPU", "machine": "m", "torch": torch},
        "device_class": {"name": "Test CPU", "total_bytes": 2**33},
        "environment": {"threads": 2},
    }
    interpreter = {"python": "3.11.7", "executable": sys.executable, "torch": torch}
    return {
        "devices": [device],
        "unavailable": {},
        "interpreter": {**interpreter, "torch_file": "/nowhere/torch/__init__.py"},
    }


def seed() -> None:
    """In the process of whoever will ask."""
    space = factories.spec("prototyping").space
    plain = {name: dimension_to_dict(dimension) for name, dimension in space.items()}
    described = {"source_hash": "abc123", "space": plain, "files": [__file__]}
    workload = WorkloadRef("transformer")
    remember_workload(workload, None, described)
    store_results(workload, "abc123", space, CONFIG)


def seed_command(folder: Path, template: str = TEMPLATE, **more: object) -> WorkloadRef:
    """The same of ``command:train.py``, which trains in this folder."""
    (folder / "train.py").write_text("print('step 1')\n")
    options = {"command": template, "space": {"layers": "1,2"}, "cwd": str(folder), **more}
    workload = reference("train.py", options)
    source_hash = describe(workload)["source_hash"]
    store_results(workload, source_hash, command_of(workload).space, {"layers": 2})
    return workload


def store_results(
    workload: WorkloadRef, source_hash: str, space: Space, config: dict[str, object]
) -> None:
    """Keep what a worker would say of the devices, and store what was measured of the workload."""
    remember_devices(None, facts())  # type: ignore[arg-type]
    here = device_here(None, None, TIMEOUTS, refresh=False)
    spec = replace(factories.spec("prototyping"), space=space)
    environment = dict(here.environment or {})
    scope = Scope(
        workload.label, source_hash, here.fingerprint, "cpu", 2000 * MIB, 0.05,
        environment=environment,
    )  # fmt: skip
    spec = replace(spec, scope=scope)
    options = workload.options
    database = open_database(load_settings().database_url)
    devices.register(database, Fingerprint.from_dict(here.document), kind="cpu", name="Test CPU")
    workloads.register(
        database, workload.label, source_hash, space, dataset_size=None, options=options
    )
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    threads = environment.pop("threads")
    measured = {
        "workload": workload.label,
        "config": config,
        "environment": {"threads": int(threads), "allocator": environment},
        "limit_bytes": 2000 * MIB,
        "cap_bytes": 1900 * MIB,
        "static_bytes": 100 * MIB,
    }
    store.add_measurement(0, factories.measurement(96, peak_bytes=1060 * MIB, **measured), [])
    failing = factories.measurement(
        200, Verdict.OOM, Purpose.BRACKET, peak_bytes=1800 * MIB, **measured
    )
    store.add_measurement(0, failing, [])
    made = factories.recommendation(
        RECOMMENDATION,
        config,
        workload=workload.label,
        budget="prototyping",
        limit_bytes=2000 * MIB,
        environment={"threads": 2, "allocator": {"MALLOC_ARENA_MAX": "1"}},
        valid={
            "fingerprint": here.fingerprint,
            "workload_hash": source_hash,
            "workload_options": options,
            "created_at": "2026-01-02T03:04:05+00:00",
        },
    )
    with database.write() as session:
        recommendations.save(session, made, study.id, scope.key)
    database.close()
