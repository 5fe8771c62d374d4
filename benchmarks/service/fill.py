"""A database with a recommendation and as many measurements as wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import func, insert, select, text

from app.clock import utc_now
from app.database import Database
from app.database.models.results import MeasurementRow
from app.measurements import service as measurements
from app.tuning import service as studies
from benchmarks.service.servers import RECOMMENDATION
from optimizer.budgets import Budget
from optimizer.records import Recommendation, Scope, StudySpec
from probes.measurement import Measurement, Purpose, StepTime, Verdict
from probes.space import Choice

SCOPE = Scope("transformer", "abc123", "f" * 16, "cpu", 2**31, 0.05)
TIME = StepTime(0.1, 0.1, 0.09, 0.11, 0.08, 0.12, 200, 17, True, 0.01)
AT_ONCE = 5000


def measurement(batch_size: int) -> Measurement:
    return Measurement(
        workload="transformer",
        config={"layers": 2, "width": 128},
        batch_size=batch_size,
        device="cpu",
        purpose=Purpose.CONFIRM,
        verdict=Verdict.STABLE,
        reason="217 steps within 1.2 GiB.",
        limit_bytes=2**31,
        headroom=0.05,
        peak_bytes=2**30,
        step_time=TIME,
    )


def recommendation(**changes: Any) -> Recommendation:
    """Of the usual size."""
    run = measurement(96).to_dict()
    made = Recommendation(
        id=RECOMMENDATION,
        workload="transformer",
        budget="prototyping",
        device="cpu",
        config={"layers": 2, "width": 128},
        batch_size=96,
        accumulation=1,
        cycle_batches=450,
        cycle_time_s={"mean": 45.0, "low": 40.0, "high": 50.0, "median": 45.0},
        throughput_samples_per_s=960.0,
        peak_bytes=2**30,
        limit_bytes=2**31,
        headroom=0.05,
        parameters=269_322,
        binding="memory",
        explanation=["Train layers=2 width=128 with batch 96: 960 samples/s."] * 4,
        alternatives=[{"config": {"layers": 1}, "trade": "1.3 × the throughput"}] * 3,
        ruled_out=[{"config": {"layers": 8}, "state": "pruned", "reason": "Too slow."}] * 5,
        evidence={"highest_passing": run, "lowest_failing": run},
        environment={"torch": "2.13.0"},
        study={},
        valid={"fingerprint": "f" * 16, "workload_hash": "abc123", "created_at": "2026-01-02"},
    )
    return replace(made, **changes)


def recommend(database: Database) -> None:
    """One study that ended in a recommendation."""
    spec = StudySpec(SCOPE, Budget("prototyping", None, 0.0, trials=4), {"layers": Choice([1, 2])})
    study, _ = studies.open_study(database, spec)
    statistics = {"id": study.id, "trials": 4, "pruned": 1, "probes": 9, "wall_s": 60.0}
    studies.finish(database, study.id, recommendation(study=statistics))


def fill(database: Database, count: int) -> None:
    """Until there are so many measurements: the first as every other is stored, the rest as copies
    of its row."""
    with database.read() as session:
        there = session.execute(select(func.count()).select_from(MeasurementRow)).scalar_one()
        first = session.execute(select(MeasurementRow).limit(1)).scalar_one_or_none()
    if first is None:
        measurements.record(database, SCOPE, measurement(1))
        fill(database, count)
        return
    columns = [c.name for c in MeasurementRow.__table__.columns if c.name != "id"]
    row = {name: getattr(first, name) for name in columns} | {"created_at": utc_now()}
    for begin in range(there, count, AT_ONCE):
        rows = [
            row | {"config_hash": f"{number:016x}", "batch_size": number % 4096 + 1}
            for number in range(begin, min(begin + AT_ONCE, count))
        ]
        with database.write() as session:
            session.execute(insert(MeasurementRow), rows)
    if database.is_sqlite:
        with database.write() as session:
            session.execute(text("ANALYZE"))
