"""Measurements and the errors of predictions, as the HTTP interface shows them. Those that it takes
are in ``incoming``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator

from app.http.fields import Id, Key, WorkloadText
from app.http.paging import NumberedPageQuery
from app.measurements.examples import EXAMPLE_MEASUREMENT, EXAMPLE_RANK, EXAMPLE_SUMMARY
from probes.measurement import Measurement, Purpose, Verdict


class RankOut(BaseModel):
    """What one rank of several contributed to a measurement."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE_RANK]})

    rank: int
    device: str
    batch_size: int = Field(description="Samples of its micro-batch.")
    verdict: Verdict | None = Field(
        description="Null where it was ended, or lost the connection, because of another rank."
    )
    reason: str
    phase: str = Field(description="Where it ended; `done` for a rank that passed.")
    steps: int
    limit_bytes: int | None
    cap_bytes: int | None
    peak_bytes: int | None
    static_bytes: int | None
    communication_bytes: int = Field(
        description="Device memory that the communication library holds."
    )
    step_mean_s: float | None
    data_s: float | None


class MeasurementOut(BaseModel):
    """A stored measurement in short."""

    model_config = ConfigDict(
        from_attributes=True, json_schema_extra={"examples": [EXAMPLE_SUMMARY]}
    )

    id: int
    workload: str
    device: str = Field(description="As its machine names it.")
    fingerprint: str = Field(description="The device's fingerprint; empty where it was not kept.")
    scope_key: str = Field(
        description="The same for measurements that differ at most in config and batch size."
    )
    study_id: str | None = Field(description="The study that ran it; null for a single probe.")
    trial_number: int | None
    config: dict[str, Any]
    batch_size: int
    purpose: Purpose = Field(
        description="`bracket` (a few steps) or `confirm` (the full stability run)."
    )
    verdict: Verdict
    reason: str
    peak_bytes: int | None
    limit_bytes: int | None
    step_mean_s: float | None
    tainted: bool = Field(description="Whether the machine was disturbed during the run.")
    ranks: list[RankOut] = Field(
        default_factory=list,
        description="What each rank contributed where several devices trained as one; `device` is "
        "then the label of the group, and `batch_size` that of one rank.",
    )
    limiting_rank: int | None = Field(
        None,
        description="The rank that gave the verdict; of a run that passed, the one with the "
        "fullest device. Null for a single device.",
    )
    data_parallel: int = Field(1, description="Number of ranks that draw different batches.")
    communication_share: float | None = Field(
        None,
        description="Share of a step that the ranks spend on communication which nothing hides; "
        "null where that was not measured.",
    )
    global_batch_size: int | None = Field(
        None,
        description="Samples per optimizer step of all ranks; null in a measurement that was "
        "stored by an earlier release.",
    )
    energy_j: float | None = Field(
        None,
        description="Joules of the device in the measured steps, idle power included; of several "
        "devices together. Null where no sensor tells it.",
    )
    energy_per_sample_j: float | None = None
    energy_source: str | None = Field(None, description="The sensor that told it.")
    energy_unavailable: str = Field(
        "",
        description="Why there is no `energy_j`, and what to do about it; empty in a measurement "
        "that was stored by an earlier release.",
    )
    host_energy_j: float | None = Field(
        None,
        description="Joules of the host's CPU and memory, beside its devices; null on the CPU, "
        "which is the device itself.",
    )
    created_at: datetime


class MeasurementDetail(MeasurementOut):
    """A stored measurement with its whole document."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**EXAMPLE_SUMMARY, "measurement": EXAMPLE_MEASUREMENT}]}
    )

    measurement: dict[str, Any] = Field(
        validation_alias=AliasChoices("measurement", "document"),
        description="The document of `tonnage probe --json`.",
    )

    @field_validator("measurement")
    @classmethod
    def _complete(cls, document: dict[str, Any]) -> dict[str, Any]:
        """Adds the fields that did not exist when it was stored."""
        return Measurement.from_dict(document).to_dict()


class MeasurementStored(BaseModel):
    """Where a measurement that was sent is found."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": 17, "scope_key": "0f1e2d3c"}]})

    id: int
    scope_key: str


class MeasurementQuery(NumberedPageQuery):
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only on this device.")] = None
    verdict: Annotated[Verdict | None, Field(description="Only with this verdict.")] = None
    study_id: Annotated[Id | None, Field(description="Only those that this study ran.")] = None


class PredictionErrorsOut(BaseModel):
    """How good the predictions of one quantity of one workload are. Errors are relative to the
    measured value: 0.1 means 10 %."""

    model_config = ConfigDict(
        from_attributes=True,
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
        },
    )

    workload: str
    quantity: str
    count: int = Field(description="Predictions that were graded: the newest 10,000 at most.")
    median_error: float | None = Field(description="Median of the absolute errors.")
    p95_error: float | None = Field(description="95th percentile of the absolute errors.")
    median_bias: float | None = Field(
        description="Median of the signed errors; positive when predictions are too high."
    )
    within_interval: float = Field(
        description="Fraction of the measurements that fell into the predicted interval."
    )


class PredictionQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    quantity: Annotated[
        Literal["peak_bytes", "step_time_s"] | None, Field(description="Only of this quantity.")
    ] = None
