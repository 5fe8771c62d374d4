"""A small campaign of faults: real service, real runners, studies that follow a script."""

from __future__ import annotations

import sys
from pathlib import Path

from app.database import open_database
from app.measurements import service as measurements
from benchmarks.faults import disk
from benchmarks.faults.campaign import Campaign
from benchmarks.faults.checks import Checks
from benchmarks.faults.clients import WORKLOAD, Clients, Ledger
from benchmarks.faults.house import House
from benchmarks.faults.run import table
from benchmarks.service.fill import SCOPE, measurement

KILLS = 4


def ask(number: int) -> dict[str, object]:
    """Other trials make another scripted study."""
    question = {"workload": "transformer", "budget": "smoke_test", "pinned": {"does": "slow"}}
    return {**question, "trials": number + 1}


def test_whatever_is_killed_nothing_acknowledged_is_lost(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/data/tonnage.db"
    scripted = [sys.executable, "-m", "tests.app.jobs.runner_process", url, str(tmp_path), "cpu"]
    house = House(
        tmp_path / "house",
        tmp_path / "data",
        url,
        runner=scripted,
        job_module="tests.app.jobs.scripted",
        runners=1,
    )
    campaign = Campaign(
        house,
        Clients(house.url, 1, ask),
        seed=1,
        victims={"web": 1, "runner": 1, "study": 2},
        pause_s=(0.1, 0.5),
    )
    outcome = campaign.run(KILLS, writers=1)
    assert outcome.wrong == []
    assert outcome.kills.total() == KILLS
    assert outcome.facts["measurements_acknowledged"] > 0
    assert outcome.facts["studies"].keys() <= {"finished", "failed", "cancelled"}
    assert sum(outcome.facts["studies"].values()) > 0


class TestWhatTheChecksSee:
    """A check that finds nothing must be one that could have found something."""

    def test_a_measurement_that_is_lost_and_one_that_is_there_twice(self, tmp_path):
        database = open_database(f"sqlite:///{tmp_path}/tonnage.db")
        for _ in range(2):
            kept = measurements.record(database, SCOPE, sent(1))
        ledger = Ledger(sent=2, measurements={1: kept, 2: kept + 1})
        wrong = Checks(database, ledger).now()
        assert any("stored twice" in each for each in wrong)
        assert any("1 acknowledged measurements are lost" in each for each in wrong)
        database.close()

    def test_a_study_that_is_lost(self, tmp_path):
        database = open_database(f"sqlite:///{tmp_path}/tonnage.db")
        wrong = Checks(database, Ledger(events={"st_1": 3})).in_the_end()
        assert wrong == ["the acknowledged study st_1 is lost"]
        database.close()


def sent(batch_size: int):
    run = measurement(batch_size).to_dict() | {"workload": WORKLOAD}
    return type(measurement(1)).from_dict(run)


def test_a_disk_that_is_full_and_then_free(tmp_path):
    with disk.small_disk(tmp_path / "disk", 1) as mounted:
        if mounted:  # else nothing may be filled: it is everybody's
            disk.fill(tmp_path / "disk")
            assert not writes(tmp_path / "disk" / "file")
            disk.free(tmp_path / "disk")
        assert writes(tmp_path / "disk" / "file")


def writes(path: Path) -> bool:
    try:
        path.write_bytes(b"x" * 4096)
    except OSError:
        return False
    return True


def test_a_table_for_people():
    campaign = {
        "kills": {"web": 3},
        "clock_jumps": 1,
        "full_disks": 0,
        "measurements_acknowledged": 1234,
        "studies": {"finished": 2},
        "wrong": [],
    }
    assert "| sqlite | 3 | 3 web | 1 | 0 | 1,234 | 2 finished | 0 |" in table({"sqlite": campaign})
