"""Keys are shown once, kept as a hash, and open nothing once revoked."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import text

from app.errors import NotFound
from app.http.caller import SCOPES, allows
from app.keys import service as keys


def test_a_key_opens_and_its_text_is_nowhere_in_the_database(database):
    key, token = keys.create(database, "run", "agent")
    assert re.fullmatch(r"tng_[A-Za-z0-9_-]{43}", token)
    assert keys.authenticate(database, token) == key
    with database.read() as session:
        row = session.execute(text("SELECT * FROM tonnage_api_keys")).one()
    assert token not in str(row)
    assert token.removeprefix("tng_") not in str(row)


def test_two_keys_are_never_alike(database):
    tokens = {keys.create(database, "read")[1] for _ in range(20)}
    assert len(tokens) == 20


@pytest.mark.parametrize("token", ["", "tng_", "x" * 47, "tng_" + "A" * 43, "tng_" + "é" * 43])
def test_another_text_opens_nothing(database, token):
    keys.create(database, "admin")
    assert keys.authenticate(database, token) is None


def test_a_revoked_key_opens_nothing_and_stays_listed(database):
    key, token = keys.create(database, "admin")
    assert keys.any_active(database)
    assert keys.revoke(database, key.id).revoked_at is not None
    assert keys.authenticate(database, token) is None
    assert not keys.any_active(database)
    assert [found.id for found in keys.listing(database)] == [key.id]


def test_revoking_twice_keeps_the_first_moment(database):
    key, _ = keys.create(database, "admin")
    assert keys.revoke(database, key.id) == keys.revoke(database, key.id)


def test_revoking_what_does_not_exist(database):
    with pytest.raises(NotFound, match="tonnage keys list"):
        keys.revoke(database, "key_none")


def test_a_scope_allows_what_the_smaller_ones_do():
    table = {held: [allows(held, needed) for needed in SCOPES] for held in SCOPES}
    assert table == {
        "read": [True, False, False, False],
        "run": [True, True, False, False],
        "code": [True, True, True, False],
        "admin": [True, True, True, True],
    }
