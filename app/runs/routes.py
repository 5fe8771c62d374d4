"""``/v1/runs``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.http import problem_types as types
from app.http.declared import id_in_path, problems
from app.http.paging import Page, listed
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner
from app.runs import repository
from app.runs import service as runs
from app.runs.schemas import RunOut, RunPost, RunQuery

router = resource("runs", "/v1/runs")

RunId = Annotated[str, id_in_path("training run", "trn_1k0rr48nvttvb71401qp")]


@router.get("", summary="List training runs")
def list_runs(
    service: ServiceDep, caller: Reader, query: Annotated[RunQuery, Query()]
) -> Page[RunOut]:
    """Training runs that were started with recommendations, newest first."""
    return listed(service.database, repository.page, query, RunOut.model_validate)


@router.get("/{run_id}", summary="Read a training run", responses=problems(types.NOT_FOUND))
def read_run(service: ServiceDep, caller: Reader, run_id: RunId) -> RunOut:
    """One training run, with its expected step time."""
    return RunOut.model_validate(runs.get(service.database, run_id))


@router.post("", summary="Report a training run", status_code=201)
def add_run(service: ServiceDep, caller: Runner, body: RunPost) -> RunOut:
    """Reports how a run that was started with a recommendation ended, which grades the
    recommendation."""
    return RunOut.model_validate(runs.record(service.database, **body.model_dump()))
