"""A service with one registered model and two sources of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.database import Database
from app.http.runtime import Service
from app.jobs.detect import finetuning_offer
from app.jobs.offers import Offers
from app.settings import Settings, load_settings
from tests.app.jobs.conftest import offers
from tests.app.serving import running

ASKED = {"model": "small", "data": ["bfs"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    own = {
        "models": {"small": "/srv/models/small"},
        "data": {"bfs": "/srv/logs/bfs_*", "astar": "/srv/logs/astar.jsonl"},
        "output": str(tmp_path / "runs"),
    }
    return load_settings(environ={}, overrides={"finetuning": own})


@pytest.fixture
def offered(settings: Settings) -> Offers:
    """What a runner with these settings and a CPU offers."""
    return replace(offers("cpu"), finetuning=finetuning_offer(settings))


@pytest.fixture
def service(database: Database, settings: Settings) -> Iterator[httpx.Client]:
    """A service without keys."""
    with (
        running(Service(database, settings, needs_keys=False)) as url,
        httpx.Client(base_url=url, verify=False, timeout=30) as client,
    ):
        yield client
