"""Measurements and the errors of predictions, as the HTTP interface shows and takes them.

``MeasurementIn`` is ``probes.measurement.Measurement`` with bounds: a test keeps them alike.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
)
from pydantic.config import JsonDict

from app.http.fields import (
    Accumulation,
    Config,
    Few,
    FirstError,
    Fraction,
    Id,
    Json,
    Key,
    MicroBatch,
    Number,
    Positive,
    RankCount,
    RequestBody,
    Short,
    Text,
    Whole,
    WorkloadText,
)
from app.http.paging import NumberedPageQuery
from optimizer.records import Scope
from probes.group import MOST_RANKS
from probes.measurement import Measurement, Purpose, Verdict

EXAMPLE_MEASUREMENT: JsonDict = {
    "workload": "transformer",
    "config": {"layers": 2, "width": 128},
    "batch_size": 64,
    "device": "cuda:0",
    "purpose": "confirm",
    "verdict": "stable",
    "reason": "217 steps within 1.2 GiB.",
    "limit_bytes": 2_147_483_648,
    "headroom": 0.05,
    "peak_bytes": 1_288_490_188,
    "step_time": {
        "median_s": 0.0163,
        "mean_s": 0.0164,
        "low_s": 0.0159,
        "high_s": 0.017,
        "p10_s": 0.0137,
        "p90_s": 0.0191,
        "steps": 200,
        "warmup_steps": 17,
        "converged": True,
        "data_s": 0.0026,
    },
    "energy": {
        "energy_j": 1093.4,
        "low_j": 1071.2,
        "high_j": 1115.9,
        "window_s": 3.28,
        "steps": 200,
        "samples": 12_800,
        "source": "NVML counter",
        "scope": "device",
        "idle_power_w": 61.3,
    },
    "host_energy_unavailable": "This machine has no RAPL counters (/sys/class/powercap).",
}
EXAMPLE_RANK: JsonDict = {
    "rank": 0,
    "device": "cuda:0",
    "batch_size": 64,
    "verdict": "stable",
    "reason": "217 steps within 1.2 GiB.",
    "phase": "done",
    "steps": 217,
    "limit_bytes": 2_147_483_648,
    "cap_bytes": 2_040_109_465,
    "peak_bytes": 1_288_490_188,
    "static_bytes": 536_870_912,
    "communication_bytes": 0,
    "step_mean_s": 0.0164,
    "data_s": 0.0026,
}
EXAMPLE_SUMMARY: JsonDict = {
    "id": 17,
    "workload": "transformer",
    "device": "cuda:0",
    "fingerprint": "577c5139c3e13263",
    "scope_key": "0f1e2d3c4b5a6978",
    "study_id": None,
    "trial_number": None,
    "config": {"layers": 2, "width": 128},
    "batch_size": 64,
    "purpose": "confirm",
    "verdict": "stable",
    "reason": "217 steps within 1.2 GiB.",
    "peak_bytes": 1_288_490_188,
    "limit_bytes": 2_147_483_648,
    "step_mean_s": 0.0164,
    "tainted": False,
    "ranks": [],
    "limiting_rank": None,
    "data_parallel": 1,
    "communication_share": None,
    "global_batch_size": 64,
    "energy_j": 1093.4,
    "energy_per_sample_j": 0.08542,
    "energy_source": "NVML counter",
    "energy_unavailable": "",
    "host_energy_j": None,
    "created_at": "2026-01-02T03:04:05Z",
}


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


NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Derived = Annotated[
    Number | None, Field(description="Follows from the other fields, and is not read.")
]


class StepTimeIn(RequestBody):
    """Duration of a step, in seconds."""

    median_s: Number
    mean_s: Number
    low_s: Number
    high_s: Number
    p10_s: Number
    p90_s: Number
    steps: Whole
    warmup_steps: Whole
    converged: bool
    data_s: Number


class GrowthIn(RequestBody):
    """Trend of the memory held between steps, in bytes per step."""

    bytes_per_step: Number
    low: Number
    high: Number
    steps: Whole
    dies_at_step: Whole | None = None


class TraceIn(RequestBody):
    """The run, step by step."""

    step_s: Annotated[list[Number], Field(max_length=100_000), FirstError] = Field(
        default_factory=list
    )
    held_bytes: Annotated[list[Whole], Field(max_length=100_000), FirstError] = Field(
        default_factory=list
    )


class RankIn(RequestBody):
    """What one rank of several contributed."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_RANK]})

    rank: Annotated[Whole, Field(description="Its place in the list.")]
    device: Short
    batch_size: MicroBatch
    verdict: Annotated[Verdict, Field(strict=False)] | None
    reason: Text = ""
    phase: Annotated[str, Field(max_length=64)] = ""
    steps: Whole = 0
    limit_bytes: Whole | None = None
    cap_bytes: Whole | None = None
    peak_bytes: Whole | None = None
    static_bytes: Whole | None = None
    communication_bytes: Whole = 0
    step_mean_s: Number | None = None
    data_s: Number | None = None


class EnergyIn(RequestBody):
    """Energy of the measured steps, as a sensor told it: joules, watts and seconds."""

    energy_j: AboveZero
    low_j: NotNegative
    high_j: NotNegative
    window_s: AboveZero
    steps: Positive
    samples: Positive
    source: Short
    scope: Literal["device", "host"]
    idle_power_w: NotNegative | None = None
    idle_unavailable: Text = ""
    energy_per_step_j: Derived = None
    energy_per_sample_j: Derived = None
    energy_above_idle_j: Derived = None


class MeasurementIn(RequestBody):
    """One isolated run: the document of `tonnage probe --json`, as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_MEASUREMENT]})

    workload: WorkloadText
    config: Config
    batch_size: MicroBatch
    device: Short
    purpose: Annotated[Purpose, Field(strict=False)]
    verdict: Annotated[Verdict, Field(strict=False)]
    reason: Text
    hint: Text = ""
    limit_bytes: Whole | None = None
    headroom: Fraction = 0.0
    cap_bytes: Whole | None = None
    peak_bytes: Whole | None = None
    static_bytes: Whole | None = None
    overhead_bytes: Whole = 0
    requested_bytes: Whole | None = None
    phase_peak_bytes: Annotated[dict[str, Whole], Field(max_length=20), Few] = Field(
        default_factory=dict
    )
    step_time: StepTimeIn | None = None
    growth: GrowthIn | None = None
    trace: TraceIn = TraceIn()
    steps: Whole = 0
    samples: Whole = 0
    accumulation: Accumulation = 1
    ranks: Annotated[list[RankIn], Field(max_length=MOST_RANKS), FirstError] = Field(
        default_factory=list, description="One for each of several devices that trained as one."
    )
    limiting_rank: Whole | None = None
    data_parallel: RankCount = 1
    communication_share: Annotated[float, Field(ge=0, le=1)] | None = None
    energy: EnergyIn | None = None
    energy_unavailable: Text = ""
    host_energy: EnergyIn | None = None
    host_energy_unavailable: Text = ""
    parameters: Whole | None = None
    last_loss: Number | None = None
    first_loss: Number | None = None
    tainted: Annotated[list[Text], Field(max_length=100), FirstError] = Field(default_factory=list)
    notes: Annotated[list[Text], Field(max_length=100), FirstError] = Field(default_factory=list)
    state: Json = Field(default_factory=dict)
    environment: Json = Field(default_factory=dict)
    wall_s: Number = 0.0
    started_at: Annotated[str, Field(max_length=64)] = ""
    stdout_tail: Text = ""
    stderr_tail: Text = ""
    phase: Annotated[str, Field(max_length=64)] = ""

    def measurement(self) -> Measurement:
        """Ranks are numbered by their place in the list, and there are no others."""
        sent = self.model_dump()
        count = len(self.ranks)
        sent["ranks"] = [{**each, "rank": place} for place, each in enumerate(sent["ranks"])]
        if self.limiting_rank is not None and self.limiting_rank >= count:
            sent["limiting_rank"] = None
        sent["data_parallel"] = min(self.data_parallel, max(1, count))
        return Measurement.from_dict(sent)


class ScopeIn(RequestBody):
    """What must be equal for one measurement to stand for another, as far as the measurement does
    not say it itself."""

    workload_hash: Annotated[Key, Field(description="Hash of the workload's source and options.")]
    fingerprint: Annotated[
        Key, Field(description="Key of the device; `POST /v1/devices` makes it known in words.")
    ]
    effective_batch_size: Annotated[
        Positive | None, Field(description="The stated one, where accumulation follows from it.")
    ] = None
    environment: Annotated[
        dict[str, Annotated[str, Field(max_length=1000)]],
        Field(max_length=50, description="Allocator settings and threads of the worker."),
        Few,
    ] = Field(default_factory=dict)


class MeasurementPost(RequestBody):
    """A measurement of another machine."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "scope": {
                        "workload_hash": "0a1b2c3d4e5f6071",
                        "fingerprint": "577c5139c3e13263",
                        "environment": {"threads": "8"},
                    },
                    "measurement": EXAMPLE_MEASUREMENT,
                }
            ]
        }
    )

    scope: ScopeIn
    measurement: MeasurementIn

    def full_scope(self) -> Scope:
        return Scope(
            workload=self.measurement.workload,
            workload_hash=self.scope.workload_hash,
            fingerprint=self.scope.fingerprint,
            device=self.measurement.device,
            limit_bytes=self.measurement.limit_bytes,
            headroom=self.measurement.headroom,
            effective_batch_size=self.scope.effective_batch_size,
            environment=dict(self.scope.environment),
        )


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
