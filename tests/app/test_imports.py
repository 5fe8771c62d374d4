"""What may be loaded when: ``tonnage --help`` must not wait for a database library."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "sqlalchemy", "alembic", "optuna", "pydantic", "yaml", "tomlkit", "numpy")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def test_importing_app_and_logging_loads_nothing_heavy():
    modules = loaded_by("import app, app.database, app.logging_setup")
    assert modules.isdisjoint(HEAVY)


def test_reading_the_settings_needs_no_database():
    modules = loaded_by("from app.settings import load_settings; load_settings()")
    assert modules.isdisjoint({"torch", "sqlalchemy", "alembic", "optuna"})


def test_the_client_needs_no_server_and_no_database():
    modules = loaded_by("import app.client")
    assert modules.isdisjoint({"torch", "sqlalchemy", "fastapi", "starlette", "uvicorn", "optuna"})


def test_the_command_line_knows_the_service_without_loading_it():
    modules = loaded_by("from app.cli.application import application; application()")
    assert modules.isdisjoint({"fastapi", "starlette", "uvicorn", "httpx", "sqlalchemy"})


@pytest.mark.parametrize(
    "module",
    [
        "app.devices.service",
        "app.workloads.service",
        "app.tuning.store",
        "app.measurements.service",
        "app.recommendations.service",
        "app.recommendations.exports.export",
    ],
)
def test_no_service_needs_torch_or_alembic(module):
    assert loaded_by(f"import {module}").isdisjoint({"torch", "alembic", "optuna"})


def test_a_current_database_opens_without_alembic(sqlite_url):
    loaded_by(f"from app.database import open_database; open_database({sqlite_url!r})")
    again = loaded_by(f"from app.database import open_database; open_database({sqlite_url!r})")
    assert "alembic" not in again
