"""``tonnage db`` beyond migrations, and ``tonnage runner`` where it has nothing to do."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.cli import run
from app.cli.values import parse_age
from app.database import open_database
from app.database.migrate import VERSION_TABLE
from app.jobs.keeper import lock_file, only_one
from app.measurements import service as measurements
from app.settings import load_settings
from probes.errors import InputError
from tests.app import contents, factories


@pytest.fixture
def results(tmp_path):
    """A database with one measurement, as the URL of it."""
    url = f"sqlite:///{tmp_path / 'results.db'}"
    database = open_database(url)
    measurements.record(database, factories.scope(), factories.measurement())
    database.close()
    return url


def count(url: str) -> int:
    database = open_database(url)
    found = len(contents.measurements(database))
    database.close()
    return found


def test_current_names_a_file_that_is_not_there_and_makes_none(tmp_path, capsys):
    file = tmp_path / "my results.db"
    assert run(["db", "current", "--database", f"sqlite:///{file}"]) == 1
    told = capsys.readouterr().out
    assert f"no file {file}" in told
    assert f"tonnage db upgrade --database 'sqlite:///{file}'" in told
    assert not file.exists()


@pytest.mark.parametrize(("revision", "upgrades"), [("0001", True), ("9999", False)])
def test_current_advises_what_is_possible(results, capsys, revision, upgrades):
    database = open_database(results)
    with database.write() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))
    database.close()
    assert run(["db", "current", "--database", results]) == 1
    told = capsys.readouterr().out
    assert (f"tonnage db upgrade --database {results}" in told) is upgrades
    assert ("newer" in told) is not upgrades


def test_export_and_import(results, tmp_path, capsys):
    file, other = str(tmp_path / "results.jsonl"), f"sqlite:///{tmp_path / 'other.db'}"
    assert run(["db", "export", file, "--database", results]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "Exported 1 measurement\n")
    assert run(["db", "import", file, "--database", other]) == 0
    assert "Added 1 measurement;" in capsys.readouterr().out
    assert run(["db", "import", file, "--database", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"added": {}, "known": {"measurement": 1}}
    assert count(other) == 1


def test_export_to_stdout_is_only_the_lines(results, capsys):
    assert run(["db", "export", "-", "--database", results]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [next(iter(json.loads(line))) for line in lines] == ["header", "measurement"]


def test_import_of_what_cannot_be_read(results, tmp_path, capsys):
    assert run(["db", "import", str(tmp_path / "none"), "--database", results]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert run(["db", "import", str(tmp_path / "binary"), "--database", results]) == 2
    assert "UTF-8" in capsys.readouterr().err


def test_backup(results, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    assert run(["db", "backup", str(copy), "--database", results]) == 0
    assert "copied to" in capsys.readouterr().out
    assert count(f"sqlite:///{copy}") == 1
    assert run(["db", "backup", str(copy), "--database", results]) == 2
    assert "Name a new file" in capsys.readouterr().err


def test_prune(results, capsys):
    arguments = ["db", "prune", "--database", results, "--older-than"]
    assert run([*arguments, "1d", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "1d" in said and "0 jobs, 0 studies, 0 measurements, 0 checks" in said
    assert run([*arguments, "1d", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], said["measurements"]) == (False, 0)
    assert count(results) == 1
    assert run(["db", "prune", "--database", results]) == 2


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("12w", 84), ("1y", 365), (" 1 d ", 1)])
def test_ages(text, days):
    assert parse_age(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "90", "0d", "d", "-1d", "1h", "1.5d", "999999d"])
def test_what_is_no_age(text):
    with pytest.raises(InputError, match="90d, 12w or 1y"):
        parse_age(text)


def test_a_runner_that_the_service_started_leaves_the_work_to_the_one_that_is_there(
    results, capsys
):
    database = open_database(results)
    with only_one(lock_file(load_settings(), database)):
        assert run(["runner", "--idle-exit", "1", "--database", results]) == 0
    assert "has a runner for this database already" in capsys.readouterr().err
    database.close()
