"""The examples, as somebody who copies them would use them: measure, export, train, check."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.app.cli.conftest import QUICK
from tests.warm import WarmEnvironment

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Example:
    """How one is measured, trained and checked."""

    memory: str
    pinned: tuple[str, ...]
    """The config that is measured, so that it takes no longer than it must."""
    form: str
    file: str
    """Of the export, which is what is checked too."""
    train: Callable[[str], list[str]]
    """The command, from the text of the export."""
    trained: str
    """What it says at its end."""


QUIETLY = ["--trainer.logger", "false", "--trainer.enable_checkpointing", "false"]
EACH = {
    "argparse": Example(
        "32MiB",
        ("layers=4", "width=128"),
        "args",
        "options.txt",
        lambda text: ["train_argparse.py", *shlex.split(text), "--epochs", "1"],
        "epoch 1: loss",
    ),
    "trainer": Example(
        "64MiB",
        ("layers=1", "hidden_size=32"),
        "transformers",
        "training_args.yaml",
        lambda _: ["train_trainer.py", "training_args.yaml", "--layers", "1",
                   "--hidden-size", "32", "--max-steps", "1"],
        "train_loss",
    ),
    "lightning": Example(
        "16MiB",
        ("layers=2", "channels=32", "precision=fp32"),
        "lightning",
        "lightning.yaml",
        lambda _: ["train_lightning.py", "fit", "--config", "lightning.yaml",
                   "--trainer.max_steps", "1", *QUIETLY],
        "`Trainer.fit` stopped: `max_steps=1` reached.",
    ),
}  # fmt: skip

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def run(folder: Path, warm: WarmEnvironment, warm_trainer: WarmEnvironment) -> Run:
    """Run a command to its end, in a copy of the examples."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
    environment = {
        **kept,
        **QUICK,
        "TONNAGE_PROBE__MAX_BATCH": "100000",
        "TONNAGE_PROBE__RESOLUTION": "0.3",  # far enough from twice the batch, which must not fit
        "TONNAGE_DATA_DIR": str(folder / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(folder / "leases"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONPATH": str(EXAMPLES.parent),
        "VIRTUAL_ENV": str(warm_trainer.folder),
    }

    def run(*command: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*warm.tonnage, *command[1:]] if command[0] == "tonnage" else command,
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


@pytest.mark.parametrize("name", EACH)
def test_measure_export_train_and_check(name: str, run: Run, folder: Path) -> None:
    example = EACH[name]
    workload = f"{name}_workload.py:workload"
    pinned = [word for value in example.pinned for word in ("--set", value)]
    run("tonnage", "tune", workload, "--device", "cpu", "--memory-budget", example.memory,
        "--budget", "smoke_test", *pinned)  # fmt: skip
    file = folder / example.file
    text = run("tonnage", "export", "latest", "--to", example.form).stdout
    file.write_text(text)
    best = batch_in(text)

    trained = run(sys.executable, *example.train(text))
    assert example.trained in trained.stdout + trained.stderr

    fits = checked(run, example, workload, status=0)
    assert (fits["verdict"], fits["batch_size"]) == ("fits", best)

    file.write_text(BATCH.sub(rf"\g<1>{2 * best}", text))
    doubled = checked(run, example, workload, status=1)
    assert (doubled["verdict"], doubled["batch_size"]) == ("does_not_fit", 2 * best)
    assert doubled["reason"].endswith(f"the largest batch that fits is {best}")

    file.write_text(text)
    another_torch(folder)
    stale = checked(run, example, workload, status=3)
    assert stale["verdict"] == "stale"
    assert any("torch" in change and "-> 9.9.9" in change for change in stale["changes"])
    if name == "argparse":
        warned = run("tonnage", "export", "latest", "--to", "args")
        assert warned.stdout == text
        assert "torch" in warned.stderr and "-> 9.9.9" in warned.stderr
        assert run("tonnage", "export", "latest", "--to", "args", "--no-check").stderr == ""


BATCH = re.compile(r"(batch[-_]size:?\s+)(\d+)")


def batch_in(text: str) -> int:
    (found,) = BATCH.findall(text)
    return int(found[1])


def checked(run: Run, example: Example, workload: str, status: int) -> dict[str, Any]:
    """What ``tonnage check`` answers about the exported file as it is now."""
    named = ("--workload", workload) if example.form == "args" else ()  # others name theirs
    done = run("tonnage", "check", example.file, *named, "--device", "cpu", "--json", status=status)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def another_torch(folder: Path) -> None:
    """What is known of this machine, as it would be after an update."""
    (known,) = (folder / "cache").rglob("devices-*.json")
    entry = json.loads(known.read_text())
    for device in entry["value"]["devices"]:
        device["identity"]["torch"] = "9.9.9"
    known.write_text(json.dumps(entry))
