"""``/v1/predictions``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.measurements import prediction_service as predictions
from app.measurements.prediction_schemas import PredictionErrorsOut, PredictionQuery

router = resource("predictions", "/v1/predictions")


@router.get("", summary="Grade the predictions")
def list_errors(
    service: ServiceDep, caller: Reader, query: Annotated[PredictionQuery, Query()]
) -> list[PredictionErrorsOut]:
    """How far what was predicted of probes was from what they then measured, by workload and
    quantity."""
    found = predictions.errors(service.database, workload=query.workload, quantity=query.quantity)
    return [PredictionErrorsOut.of(each) for each in found]
