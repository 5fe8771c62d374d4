"""A job's process whose study is a script: everything real but the measuring.

``python -m tests.app.jobs.scripted JOB RUNNER DEVICE ATTEMPT``; what it does stands in the
request's ``pinned``: ``{"does": "finish"}``. Without torch, and without Optuna.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from app.jobs import events
from app.jobs.process import main
from app.recommendations import service as recommendations
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from app.tuning.tune import StudyAnswer
from optimizer.budgets import Budget
from optimizer.study import Study
from tests.app import factories
from tests.optimizer.memory_store import ScriptedFleet, grid_device, spec

FOLDER = "JOBS_TEST_FOLDER"


def run(settings, database, job, device, report) -> StudyAnswer:
    """Open a study, do as told, end it."""
    does = job.request.pinned.get("does", "finish")
    if does == "search":
        return search(database, job, device, report)
    name = f"{job.request.workload}-{job.request.trials}"  # other trials: another study
    asked = factories.spec(job.request.budget, workload=name)
    own = job.id if job.study_id is None else None
    study, opening = studies.open_study(database, asked, new_id=own, fence=report.fence)
    report.opened(study.id, opening, os.getpid())
    if opening == "finished":
        return StudyAnswer(study.id, recommendations.of_study(database, study.id), [], True)
    store = SqlStudyStore(database, study.id, asked, report.fence)
    try:
        DOES[does](store, report, Path(os.environ[FOLDER]), device.replace(":", "-"))
    except KeyboardInterrupt:
        studies.stop(database, study.id)
        raise
    recommendation = factories.recommendation(study.id.replace("st_", "rec_"), workload=name)
    studies.finish(database, study.id, recommendation)
    return StudyAnswer(study.id, recommendation, [], True)


def search(database, job, device, report) -> StudyAnswer:
    """A true search on a device that answers from a script, after a moment; or help with one."""
    asked = spec(Budget("smoke_test", 30.0, 30.0, trials=20))
    fleet = ScriptedFleet(grid_device)

    def probe(config, ask):
        time.sleep(0.2)
        return fleet(config, ask)

    if job.assists is None:
        found, opening = studies.open_study(database, asked, new_id=job.id, fence=report.fence)
        report.opened(found.id, opening, os.getpid())
        study_id = found.id
        until_helped(database, job.id)
    else:
        study_id = job.assists
        report.running(os.getpid())
    store = SqlStudyStore(database, study_id, asked, report.fence)
    watch = studies.keeping_incumbent(database, study_id, report.study, report.fence)
    try:
        outcome = Study(asked, study_id, store, probe, report=watch).run()
    except KeyboardInterrupt:
        studies.stop(database, study_id)
        studies.leave(database, study_id)
        raise
    if job.assists is None:
        studies.finish(database, study_id, outcome.recommendation, fence=report.fence)
    else:
        studies.leave(database, study_id)
    return StudyAnswer(study_id, outcome.recommendation, [], True)


def until_helped(database, job_id: str) -> None:
    """A study so short would be over before another process has started."""
    while not any(event.kind == "joined" for event in events.read(database, job_id)):
        time.sleep(0.05)


def measure(store, report, folder, device) -> None:
    """One measurement, the first time; read back after that."""
    if not store.measurements():
        store.add_measurement(0, factories.measurement(), [])
        report._add("measured", {"batch_size": 8, "verdict": "stable"})


def finish(store, report, folder, device) -> None:
    """Measures while nobody else does: the file is there as long, and must not be before."""
    mark = folder / f"measuring-{device}"
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        (folder / f"overlap-{os.getpid()}").touch()
        raise
    measure(store, report, folder, device)
    mark.unlink()


def slow(store, report, folder, device) -> None:
    """Six measurements, one after the other; those of an earlier attempt are read back."""
    known = {measurement.batch_size for measurement in store.measurements()}
    for batch in range(1, 7):
        if batch not in known:
            time.sleep(0.2)
            store.add_measurement(0, factories.measurement(batch), [])
            report._add("measured", {"n": batch})


def hang(store, report, folder, device) -> None:
    """Measures once, then never again."""
    measure(store, report, folder, device)
    report.note("hanging")
    while True:
        signal.pause()


def deaf(store, report, folder, device) -> None:
    """Stuck in native code: no signal reaches it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report.note("deaf")
    while True:
        time.sleep(60)


def die(store, report, folder, device) -> None:
    """The kernel's out-of-memory killer."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_later(store, report, folder, device) -> None:
    measure(store, report, folder, device)
    die(store, report, folder, device)


def raise_(store, report, folder, device) -> None:
    raise RuntimeError("a bug")


DOES = {
    "finish": finish,
    "slow": slow,
    "hang": hang,
    "deaf": deaf,
    "die": die,
    "die_later": die_later,
    "raise": raise_,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run))
