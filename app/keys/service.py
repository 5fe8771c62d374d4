"""Creating, recognising, listing and revoking API keys."""

from __future__ import annotations

import hashlib
import re
import secrets

from app.database import Database
from app.errors import NotFound
from app.http.caller import Scope
from app.ids import new_id
from app.keys import repository
from app.keys.records import ApiKey

PREFIX = "tng_"
"""Makes a key recognisable: to people, and to programs that look for leaked ones."""
RANDOM_BYTES = 32

_TOKEN = re.compile(r"tng_[A-Za-z0-9_-]{43}")


def create(database: Database, scope: Scope, name: str = "") -> tuple[ApiKey, str]:
    """A new key and its text, which is not stored and therefore cannot be shown again."""
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    with database.write() as session:
        key = repository.add(
            session, key_id=new_id("key"), name=name, scope=scope, token_hash=hashed(token)
        )
    return key, token


def authenticate(database: Database, token: str) -> ApiKey | None:
    """The key with this text; ``None`` when it is unknown or revoked."""
    if not _TOKEN.fullmatch(token):
        return None
    digest = hashed(token)

    def load() -> ApiKey | None:
        with database.read() as session:
            return repository.of_token(session, digest)

    key = database.unchanged.get(("key", digest), load)
    return None if key is None or key.revoked_at is not None else key


def revoke(database: Database, key_id: str) -> ApiKey:
    """Make a key useless from now on. Revoking it again changes nothing. Raises ``NotFound``."""
    with database.write() as session:
        key = repository.revoke(session, key_id)
    if key is None:
        raise NotFound(f"There is no key {key_id!r}. List them with: tonnage keys list")
    return key


def listing(database: Database) -> list[ApiKey]:
    """Newest first, revoked ones too."""
    with database.read() as session:
        return repository.listing(session)


def any_active(database: Database) -> bool:
    """Whether there is a key that is not revoked."""
    with database.read() as session:
        return repository.any_active(session)


def hashed(token: str) -> str:
    """A plain hash is enough: 256 random bits cannot be guessed, however quick the hash is."""
    return hashlib.sha256(token.encode()).hexdigest()
