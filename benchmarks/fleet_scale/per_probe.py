"""What a probe costs the database: everything that a study's process asks, on one device."""

from __future__ import annotations

import os
from typing import Any

from app.database import open_database
from app.jobs import queue, runner_repository
from app.jobs.events import Report
from app.studies import service
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.request import StudyRequest
from app.tuning.store import SqlStudyStore
from benchmarks.fleet_scale.nodes import WORKLOAD, SimulatedNode, World
from benchmarks.fleet_scale.speed_up import CASES, CEILING, SPACE, device
from benchmarks.fleet_scale.statements import counting
from optimizer.limits import SearchLimits
from optimizer.study import Study
from tests.optimizer.memory_store import ScriptedFleet, spec


def per_probe(url: str) -> dict[str, Any]:
    """Statements and commits per probe of a whole study, its opening and its end included."""
    database = open_database(url)
    case, fleet = CASES[0], ScriptedFleet(device(0))
    try:
        node = SimulatedNode(World(database), "node0")
        job = service.submit(database, StudyRequest.trusted({"workload": WORKLOAD}))
        with database.write() as session:
            runner_repository.add(session, "run_1", this_process(), this_place(), node.offers())
            runner = runner_repository.locked(session, "run_1")
            assert runner is not None
            claimed = queue.claim(session, runner)
            assert claimed is not None
        report = Report(database, job.id, "run_1", claimed[0].attempt)
        question = spec(case.budget, SPACE)
        with counting(database) as asked:
            found, opening = studies.open_study(
                database, question, new_id=job.id, fence=report.fence
            )
            report.opened(found.id, opening, os.getpid())
            store = SqlStudyStore(database, found.id, question, report.fence)
            watch = studies.keeping_incumbent(database, found.id, report.study, report.fence)
            outcome = Study(
                question,
                found.id,
                store,
                fleet,
                limits=SearchLimits(CEILING),
                report=watch,
                sampler=case.sampler,
            ).run()
            studies.finish(database, found.id, outcome.recommendation, fence=report.fence)
        probes = len(fleet.calls)
        return {
            "probes": probes,
            "trials": len(store.trials()),
            "statements": round(asked.statements / probes, 1),
            "commits": round(asked.commits / probes, 1),
        }
    finally:
        database.close()
