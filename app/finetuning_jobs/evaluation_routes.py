"""``/v1/finetunings/{id}/evaluations``: evaluations that the service does."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import Response

from app.finetuning_jobs import evaluations
from app.finetuning_jobs.schemas import EvaluationListOut, EvaluationOut
from app.finetunings.evaluation_request import EvaluationPost
from app.finetunings.routes import FineTuningId
from app.http import idempotency
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.idempotency import IdempotencyKey
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner

router = resource("finetunings", "/v1/finetunings/{finetuning_id}/evaluations")

EvaluationId = Annotated[str, id_in_path("evaluation", "evl_1k0rr48nvttvb71401qr")]


@router.post(
    "",
    summary="Evaluate a fine-tuning",
    status_code=202,
    response_model=EvaluationOut,
    responses=problems(
        types.NOT_FOUND,
        types.CONFLICT,
        types.WORKLOAD_NOT_REGISTERED,
        types.OPTION_NOT_ALLOWED,
        types.IDEMPOTENCY_CONFLICT,
    ),
)
def start_evaluation(
    service: ServiceDep,
    caller: Runner,
    finetuning_id: FineTuningId,
    body: EvaluationPost,
    key: IdempotencyKey = None,
) -> Response:
    """An evaluation of the trained model is queued for the host and device where it was trained;
    `Location` is its address. While the same is queued or running, the answer is the evaluation
    that does it. Its summaries and rows are then those of the fine-tuning."""
    job = evaluations.submit(
        service.database,
        service.settings,
        finetuning_id,
        body,
        idempotency_key=idempotency.of_caller(caller, key),
    )
    service.work_arrived()
    found = evaluations.get(service.database, finetuning_id, job.id)
    return Response(
        EvaluationOut.of(found).model_dump_json(),
        202,
        headers={"Location": f"/v1/finetunings/{finetuning_id}/evaluations/{job.id}"},
        media_type="application/json",
    )


@router.get("", summary="List evaluations", responses=problems(types.NOT_FOUND))
def list_evaluations(
    service: ServiceDep, caller: Reader, finetuning_id: FineTuningId
) -> EvaluationListOut:
    """Evaluations that the service does or has done. Those of the command line are not among them;
    their summaries and rows are with the fine-tuning."""
    found = evaluations.listing(service.database, finetuning_id)
    return EvaluationListOut(items=[EvaluationOut.of(each) for each in found])


@router.get("/{evaluation_id}", summary="Read an evaluation", responses=problems(types.NOT_FOUND))
def read_evaluation(
    service: ServiceDep, caller: Reader, finetuning_id: FineTuningId, evaluation_id: EvaluationId
) -> EvaluationOut:
    """Its state, what it waits for, and how far it is."""
    return EvaluationOut.of(evaluations.get(service.database, finetuning_id, evaluation_id))


@router.post(
    "/{evaluation_id}/cancel",
    summary="Cancel an evaluation",
    status_code=202,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def cancel_evaluation(
    service: ServiceDep, caller: Runner, finetuning_id: FineTuningId, evaluation_id: EvaluationId
) -> EvaluationOut:
    """A waiting one is cancelled at once, a running one within seconds. The rows that were made are
    kept on its host, and the same evaluation goes on from them. Cancelling it again changes
    nothing."""
    return EvaluationOut.of(evaluations.cancel(service.database, finetuning_id, evaluation_id))
