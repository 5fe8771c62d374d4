"""What looking for work costs: it must not grow with the jobs that are over."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from app.database.models.serving import WAITS
from app.jobs import queue
from app.studies import service
from app.tuning.state import WAITING
from tests.app.jobs.conftest import offers, request
from tests.app.jobs.test_queue import add_runner


class Asked:
    """Every statement with its parameters."""

    def __init__(self, database) -> None:
        self.statements: list[tuple[str, object]] = []
        event.listen(database.engine, "before_cursor_execute", self._keep)

    def _keep(self, connection, cursor, statement, parameters, context, executemany) -> None:
        if not statement.startswith("BEGIN"):  # which only SQLite's driver shows
            self.statements.append((statement, parameters))


@pytest.fixture
def runner(database):
    return add_runner(database, "run_1", offers("cpu"))


def test_the_index_of_waiting_jobs_has_the_states_that_wait():
    named = str(WAITS).partition("IN")[2].strip(" ()").replace("'", "").split(", ")
    assert named == [str(state) for state in WAITING]


def test_where_nothing_waits_a_look_is_one_statement(database, runner):
    asked = Asked(database)
    with database.read() as session:
        assert not queue.is_work_for(session, runner)
    assert len(asked.statements) == 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_look_and_a_claim_read_waiting_and_running_jobs_only(database, runner, kind):
    """Whatever has been finished. By SQLite's plan: PostgreSQL decides by the number of rows, and a
    test has few."""
    service.submit(database, request())
    asked = Asked(database)
    with database.write() as session:
        assert queue.is_work_for(session, runner)
        assert queue.claim(session, runner) is not None
    looks = [(s, p) for s, p in asked.statements if s.startswith("SELECT") and "_jobs" in s]
    assert len(looks) >= 4
    with database.read() as session:
        driver = session.connection()
        plans = [
            str(driver.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall())
            for statement, parameters in looks
        ]
    assert not [plan for plan in plans if "SCAN tonnage_jobs'" in plan]
