"""Why a job has not begun, in words."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.database import Database
from app.jobs import repository, runner_repository
from app.jobs.records import Job, JobEvent, JobKind
from app.jobs.runner_repository import RunnerRecord
from app.machine.asked_devices import names_group, words_of
from app.tuning.request import BUNDLED
from app.tuning.state import StudyState

NO_RUNNER = (
    "No runner is running yet. A running service starts one within seconds, unless "
    "runner.with_service is off. To start one yourself: tonnage runner"
)
NOBODY_ACCEPTS = "No host that runs studies accepts code that is sent (bundles)."
HOW_TO_ACCEPT = (
    "The operator of a host can allow it: accept = true in [bundles] of its tonnage.toml, or "
    "tonnage fleet join --accept-bundles"
)


def waits_for(database: Database, job: Job) -> str:
    """What has to happen before a queued job runs; empty for one that does not wait."""
    if not job.state.is_waiting:
        return ""
    with database.read() as session:
        runners = runner_repository.listing(session)
        return _reason(session, job, runners)


def waits_while_running(job: Job, newest: JobEvent | None) -> str:
    """What a running job cannot go on without; empty for one that goes on. ``newest`` is its newest
    event."""
    if job.state is not StudyState.RUNNING or newest is None or newest.kind != "waiting":
        return ""
    return f"Waiting: {str(newest.data['reason']).rstrip('.')}."


def _reason(session: Session, job: Job, runners: list[RunnerRecord]) -> str:
    if not runners:
        return NO_RUNNER
    able = [runner for runner in runners if runner.offers.has(job)]
    if not able:
        if job.workload == BUNDLED:
            return f"{NOBODY_ACCEPTS} {HOW_TO_ACCEPT}"
        return f"No runner has {_named(job)} registered."
    meant = [o for runner in able for o in runner.offers.meant(job.workload, job.device)]
    if not meant and names_group(job.device):
        there = sorted({offer.device for runner in able for offer in runner.offers.devices})
        return (
            f"No runner has {words_of(str(job.device))}; there are: {', '.join(there)}. The "
            "devices of a group in the queue must belong to one host. On a node of a fleet, the "
            "command line can spread them over several: tonnage tune --devices N --nodes auto."
        )
    leases = {lease for offer in meant for lease in offer.leases}
    if job.resume_on is not None and job.elsewhere_at is None and job.resume_on not in leases:
        return (
            "What it continues is on the host where it ran, and no runner offers that device now. "
            "Start one there with: tonnage runner"
        )
    if not leases:
        there = sorted({offer.device for runner in able for offer in runner.offers.devices})
        return f"No runner has a device {job.asked['device']}; there are: {', '.join(there)}."
    taken = repository.by_lease(session, leases)
    if all(offer.leases & taken.keys() for offer in meant):
        jobs = ", ".join(sorted(set(taken.values())))
        if names_group(job.device):
            return (
                f"It needs {words_of(str(job.device))}, all at once; {jobs} is using one of them."
            )
        return f"Its device is in use by {jobs}."
    return "It is about to begin."


def _named(job: Job) -> str:
    if job.kind is JobKind.EVALUATION:
        return f"the model {job.evaluation.model}"
    if job.kind is not JobKind.FINETUNING:
        return f"workload {job.workload}"
    asked = job.finetuning
    return f"the model {asked.model} and the data {', '.join(asked.data)}"
