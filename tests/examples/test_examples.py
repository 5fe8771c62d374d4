"""The examples, as somebody who copies them would use them: measure, export, train, check."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.recommendations.exports.export import export
from probes.job import WorkloadRef
from probes.prober import Prober
from tests.app import factories
from tests.app.cli.conftest import QUICK, TONNAGE

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKLOAD = "argparse_workload.py:workload"
WHERE = ("--device", "cpu", "--memory-budget", "32MiB")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Run a command to its end, in a copy of the examples."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
    environment = {
        **kept,
        **QUICK,
        "TONNAGE_PROBE__MAX_BATCH": "100000",
        "TONNAGE_DATA_DIR": str(folder / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(folder / "leases"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONPATH": str(EXAMPLES.parent),
    }

    def run(*command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def exported(to: str, folder: Path, config: dict[str, Any]) -> str:
    """A file as ``tonnage export`` writes it, without measuring first."""
    made = factories.recommendation(config=config, batch_size=256)
    (folder / "exported.yaml").write_text(export(made, to).text)
    return "exported.yaml"


def test_measure_export_train_and_check(run: Run, folder: Path) -> None:
    run(*TONNAGE, "tune", WORKLOAD, *WHERE, "--budget", "smoke_test",
        "--set", "layers=4", "--set", "width=128")  # fmt: skip
    plan = yaml.safe_load(run(*TONNAGE, "export", "latest", "--to", "yaml").stdout)
    best = plan["batch_size"]
    assert 100 < best < 1797

    arguments = run(*TONNAGE, "export", "latest", "--to", "args").stdout
    trained = run(sys.executable, "train_argparse.py", *shlex.split(arguments), "--epochs", "1")
    assert "epoch 1: loss" in trained.stdout

    fits = checked(run, folder, plan, status=0)
    assert fits["verdict"] == "fits"

    twice = checked(run, folder, {**plan, "batch_size": 2 * best}, status=1)
    assert twice["verdict"] == "does_not_fit"
    assert twice["largest_batch"] == best

    another_torch(folder)
    stale = checked(run, folder, plan, status=3)
    assert stale["verdict"] == "stale"
    assert any("torch" in change and "-> 9.9.9" in change for change in stale["changes"])
    warned = run(*TONNAGE, "export", "latest", "--to", "args")
    assert warned.stdout == arguments
    assert "does not hold here any more" in warned.stderr
    assert "-> 9.9.9" in warned.stderr
    assert run(*TONNAGE, "export", "latest", "--to", "args", "--no-check").stderr == ""


def checked(run: Run, folder: Path, plan: dict[str, Any], status: int) -> dict[str, Any]:
    """What ``tonnage check`` answers about a planned run."""
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan))
    done = run(*TONNAGE, "check", "plan.yaml", "--workload", WORKLOAD, *WHERE,
               "--format", "json", status=status)  # fmt: skip
    assert done.stdout, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def another_torch(folder: Path) -> None:
    """What is known of this machine, as it would be after an update."""
    (known,) = (folder / "cache").rglob("devices-*.json")
    entry = json.loads(known.read_text())
    for device in entry["value"]["devices"]:
        device["identity"]["torch"] = "9.9.9"
    known.write_text(json.dumps(entry))


def test_the_trainer_reads_its_file_and_trains(run: Run, folder: Path) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    file = exported("transformers", folder, {"layers": 1, "hidden_size": 32, "precision": "bf16"})
    done = run(sys.executable, "train_trainer.py", file,
               "--layers", "1", "--hidden-size", "32", "--max-steps", "1")  # fmt: skip
    assert "train_loss" in done.stdout


def test_lightning_reads_its_file_and_trains(run: Run, folder: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    file = exported("lightning", folder, {"layers": 2, "channels": 8})
    quiet = ("--trainer.logger", "false", "--trainer.enable_checkpointing", "false")
    done = run(sys.executable, "train_lightning.py", "fit", "--config", file,
               "--trainer.max_epochs", "1", *quiet)  # fmt: skip
    assert "`Trainer.fit` stopped: `max_epochs=1` reached." in done.stderr


@pytest.mark.parametrize(
    ("file", "samples", "largest"), [("trainer", None, "128"), ("lightning", 1797, "65")]
)
def test_the_others_are_workloads_too(file: str, samples: int | None, largest: str) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("lightning.pytorch")
    with Prober(sys.executable) as prober:
        told = prober.describe(WorkloadRef(f"{EXAMPLES / file}_workload.py:workload"))
    assert told["dataset_size"] == samples or (samples is None and told["dataset_size"] > 1000)
    assert f"{largest} elements" in told["notes"][0]
