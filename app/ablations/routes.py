"""``POST /v1/knowledge/evidence``, which starts ablations, and ``/v1/knowledge/ablations``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from app.ablations import service as ablations
from app.ablations.schemas import AblationDetail, AblationListOut, AblationOut, AblationQuery
from app.http import idempotency
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.idempotency import IdempotencyKey
from app.http.paging import Page, page_of
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner
from app.knowledge.request import AblationPost

router = resource("knowledge", "/v1/knowledge")

AblationId = Annotated[str, id_in_path("ablation", "abl_1k0rr48nvttvb71401qp")]


@router.post(
    "/evidence",
    summary="Measure what a page claims",
    status_code=202,
    response_model=AblationListOut,
    responses=problems(
        types.NOT_FOUND,
        types.CONFLICT,
        types.WORKLOAD_NOT_REGISTERED,
        types.OPTION_NOT_ALLOWED,
        types.IDEMPOTENCY_CONFLICT,
    ),
)
def start_ablation(
    service: ServiceDep, caller: Runner, body: AblationPost, key: IdempotencyKey = None
) -> Response:
    """Ablations are queued, one for each workload that the claims are measured on, and a runner
    process takes them; `Location` is the address of the first. While the same is queued or running,
    the answer is the job that does it."""
    jobs = ablations.submit(
        service.database,
        service.settings,
        body,
        idempotency_key=idempotency.of_caller(caller, key),
    )
    service.work_arrived()
    answer = AblationListOut(items=[AblationOut.of(job) for job in jobs])
    return Response(
        answer.model_dump_json(),
        202,
        headers={"Location": f"/v1/knowledge/ablations/{jobs[0].id}"},
        media_type="application/json",
    )


@router.get("/ablations", summary="List ablations")
def list_ablations(
    service: ServiceDep, caller: Reader, query: Annotated[AblationQuery, Query()]
) -> Page[AblationOut]:
    """Ablations that wait, run or have ended, newest first. Those of the command line are not among
    them; their evidence is."""
    return page_of(ablations.page(service.database, **query.wanted()), query, AblationOut.of)


@router.get(
    "/ablations/{ablation_id}", summary="Read an ablation", responses=problems(types.NOT_FOUND)
)
def read_ablation(service: ServiceDep, caller: Reader, ablation_id: AblationId) -> AblationDetail:
    """One ablation: its state, what it did last, and the claims that it has answered."""
    return AblationDetail.of_progress(ablations.get(service.database, ablation_id))


@router.post(
    "/ablations/{ablation_id}/cancel",
    summary="Cancel an ablation",
    status_code=202,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def cancel_ablation(service: ServiceDep, caller: Runner, ablation_id: AblationId) -> AblationOut:
    """A waiting one is cancelled at once, a running one within seconds. Its evidence is kept.
    Cancelling it again changes nothing."""
    return AblationOut.of(ablations.cancel(service.database, ablation_id))
