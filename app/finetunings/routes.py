"""``/v1/finetunings``, as far as it is read. Starting one is in ``app.finetuning_jobs``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query

from app.finetunings import reading
from app.finetunings.comparison import Comparisons
from app.finetunings.schemas import (
    ComparisonOut,
    ComparisonQuery,
    EvaluationRowOut,
    EventPage,
    EventQuery,
    FineTuningDetail,
    FineTuningEventOut,
    FineTuningOut,
    FineTuningQuery,
    RowPage,
    RowQuery,
)
from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.paging import Page, page_of
from app.http.reply import JsonReply
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader

router = resource("finetunings", "/v1/finetunings")

FineTuningId = Annotated[str, id_in_path("fine-tuning", "ftn_1k0rr48nvttvb71401qp")]
Task = Annotated[
    str,
    Path(
        pattern=r"^[^\x00-\x1f\x7f/]{1,255}$",
        description="Name of the task, as in `evaluations` of the fine-tuning.",
        examples=["snake"],
    ),
]


@router.get("", summary="List fine-tunings")
def list_finetunings(
    service: ServiceDep, caller: Reader, query: Annotated[FineTuningQuery, Query()]
) -> Page[FineTuningOut]:
    """Fine-tunings that wait, run or have ended, newest first; those of the command line are among
    them."""
    found = reading.page(service.database, **query.wanted())
    return page_of(found, query, FineTuningOut.model_validate)


@router.get(
    "/comparison",
    summary="Compare fine-tunings",
    response_model=ComparisonOut,
    responses=problems(types.NOT_FOUND, types.CONFLICT, types.NOT_INSTALLED),
)
def compare_finetunings(
    service: ServiceDep, caller: Reader, query: Annotated[ComparisonQuery, Query()]
) -> Any:
    """Paired tests on the stored evaluation rows, corrected over all tests, and what they say in
    words. The same rows give the same answer."""
    comparisons = service.part(Comparisons, Comparisons)
    found = comparisons.compare(
        service.database, query.ids.split(","), query.baseline, by_source=query.by_source
    )
    return JsonReply(found.to_plain())


@router.get("/{finetuning_id}", summary="Read a fine-tuning", responses=problems(types.NOT_FOUND))
def read_finetuning(
    service: ServiceDep, caller: Reader, finetuning_id: FineTuningId
) -> FineTuningDetail:
    """One fine-tuning: its settings, what was fitted to the device, its data, and the summaries of
    its evaluations."""
    return FineTuningDetail.model_validate(reading.get(service.database, finetuning_id))


@router.get(
    "/{finetuning_id}/events", summary="List what it logged", responses=problems(types.NOT_FOUND)
)
def list_events(
    service: ServiceDep,
    caller: Reader,
    finetuning_id: FineTuningId,
    query: Annotated[EventQuery, Query()],
) -> EventPage:
    """Loss, throughput and memory, in the order of the steps. While it trains, ask for those after
    the last step that you have."""
    after = -1 if query.after is None else query.after
    found = reading.events(service.database, finetuning_id, after=after, limit=query.limit + 1)
    shown = found[: query.limit]
    return EventPage(
        items=[FineTuningEventOut.model_validate(each) for each in shown],
        next_after=shown[-1].step if len(found) > len(shown) else None,
    )


@router.get(
    "/{finetuning_id}/evaluations/{task}/rows",
    summary="List evaluation rows",
    responses=problems(types.NOT_FOUND),
)
def list_rows(
    service: ServiceDep,
    caller: Reader,
    finetuning_id: FineTuningId,
    task: Task,
    query: Annotated[RowQuery, Query()],
) -> RowPage:
    """What the model did on each item of a task: what every figure is computed from."""
    found = reading.rows(
        service.database,
        finetuning_id,
        task,
        baseline=query.baseline,
        source=query.source,
        after=int(query.cursor or 0),
        limit=query.limit + 1,
    )
    shown = found[: query.limit]
    return RowPage(
        items=[EvaluationRowOut.model_validate(each) for each in shown],
        next_cursor=str(shown[-1].id) if len(found) > len(shown) else None,
    )
