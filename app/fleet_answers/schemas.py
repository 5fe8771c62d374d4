"""Fleet answers, as the HTTP interface shows and takes them."""

from __future__ import annotations

from datetime import datetime
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.fleet_answers.question import (
    MOST_CYCLES,
    MOST_DEADLINE_S,
    MOST_EPOCHS,
    MOST_MONEY,
    MOST_TIME_SCALE,
    FleetQuestion,
)
from app.http.fields import Config, Positive, RequestBody, Short, WorkloadText
from app.http.paging import NamedPageQuery, cursor_among
from optimizer.fleet.choose import Prefer

if TYPE_CHECKING:
    from app.database.models.fleet import FleetAnswerRow

FleetVerdict = Literal["possible", "impossible", "unmeasured"]

EXAMPLE: JsonDict = {
    "id": "fla_1k0rr48nvttvb71401qp",
    "verdict": "possible",
    "workload": "transformer",
    "chosen": "450b72b0901e34b5",
    "cheapest": "450b72b0901e34b5",
    "fastest": "450b72b0901e34b5",
    "least_energy": None,
    "currency": "EUR",
    "training": {
        "samples": 2_000_000,
        "steps": None,
        "epochs": 40,
        "cycle_batches": 450,
        "dataset_size": 50_000,
    },
    "carbon_source": None,
    "deadline_at": "2026-01-02T18:00:00Z",
    "classes": [
        {
            "class_id": "450b72b0901e34b5",
            "name": "NVIDIA H200",
            "basis": "measured",
            "config": {"layers": 4, "width": 256},
            "batch_size": 96,
            "training_time_s": {"mean": 7200.0, "low": 7100.0, "high": 7300.0},
            "cost": {"mean": 5.0, "low": 4.93, "high": 5.07},
            "meets": True,
        }
    ],
    "winners": {},
    "nearest": None,
    "next_probe": None,
    "is_settled": True,
    "notes": [],
    "question": {"workload": "transformer", "epochs": 40, "budget_money": 12.0},
    "created_at": "2026-01-02T12:00:00Z",
}


AT_MOST_ONE: JsonDict = {
    "allOf": [
        {
            "not": {
                "required": list(pair),
                "properties": {name: {"type": "number"} for name in pair},
            }
        }
        for pair in combinations(("epochs", "samples", "cycles"), 2)
    ]
}


class FleetAnswerPost(RequestBody):
    """A training, and what it may take. Give at most one of `epochs`, `samples` and `cycles`."""

    model_config = ConfigDict(
        json_schema_extra={
            **AT_MOST_ONE,
            "examples": [
                {
                    "workload": "transformer",
                    "epochs": 40,
                    "deadline_s": 21_600,
                    "budget_money": 12.0,
                }
            ],
        }
    )

    workload: WorkloadText
    budget: Annotated[
        Short, Field(description="Its recommendations say how large a model is wanted.")
    ] = "prototyping"
    epochs: Annotated[float | None, Field(gt=0, le=MOST_EPOCHS, allow_inf_nan=False)] = None
    samples: Positive | None = None
    cycles: Annotated[
        float | None,
        Field(
            gt=0,
            le=MOST_CYCLES,
            allow_inf_nan=False,
            description="Cycles, whatever the batch size. Default: one, without the other two.",
        ),
    ] = None
    deadline_s: Annotated[
        float | None,
        Field(gt=0, le=MOST_DEADLINE_S, allow_inf_nan=False, description="Seconds from now."),
    ] = None
    budget_money: Annotated[
        float | None,
        Field(ge=0, le=MOST_MONEY, allow_inf_nan=False, description="In the configured currency."),
    ] = None
    prefer: Annotated[
        Literal["cheapest", "fastest", "least_energy"],
        Field(description="What decides between classes that meet the limits."),
    ] = "cheapest"
    pinned: Annotated[Config, Field(description="Dimensions that the config must have.")] = Field(
        default_factory=dict
    )
    options: Annotated[Config, Field(description="Options of the workload.")] = Field(
        default_factory=dict
    )
    time_scale: Annotated[float, Field(gt=0, le=MOST_TIME_SCALE, allow_inf_nan=False)] = 1.0
    with_carbon: bool = False

    def question(self) -> FleetQuestion:
        """Raises ``InputError``."""
        return FleetQuestion(**{**self.model_dump(), "prefer": Prefer(self.prefer)})


class FleetAnswerOut(BaseModel):
    """Compares the known device classes for one training: time, cost and energy."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    verdict: FleetVerdict = Field(
        description="`impossible`: no measured class meets the limits; `unmeasured`: nothing was "
        "confirmed on any class."
    )
    workload: str
    chosen: str | None = Field(description="Class id of the answer, by what was preferred.")
    cheapest: str | None
    fastest: str | None
    least_energy: str | None
    currency: str
    deadline_at: datetime | None
    training: dict[str, Any] = Field(
        description="How much is trained: `samples` or optimizer `steps`, and what they follow "
        "from."
    )
    carbon_source: str | None = Field(description="Where the carbon intensity comes from.")
    classes: list[dict[str, Any]] = Field(
        description="One row per device class. `basis` is `measured`, `prior` (transferred from "
        "other classes, see `source`) or `unknown` (see `because`). Times are in seconds and "
        "energy in joules, each with `mean`, `low` and `high`."
    )
    winners: dict[str, dict[str, Any]] = Field(
        description="The rows of `chosen`, `cheapest`, `fastest` and `least_energy`: config and "
        "batch may differ from the row of the class."
    )
    nearest: dict[str, Any] | None = Field(
        description="Where nothing meets the limits: the measured class that misses them by the "
        "least, and what would make it possible."
    )
    next_probe: dict[str, Any] | None = Field(
        description="The probe that does most to settle the choice, with its command."
    )
    is_settled: bool = Field(description="Whether no probe is expected to improve the answer.")
    notes: list[str]
    question: dict[str, Any] = Field(description="What was asked.")
    created_at: datetime

    @classmethod
    def of(cls, row: FleetAnswerRow) -> FleetAnswerOut:
        document = row.document
        asked = {name: document[name] for name in FleetQuestion.__dataclass_fields__}
        return cls(**{**document, "id": row.id, "question": asked, "created_at": row.created_at})


class FleetAnswerQuery(NamedPageQuery):
    cursor: str | None = cursor_among("fla")
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    verdict: Annotated[FleetVerdict | None, Field(description="Only with this verdict.")] = None
