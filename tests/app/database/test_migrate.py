from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

import migrations
from app.clock import utc_now
from app.database import migrate, models, open_database
from app.database.models import PREFIX, Base
from app.measurements import repository as measurements
from app.studies import service as studies
from app.studies.store import SqlStudyStore
from optimizer.records import Prediction
from probes.errors import InputError
from tests.app import factories


@pytest.fixture
def empty(database_url):
    opened = open_database(database_url, migrate=False)
    yield opened
    opened.close()


def tables(database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def differences(database) -> list[object]:
    """What a new migration would have to do."""
    from migrations.env_filter import ours

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "include_name": ours}
        )
        return list(compare_metadata(context, Base.metadata))


def fill(database) -> None:
    """A row in every table."""
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(0, factories.measurement(), [Prediction("peak_bytes", 1.0, 0.5, 2.0)])
    store.add_trial(factories.trial())
    store.claim(factories.trial().config)
    studies.finish(database, study.id, factories.recommendation())
    with database.write() as session:
        for row in (*service_rows(), *job_rows()):
            session.add(row)
            session.flush()


def service_rows() -> list[Base]:
    """What the HTTP interface keeps."""
    now, empty = utc_now(), {"document": {}, "created_at": utc_now()}
    where = {"workload": "w", "device": "cpu", "fingerprint": "f"}
    return [
        models.CheckRow(id="chk_1", verdict="fits", **where, **empty),
        models.ApiKeyRow(id="key_1", name="n", scope="read", token_hash="h", created_at=now),
        models.IdempotentReplyRow(
            caller="c",
            operation="o",
            key="k",
            request_hash="h",
            status=200,
            body="",
            created_at=now,
        ),
    ]


def job_rows() -> list[Base]:
    """A job, the runner that has it, and what is kept of both."""
    now = utc_now()
    runner = models.RunnerRow(
        id="run_1", host="h", place="p", pid=1, started_s=1.0, beats=1, document={},
        started_at=now, heartbeat_at=now,
    )  # fmt: skip
    job = models.JobRow(
        id="st_job", state="running", request={}, workload="w", deaths=0, cancel_requested=False,
        runner_id="run_1", last_event=1, wall_s=0.0, created_at=now, updated_at=now,
    )  # fmt: skip
    key = models.JobKeyRow(key="k", job_id="st_job", request_key="r", created_at=now)
    event = models.JobEventRow(job_id="st_job", id=1, kind="queued", data={}, created_at=now)
    return [runner, job, key, event]


def test_up_from_nothing_gives_every_table(empty):
    assert (migrate.current(empty), migrate.is_current(empty)) == (None, False)
    migrate.upgrade(empty)
    assert tables(empty) == {*Base.metadata.tables, migrate.VERSION_TABLE}
    assert (migrate.current(empty), migrate.is_current(empty)) == (migrate.head(), True)


def test_the_migrations_end_in_what_the_models_say(database):
    assert differences(database) == []


def test_the_models_are_compared_at_all(database):
    with database.write() as session:
        session.execute(text("ALTER TABLE tonnage_devices ADD COLUMN extra INTEGER"))
        session.execute(text("CREATE TABLE tonnage_left_over (id INTEGER)"))
    found = str(differences(database))
    assert "extra" in found
    assert "tonnage_left_over" in found


def test_down_and_up_again_with_rows_in_every_table(database):
    fill(database)
    with database.read() as session:
        counts = {
            name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar()
            for name in Base.metadata.tables
        }
    assert set(counts.values()) == {1}
    migrate.downgrade(database, "base")
    assert {name for name in tables(database) if name.startswith(PREFIX)} == {migrate.VERSION_TABLE}
    assert migrate.current(database) is None
    migrate.upgrade(database)
    fill(database)
    assert differences(database) == []


def test_the_head_known_without_alembic_is_the_real_one():
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [migrations.HEAD]


def test_a_database_newer_than_the_code_is_refused(database, database_url):
    with database.write() as session:
        session.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(InputError, match="written by a newer Tonnage") as caught:
        open_database(database_url)
    assert "9999" in str(caught.value)
    with pytest.raises(InputError, match="written by a newer Tonnage"):
        migrate.downgrade(database, "base")


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty, monkeypatch):
    def broken(config, revision):
        real(config, revision)
        raise RuntimeError("power cut")

    real = command.upgrade
    monkeypatch.setattr(command, "upgrade", broken)
    with pytest.raises(RuntimeError):
        migrate.upgrade(empty)
    assert tables(empty) == set()


def test_optuna_lives_in_the_same_database(database):
    storage = optuna.storages.RDBStorage(database.full_url)
    study = optuna.create_study(study_name="st_1", storage=storage)
    study.tell(study.ask(), 1.0)
    assert {"studies", "trials", "alembic_version"} <= tables(database)
    assert differences(database) == []
    migrate.downgrade(database, "base")
    migrate.upgrade(database)
    assert len(optuna.load_study(study_name="st_1", storage=storage).trials) == 1
    fill(database)
    with database.read() as session:
        assert len(measurements.listing(session)) == 1
    storage.engine.dispose()


def test_two_processes_opening_a_new_database_at_once(database_url):
    code = f"from app.database import open_database; open_database({database_url!r}).close()"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    database = open_database(database_url, migrate=False)
    assert migrate.is_current(database)
    database.close()


def test_a_developer_can_run_alembic_by_hand(sqlite_url, tmp_path, monkeypatch):
    open_database(sqlite_url).close()
    monkeypatch.setenv("TONNAGE_DATABASE_URL", sqlite_url)
    ini = Path(migrations.__file__).parent / "alembic.ini"
    run = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", str(ini), "check"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "No new upgrade operations" in run.stdout + run.stderr
