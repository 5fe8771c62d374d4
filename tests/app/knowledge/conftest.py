"""The pages of ``tests.knowledge.pages`` in a folder of the user, and settings that name it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.database import Database
from app.http.runtime import Service
from app.settings import Settings, load_settings
from tests.app.serving import running
from tests.knowledge import pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pages.write(tmp_path / "wiki")


@pytest.fixture
def settings(folder: Path) -> Settings:
    return load_settings(environ={}, overrides={"knowledge": {"paths": [str(folder)]}})


@pytest.fixture
def service(database: Database, settings: Settings) -> Iterator[httpx.Client]:
    """A service without keys that has these pages."""
    with (
        running(Service(database, settings, needs_keys=False)) as url,
        httpx.Client(base_url=url, verify=False, timeout=30) as client,
    ):
        yield client
