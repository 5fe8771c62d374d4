"""``/v1/measurements`` and ``/v1/predictions``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from sqlalchemy.orm import Session
from starlette.responses import Response

from app.http import idempotency
from app.http import problem_types as types
from app.http.declared import problems
from app.http.fields import LARGEST
from app.http.idempotency import IdempotencyKey
from app.http.paging import Page, listed
from app.http.reply import JsonReply
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner
from app.measurements import predictions, repository
from app.measurements import service as measurements
from app.measurements.incoming import MeasurementPost
from app.measurements.schemas import (
    MeasurementDetail,
    MeasurementOut,
    MeasurementQuery,
    MeasurementStored,
    PredictionErrorsOut,
    PredictionQuery,
)

router = resource("measurements", "/v1/measurements")
prediction_router = resource("predictions", "/v1/predictions")


@router.get("", summary="List measurements")
def list_measurements(
    service: ServiceDep, caller: Reader, query: Annotated[MeasurementQuery, Query()]
) -> Page[MeasurementOut]:
    """Every probe that ran, in short, the newest first."""
    return listed(service.database, repository.page, query, MeasurementOut.model_validate)


@router.get("/{measurement_id}", summary="Read a measurement", responses=problems(types.NOT_FOUND))
def read_measurement(
    service: ServiceDep,
    caller: Reader,
    measurement_id: Annotated[int, Path(ge=1, le=LARGEST, examples=[17])],
) -> MeasurementDetail:
    """One measurement with all its data: phases, trace, telemetry, output."""
    return MeasurementDetail.model_validate(measurements.get(service.database, measurement_id))


@router.post(
    "",
    summary="Send a measurement",
    status_code=201,
    response_model=MeasurementStored,
    responses=problems(types.IDEMPOTENCY_CONFLICT),
)
def add_measurement(
    service: ServiceDep, caller: Runner, body: MeasurementPost, key: IdempotencyKey = None
) -> Response:
    """Stores a measurement of another machine, for example of a pipeline; studies of the same scope
    on that machine reuse it. With an `Idempotency-Key` a repeated request is stored once."""

    def perform(session: Session) -> Response:
        scope = body.full_scope()
        found = measurements.receive(session, scope, body.measurement.measurement())
        stored = MeasurementStored(id=found, scope_key=scope.key)
        location = {"Location": f"/v1/measurements/{found}"}
        return JsonReply(stored.model_dump(), 201, location)

    request = idempotency.request(caller, "POST /v1/measurements", key, body)
    return idempotency.once(service.database, request, perform)


@prediction_router.get("", summary="Grade the predictions")
def list_prediction_errors(
    service: ServiceDep, caller: Reader, query: Annotated[PredictionQuery, Query()]
) -> list[PredictionErrorsOut]:
    """How far predictions were from what probes then measured, by workload and quantity."""
    found = predictions.errors(service.database, **query.model_dump())
    return [PredictionErrorsOut.model_validate(each) for each in found]
