"""A study of very many configs, as a long search would have left it, and a recommendation with
everything that its page can show."""

from __future__ import annotations

import random
from dataclasses import replace

from sqlalchemy import insert

from app.clock import utc_now
from app.database import Database
from app.database.models.searching import TrialRow
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from benchmarks.service.fill import SCOPE, measurement, recommendation
from optimizer.budgets import Budget
from optimizer.records import Prediction, StudySpec
from probes.measurement import Growth, Measurement, Purpose, Trace, Verdict
from probes.space import Choice, Int

STATES = ("feasible", "infeasible", "screened", "pruned")


CONFIG = {"layers": 2, "width": 128, "precision": "bf16", "compile": True}
STEPS = 217
RULED_OUT = 40


def full_recommendation(database: Database) -> str:
    """The id of one that rests on probes with traces, with alternatives, a front and grades."""
    spec = StudySpec(SCOPE, Budget("validation", 90.0, 20.0, trials=40), {"layers": Choice([2, 4])})
    study, _ = studies.open_study(database, spec)
    keeper = SqlStudyStore(database, study.id, spec)
    confirmed = replace(
        _run(96, Purpose.CONFIRM),
        steps=STEPS,
        trace=Trace(
            [0.1 + i % 7 / 1000 for i in range(STEPS)], [2**28 + i % 5 for i in range(STEPS)]
        ),
        growth=Growth(0.0, -8.0, 8.0, 200, None),
        parameters=269_322,
    )
    failing = replace(_run(99, Purpose.BRACKET), verdict=Verdict.OOM, step_time=None)
    for run in (*(_run(batch, Purpose.BRACKET) for batch in range(1, 96, 8)), failing, confirmed):
        expected = 1.03 * run.peak_bytes
        keeper.add_measurement(
            0, run, [Prediction("peak_bytes", expected, 0.9 * expected, 1.1 * expected)]
        )
    others = [
        {
            "config": {**CONFIG, "layers": 2 + n},
            "batch_size": 90 - n,
            "parameters": 300_000 + 50_000 * n,
            "throughput_samples_per_s": 900.0 - 40 * n,
            "cycle_time_s": {"mean": 50.0 + n, "low": 49.0 + n, "high": 52.0 + n},
            "peak_bytes": 2**30,
            "trade": "1.2 × the parameters for 0.9 × the throughput.",
        }
        for n in range(1, 7)
    ]
    reason = "Needs more than layers=9 width=512, which fails with batch 1: 300 MiB too much."
    made = recommendation(
        id="rec_full",
        budget="validation",
        config=CONFIG,
        parameters=269_322,
        alternatives=others[:4],
        front=others,
        ruled_out=[
            {"config": {**CONFIG, "layers": 10 + n}, "state": "pruned", "reason": reason}
            for n in range(RULED_OUT)
        ],
        evidence={"highest_passing": confirmed.to_dict(), "lowest_failing": failing.to_dict()},
        study={"id": study.id, "trials": 60, "pruned": 40, "probes": 70, "wall_s": 900.0},
    )
    studies.finish(database, study.id, made)
    return made.id


def _run(batch_size: int, purpose: Purpose) -> Measurement:
    peak_bytes = 2**28 + batch_size * 7 * 2**20
    return replace(
        measurement(batch_size), config=CONFIG, purpose=purpose, peak_bytes=peak_bytes, steps=8
    )


def long_study(database: Database, trials: int) -> str:
    """The id of a running study with so many settled configs."""
    space = {"layers": Int(1, 100), "width": Choice([64 * n for n in range(1, 65)])}
    spec = StudySpec(SCOPE, Budget("validation", 5400.0, 1200.0, trials=trials + 1000), space)
    study, _ = studies.open_study(database, spec)
    draw = random.Random(0)
    rows = [_trial(study.id, number, draw) for number in range(trials)]
    with database.write() as session:
        session.execute(insert(TrialRow), rows)
    return study.id


def _trial(study_id: str, number: int, draw: random.Random) -> dict[str, object]:
    layers, width = draw.randint(1, 100), 64 * draw.randint(1, 64)
    state = STATES[draw.choices(range(4), (5, 2, 2, 1))[0]]
    fits = state == "feasible"
    parameters = 12 * layers * width * width
    return {
        "study_id": study_id,
        "number": number,
        "config": {"layers": layers, "width": width, "precision": "bf16", "activation": "gelu"},
        "state": state,
        "reason": "Batch 97 fails: oom: an allocation of 16 MiB failed with 1.9 GiB in use before.",
        "batch_size": draw.randint(1, 4096) if fits else None,
        "binding": "memory" if fits else None,
        "throughput_samples_per_s": 1e9 / parameters * draw.uniform(0.5, 1.5) if fits else None,
        "violation": {"memory": -0.1},
        "parameters": parameters,
        "probes": draw.randint(0, 9),
        "wall_s": draw.uniform(1, 60),
        "created_at": utc_now(),
    }
