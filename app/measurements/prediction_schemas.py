"""Prediction errors, as the HTTP interface shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.http.fields import WorkloadText

if TYPE_CHECKING:
    from app.measurements.prediction_service import PredictionErrors

Quantity = Literal["peak_bytes", "step_time_s"]


class PredictionErrorsOut(BaseModel):
    """How good the predictions of one quantity of one workload are. Errors are relative to what was
    measured: 0.1 is 10 %."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workload": "transformer",
                    "quantity": "peak_bytes",
                    "count": 128,
                    "median_error": 0.04,
                    "p95_error": 0.17,
                    "median_bias": 0.02,
                    "within_interval": 0.93,
                }
            ]
        }
    )

    workload: str
    quantity: str
    count: int = Field(
        description="Predictions that were graded: the newest ones, some thousands in all."
    )
    median_error: float | None = Field(description="Median of the absolute errors.")
    p95_error: float | None = Field(description="95 % of the absolute errors are no larger.")
    median_bias: float | None = Field(
        description="Median of the signed errors; positive when too much is predicted."
    )
    within_interval: float = Field(
        description="Fraction of the measurements that fell into the predicted interval."
    )

    @classmethod
    def of(cls, errors: PredictionErrors) -> PredictionErrorsOut:
        return cls(**asdict(errors))


class PredictionQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    quantity: Annotated[Quantity | None, Field(description="Only of this quantity.")] = None
