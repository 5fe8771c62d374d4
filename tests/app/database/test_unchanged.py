"""What is remembered is what the database says, whoever writes."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from app.database import open_database
from app.database.unchanged import MOST_ENTRIES
from app.devices import repository as devices


@pytest.fixture
def count(database):
    """Counts devices, and how often the database was asked."""
    asked = []

    def load() -> int:
        asked.append(1)
        with database.read() as session:
            found: int = session.execute(text("SELECT count(*) FROM tonnage_devices")).scalar_one()
            return found

    def count() -> tuple[int, int]:
        return database.unchanged.get("devices", load), len(asked)

    return count


def add(database, key: str) -> None:
    with database.write() as session:
        devices.require(session, key, "cpu")


def test_it_is_asked_again_only_after_a_commit(database, count):
    assert count() == (0, 1)
    again = count()
    assert again[0] == 0
    assert again[1] == (1 if database.is_sqlite else 2)
    add(database, "a")
    assert count()[0] == 1


def test_what_another_process_commits_is_seen_at_once(database, count):
    assert count()[0] == 0
    other = open_database(database.full_url)
    for number in range(5):
        add(other, str(number))
        assert count()[0] == number + 1
    other.close()


def test_what_is_not_committed_is_not_seen(database, count):
    assert count()[0] == 0
    with database.write() as session:
        devices.require(session, "a", "cpu")
        assert count()[0] == 0
    assert count()[0] == 1


def test_an_error_is_not_remembered(database):
    def fail() -> int:
        raise ValueError("once")

    with pytest.raises(ValueError, match="once"):
        database.unchanged.get("x", fail)
    assert database.unchanged.get("x", lambda: 7) == 7


def test_it_takes_no_more_memory_with_more_keys(database):
    for number in range(MOST_ENTRIES + 50):
        database.unchanged.get(number, lambda: 1)
    assert len(database.unchanged._entries) <= MOST_ENTRIES


def test_threads_that_read_while_another_writes_never_see_the_past(database, count):
    """Each reads at least what had been committed before it began."""
    done = threading.Event()
    committed = 0
    wrong: list[tuple[int, int]] = []

    def read() -> None:
        while not done.is_set():
            least = committed
            seen = count()[0]
            if seen < least:
                wrong.append((seen, least))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(40):
        add(database, str(number))
        committed = number + 1
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert count()[0] == 40
