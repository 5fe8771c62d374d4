"""Browser sessions: a signed cookie that stands for a key without containing it.

The cookie holds the id of the key and the end of the session, and is signed with the stored hash of
the key. So a session needs no row of its own, every process on the database recognises it, and it
ends when the key is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import NamedTuple

from app.database import Database
from app.keys import repository, service
from app.keys.records import ApiKey

COOKIE = "tonnage_session"
LASTS_S = 12 * 3600


class Session(NamedTuple):
    """A cookie's value, and the key that it stands for."""

    cookie: str
    key: ApiKey


def begin(database: Database, token: str, now_s: float | None = None) -> Session | None:
    """A session for the text of a key; ``None`` when the key is unknown or revoked."""
    key = service.authenticate(database, token)
    if key is None:
        return None
    ends_s = int((time.time() if now_s is None else now_s) + LASTS_S)
    named = f"{key.id}.{ends_s}"
    return Session(f"{named}.{_signature(service.hashed(token), named, 'session')}", key)


def resume(database: Database, cookie: str, now_s: float | None = None) -> ApiKey | None:
    """The key that a cookie stands for; ``None`` when the cookie is forged or has expired, or the
    key is revoked."""
    named, _, signature = cookie.rpartition(".")
    key_id, _, ends_s = named.partition(".")
    if not (ends_s.isascii() and ends_s.isdecimal() and len(ends_s) <= 12):
        return None
    if int(ends_s) < (time.time() if now_s is None else now_s):
        return None
    found = _stored(database, key_id)
    if found is None:
        return None
    key, token_hash = found
    expected = _signature(token_hash, named, "session")
    return key if hmac.compare_digest(expected.encode(), signature.encode()) else None


def form_token(database: Database, cookie: str) -> str | None:
    """The token that proves that a form belongs to this session; ``None`` where ``resume`` would
    return ``None``."""
    key = resume(database, cookie)
    found = _stored(database, key.id) if key is not None else None
    return None if found is None else _signature(found[1], cookie, "form")


def _stored(database: Database, key_id: str) -> tuple[ApiKey, str] | None:
    """The key and its hash, unless it is revoked."""
    if not key_id.isascii() or len(key_id) > 40:
        return None

    def load() -> tuple[ApiKey, str] | None:
        with database.read() as session:
            return repository.with_hash(session, key_id)

    found = database.unchanged.get(("session", key_id), load)
    return None if found is None or found[0].revoked_at is not None else found


def _signature(secret: str, text: str, purpose: str) -> str:
    return hmac.new(secret.encode(), f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()
