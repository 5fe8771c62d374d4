"""``POST /v1/finetunings``, which starts fine-tunings, what it may name, and what can be done with
one. Evaluating it is in ``evaluation_routes``."""

from __future__ import annotations

from starlette.responses import Response

from app.finetuning_jobs import service as jobs
from app.finetuning_jobs.names import names_of
from app.finetuning_jobs.schemas import FineTuningJobOut, NamesOut
from app.finetunings import reading
from app.finetunings.request import FineTuningPost
from app.finetunings.routes import FineTuningId
from app.finetunings.schemas import FineTuningOut
from app.http import idempotency
from app.http import problem_types as types
from app.http.declared import problems
from app.http.idempotency import IdempotencyKey
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Admin, Reader, Runner

router = resource("finetunings", "/v1/finetunings")


@router.post(
    "",
    summary="Start a fine-tuning",
    status_code=202,
    response_model=FineTuningOut,
    responses=problems(
        types.WORKLOAD_NOT_REGISTERED, types.OPTION_NOT_ALLOWED, types.IDEMPOTENCY_CONFLICT
    ),
)
def start_finetuning(
    service: ServiceDep, caller: Runner, body: FineTuningPost, key: IdempotencyKey = None
) -> Response:
    """The fine-tuning is queued, and a runner that has the model and the data registered takes it;
    `Location` is its address. While the same is queued or running, the answer is the fine-tuning
    that does it."""
    job = jobs.submit(
        service.database,
        service.settings,
        body,
        idempotency_key=idempotency.of_caller(caller, key),
    )
    service.work_arrived()
    return _shown(service, job.id)


@router.get("/registered", summary="List what a fine-tuning may name")
def list_names(service: ServiceDep, caller: Reader) -> NamesOut:
    """Models, data and tasks that are registered in the `tonnage.toml` of the service or of
    a runner, and the presets. Where they are on their hosts is not told."""
    return NamesOut.of(names_of(service.database, service.settings))


@router.get(
    "/{finetuning_id}/job",
    summary="Read the job of a fine-tuning",
    responses=problems(types.NOT_FOUND),
)
def read_job(service: ServiceDep, caller: Reader, finetuning_id: FineTuningId) -> FineTuningJobOut:
    """Where it stands in the queue, and what it waits for. A fine-tuning of the command line has no
    job."""
    return FineTuningJobOut.of(jobs.get(service.database, finetuning_id))


@router.post(
    "/{finetuning_id}/cancel",
    summary="Stop a fine-tuning",
    status_code=202,
    response_model=FineTuningOut,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def cancel_finetuning(service: ServiceDep, caller: Runner, finetuning_id: FineTuningId) -> Response:
    """A waiting one is stopped at once. A running one saves a checkpoint after its step and ends;
    resuming continues from there. Stopping it again changes nothing."""
    jobs.cancel(service.database, finetuning_id)
    return _shown(service, finetuning_id)


@router.post(
    "/{finetuning_id}/resume",
    summary="Resume a fine-tuning",
    status_code=202,
    response_model=FineTuningOut,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def resume_finetuning(service: ServiceDep, caller: Runner, finetuning_id: FineTuningId) -> Response:
    """One that was stopped or has failed is queued again, with the settings that it had, and
    continues from its last checkpoint on the device where it ran. One that waits or runs is left
    alone. One of the command line is resumed on its host, with `tonnage finetune resume`."""
    jobs.resume(service.database, finetuning_id)
    service.work_arrived()
    return _shown(service, finetuning_id)


@router.delete(
    "/{finetuning_id}",
    summary="Delete a fine-tuning",
    status_code=204,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def delete_finetuning(service: ServiceDep, caller: Admin, finetuning_id: FineTuningId) -> None:
    """Deletes what is stored of it: events, evaluation rows, and its jobs. The folder of the run
    stays on its host. One that waits, runs or is being evaluated must be stopped first."""
    jobs.delete(service.database, finetuning_id)


def _shown(service: ServiceDep, finetuning_id: str) -> Response:
    """The fine-tuning as it is now, and where it is."""
    found = FineTuningOut.model_validate(reading.get(service.database, finetuning_id))
    return Response(
        found.model_dump_json(),
        202,
        headers={"Location": f"/v1/finetunings/{finetuning_id}"},
        media_type="application/json",
    )
