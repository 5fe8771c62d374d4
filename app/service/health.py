"""What machines ask a service: whether it runs, whether it can work, and its metrics."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field
from starlette.responses import Response

from app.database import migrate
from app.http import problem_types as types
from app.http.declared import problems
from app.http.problems import HttpProblem
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.service.metrics import Metrics

router = resource("operations")

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Health(BaseModel):
    status: Literal["ok"] = Field(examples=["ok"])


@router.get("/healthz", summary="Is it alive?")
async def healthz() -> Health:
    """Answers as long as the process runs, even without a database."""
    return Health(status="ok")


@router.get("/readyz", summary="Can it work?", responses=problems(types.UNAVAILABLE))
def readyz(service: ServiceDep) -> Health:
    """Whether the database can be reached and has the tables that this version needs."""
    at, needed = migrate.current(service.database), migrate.head()
    if at != needed:
        advice = (
            "A newer Tonnage has upgraded it: install that version here, and start the service "
            "again."
            if migrate.is_newer(at)
            else "Run: tonnage db upgrade"
        )
        raise HttpProblem(
            types.UNAVAILABLE,
            f"The database is at version {at or 'none'}, this service needs {needed}. {advice}",
        )
    return Health(status="ok")


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(types.UNAVAILABLE),
    },
)
def metrics(service: ServiceDep, caller: Reader) -> Response:
    """Requests, studies by state, probes by verdict, queue depth, busy time of devices."""
    return Response(Metrics.of(service).text(), headers={"Content-Type": METRICS_TYPE})
