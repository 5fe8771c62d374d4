"""A study of very many configs, as a long search would have left it."""

from __future__ import annotations

import random

from sqlalchemy import insert

from app.clock import utc_now
from app.database import Database
from app.database.models import TrialRow
from app.studies import service as studies
from benchmarks.service.fill import SCOPE
from optimizer.budgets import Budget
from optimizer.records import StudySpec
from probes.space import Choice, Int

STATES = ("feasible", "infeasible", "screened", "pruned")


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
