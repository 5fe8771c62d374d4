"""Measurements of other machines, as the HTTP interface takes them.

``MeasurementIn`` is ``probes.measurement.Measurement`` with bounds: a test keeps them alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from app.http.fields import (
    Accumulation,
    Config,
    Few,
    FirstError,
    Fraction,
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
from app.measurements.examples import EXAMPLE_MEASUREMENT, EXAMPLE_RANK
from optimizer.records import Scope
from probes.group import MOST_RANKS
from probes.measurement import Measurement, Purpose, Verdict

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
