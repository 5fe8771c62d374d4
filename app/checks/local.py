"""A check by the store here: the quick way where it is a current SQLite file, else through
SQLAlchemy, which says what is wrong with a database that cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.checks.evaluate import evaluate, stored_columns
from app.checks.quick_store import QuickStore
from app.checks.request import CheckRequest, ConfiguredLimits
from app.checks.rows import document_of
from probes.errors import MeasurementError, TonnageError

if TYPE_CHECKING:
    from app.database import Database


def ask_store(
    url: str, asked: CheckRequest, limits: ConfiguredLimits, *, accept_brackets: bool
) -> dict[str, Any]:
    """The answer, kept: with its ``id``, and ``warnings``."""
    with _quick(url) as store:
        if store is not None:
            answer = evaluate(store.rows, asked, limits, accept_brackets=accept_brackets)
            return _kept(store, answer)
    with _slow(url) as database:
        from app.checks import service

        with database.read() as session:
            answer = evaluate(
                service.rows_of(session), asked, limits, accept_brackets=accept_brackets
            )
        record = service.record(database, **stored_columns(answer))
    return {**answer, "id": record.id, "warnings": []}


def recommendation(url: str, identity: str) -> dict[str, Any] | None:
    """``None`` where it is not stored here."""
    sql = "SELECT document FROM tonnage_recommendations WHERE id = :id"
    with _quick(url) as store:
        if store is not None:
            rows = store.rows(sql, id=identity)
            return document_of(rows[0][0]) if rows else None
    with _slow(url) as database:
        from app.checks import service

        with database.read() as session:
            rows = service.rows_of(session)(sql, id=identity)
    return document_of(rows[0][0]) if rows else None


def keep_here(url: str, answer: dict[str, Any]) -> list[str]:
    """Keep what a service answered; warnings where that cannot be done."""
    check = {**stored_columns(answer), "recommendation_id": None}  # which is the service's
    try:
        with _quick(url) as store:
            if store is not None:
                store.add_check(check)
                return []
        with _slow(url) as database:
            from app.checks import service

            service.record(database, **check)
    except TonnageError as error:
        return [f"The answer could not be kept here: {error}"]
    return []


def _kept(store: QuickStore, answer: dict[str, Any]) -> dict[str, Any]:
    """With a warning where it could not be: an answer that cannot be kept is still one."""
    try:
        return {**answer, "id": store.add_check(stored_columns(answer)), "warnings": []}
    except sqlite3.Error as error:
        return {**answer, "id": None, "warnings": [f"The answer could not be kept: {error}."]}


@contextmanager
def _quick(url: str) -> Iterator[QuickStore | None]:
    store = QuickStore.open(url)
    try:
        yield store
    except sqlite3.Error as error:
        raise MeasurementError(f"Database {url}: {error}. Try again.") from None
    finally:
        if store is not None:
            store.close()


@contextmanager
def _slow(url: str) -> Iterator[Database]:
    from app.database import open_database

    database = open_database(url)
    try:
        yield database
    finally:
        database.close()
