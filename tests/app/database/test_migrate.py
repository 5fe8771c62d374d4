from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from starlette.responses import Response

import migrations
from app.bundles import archive
from app.bundles import service as bundles
from app.checks import service as checks
from app.database import migrate, open_database
from app.database.models import all_tables
from app.database.models.base import PREFIX
from app.finetunings import service as finetunings
from app.fleet import repository as fleet_nodes
from app.fleet.nodes import SeenNode
from app.fleet_answers import service as fleet_answers
from app.fleet_answers.question import FleetQuestion
from app.http import idempotency
from app.jobs import runner_repository as runners
from app.jobs.offers import Offers
from app.keys import service as keys
from app.knowledge import service as knowledge
from app.runs import service as runs
from app.settings import load_settings
from app.studies import service as jobs
from app.tuning import claims
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.request import StudyRequest
from app.tuning.store import SqlStudyStore
from optimizer.records import Prediction, short_hash
from probes.errors import InputError
from tests.app import factories


@pytest.fixture
def empty(database_url):
    opened = open_database(database_url, migrate=False)
    yield opened
    opened.close()


@pytest.fixture
def database(empty):
    """What the migrations really end in."""
    migrate.upgrade(empty)
    return empty


def tables(database) -> set[str]:
    return set(inspect(database.engine).get_table_names())


def differences(database) -> list[object]:
    """What a new migration would have to do."""
    from migrations.env_filter import ours

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrate.VERSION_TABLE, "include_name": ours}
        )
        return list(compare_metadata(context, all_tables()))


def fill(database) -> None:
    """A row in every table."""
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    gang = factories.gang_measurement()
    one_rank = replace(gang, ranks=gang.ranks[1:])
    store.add_measurement(0, one_rank, [Prediction("peak_bytes", 1.0, 0.5, 2.0)])
    store.add_trial(factories.trial())
    studies.finish(database, study.id, factories.recommendation())
    store.claim(factories.trial().config)
    jobs.submit(database, StudyRequest(workload="transformer"), idempotency_key="k")
    with database.write() as session:
        runners.add(session, "run_1", this_process(), this_place(), Offers({}))
        fleet_nodes.add(session, SeenNode("id", "host", "10.0.0.7", {"rack": "3"}), "host")
    facts = {"workload": "w", "device": "cpu", "fingerprint": "f"}
    checks.record(database, verdict="fits", document={}, recommendation_id="rec_1", **facts)
    fleet_answers.ask(database, load_settings(), FleetQuestion("train.py:Net"))
    ran = {"outcome": "finished", "exit_status": 0, "budget": "b", "wall_s": 1.0, "document": {}}
    ran |= {"batch_size": 8, "accumulation": 1, "step_time_s": 0.1, "recommendation_id": "rec_1"}
    runs.record(database, **facts, **ran)
    tuned = factories.finetuning(database)
    finetunings.add_event(database, tuned.id, {"step": 1, "loss": 2.0})
    finetunings.add_rows(database, tuned.id, "snake", [factories.evaluation_row()])
    knowledge.record(database, factories.evidence())
    keys.create(database, "read")
    request = idempotency.Request("caller", "POST /x", "key", "hash")
    idempotency.once(database, request, lambda session: Response("{}", 201))
    packed = archive.pack([archive.Content("train.py", b"class Net: ...")])
    bundles.store(database, load_settings().bundles, archive.name_of(packed), packed)


def test_up_from_nothing_gives_every_table(empty):
    assert (migrate.current(empty), migrate.is_current(empty)) == (None, False)
    migrate.upgrade(empty)
    assert tables(empty) == {*all_tables().tables, migrate.VERSION_TABLE}
    assert (migrate.current(empty), migrate.is_current(empty)) == (migrate.head(), True)


def test_tables_of_another_program_are_left_alone_and_named(empty):
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE tonnage_studies (id INTEGER)"))
    assert migrate.foreign_tables(empty) == ["tonnage_studies"]
    with pytest.raises(InputError, match=r"tonnage_studies.*--database"):
        migrate.upgrade(empty)
    assert tables(empty) == {"tonnage_studies"}


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
            for name in all_tables().tables
        }
    assert counts == dict.fromkeys(counts, 1)
    migrate.downgrade(database, "base")
    assert {name for name in tables(database) if name.startswith(PREFIX)} == {migrate.VERSION_TABLE}
    assert migrate.current(database) is None
    migrate.upgrade(database)
    fill(database)
    assert differences(database) == []


def test_measurements_from_before_their_columns_can_be_looked_up_by_them(empty):
    migrate.upgrade(empty, "0002")
    with empty.write() as session:
        for statement in MEASURED_BEFORE_0003:
            session.execute(text(statement))
    migrate.upgrade(empty)
    with empty.read() as session:
        found = session.execute(
            text("SELECT workload, device, fingerprint FROM tonnage_measurements ORDER BY id")
        ).all()
    assert found == [("train.py:Net", "cuda:0", "f1"), ("other", "cpu", "")]


def test_measurements_from_before_groups_are_of_one_device_and_survive_the_way_back(empty):
    migrate.upgrade(empty, "0002")
    with empty.write() as session:
        for statement in MEASURED_BEFORE_0003:
            session.execute(text(statement))
    migrate.upgrade(empty)
    asked = "SELECT data_parallel, limiting_rank, global_batch_size FROM tonnage_measurements"
    with empty.read() as session:
        assert session.execute(text(asked)).all() == [(1, None, None)] * 2
    migrate.downgrade(empty, "0010")
    with empty.read() as session:
        kept = session.execute(text("SELECT batch_size FROM tonnage_measurements")).scalars()
        assert list(kept) == [8, 8]


NOW = "'2026-01-02 03:04:05+00:00'"
MEASURED_BEFORE_0003 = (
    "INSERT INTO tonnage_devices (id, key, class_key, kind, name, document, first_seen_at, "
    f"last_seen_at) VALUES (1, 'f1', 'c', 'cuda', 'H200', '{{}}', {NOW}, {NOW})",
    "INSERT INTO tonnage_workloads (id, reference, source_hash, options, space, first_seen_at, "
    f"last_seen_at) VALUES (1, 'train.py:Net', 'h', '{{}}', '{{}}', {NOW}, {NOW})",
    "INSERT INTO tonnage_studies (id, key, generation, fresh, state, spec, scope_key, budget, "
    "workload_id, device_id, message, created_at, updated_at, wall_s) VALUES ('st_1', 'k', 1, "
    f"false, 'finished', '{{}}', 's', 'b', 1, 1, '', {NOW}, {NOW}, 1.0)",
    *(
        "INSERT INTO tonnage_measurements (id, scope_key, study_id, config_hash, config, "
        "batch_size, purpose, verdict, reason, tainted, document, created_at) VALUES "
        f"({number}, 's', {study}, 'c', '{{}}', 8, 'confirm', 'stable', '', false, "
        f'\'{{"workload": "{workload}", "device": "{device}"}}\', {NOW})'
        for number, study, workload, device in (
            (1, "'st_1'", "train.py:Net", "cuda:0"),
            (2, "NULL", "other", "cpu"),
        )
    ),
)


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


OPTUNAS = {"studies", "trials", "trial_params", "trial_values", "version_info", "alembic_version"}


def at_0006_with_optunas_tables(empty, *names: str) -> None:
    """A database of an earlier release, which let Optuna keep studies of these names in it."""
    migrate.upgrade(empty, "0006")
    storage = optuna.storages.RDBStorage(
        str(empty.engine.url.render_as_string(hide_password=False))
    )
    for name in names:
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        for _ in range(2):
            trial = study.ask({"layers": optuna.distributions.IntDistribution(1, 8)})
            trial.set_user_attr("key", "value")
            study.tell(trial, 1.0)
    storage.engine.dispose()
    assert tables(empty) >= OPTUNAS


def test_optunas_record_of_our_studies_goes(empty):
    at_0006_with_optunas_tables(empty, "st_1k0rr48nvttvb71401qp", "st_1k0rr48nvttvb71401qq")
    migrate.upgrade(empty)
    assert tables(empty) == {*all_tables().tables, migrate.VERSION_TABLE}
    assert differences(empty) == []
    fill(empty)
    migrate.downgrade(empty, "0006")
    assert OPTUNAS & tables(empty) == set()


def test_optunas_record_of_other_studies_stays(empty):
    at_0006_with_optunas_tables(empty, "st_1k0rr48nvttvb71401qp", "somebody's own")
    migrate.upgrade(empty)
    storage = optuna.storages.RDBStorage(
        str(empty.engine.url.render_as_string(hide_password=False))
    )
    assert optuna.get_all_study_names(storage) == ["somebody's own"]
    assert len(optuna.load_study(study_name="somebody's own", storage=storage).trials) == 2
    storage.engine.dispose()
    with empty.read() as session:
        for table in ("trials", "trial_params", "trial_values"):
            assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 2, table


def test_tables_of_other_programs_stay_whatever_their_names(empty):
    migrate.upgrade(empty, "0006")
    with empty.write() as session:
        for table in ("studies", "trials"):
            session.execute(text(f"CREATE TABLE {table} (id INTEGER, title TEXT)"))
        session.execute(text("CREATE TABLE alembic_version (version_num TEXT)"))
    migrate.upgrade(empty)
    assert {"studies", "trials", "alembic_version"} <= tables(empty)


def test_another_programs_alembic_version_stays(empty):
    at_0006_with_optunas_tables(empty, "st_1k0rr48nvttvb71401qp")
    with empty.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '8a3c4be7d1f2'"))
    migrate.upgrade(empty)
    assert OPTUNAS & tables(empty) == {"alembic_version"}


def test_a_claim_of_an_earlier_release_gets_its_number_when_it_is_taken_over(empty):
    migrate.upgrade(empty, "0006")
    with empty.write() as session:
        for statement in MEASURED_BEFORE_0003[:3]:
            session.execute(text(statement))
        session.execute(
            text(
                "INSERT INTO tonnage_claims (study_id, config_hash, config, owner_pid, owner_host, "
                f"owner_started_s, claimed_at) VALUES ('st_1', '{short_hash({})}', '{{}}', 1, "
                f"'gone', 0.0, {NOW})"
            )
        )
    migrate.upgrade(empty)
    with empty.write() as session:
        assert claims.claim(session, "st_1", {}, this_process()) == 0


def test_jobs_of_an_earlier_release_are_studies(empty):
    migrate.upgrade(empty, "0009")
    with empty.write() as session:
        session.execute(
            text(
                "INSERT INTO tonnage_jobs (id, state, request, workload, message, deaths, "
                "cancel_requested, last_event, wall_s, created_at, updated_at) VALUES ('st_1', "
                f"'queued', '{{}}', 'w', '', 0, false, 0, 0.0, {NOW}, {NOW})"
            )
        )
    migrate.upgrade(empty)
    with empty.read() as session:
        assert session.execute(text("SELECT kind FROM tonnage_jobs")).scalar() == "study"


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
