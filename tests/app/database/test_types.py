from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy.exc import StatementError

from app.database.models.results import DeviceRow


def stored(database, **changes):
    """A device row as another transaction reads it."""
    now = datetime.now(timezone.utc)
    values = {
        "key": "k",
        "class_key": "c",
        "kind": "cpu",
        "name": "n",
        "document": {},
        "first_seen_at": now,
        "last_seen_at": now,
    }
    with database.write() as session:
        session.add(DeviceRow(**{**values, **changes}))
    with database.read() as session:
        return session.query(DeviceRow).one()


def test_a_moment_comes_back_aware_and_equal(database):
    there = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 3, 29, 2, 30, 15, 123456, tzinfo=there)
    row = stored(database, first_seen_at=moment)
    assert row.first_seen_at == moment
    assert row.first_seen_at.tzinfo is timezone.utc


def test_a_moment_without_a_zone_is_refused(database):
    with pytest.raises(StatementError, match="no time zone"):
        stored(database, first_seen_at=datetime(2026, 1, 1))


def test_a_document_comes_back_equal_key_order_included(database):
    document = {
        "z": 1,
        "a": [1.5, None, True, "ü€🚢", {"deep": [[]]}],
        "large": 2**62,
        "tail": "line\nnul\x00 and a half surrogate \udc80",
    }
    row = stored(database, document=document)
    assert row.document == document
    assert list(row.document) == list(document)


def test_a_document_may_hold_what_json_has_no_word_for(database):
    row = stored(database, document={"loss": [math.inf, -math.inf], "last": {"loss": math.nan}})
    assert row.document["loss"] == [math.inf, -math.inf]
    assert math.isnan(row.document["last"]["loss"])


def test_text_that_no_database_takes_is_cleaned(database):
    row = stored(database, name="a\x00b\udc80c 🚢")
    assert row.name == "a\ufffdb\ufffdc 🚢"
