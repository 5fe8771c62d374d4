"""What was acknowledged is there, whatever happens to the process that wrote it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

from sqlalchemy import func, select, text

from app.database import Database, open_database
from app.database.models.results import MeasurementRow
from app.measurements import service
from tests.app import factories

ROOT = Path(__file__).parents[3]

WRITER = """
import sys
from app.database import open_database
from app.measurements import service
from tests.app import factories

database = open_database(sys.argv[1])
for number in range(int(sys.argv[3])):
    run = factories.measurement(number + 1, workload=sys.argv[2])
    service.record(database, factories.scope(), run)
    print(number + 1, flush=True)
"""

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def batch_sizes(database: Database, workload: str) -> list[int]:
    rows = select(MeasurementRow.batch_size).where(MeasurementRow.workload == workload)
    with database.read() as session:
        return sorted(session.scalars(rows))


def test_a_killed_writer_loses_nothing_it_was_told_is_kept(database_url):
    open_database(database_url).close()
    for round_number in range(3):
        writer = start(WRITER, database_url, f"round {round_number}", "100000")
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout]
        writer.wait(timeout=30)

        database = open_database(database_url)
        kept = batch_sizes(database, f"round {round_number}")
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) - len(acknowledged) in (0, 1)  # committed, not yet said
        if database.is_sqlite:
            with database.read() as session:
                assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"
        database.close()


def test_two_processes_writing_at_once_lose_and_double_nothing(database_url):
    database = open_database(database_url)
    writers = [start(WRITER, database_url, name, "150") for name in ("left", "right")]
    for writer in writers:
        writer.communicate(timeout=120)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert batch_sizes(database, "left") == list(range(1, 151))
    assert batch_sizes(database, "right") == list(range(1, 151))
    database.close()


def test_a_held_lock_only_delays_a_writer_and_no_reader(sqlite_url):
    database = open_database(sqlite_url)
    holder = start(HOLDER, str(database.url.database))
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"

    written = threading.Event()

    def write() -> None:
        service.record(database, factories.scope(), factories.measurement())
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    with database.read() as session:
        assert session.execute(select(func.count()).select_from(MeasurementRow)).scalar() == 0
    assert not written.wait(0.5)
    holder.communicate("go on\n", timeout=30)
    assert written.wait(30)
    thread.join()
    assert batch_sizes(database, "train.py:Net") == [8]
    database.close()


def test_a_transaction_that_reads_first_may_write_after_another_has_written(database):
    """What fails at once on SQLite unless writing transactions take their lock at the start."""
    other = open_database(database.full_url)
    finished = threading.Event()

    def write_too() -> None:
        service.record(other, factories.scope(), factories.measurement(2))
        finished.set()

    thread = threading.Thread(target=write_too)
    with database.write() as session:
        session.execute(select(func.count()).select_from(MeasurementRow))
        thread.start()
        finished.wait(0.3)
        session.add(measurement_row())
    thread.join(30)
    assert batch_sizes(database, "train.py:Net") == [1, 2]
    other.close()


def measurement_row() -> MeasurementRow:
    from app.clock import utc_now

    run = factories.measurement(1)
    return MeasurementRow(
        scope_key="s",
        workload=run.workload,
        device=run.device,
        fingerprint="f",
        config_hash="c",
        config=run.config,
        batch_size=1,
        purpose="confirm",
        verdict="stable",
        reason="",
        tainted=False,
        document=run.to_dict(),
        created_at=utc_now(),
    )
