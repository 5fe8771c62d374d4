"""Recommendations, as the HTTP interface shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from app.http.fields import Id, Key, Number, Positive, Short, WorkloadText
from app.http.paging import NamedPageQuery, cursor_among
from app.recommendations.exports.export import FORMATS, export
from probes.errors import InputError

if TYPE_CHECKING:
    from optimizer.records import Recommendation

EXAMPLE: JsonDict = {
    "id": "rec_1k0rr48nvttvb71401qp",
    "workload": "transformer",
    "budget": "prototyping",
    "device": "cuda:0",
    "config": {"layers": 4, "width": 256},
    "batch_size": 96,
    "accumulation": 1,
    "cycle_batches": 450,
    "cycle_time_s": {"mean": 600.0, "low": 590.0, "high": 615.0, "median": 600.0},
    "throughput_samples_per_s": 72.0,
    "peak_bytes": 1_288_490_188,
    "limit_bytes": 2_147_483_648,
    "headroom": 0.05,
    "parameters": 269_322,
    "binding": "memory",
    "explanation": ["Train layers=4 width=256 with batch 96: 72 samples/s."],
    "alternatives": [],
    "ruled_out": [],
    "evidence": {"highest_passing": {"batch_size": 96}, "lowest_failing": None},
    "environment": {"torch": "2.13.0"},
    "study": {
        "id": "st_1k0rr48nvttvb71401qp",
        "trials": 4,
        "pruned": 1,
        "probes": 9,
        "wall_s": 60.0,
    },
    "valid": {
        "fingerprint": "577c5139c3e13263",
        "workload_hash": "0a1b2c3d4e5f6071",
        "created_at": "2026-01-02T03:04:05+00:00",
    },
}


class CycleTime(BaseModel):
    """Seconds, with the interval that the measured steps allow."""

    mean: float | None
    low: float | None
    high: float | None
    median: float | None = Field(
        default=None,
        deprecated=True,
        description="The same as `mean`; the next release removes it.",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_release(cls, value: Any) -> Any:
        """A service of an earlier release sends only ``median``."""
        if isinstance(value, dict) and "mean" not in value and "median" in value:
            return {**value, "mean": value["median"]}
        return value


class RecommendationOut(BaseModel):
    """What a study ended in: the document of `tonnage tune --json`."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    workload: str
    budget: str
    device: str
    config: dict[str, Any] = Field(description="Architecture and levers to train with.")
    batch_size: int = Field(description="Passed a confirmation run in a fresh process.")
    accumulation: int
    cycle_batches: int
    cycle_time_s: CycleTime
    throughput_samples_per_s: float | None
    peak_bytes: int
    limit_bytes: int = Field(description="The memory it was measured with.")
    headroom: float = Field(description="The fraction of it that was kept free.")
    parameters: int | None
    binding: str = Field(description="What keeps the batch from being larger.")
    explanation: list[str]
    alternatives: list[dict[str, Any]]
    ruled_out: list[dict[str, Any]]
    evidence: dict[str, Any]
    environment: dict[str, Any] = Field(description="What training must set to get this.")
    study: dict[str, Any]
    valid: dict[str, Any] = Field(description="What must stay the same for it to be valid.")
    share_of_window: float | None = Field(
        None,
        description="Mean cycle time as a fraction of the longest cycle that the window allows; "
        "null without a window.",
    )
    share_of_memory: float | None = Field(
        None, description="Peak memory as a fraction of `limit_bytes`."
    )
    most_capable: dict[str, Any] | None = Field(
        None,
        description="The most capable model that fits the window, with its confirmed batch, cycle "
        "time and evidence; null if it is the recommended one (see `most_capable_note`).",
    )
    most_capable_note: str = Field(
        "", description="Why `most_capable` is null, or what was not settled about it."
    )
    devices: list[str] = Field(
        default_factory=list, description="The devices that train, one per rank."
    )
    ranks: list[dict[str, Any]] = Field(
        default_factory=list,
        description="What each rank contributed to the confirmation run, as in a measurement; "
        "empty for a single device. `batch_size` is then that of one rank.",
    )
    limiting_rank: int | None = Field(None, description="The rank with the fullest device.")
    data_parallel: int = Field(1, description="Number of ranks that draw different batches.")
    global_batch_size: int | None = Field(
        None, description="Samples per optimizer step of all ranks."
    )
    communication_share: float | None = Field(
        None, description="Share of a step that is communication which nothing hides."
    )
    scaling: dict[str, Any] | None = Field(
        None,
        description="Throughput against one rank alone at the same micro-batch: `ranks`, "
        "`speedup`, `efficiency`, `single_step_s`.",
    )
    scaling_note: str = Field("", description="Why `scaling` is null, or what makes it doubtful.")
    energy: dict[str, Any] | None = Field(
        None,
        description="Joules of the confirmation run's measured steps, as in a measurement: "
        "`energy_j` with its bounds `low_j` and `high_j`, `energy_per_sample_j`, `source`, "
        "`idle_power_w` and `energy_above_idle_j`.",
    )
    energy_per_cycle_j: float | None = Field(
        None, description="Joules of a cycle, idle power included."
    )
    energy_unavailable: str = Field(
        "", description="Why `energy` is null; empty in a result of an earlier release."
    )
    host_energy: dict[str, Any] | None = Field(
        None, description="The same of the host's CPU and memory, beside the devices."
    )
    host_energy_unavailable: str = ""

    @classmethod
    def of(cls, recommendation: Recommendation) -> RecommendationOut:
        return cls.model_validate(recommendation.to_dict())


class PriorOut(BaseModel):
    """A recommendation for another device or other conditions: a starting point that was not
    measured for this request."""

    measured_as: RecommendationOut = Field(description="Where and how it was measured.")
    differences: list[str] = Field(
        description="The differences from what it was measured with to what is requested.",
        examples=[["driver 550.54 -> 560.28"]],
    )


class LookupOut(BaseModel):
    """The recommendation for a device. Exactly one of `recommendation` and `prior` is given, so
    that a program that reads `recommendation` never trains with another device's numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": "exact", "recommendation": EXAMPLE, "prior": None},
                {
                    "match": "prior",
                    "recommendation": None,
                    "prior": {"measured_as": EXAMPLE, "differences": ["driver 550.54 -> 560.28"]},
                },
            ]
        }
    )

    match: Literal["exact", "prior"] = Field(
        description="`exact`: measured on this device with this software. `prior`: not measured "
        "there; the nearest comparable."
    )
    recommendation: RecommendationOut | None
    prior: PriorOut | None


class ExportOut(BaseModel):
    """A format that a recommendation can be exported to."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "format": "deepspeed",
                    "reader": "DeepSpeed's JSON",
                    "unsaid": ["compile=true: DeepSpeed has no key for it; call engine.compile()."],
                    "impossible": None,
                }
            ]
        }
    )

    format: str
    reader: str = Field(description="Who reads it.")
    unsaid: list[str] = Field(
        description="What of the recommendation the format cannot express, in words."
    )
    impossible: str | None = Field(
        description="Why this recommendation cannot be had in it; null where it can."
    )

    @classmethod
    def of(cls, recommendation: Recommendation, name: str) -> ExportOut:
        reader = FORMATS[name].reader
        try:
            made = export(recommendation, name)
        except InputError as error:
            return cls(format=name, reader=reader, unsaid=[], impossible=str(error))
        return cls(format=name, reader=reader, unsaid=made.unsaid, impossible=None)


class RecommendationQuery(NamedPageQuery):
    cursor: str | None = cursor_among("rec")
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    budget: Annotated[Short | None, Field(description="Only of this budget.")] = None
    device: Annotated[Short | None, Field(description="Only on devices of this name.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only on this device.")] = None
    study_id: Annotated[Id | None, Field(description="Only of this study.")] = None


class LookupQuery(BaseModel):
    """What is trained, and where. The device is given by `fingerprint`, or by `device`; one that
    the service has not seen is compared by `kind`, `memory_bytes` and `class_key`. Without any of
    these the answer can only be a prior."""

    model_config = ConfigDict(extra="forbid")

    workload: Annotated[WorkloadText, Field(examples=["transformer"])]
    budget: Annotated[Short, Field(examples=["prototyping"])]
    fingerprint: Annotated[
        Key | None, Field(description="The device's fingerprint, as `tonnage devices` prints it.")
    ] = None
    device: Annotated[
        Short | None,
        Field(description="Its name, such as `cuda:0` or `NVIDIA H200`.", examples=["cuda:0"]),
    ] = None
    kind: Annotated[
        str | None, Field(pattern="^[a-z]{1,16}$", description="`cpu`, `cuda`, `rocm`, …")
    ] = None
    class_key: Annotated[Key | None, Field(description="Key of the device's class.")] = None
    memory_bytes: Annotated[
        Positive | None,
        Field(
            description="Memory available for training. Default: the most that a recommendation "
            "of the device was made for (`limit_bytes` in the answer)."
        ),
    ] = None
    workload_hash: Annotated[
        Key | None,
        Field(description="Hash of the workload's source as it is now; left out: not compared."),
    ] = None
    time_scale: Annotated[
        Number,
        Field(gt=0, description="For studies with scaled budgets (`--time-scale`)."),
    ] = 1.0
