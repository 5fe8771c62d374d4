"""A backup is the database at one moment, in one file, whatever goes on meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading

import pytest
from sqlalchemy import create_engine, make_url, text

from app.database import open_database
from app.measurements import service as measurements
from app.recommendations import service as recommendations
from app.retention import backup
from app.retention.backup import back_up
from probes.errors import InputError, MeasurementError
from tests.app import factories
from tests.app.retention.conftest import finished_study


def test_a_copy_of_sqlite_is_used_as_it_is(sqlite_url, tmp_path):
    database = open_database(sqlite_url)
    study_id = finished_study(database)
    copy = tmp_path / "copy.db"
    assert back_up(database, copy) == copy.stat().st_size
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == ["copy.db"]  # no -wal, no part
    opened = open_database(f"sqlite:///{copy}")
    assert recommendations.of_study(opened, study_id) == factories.recommendation(
        study_id.replace("st_", "rec_")
    )
    opened.close()
    database.close()


def test_nobody_else_can_read_it(sqlite_url, tmp_path):
    database = open_database(sqlite_url)
    back_up(database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    database.close()


def test_writers_go_on_meanwhile_and_the_copy_is_whole(sqlite_url, tmp_path, monkeypatch):
    """Each transaction writes a pair; a copy with half of one would show it."""
    monkeypatch.setattr(backup, "PAGES", 1)
    database = open_database(sqlite_url)
    scope, stop, written = factories.scope(), threading.Event(), threading.Event()

    def write() -> None:
        own = open_database(sqlite_url)
        batch = 0
        while not stop.is_set():
            batch += 1
            with own.write() as session:
                for _ in range(2):
                    measurements.repository.add(
                        session, scope.key, factories.measurement(batch), fingerprint="f"
                    )
            written.set()
        own.close()

    writer = threading.Thread(target=write)
    writer.start()
    written.wait(60)
    copies = [tmp_path / f"copy-{number}.db" for number in range(3)]
    for copy in copies:
        back_up(database, copy)
    stop.set()
    writer.join()
    for copy in copies:
        with sqlite3.connect(copy) as connection:
            rows = connection.execute(
                "select batch_size, count(*) from tonnage_measurements group by batch_size"
            ).fetchall()
        assert rows
        assert {count for _, count in rows} == {2}
    database.close()


def test_it_replaces_nothing(sqlite_url, tmp_path):
    database = open_database(sqlite_url)
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(InputError, match="exists"):
        back_up(database, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"
    with pytest.raises(InputError, match="cannot be written"):
        back_up(database, tmp_path / "nowhere" / "copy.db")
    database.close()


def test_one_that_fails_leaves_nothing(sqlite_url, tmp_path, monkeypatch):
    database = open_database(sqlite_url)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_sync", full)
    with pytest.raises(InputError, match="No space left"):
        back_up(database, tmp_path / "copy.db")
    assert list(tmp_path.glob("*copy*")) == []
    database.close()


def test_a_damaged_database_is_not_copied(sqlite_url, tmp_path):
    database = open_database(sqlite_url)
    for batch in range(1, 60):
        measurements.record(database, factories.scope(), factories.measurement(batch))
    database.close()
    file = tmp_path / "results" / "tonnage.db"
    data = bytearray(file.read_bytes())
    within_rows = len(data) * 3 // 4  # the schema, at the beginning, is read on opening
    data[within_rows : within_rows + 4096] = b"\xff" * 4096
    file.write_bytes(data)
    damaged = open_database(sqlite_url, migrate=False)
    with pytest.raises(MeasurementError, match=r"damaged|could not be copied"):
        back_up(damaged, tmp_path / "copy.db")
    assert list(tmp_path.glob("*copy*")) == []
    damaged.close()


def test_postgresql_is_dumped_and_restored(database, database_url, tmp_path):
    if database.is_sqlite or shutil.which("pg_dump") is None:
        pytest.skip("needs PostgreSQL and its client programs")
    study_id = finished_study(database)
    dump = tmp_path / "copy.dump"
    assert back_up(database, dump) > 0
    name = f"{make_url(database_url).database}_copy"
    server = create_engine(database.url, isolation_level="AUTOCOMMIT")
    plain = make_url(database_url).set(drivername="postgresql", database=name)
    address = plain.render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        subprocess.run(["pg_restore", f"--dbname={address}", str(dump)], check=True)
        copy = open_database(address)
        assert recommendations.of_study(copy, study_id) is not None
        copy.close()
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


class TestDumping:
    """What is asked of ``pg_dump``, without a server."""

    URL = make_url("postgresql+psycopg://me:geheim@db.example/results?sslmode=require")

    def test_the_password_is_not_on_the_command_line(self, tmp_path, monkeypatch):
        seen: dict = {}

        def run(command, env, **_):
            seen.update(command=command, env=env)
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(backup.shutil, "which", lambda _: "/usr/bin/pg_dump")
        monkeypatch.setattr(backup.subprocess, "run", run)
        backup._dump_postgresql(self.URL, tmp_path / "part")
        assert "--dbname=postgresql://me@db.example/results?sslmode=require" in seen["command"]
        assert "geheim" not in " ".join(seen["command"])
        assert seen["env"]["PGPASSWORD"] == "geheim"

    def test_without_the_program_it_is_said_how(self, tmp_path, monkeypatch):
        monkeypatch.setattr(backup.shutil, "which", lambda _: None)
        with pytest.raises(InputError, match="postgresql-client") as caught:
            backup._dump_postgresql(self.URL, tmp_path / "part")
        assert "pg_dump --format=custom" in str(caught.value)
        assert "geheim" not in str(caught.value)

    def test_what_it_says_is_passed_on(self, tmp_path, monkeypatch):
        failed = subprocess.CompletedProcess([], 1, "", "server version mismatch\n")
        monkeypatch.setattr(backup.shutil, "which", lambda _: "/usr/bin/pg_dump")
        monkeypatch.setattr(backup.subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(MeasurementError, match="server version mismatch"):
            backup._dump_postgresql(self.URL, tmp_path / "part")
