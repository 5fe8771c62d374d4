"""What an evaluation is asked: one declaration for the HTTP interface and the queue."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.config import JsonDict

from app.finetunings.request import OFFERED, Registered, Value
from app.http.fields import WIDEST, Few, FirstError, Positive, RequestBody, plain
from app.machine.asked_devices import name_of
from optimizer.records import short_hash

EXAMPLE: JsonDict = {
    "tasks": ["language", "snake"],
    "options": {"snake": {"games": 20}},
    "baseline": "base",
}
MOST_TASKS = 20
BASE = "base"
"""As a baseline: the model that the fine-tuning began with."""


class EvaluationPost(RequestBody):
    """Evaluate the model of a fine-tuning. The fields mean what the options of `tonnage finetune
    evaluate` mean."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    tasks: Annotated[
        list[Registered],
        Field(
            min_length=1,
            max_length=MOST_TASKS,
            description="Names that `GET /v1/finetunings/registered` lists.",
        ),
        FirstError,
    ] = Field(default_factory=lambda: ["language"])
    options: Annotated[
        dict[str, Annotated[dict[str, Value], Field(max_length=WIDEST), Few]],
        Field(
            max_length=MOST_TASKS,
            description='Options of tasks, by task: `{"snake": {"games": 20}}`.',
        ),
        Few,
        AfterValidator(plain),
    ] = Field(default_factory=dict)
    baseline: Annotated[
        Registered | None,
        Field(
            description="Also evaluate this model on the same items: `base`, the one that the "
            "fine-tuning began with, or a registered model."
        ),
    ] = None
    limit: Annotated[
        Positive | None, Field(description="At most this many items of each task.")
    ] = None


class EvaluationRequest(EvaluationPost):
    """What a job evaluates."""

    finetuning_id: str
    model: str
    """The registered name of the model that was fine-tuned: a runner that has it can evaluate."""
    device: str | None
    """As the fine-tuning asked for it."""

    @property
    def workload(self) -> str:
        """See ``FineTuningPost.workload``."""
        return f"{OFFERED}{self.model}"

    @property
    def device_name(self) -> str | None:
        """The device as names are compared."""
        return name_of(self.device, None)

    @property
    def key(self) -> str:
        """Equal for two requests that ask the same; differs from that of every other job."""
        return short_hash({"evaluation": self.to_dict()})
