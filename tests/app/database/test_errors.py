"""What a driver says, told apart: what is wrong for good, and what is only away for now."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from app.database.errors import DatabaseUnavailable, in_words, is_unavailable
from app.database.url import parse_url, shown
from probes.errors import InputError

POSTGRESQL = make_url("postgresql://somebody:secret@db.example/tonnage")
SQLITE = make_url("sqlite:////data/tonnage.db")


def said(text: str) -> DBAPIError:
    return OperationalError("SELECT 1", {}, Exception(text))


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (POSTGRESQL, 'could not extend file "base/16384/16438": No space left on device'),
        (POSTGRESQL, "cannot execute INSERT in a read-only transaction"),
        (POSTGRESQL, "connection failed: FATAL:  the database system is in recovery mode"),
        (POSTGRESQL, "server closed the connection unexpectedly"),
        (POSTGRESQL, "terminating connection due to administrator command"),
        (POSTGRESQL, "deadlock detected"),
        (SQLITE, "database or disk is full"),
        (SQLITE, "database is locked"),
        (SQLITE, "disk I/O error"),
    ],
)
def test_what_passes_is_waited_for(url, text):
    assert isinstance(in_words(url, said(text)), DatabaseUnavailable)
    assert is_unavailable(url, said(text))


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (POSTGRESQL, 'FATAL:  password authentication failed for user "somebody"'),
        (POSTGRESQL, 'FATAL:  database "tonnage" does not exist'),
        (SQLITE, "file is not a database"),
        (SQLITE, "attempt to write a readonly database"),
    ],
)
def test_what_does_not_pass_is_the_persons_to_change(url, text):
    assert isinstance(in_words(url, said(text)), InputError)
    assert not is_unavailable(url, said(text))


def test_a_password_is_never_shown():
    assert "secret" not in str(in_words(POSTGRESQL, said("connection refused")))


def test_a_lock_names_the_file_and_no_time_that_was_not_waited():
    told = str(in_words(make_url("sqlite:////my data/tonnage.db"), said("database is locked")))
    assert "fuser '/my data/tonnage.db'" in told
    assert "30 s" not in told and "again" not in told


def test_a_url_is_shown_as_it_is_written():
    url = parse_url("postgresql://somebody:secret@db.example/tonnage")
    assert shown(url) == "postgresql://somebody:***@db.example/tonnage"
