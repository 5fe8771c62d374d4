"""A stored study with everything that a page of results shows."""

from __future__ import annotations

from app.database import Database
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from optimizer.records import Prediction, Recommendation
from probes.measurement import Growth, Measurement, Purpose, Trace, Verdict
from tests.app import factories
from tests.app.factories import GIB, measurement, recommendation

CONFIG = {"layers": 4, "activation": "relu"}
OTHER = {"layers": 2, "activation": "gelu"}


def confirmed(batch_size: int, config: dict, peak_bytes: int = GIB, **changes) -> Measurement:
    """A confirmation run with its trace."""
    steps_s = [0.16, 0.13] + [0.1 + 0.002 * (i % 5) for i in range(26)]
    known = {
        "config": config,
        "peak_bytes": peak_bytes,
        "static_bytes": peak_bytes // 8,
        "cap_bytes": int(1.9 * GIB),
        "steps": 28,
        "trace": Trace(steps_s, [peak_bytes // 8 + 64 * (i % 3) for i in range(28)]),
        "growth": Growth(2.0, -3.0, 8.0, 24, None),
        "parameters": 1234,
    }
    return measurement(batch_size, **{**known, **changes})


def document(**changes) -> Recommendation:
    """A recommendation with evidence, an alternative and a window."""
    other = {
        "config": OTHER,
        "batch_size": 64,
        "parameters": 999,
        "throughput_samples_per_s": 60.0,
        "cycle_time_s": {"mean": 500.0, "low": 490.0, "high": 510.0, "median": 500.0},
        "peak_bytes": GIB,
        "trade": "0.81 × the parameters for 0.83 × the throughput.",
    }
    failing = measurement(99, Verdict.OOM, config=CONFIG, peak_bytes=int(1.8 * GIB))
    evidence = {
        "highest_passing": confirmed(96, CONFIG).to_dict(),
        "lowest_failing": failing.to_dict(),
    }
    known = {
        "config": CONFIG,
        "evidence": evidence,
        "alternatives": [other],
        "front": [other],
        "explanation": ["Train layers=4 with batch 96: 72 samples/s.", "Peak memory 1 of 2 GiB."],
        "ruled_out": [{"config": {"layers": 9}, "state": "pruned", "reason": "Too large."}],
    }
    return recommendation(**{**known, **changes})


MOST_CAPABLE = {
    "config": OTHER,
    "batch_size": 64,
    "accumulation": 1,
    "binding": "time",
    "parameters": 99_000,
    "throughput_samples_per_s": 18.0,
    "cycle_time_s": {"mean": 1150.0, "low": 1140.0, "high": 1160.0, "median": 1150.0},
    "peak_bytes": GIB,
    "limit_bytes": 2 * GIB,
    "share_of_window": 0.96,
    "share_of_memory": 0.5,
    "trade": "layers=8, batch 64: 80 × the parameters for 0.25 × the throughput.",
    "evidence": {"highest_passing": confirmed(64, OTHER, parameters=99_000).to_dict()},
}


def windowed(**changes) -> Recommendation:
    """A recommendation for a window, with the most capable model that fits it."""
    return document(
        **{
            "share_of_window": 0.02,
            "share_of_memory": 0.41,
            "most_capable": MOST_CAPABLE,
            "most_capable_note": "",
            **changes,
        }
    )


def store(database: Database, **changes) -> Recommendation:
    """A finished study that ended in ``document(**changes)``."""
    spec = factories.spec(workload=changes.get("workload", "train.py:Net"))
    study, _ = studies.open_study(database, spec)
    keeper = SqlStudyStore(database, study.id, spec)
    runs = [
        measurement(8, purpose=Purpose.BRACKET, config=CONFIG, peak_bytes=GIB // 4, steps=6),
        measurement(99, Verdict.OOM, config=CONFIG, peak_bytes=int(1.8 * GIB)),
        confirmed(96, CONFIG),
        confirmed(64, OTHER, parameters=999),
    ]
    expected = [Prediction("peak_bytes", 1.1 * GIB, 1.0 * GIB, 1.2 * GIB)]
    for run in runs:
        keeper.add_measurement(0, run, expected)
    statistics = {"id": study.id, "trials": 2, "pruned": 1, "probes": 4, "wall_s": 60.0}
    id_ = study.id.replace("st_", "rec_", 1)
    made = document(**{"id": id_, "study": statistics, **changes})
    studies.finish(database, study.id, made)
    return made
