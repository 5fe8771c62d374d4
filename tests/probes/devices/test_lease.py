"""The lease on a device: one holder at a time, named to those who wait, gone with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from probes.devices.base import DeviceFacts
from probes.devices.lease import (
    Holder,
    default_folder,
    holder_of,
    lease,
    lease_key,
    lock_file,
)
from probes.errors import MeasurementError
from probes.formatting import GIB

ROOT = Path(__file__).parents[3]
CPU = DeviceFacts("cpu", "cpu", "Fake", GIB, None, identity={"machine": "abc"})
HOLD = """
import subprocess, sys
from pathlib import Path
from probes.devices.lease import lease
from tests.probes.devices.test_lease import CPU

with lease(CPU, command="tonnage tune visnet", wait_s=0, folder=Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)  # inherits all that can be
    print(child.pid, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lease of the CPU, and a child of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()
        process.stdout.close()


def take(folder: Path, wait_s: float = 0.0, **more: Any) -> Any:
    return lease(CPU, command="tonnage probe transformer", wait_s=wait_s, folder=folder, **more)


def test_a_free_device_is_had_at_once_and_shown_to_others(tmp_path: Path) -> None:
    assert holder_of(CPU, tmp_path) is None
    with take(tmp_path):
        shown = holder_of(CPU, tmp_path)
        assert shown is not None
        assert (shown.pid, shown.command) == (os.getpid(), "tonnage probe transformer")
    assert holder_of(CPU, tmp_path) is None


def test_it_is_given_back_when_the_measurement_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), take(tmp_path):
        raise ZeroDivisionError
    with take(tmp_path):
        assert holder_of(CPU, tmp_path) is not None


def test_who_does_not_wait_is_told_who_has_it(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(MeasurementError) as refused, take(tmp_path):
        pass
    assert refused.value.exit_code == 3
    assert f"cpu is in use by process {holder.pid} (tonnage tune visnet) since" in str(
        refused.value
    )


def test_waiting_ends_after_the_time_it_was_given(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    told: list[tuple[str, float]] = []
    began_s = time.monotonic()
    with (
        pytest.raises(MeasurementError, match="was not free within 1 s"),
        take(tmp_path, 1.0, on_wait=lambda in_use, waited_s: told.append((in_use, waited_s))),
    ):
        pass
    assert 1.0 <= time.monotonic() - began_s < 5.0
    assert all(f"cpu is in use by process {holder.pid} " in in_use for in_use, _ in told)
    assert [waited_s for _, waited_s in told] == sorted(waited_s for _, waited_s in told)


def test_who_waits_gets_it_when_the_holder_is_done(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    def finish(in_use: str, waited_s: float) -> None:
        assert holder.stdin is not None
        if not holder.stdin.closed:
            holder.stdin.close()

    with take(tmp_path, 30.0, on_wait=finish):
        shown = holder_of(CPU, tmp_path)
        assert shown is not None and shown.pid == os.getpid()


def test_a_killed_holder_frees_it_at_once_though_its_child_lives(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    holder.kill()
    holder.wait()

    assert holder_of(CPU, tmp_path) is None
    with take(tmp_path):
        pass


def test_threads_of_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with take(tmp_path, 30.0):
            inside += 1
            most = max(most, inside)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == 1


def test_looking_does_not_make_others_wait(tmp_path: Path) -> None:
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            holder_of(CPU, tmp_path)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            with take(tmp_path):
                pass
    finally:
        stop.set()
        looking.join()


def test_a_lock_file_that_is_cleaned_away_is_made_anew(tmp_path: Path) -> None:
    with take(tmp_path):
        pass
    lock_file(CPU, tmp_path).unlink()
    with take(tmp_path), pytest.raises(MeasurementError), take(tmp_path):
        pass


def test_other_users_can_lock_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with take(tmp_path):
            assert lock_file(CPU, tmp_path).stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["symlink", "hardlink", "folder"])
def test_what_is_not_a_lock_file_is_not_written_to(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "precious"
    victim.write_text("data")
    path = lock_file(CPU, tmp_path)
    if kind == "symlink":
        path.symlink_to(victim)
    elif kind == "hardlink":
        path.hardlink_to(victim)
    else:
        path.mkdir()

    with pytest.raises(MeasurementError, match=r"probe\.lease_dir"), take(tmp_path):
        pass

    assert victim.read_text() == "data"


# --- what a lease is on


def test_the_same_card_has_one_lease_whatever_its_number() -> None:
    def card(device: str, **identity: Any) -> DeviceFacts:
        return DeviceFacts(device, "cuda", "Fake", GIB, None, identity=identity)

    assert lease_key(card("cuda:0", uuid="aa", pci="0")) == lease_key(card("cuda:1", uuid="aa"))
    assert lease_key(card("cuda:0", uuid="aa")) != lease_key(card("cuda:0", uuid="bb"))
    unnamed = {"uuid": {"missing": "old torch"}}
    assert lease_key(card("cuda:0", **unnamed, pci="0000:17:00")) == "cuda:0000:17:00"
    assert lease_key(card("cuda:0", **unnamed)) == "cuda:0"


def test_the_cpu_is_one_device_for_every_torch() -> None:
    other = DeviceFacts("cpu", "cpu", "Fake", GIB, None, identity={"torch": "2.6"})

    assert lease_key(CPU) == lease_key(other) == "cpu"


def test_the_place_does_not_depend_on_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = default_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    assert default_folder() == before


# --- how a holder is named


def test_a_holder_is_named_in_one_line_without_control_characters() -> None:
    now = datetime.now(timezone.utc)
    text = str(Holder(7, "tonnage tune \x1b[31m" + "x" * 200, now.isoformat()))

    assert text.startswith("process 7 (tonnage tune ?[31mxxx")
    assert text.endswith(f" …) since {now.astimezone():%H:%M}")
    assert len(text) < 120


def test_one_of_another_day_has_its_date() -> None:
    earlier = datetime.now(timezone.utc) - timedelta(days=2)

    assert f"since {earlier.astimezone():%Y-%m-%d}" in str(Holder(7, "x", earlier.isoformat()))


def test_a_holder_that_has_not_written_yet_is_another_process(tmp_path: Path) -> None:
    with take(tmp_path):
        lock_file(CPU, tmp_path).write_text("")
        assert str(holder_of(CPU, tmp_path)) == "another process"
