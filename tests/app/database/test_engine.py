from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import open_database
from app.devices import repository as devices
from probes.errors import InputError, MeasurementError
from tests.app.conftest import POSTGRES, new_name, on_server, on_this_server


def refused(url: str, kind: type[Exception] = InputError) -> str:
    with pytest.raises(kind) as caught:
        open_database(url).close()
    return str(caught.value)


class TestSqlite:
    def test_makes_its_folder_and_sets_what_keeps_data_safe(self, sqlite_url):
        database = open_database(sqlite_url)
        with database.read() as session:
            found = {
                name: session.execute(text(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
            }
        database.close()
        assert found == {
            "journal_mode": "wal",
            "foreign_keys": 1,
            "busy_timeout": 30_000,
            "synchronous": 1,
        }

    def test_foreign_keys_are_on_again_after_a_migration(self, sqlite_url):
        database = open_database(sqlite_url)
        with database.migrating() as connection:
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 0
        with database.read() as session:
            assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        database.close()

    def test_a_file_that_is_no_database_is_left_alone(self, tmp_path):
        file = tmp_path / "notes.db"
        file.write_text("These are my notes, and nobody should write into them.\n" * 50)
        before = file.read_bytes()
        message = refused(f"sqlite:///{file}")
        assert "is not an SQLite database" in message
        assert str(file) in message
        assert file.read_bytes() == before

    def test_a_folder_in_place_of_a_file(self, tmp_path):
        assert "is a folder" in refused(f"sqlite:///{tmp_path}")

    def test_a_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        message = refused(f"sqlite:///{tmp_path}/file/below/t.db")
        assert "cannot be made" in message
        assert "--database" in message

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
    def test_a_read_only_folder_and_file(self):
        # Not tmp_path: nobody but its owner may enter that, and root may write anywhere.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            file = folder / "tonnage.db"
            open_database(f"sqlite:///{file}").close()
            file.chmod(0o444)
            folder.chmod(0o555)
            with unprivileged():
                assert "cannot be opened" in refused(f"sqlite:///{folder}/new.db")
                assert "cannot be written to" in refused(f"sqlite:///{file}")
            folder.chmod(0o755)

    def test_a_damaged_database_says_so(self, tmp_path):
        file = tmp_path / "t.db"
        open_database(f"sqlite:///{file}").close()
        with file.open("r+b") as stream:
            stream.seek(100)
            stream.write(b"\xff" * 8000)
        assert "damaged" in refused(f"sqlite:///{file}", MeasurementError)


class unprivileged:
    """As a user who owns nothing here; already so when the tests do not run as root."""

    def __enter__(self) -> None:
        self.user = os.geteuid()
        if self.user == 0:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        os.seteuid(self.user)


def save_device(database) -> None:
    with database.write() as session:
        devices.save(session, key="k", class_key="c", kind="cpu", name="n", document={})


class TestUrls:
    @pytest.mark.parametrize(
        ("url", "part"),
        [
            ("results.db", "not a database URL"),
            ("mysql://me@host/name", "mysql is not supported"),
            ("sqlite://", "is in memory"),
            ("sqlite:///:memory:", "is in memory"),
        ],
    )
    def test_what_is_wrong_and_how_to_write_it(self, url, part):
        message = refused(url)
        assert part in message
        assert "sqlite:///PATH" in message

    def test_a_server_that_does_not_answer(self):
        message = refused("postgresql://me:geheim@127.0.0.1:1/none", MeasurementError)
        assert "does not answer" in message
        assert "geheim" not in message

    def test_a_password_is_never_shown(self):
        assert "geheim" not in refused("mysql://me:geheim@host/name")
        assert "geheim" not in refused("postgresql:/me:geheim@host:x/name")

    def test_a_missing_driver_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        message = refused("postgresql://me@127.0.0.1:1/none")
        assert "pip install 'tonnage[postgres]'" in message


@pytest.mark.skipif(not POSTGRES, reason="needs a PostgreSQL server")
def test_a_server_without_an_encoding_takes_every_name():
    """What ``initdb`` makes where no locale is set, as in a bare container."""
    name = new_name()
    on_server(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        database = open_database(on_this_server(name))
        with database.write() as session:
            devices.save(
                session, key="k", class_key="c", kind="cpu", name="Prüfstand 7 μ", document={}
            )
        with database.read() as session:
            assert session.execute(text("SELECT name FROM tonnage_devices")).all() == [
                ("Prüfstand 7 μ",)
            ]
        database.close()
    finally:
        on_server(f"DROP DATABASE {name} WITH (FORCE)")


class TestUnitsOfWork:
    def test_a_unit_that_raises_leaves_nothing(self, database):
        with pytest.raises(RuntimeError), database.write() as session:
            devices.save(session, key="k", class_key="c", kind="cpu", name="n", document={})
            raise RuntimeError("in the middle")
        with database.read() as session:
            assert devices.find(session, "k") is None

    def test_reading_keeps_nothing(self, database):
        with database.read() as session:
            devices.save(session, key="k", class_key="c", kind="cpu", name="n", document={})
        with database.read() as session:
            assert devices.find(session, "k") is None

    def test_what_was_committed_is_in_the_file(self, sqlite_url, tmp_path):
        database = open_database(sqlite_url)
        save_device(database)
        with sqlite3.connect(tmp_path / "results" / "tonnage.db") as plain:
            assert plain.execute("SELECT name FROM tonnage_devices").fetchall() == [("n",)]
        database.close()
