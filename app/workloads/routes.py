"""``/v1/workloads``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.http.paging import Page, listed
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.workloads import registry, repository
from app.workloads.schemas import RegisteredOut, WorkloadOut, WorkloadQuery

router = resource("workloads", "/v1/workloads")


@router.get("", summary="List measured workloads")
def list_workloads(
    service: ServiceDep, caller: Reader, query: Annotated[WorkloadQuery, Query()]
) -> Page[WorkloadOut]:
    """Every workload that has been measured, at each state of its source, the newest first."""
    return listed(service.database, repository.page, query, WorkloadOut.model_validate)


@router.get("/registered", summary="List workloads that can be studied")
def list_registered(service: ServiceDep, caller: Reader) -> list[RegisteredOut]:
    """The names that `POST /v1/studies` takes on this host."""
    known = registry.registered(service.settings)
    return [RegisteredOut.of(known[name]) for name in sorted(known)]
