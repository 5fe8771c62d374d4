from __future__ import annotations

import contextvars
import json
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import logging_setup
from app.log_context import bind, bound, context
from app.logging_setup import configure_logging


@pytest.fixture(autouse=True)
def _restore():
    yield
    logging_setup._install([], logging.WARNING)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""  # stdout belongs to the answer
    return err


@pytest.mark.parametrize(
    ("verbosity", "heard"),
    [
        (-2, ["error"]),
        (-1, ["error", "warning"]),
        (0, ["error", "warning", "info"]),
        (1, ["error", "warning", "info", "debug"]),
    ],
)
def test_the_console_is_as_chatty_as_asked(verbosity, heard, tmp_path, capsys):
    configure_logging(verbosity, tmp_path)
    log = logging.getLogger("optimizer.study")
    for level in ("debug", "info", "warning", "error"):
        getattr(log, level)("this is %s", level)
    err = said(capsys)
    everything = ["error", "warning", "info", "debug"]
    assert [level for level in everything if f"this is {level}" in err] == heard


def test_the_file_has_everything_with_level_time_and_place(tmp_path, capsys):
    configure_logging(-2, tmp_path / "new" / "folder")
    logging.getLogger("probes.isolation").debug("a detail")
    text = (tmp_path / "new" / "folder" / "tonnage.log").read_text()
    assert "DEBUG" in text
    assert "probes.isolation: a detail" in text
    assert "Z " in text.split("T", 1)[1]
    assert said(capsys) == ""


def test_a_full_disk_costs_the_file_its_lines_and_the_console_nothing_else(
    tmp_path, monkeypatch, capsys
):
    configure_logging(0, tmp_path)
    [handler] = [each for each in logging.getLogger().handlers if hasattr(each, "doRollover")]

    def full(_record: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(handler, "shouldRollover", full)
    logging.getLogger("app.service").info("a request")
    err = said(capsys)
    assert "a request" in err
    assert "Traceback" not in err


def test_the_file_rotates_and_only_five_are_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(logging_setup, "FILE_BYTES", 200)
    configure_logging(-2, tmp_path)
    for number in range(100):
        logging.getLogger("app").info("line %d", number)
    assert len(list(tmp_path.glob("tonnage.log*"))) == 5


def test_a_folder_that_cannot_be_written_means_console_only(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    configure_logging(0, tmp_path / "file" / "below")
    logging.getLogger("app").info("still heard")
    err = said(capsys)
    assert "No log file" in err
    assert "still heard" in err


def test_configuring_twice_does_not_say_things_twice(tmp_path, capsys):
    configure_logging(0, tmp_path)
    configure_logging(0, tmp_path)
    logging.getLogger("app").warning("once")
    assert said(capsys).count("once") == 1


def test_alembic_and_optuna_do_not_chatter(tmp_path: Path):
    code = f"""
import logging
from app.logging_setup import configure_logging
configure_logging(0, None)
from app.database import open_database
import optuna
open_database("sqlite:///{tmp_path}/t.db")
study = optuna.create_study()
study.tell(study.ask(), 1.0)
study.optimize(lambda trial: 1.0, n_trials=1)
logging.getLogger("app").info("the end")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert [line.split(maxsplit=2)[2] for line in run.stderr.splitlines()] == ["the end"]


def test_json_lines_carry_what_the_line_is_about(capsys):
    configure_logging(0, None, json_lines=True)
    with bound(request_id="r1"):
        bind(study_id="st_1")
        facts = {"status": 200}
        logging.getLogger("app.service").info("GET %s", "/x", extra={"facts": facts})
    logging.getLogger("app").info("after")
    first, after = (json.loads(line) for line in said(capsys).splitlines())
    assert first["message"] == "GET /x"
    assert (first["request_id"], first["study_id"], first["status"]) == ("r1", "st_1", 200)
    assert first["level"] == "info"
    assert "request_id" not in after


def test_a_traceback_stays_on_one_json_line(capsys):
    configure_logging(0, None, json_lines=True)
    try:
        raise ValueError("wrong\nhere")
    except ValueError:
        logging.getLogger("app").exception("failed")
    (line,) = said(capsys).splitlines()
    assert "wrong\nhere" in json.loads(line)["exception"]


def test_the_log_file_says_which_request_and_study(tmp_path, capsys):
    configure_logging(-2, tmp_path)
    with bound(request_id="r1", study_id="st_1"):
        logging.getLogger("app").info("hello")
    (line,) = (tmp_path / logging_setup.LOG_FILE).read_text().splitlines()
    assert line.endswith("hello [request_id=r1 study_id=st_1]")
    assert said(capsys) == ""


def test_what_is_bound_is_seen_by_a_thread_that_works_for_it():
    seen = []
    with bound(request_id="r1"):
        copied = contextvars.copy_context()
        thread = threading.Thread(target=lambda: seen.append(copied.run(context)))
        thread.start()
        thread.join()
    assert seen == [{"request_id": "r1"}]
    assert context() == {}
