"""``tonnage run`` as a user has it: a real child, its output, its signals, its exit status."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from app.database import open_database
from app.http.runtime import Service
from app.keys import service as keys
from app.settings import load_settings
from tests.app.checks.seeded import RECOMMENDATION, environment, seed_in
from tests.app.serving import running

TRAIN = """
import json, os, signal, sys, time
mode = sys.argv[1]
if mode == "say":
    print(json.dumps([sys.argv[2:], os.environ.get("TONNAGE_BATCH_SIZE"),
        os.environ.get("MALLOC_ARENA_MAX"), sys.stdout.isatty(), sys.stderr.isatty()]))
    print("10/10 4.0it/s", file=sys.stderr)
    sys.exit(int(os.environ.get("EXIT", 0)))
if mode == "oom":
    raise MemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
if mode == "bytes":
    sys.stdout.buffer.write(bytes(range(256)) * 1000)
    sys.exit()
if mode == "fifo":
    last_words = open(sys.argv[2], "w")
    signal.signal(signal.SIGTERM, lambda *_: (last_words.write("saved"), last_words.close(),
        os._exit(0)))
    signal.alarm(60)
    print("ready", flush=True)
    while True:
        signal.pause()
if mode == "wait":
    if len(sys.argv) > 2:
        handled = getattr(signal, sys.argv[2])
        signal.signal(handled, lambda *_: (os.write(1, b"got it\\n"), os._exit(5)))
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""
PLAN = ("tonnage", "run", "--workload", "transformer", "--")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "train.py").write_text(TRAIN)
    return folder


@pytest.fixture(scope="module")
def run(folder, warm):
    """Runs a command to its end; what gets a signal is started as a user would start it."""
    seeded = seed_in(folder)
    path = warm.activated(environment(folder))["PATH"]
    return lambda *command, **extra: seeded(*command, PATH=path, **extra)


def runs(folder: Path) -> list[dict[str, object]]:
    """What was kept, the oldest first."""
    with sqlite3.connect(folder / "data" / "tonnage.db") as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM tonnage_runs ORDER BY id")]


def test_the_recommendation_is_filled_in_and_the_outcome_kept(folder, run):
    command = [*PLAN, "python", "train.py", "say", "--bs={batch_size}", "{activation}"]
    ran = run(*command)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [["--bs=96", "relu"], "96", "1", False, False]
    assert "10/10 4.0it/s" in ran.stderr
    kept = runs(folder)[-1]
    assert (kept["outcome"], kept["exit_status"]) == ("finished", 0)
    assert (kept["recommendation_id"], kept["batch_size"]) == (RECOMMENDATION, 96)
    assert kept["step_time_s"] == 0.25
    assert json.loads(str(kept["document"]))["expected_step_time_s"] > 0


def test_a_configuration_file_is_filled_in_for_the_run_and_gone_after_it(folder, run):
    (folder / "net.yaml").write_text("batch: {batch_size}\n")
    plan = [*PLAN[:-1], "--config", "net.yaml", "--"]
    shown = "import sys; print(sys.argv[1]); print(open(sys.argv[1]).read())"
    ran = run(*plan, "python", "-c", shown, "{config}")
    assert ran.returncode == 0, ran.stderr
    path, text, *_ = ran.stdout.splitlines()
    assert text == "batch: 96"
    assert Path(path).name == "net.yaml"
    assert not Path(path).exists()
    unused = run(*plan, "python", "-c", "pass")
    assert (unused.returncode, "{config}" in unused.stderr) == (2, True)


def test_the_exit_status_is_its_own(folder, run):
    assert run(*PLAN, "python", "train.py", "say", EXIT="7").returncode == 7
    assert runs(folder)[-1]["outcome"] == "failed"


def test_out_of_memory_is_recognised(folder, run):
    ran = run(*PLAN, "python", "train.py", "oom")
    assert ran.returncode == 1
    assert "MemoryError: CUDA out of memory" in ran.stderr
    assert f"The run was out of memory with {RECOMMENDATION}" in ran.stderr
    assert runs(folder)[-1]["outcome"] == "out_of_memory"


def test_recommend_shows_how_training_went(folder, run):
    def graded():
        from app.runs.repository import grades

        with open_database(f"sqlite:///{folder}/data/tonnage.db").read() as session:
            return grades(session, [RECOMMENDATION, "rec_other"])

    before = graded().get(RECOMMENDATION)
    run(*PLAN, "python", "train.py", "say")
    run(*PLAN, "python", "train.py", "oom")
    after = graded()
    assert set(after) == {RECOMMENDATION}
    now = after[RECOMMENDATION]
    assert now.runs == (before.runs if before else 0) + 2
    assert now.finished == (before.finished if before else 0) + 1
    assert now.out_of_memory == (before.out_of_memory if before else 0) + 1
    assert now.step_time_s == 0.25


def test_bytes_come_through_as_they_are(folder):
    ran = subprocess.run(
        [*PLAN, "python", "train.py", "bytes"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        check=True,
    )
    assert ran.stdout == bytes(range(256)) * 1000


SIGNALS = [("SIGTERM", 143), ("SIGINT", 130), ("SIGUSR1", 138)]


@pytest.mark.parametrize(("name", "status"), SIGNALS)
def test_signals_reach_it_and_end_it(folder, run, name, status):
    process = _waiting(folder)
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=60)
    assert process.returncode == status
    kept = runs(folder)[-1]
    wanted = "failed" if name.startswith("SIGUSR") else "interrupted"
    assert kept["outcome"] == wanted


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_run_that_handles_a_signal_decides_itself(folder, run, name):
    process = _waiting(folder, name)
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 5
    assert out == b"got it\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel has to tell the run")
def test_killed_it_leaves_no_run_behind(folder, run):
    before = len(runs(folder))
    os.mkfifo(folder / "fifo")
    process = subprocess.Popen(
        [*PLAN, "python", "train.py", "fifo", "fifo"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with (folder / "fifo").open() as last_words:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()
        assert last_words.read() == "saved"
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert len(runs(folder)) == before, "nobody knows how it ended"


def _waiting(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*PLAN, "python", "train.py", "wait", *more],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_a_terminal_stays_a_terminal(folder, run):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PLAN, "python", "train.py", "say"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"true, true]\r\n" in seen
    assert b"\r\r\n" not in seen


# -- where something is missing


def test_a_placeholder_without_a_value_announces_no_training(folder, run):
    before = len(runs(folder))
    ran = run(*PLAN, "python", "train.py", "say", "{run_dir}")
    assert (ran.returncode, ran.stdout, len(runs(folder))) == (2, "", before)
    assert "probes only" in ran.stderr and RECOMMENDATION not in ran.stderr


def test_the_interpreter_that_trains_has_a_placeholder(run):
    ran = run(*PLAN[:2], "--python", sys.executable, *PLAN[2:], "{python}", "train.py", "say", "x")
    assert (ran.returncode, json.loads(ran.stdout)[0]) == (0, ["x"]), ran.stderr


def test_a_command_that_does_not_exist(run):
    ran = run(*PLAN, "no-such-program")
    assert ran.returncode == 2
    assert "no-such-program cannot be started" in ran.stderr


def test_nothing_recommended(run):
    visnet = ("tonnage", "run", "--budget", "validation", "--workload", "transformer")
    ran = run(*visnet, "--", "python", "train.py", "say", "{batch_size:4}")
    assert ran.returncode == 0
    assert "nothing is recommended for transformer here" in ran.stderr
    assert json.loads(ran.stdout)[0] == ["4"]
    needed = run(*visnet, "--", "python", "train.py", "say", "{batch_size}")
    assert needed.returncode == 2
    strict = run(*visnet, "--on-unknown", "fail", "--", "python", "train.py", "say")
    assert (strict.returncode, strict.stdout) == (3, "")


def test_a_database_that_cannot_be_opened_is_a_warning(folder, run):
    (folder / "not.db").write_text("hello")
    plan = ("tonnage", "run", "--database", f"sqlite:///{folder}/not.db")
    ran = run(*plan, "--", "python", "train.py", "say", "{batch_size:4}")
    assert (ran.returncode, json.loads(ran.stdout)[0]) == (0, ["4"])
    assert "not.db" in ran.stderr and "Measure it with" not in ran.stderr
    strict = run(*plan, "--on-unknown", "fail", "--", "python", "train.py", "say")
    assert (strict.returncode, strict.stdout) == (3, "")
    assert run(*plan, "--", "python", "train.py", "say", "{batch_size}").returncode == 2


def test_what_no_longer_holds_is_said_and_may_keep_it_from_starting(folder, run):
    code = "from app.machine.local_facts import remember_devices; from tests.app.checks import "
    code += "seeded; remember_devices(None, seeded.facts('2.14.0'))"
    back = code.replace("'2.14.0'", "")
    assert run("python", "-c", code).returncode == 0
    try:
        ran = run(*PLAN, "python", "train.py", "say")
        assert ran.returncode == 0
        assert "may no longer be valid. It was measured on another device" in ran.stderr
        strict = run(*PLAN[:-1], "--on-stale", "fail", "--", "python", "train.py", "say")
        assert (strict.returncode, strict.stdout) == (3, "")
    finally:
        assert run("python", "-c", back).returncode == 0


def test_wrong_input(run):
    assert "after --" in run("tonnage", "run").stderr
    wrong = run("tonnage", "run", "--workloat", "x", "--", "true")
    assert wrong.returncode == 2
    assert "--workload" in wrong.stderr


# -- a service


@pytest.fixture(scope="module")
def service(folder, run):
    database = open_database(f"sqlite:///{folder}/data/tonnage.db")
    settings = load_settings(environ={}, overrides={"service": {"event_poll_s": 0.02}})
    _, token = keys.create(database, "run")
    with running(Service(database, settings, needs_keys=True)) as url:
        yield url, token
    database.close()


def test_a_service_is_asked_and_told_and_not_missed(folder, run, service):
    url, token = service
    elsewhere = f"sqlite:///{folder}/elsewhere.db"
    asked = ("tonnage", "run", "--server", url, "--api-key", token, "--database", elsewhere)
    command = ("--workload", "transformer", "--", "python", "train.py", "say", "{batch_size:4}")
    before = len(runs(folder))
    ran = run(*asked, *command)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0] == ["96"]
    assert len(runs(folder)) == before + 1
    assert runs(folder)[-1]["recommendation_id"] == RECOMMENDATION

    refused = run(*asked[:4], "--api-key", "wrong", *asked[6:], *command)
    assert refused.returncode == 0
    assert f"last known answer ({RECOMMENDATION})" in refused.stderr
    assert "the outcome could not be sent to the service" in refused.stderr
    assert "stored here" not in refused.stderr
    assert json.loads(refused.stdout)[0] == ["96"]


def test_runs_over_http(folder, run, service):
    import httpx

    url, token = service
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as api:
        listed = api.get("/v1/runs", params={"recommendation_id": RECOMMENDATION}).json()["items"]
        assert listed
        assert api.get(f"/v1/runs/{listed[0]['id']}").json() == listed[0]
        assert api.get("/v1/runs/trn_none").status_code == 404
        assert api.post("/v1/runs", json={"outcome": "fine"}).status_code == 422
