"""A machine that is used by others too: by another search, and by any other program."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from probes.devices.lease import lease
from tests.app.cli.conftest import CPU, TONNAGE, Run, holder_pid, holds_still, leases
from tests.app.cli.test_tune import TUNE, stored_probes, wait_until

ANOTHER = ("tune", "train.py:Tiny", "--budget", "smoke_test", "--device", "cpu",
           "--memory-budget", "256MiB", "--set", "layers=2", "--set", "width=16")  # fmt: skip
PROBE = ("probe", "train.py:Tiny", "--batch-size", "4", "--quick", "--device", "cpu")


class Started:
    """A command that runs beside the test. What it says goes to a file, so that it never blocks."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        self.file = folder / f"stderr-{len(list(folder.glob('stderr-*')))}"
        with self.file.open("w") as file:
            self.process = subprocess.Popen(
                [*TONNAGE, *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )

    @property
    def said(self) -> str:
        return self.file.read_text()


def study_states(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "data" / "tonnage.db") as connection:
        return [row[0] for row in connection.execute("select state from tonnage_studies")]


def studies_in_order(folder: Path) -> list[str]:
    """The study of each run of measurements that follow one another."""
    with sqlite3.connect(folder / "data" / "tonnage.db") as connection:
        rows = connection.execute("select study_id from tonnage_measurements order by id")
        ids = [row[0] for row in rows]
    return [study for i, study in enumerate(ids) if i == 0 or ids[i - 1] != study]


@pytest.fixture
def two(folder: Path, environment: dict[str, str]) -> Iterator[tuple[Started, Started]]:
    """Two searches: one is measuring, and held still in the middle of it; one is waiting for it."""
    first = Started(folder, environment, *TUNE)
    wait_until(lambda: holder_pid(folder) == first.process.pid)
    wait_until(lambda: holds_still(first.process, folder))
    second = Started(folder, environment, *ANOTHER)
    wait_until(lambda: "; waiting" in second.said or second.process.poll() is not None)
    yield first, second
    for search in (first, second):
        search.process.kill()
        search.process.wait()


def test_of_two_searches_at_once_the_second_waits_and_says_for_whom(
    two: tuple[Started, Started], folder: Path
) -> None:
    first, second = two
    in_use = f"cpu is in use by process {first.process.pid} (tonnage tune train.py:Tiny"
    assert in_use in second.said
    assert stored_probes(folder) == []

    first.process.send_signal(signal.SIGCONT)

    assert first.process.wait(timeout=120) == 0, first.said
    assert second.process.wait(timeout=120) == 0, second.said
    assert len(studies_in_order(folder)) == 2, "their measurements were mixed"
    assert holder_pid(folder) == 0


def test_a_killed_search_frees_the_device(two: tuple[Started, Started], folder: Path) -> None:
    first, second = two

    first.process.kill()
    wait_until(lambda: holder_pid(folder) == second.process.pid)

    assert second.process.wait(timeout=120) == 0, second.said


def test_who_does_not_want_to_wait_is_told_who_has_the_device(
    tonnage: Run, folder: Path, leased: None
) -> None:
    ran = tonnage(*PROBE, "--wait", "0")

    assert ran.returncode == 3
    assert f"cpu is in use by process {os.getpid()} (tonnage tune elsewhere) since" in ran.stderr
    assert "probe.lease_wait_s" in ran.stderr and "Traceback" not in ran.stderr
    assert stored_probes(folder) == []


@pytest.mark.parametrize("arguments", [TUNE, PROBE])
def test_ctrl_c_while_waiting_is_an_interruption(
    folder: Path, environment: dict[str, str], leased: None, arguments: tuple[str, ...]
) -> None:
    waiting = Started(folder, environment, *arguments)
    wait_until(lambda: "; waiting" in waiting.said or waiting.process.poll() is not None)

    waiting.process.send_signal(signal.SIGINT)

    assert waiting.process.wait(timeout=20) == 130, waiting.said
    assert stored_probes(folder) == []
    assert study_states(folder) in ([], ["interrupted"])


def test_an_answer_from_the_store_needs_no_device(tonnage: Run, folder: Path) -> None:
    assert tonnage(*ANOTHER).returncode == 0
    with lease(CPU, command="tonnage tune elsewhere", wait_s=0, folder=leases(folder)):
        ran = tonnage(*ANOTHER, "--wait", "0")
    assert ran.returncode == 0, ran.stderr
    assert "Answered from the store" in ran.stderr


def test_devices_shows_who_measures(tonnage: Run, leased: None) -> None:
    cpu = json.loads(tonnage("devices", "--json").stdout)["devices"][-1]

    assert (cpu["lease"]["pid"], cpu["lease"]["command"]) == (os.getpid(), "tonnage tune elsewhere")
    assert f"in use       by process {os.getpid()}" in tonnage("devices").stdout


# --- any other program


@pytest.fixture
def busy() -> Iterator[None]:
    """Other programs keep half of the cores busy; all of them would slow other tests down too."""
    spin = "while True: pass"
    half = range(max(1, (os.cpu_count() or 1) // 2))
    programs = [subprocess.Popen([sys.executable, "-c", spin]) for _ in half]
    yield
    for program in programs:
        program.kill()
        program.wait()


def test_what_was_only_measured_on_a_busy_machine_is_not_recommended_unless_accepted(
    tonnage: Run, folder: Path, busy: None
) -> None:
    pinned = (*TUNE, "--set", "width=16", "--json")
    insist = {"TONNAGE_PROBE__ACCEPT_DISTURBED": "false"}

    refused = tonnage(*pinned, **insist)
    assert refused.returncode == 3, refused.stderr
    document = json.loads(refused.stdout)
    text = "\n".join(document["reasons"])
    assert document["id"] is None
    assert "layers=1 width=16, batch 8: other processes used" in text
    assert "--accept-disturbed" in text
    first = stored_probes(folder)

    again = tonnage(*pinned, **insist)
    assert again.returncode == 3, again.stderr
    second = stored_probes(folder)[len(first) :]
    assert second, again.stderr
    assert set(second) == {probe for probe in first if probe[2] == "confirm"}

    accepted = tonnage(*pinned, "--accept-disturbed", **insist)
    assert accepted.returncode == 0, accepted.stderr
    recommendation = json.loads(accepted.stdout)
    assert recommendation["evidence"]["highest_passing"]["tainted"]
    assert any("disturbed" in line for line in recommendation["explanation"])
    assert len(stored_probes(folder)) == len(first) + len(second), "accepting measures nothing"
