"""``/v1/studies``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from app.http import idempotency
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.fields import LARGEST
from app.http.idempotency import IdempotencyKey
from app.http.known import check_budget
from app.http.paging import Page, page_of
from app.http.problems import NothingMore
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Admin, Reader, Runner, require_code
from app.log_context import bind
from app.studies import service as jobs
from app.studies import view
from app.studies.schemas import StudyOut, StudyQuery, TrialOut
from app.studies.stream import nothing_left, stream
from app.tuning.request import StudyRequest

router = resource("studies", "/v1/studies")


def _study_id(
    study_id: Annotated[str, id_in_path("study", "st_1k0rr48nvttvb71401qp")],
) -> str:
    bind(study_id=study_id)
    return study_id


StudyId = Annotated[str, Depends(_study_id)]


@router.get("", summary="List studies", responses=problems(types.NOT_FOUND))
def list_studies(
    service: ServiceDep, caller: Reader, query: Annotated[StudyQuery, Query()]
) -> Page[StudyOut]:
    """Waiting, running and ended studies, those of the command line included, newest first."""
    found = view.page(service.database, **query.wanted())
    if not found:
        check_budget(query.budget, service.settings.budget_table())
    return page_of(found, query, lambda study: study)


@router.post(
    "",
    summary="Start a study",
    status_code=202,
    response_model=StudyOut,
    responses=problems(
        types.WORKLOAD_NOT_REGISTERED,
        types.OPTION_NOT_ALLOWED,
        types.CODE_NOT_ACCEPTED,
        types.NOT_FOUND,
        types.IDEMPOTENCY_CONFLICT,
    ),
)
def start_study(
    service: ServiceDep,
    caller: Runner,
    body: StudyRequest,
    key: IdempotencyKey = None,
) -> Response:
    """The study is queued, and a runner process takes it; `Location` is its address. While the same
    question is queued or running, the answer is the study that asks it. A study of code that was
    sent (`bundle`) needs a key of scope `code`."""
    if body.bundle is not None:
        require_code(caller)
    job = jobs.submit(
        service.database,
        body,
        idempotency_key=idempotency.of_caller(caller, key),
        settings=service.settings,
    )
    bind(study_id=job.id)
    service.work_arrived()
    return _shown(service, job.id, 202)


@router.get("/{study_id}", summary="Read a study", responses=problems(types.NOT_FOUND))
def read_study(service: ServiceDep, caller: Reader, study_id: StudyId) -> StudyOut:
    """One study: its state, and what it waits for or ended in."""
    return view.get(service.database, study_id)


@router.get("/{study_id}/trials", summary="List trials", responses=problems(types.NOT_FOUND))
def list_trials(service: ServiceDep, caller: Reader, study_id: StudyId) -> list[TrialOut]:
    """The configurations that the study has settled, in the order in which it tried them."""
    return [TrialOut.model_validate(trial) for trial in view.trials(service.database, study_id)]


@router.post(
    "/{study_id}/cancel",
    summary="Cancel a study",
    status_code=202,
    response_model=StudyOut,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def cancel_study(service: ServiceDep, caller: Runner, study_id: StudyId) -> Response:
    """A waiting study is cancelled at once, a running one within seconds. What it measured is kept.
    Cancelling it again changes nothing."""
    jobs.cancel(service.database, study_id)
    return _shown(service, study_id, 202)


@router.delete(
    "/{study_id}",
    summary="Delete a study",
    status_code=204,
    responses=problems(types.NOT_FOUND, types.CONFLICT),
)
def delete_study(service: ServiceDep, caller: Admin, study_id: StudyId) -> None:
    """Deletes the study with its trials and its recommendation. Its measurements stay, since other
    studies reuse them. A study that waits or runs must be cancelled first."""
    jobs.delete(service.database, study_id)


def _last_seen(
    service: ServiceDep,
    caller: Reader,
    study_id: StudyId,
    last_event_id: Annotated[
        int,
        Header(
            ge=0,
            le=LARGEST,
            alias="Last-Event-ID",
            description="The `id` of the last event that was received: the stream resumes after "
            "it. Browsers send it automatically.",
        ),
    ] = 0,
) -> int:
    """Looked at before the stream begins, while the answer can still be another."""
    if nothing_left(service.database, study_id, last_event_id):
        raise NothingMore
    return last_event_id


@router.get(
    "/{study_id}/events",
    summary="Watch a study",
    response_class=EventSourceResponse,
    responses={
        204: {"description": "The study is over, and nothing came after `Last-Event-ID`."},
        **problems(types.NOT_FOUND),
    },
)
async def watch_study(
    service: ServiceDep, study_id: StudyId, after: Annotated[int, Depends(_last_seen)]
) -> AsyncIterator[ServerSentEvent]:
    """What happens to it, as server-sent events: first what has happened so far, then the rest as
    it happens, until the study is over."""
    poll_s = service.settings.service.event_poll_s

    def goes_on() -> bool:
        return not service.ending.is_set()

    async for event in stream(service.database, study_id, after, poll_s, goes_on):
        yield event


def _shown(service: ServiceDep, study_id: str, status: int) -> Response:
    """The study as it is now, and where it is."""
    return Response(
        view.get(service.database, study_id).model_dump_json(),
        status,
        headers={"Location": f"/v1/studies/{study_id}"},
        media_type="application/json",
    )
