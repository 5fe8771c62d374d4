"""The main job from the outside: the answer, the store, a kill, an interruption, a user's own
environment."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.app.cli.conftest import (
    TONNAGE,
    WORKLOAD,
    Run,
    holder_pid,
    holds_still,
    marked_processes,
)

TUNE = ("tune", "train.py:Tiny", "--budget", "smoke_test", "--device", "cpu",
        "--memory-budget", "256MiB", "--set", "layers=1")  # fmt: skip
MISSING_THERE = ("numpy", "psutil", "pynvml", "optuna", "sqlalchemy", "pydantic", "typer", "rich",
                 "__editable__", "tonnage", "_distutils_hack", "__pycache__")  # fmt: skip
"""What the user's environment lacks, by the beginning of the names in site-packages."""
KEYS = """id workload budget device config batch_size accumulation cycle_batches cycle_time_s
    throughput_samples_per_s peak_bytes parameters binding alternatives evidence study valid"""


def time_of_study(folder: Path) -> float:
    """``wall_s`` of the only study."""
    file = folder / "data" / "tonnage.db"
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        ((wall_s,),) = connection.execute("select wall_s from tonnage_studies")
        return float(wall_s)


def stored_probes(folder: Path) -> list[tuple[str, int, str]]:
    """(config, batch size, purpose) of every stored measurement, in order."""
    file = folder / "data" / "tonnage.db"
    if not file.exists():
        return []
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        try:
            rows = connection.execute(
                "select config, batch_size, purpose from tonnage_measurements order by id"
            )
            return [(str(config), int(batch), str(purpose)) for config, batch, purpose in rows]
        except sqlite3.OperationalError:
            return []


def wait_until(condition: Callable[[], bool], within_s: float = 120.0) -> None:
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.05)


def test_tune_recommends_stores_and_answers_from_the_store(tonnage: Run, folder: Path) -> None:
    first = tonnage(*TUNE, "--json")
    assert first.returncode == 0, first.stderr
    document = json.loads(first.stdout)
    for key in KEYS.split():
        assert key in document, key
    assert document["study"]["trials"] == 2
    assert document["binding"] == "cap" and document["batch_size"] == 8
    assert document["evidence"]["highest_passing"]["verdict"] == "stable"
    assert document["share_of_window"] is None and 0 <= document["share_of_memory"] <= 1
    assert document["most_capable"] is None
    assert "no time window" in document["most_capable_note"]
    probes = stored_probes(folder)

    again = tonnage(*TUNE, "--json")
    assert json.loads(again.stdout) == document
    assert "Answered from the store" in again.stderr
    assert stored_probes(folder) == probes

    shown = tonnage("recommend", "--workload", "train.py:Tiny")
    assert shown.returncode == 0 and document["id"] in shown.stdout

    exported = tonnage("export", "latest", "--to", "args")
    assert "--batch-size 8" in exported.stdout and "--layers" in exported.stdout
    toml = tomllib.loads(tonnage("export", document["id"][:12], "--to", "toml").stdout)
    assert toml["batch_size"] == 8
    assert tonnage("export", "--to", "jsn").returncode == 2

    with (folder / "train.py").open("a") as file:
        file.write("\n# edited\n")
    stale = tonnage("recommend", "--all")
    assert stale.returncode == 1
    assert "NOT VALID: The source or the options" in stale.stdout


def test_levers_are_searched_at_the_stated_effective_batch(tonnage: Run, folder: Path) -> None:
    ran = tonnage(
        *TUNE, "--set", "width=16", "--levers", "optimizer_impl", "--effective-batch-size", "16",
        "--json",
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    assert (document["batch_size"], document["accumulation"]) == (8, 2)
    assert document["study"]["trials"] == 3
    tried = {json.loads(config)["optimizer_impl"] for config, _, _ in stored_probes(folder)}
    assert tried == {"default", "foreach", "fused"}


def test_fresh_measures_again(tonnage: Run, folder: Path) -> None:
    pinned = (*TUNE, "--set", "width=16")
    assert tonnage(*pinned).returncode == 0
    once = len(stored_probes(folder))
    assert tonnage(*pinned, "--fresh").returncode == 0
    assert len(stored_probes(folder)) == 2 * once


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """With a worker of its own, which is to end with it."""
    return subprocess.Popen(
        [*TONNAGE, *TUNE, "--json"],
        cwd=folder,
        env={name: value for name, value in environment.items() if name != "VIRTUAL_ENV"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("after", [0, 1])
def test_kill_9_loses_only_the_probe_in_flight(
    tonnage: Run, folder: Path, environment: dict[str, str], after: int
) -> None:
    process = start(folder, environment)
    wait_until(lambda: holder_pid(folder) == process.pid)
    wait_until(lambda: len(stored_probes(folder)) >= after)
    wait_until(lambda: len(marked_processes(str(folder))) > 1)  # a worker is at it
    process.kill()
    process.wait()
    wait_until(lambda: not marked_processes(str(folder)), within_s=10)
    before = stored_probes(folder)

    resumed = tonnage(*TUNE, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["study"]["trials"] == 2
    assert "Resuming" in resumed.stderr
    probes = stored_probes(folder)
    assert probes[: len(before)] == before
    assert len(set(probes)) == len(probes), "a finished probe was run twice"


def test_ctrl_c_keeps_what_was_measured(
    tonnage: Run, folder: Path, environment: dict[str, str]
) -> None:
    process = start(folder, environment)
    wait_until(lambda: len(stored_probes(folder)) >= 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    assert process.stdout is not None and process.stdout.read() == b""
    wait_until(lambda: not marked_processes(str(folder)), within_s=10)
    kept = stored_probes(folder)
    assert kept
    measured_s = time_of_study(folder)
    assert measured_s > 0
    assert tonnage(*TUNE).returncode == 0
    assert time_of_study(folder) > measured_s
    assert stored_probes(folder)[: len(kept)] == kept


def test_a_second_process_is_refused_while_a_study_runs(
    tonnage: Run, folder: Path, environment: dict[str, str]
) -> None:
    process = start(folder, environment)
    try:
        wait_until(lambda: holder_pid(folder) == process.pid)
        wait_until(lambda: holds_still(process, folder))  # it must not be done before the second
        second = tonnage(*TUNE)
        assert second.returncode == 2
        assert f"is being run by process {process.pid}" in second.stderr
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)


def test_a_workload_that_always_fails_is_status_3_with_the_reason(
    tonnage: Run, folder: Path
) -> None:
    (folder / "bug.py").write_text(WORKLOAD.replace(".square()", ".no_such_method()"))
    ran = tonnage("tune", "bug.py:Tiny", "--budget", "smoke_test", "--trials", "1", "--json")
    assert ran.returncode == 3
    document = json.loads(ran.stdout)
    assert document["id"] is None and "no_such_method" in " ".join(document["reasons"])


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, str]:
    """A user's repository: own virtual environment, own packages ``app`` and ``optimizer``.

    Its environment has torch but nothing that Tonnage uses besides, so that the worker is shown
    to need none of it.
    """
    home = tmp_path / "users"
    home.mkdir()
    venv.create(home / "env", with_pip=False)
    python = home / "env" / "bin" / "python"
    places = sysconfig.get_paths(vars={"base": str(home / "env"), "platbase": str(home / "env")})
    site = Path(places["purelib"])
    site.mkdir(parents=True, exist_ok=True)
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not entry.name.lower().startswith(MISSING_THERE) and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    for package, text in (
        ("app", "OWNER = 'the user'\n"),
        ("optimizer", "import torch\nmake = lambda m: torch.optim.SGD(m.parameters(), lr=0.01)\n"),
    ):
        (home / package).mkdir()
        (home / package / "__init__.py").write_text(text)
    (home / "train.py").write_text(
        "import app, optimizer\n"
        "assert app.OWNER == 'the user'\n"
        + WORKLOAD
        + "\n    def optimizer(self, model):\n        return optimizer.make(model)\n"
    )
    return home, str(python)


@pytest.mark.parametrize("reference", ["{home}/train.py:Tiny", "train:Tiny"])
def test_a_users_own_environment_and_packages(
    repository: tuple[Path, str], environment: dict[str, str], reference: str
) -> None:
    home, python = repository
    ran = subprocess.run(
        [
            *TONNAGE, "probe", reference.format(home=home), "--batch-size", "8", "--device", "cpu",
            "--memory-budget", "256MiB", "--python", python, "--json",
        ],
        cwd=home,
        env={**environment, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert json.loads(ran.stdout)["verdict"] == "stable"
