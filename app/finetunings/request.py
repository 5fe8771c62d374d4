"""What a fine-tuning is asked: one declaration for the HTTP interface and the queue."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import (
    LARGEST,
    WIDEST,
    Few,
    FirstError,
    MemoryBudget,
    RequestBody,
    WantedDevice,
    plain,
)
from app.machine.asked_devices import name_of
from finetuning.settings.presets import DEFAULT_PRESET, PRESETS
from optimizer.records import short_hash

EXAMPLE: JsonDict = {
    "model": "small",
    "data": ["bfs", "astar"],
    "preset": "quick_lora",
    "settings": {"lora.r": 16},
}
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"
MOST_SOURCES = 50
OFFERED = "finetuning:"
"""Before the name of a model: what a runner that has it offers. No workload has such a name."""

Registered = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""The name of something in ``tonnage.toml``. Anything else is refused as not registered."""
Bounded = Annotated[int, Field(ge=-LARGEST, le=LARGEST)]
OneValue = (
    bool
    | Bounded
    | Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
    | Annotated[str, Field(max_length=1000)]
    | None
)
Value = OneValue | Annotated[list[OneValue], Field(max_length=WIDEST)]
"""Of a setting."""


class FineTuningPost(RequestBody):
    """Fine-tune a registered model on registered data. The other fields mean what the options of
    `tonnage finetune run` mean."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    model: Annotated[
        Registered,
        Field(description="A name of `finetuning.models` in the runner's tonnage.toml."),
    ]
    data: Annotated[
        list[Registered],
        Field(
            min_length=1,
            max_length=MOST_SOURCES,
            description="Names of `finetuning.data` in the runner's tonnage.toml.",
        ),
        FirstError,
    ]
    preset: Annotated[
        str, Field(min_length=1, max_length=64, description=f"One of {', '.join(PRESETS)}.")
    ] = DEFAULT_PRESET
    settings: Annotated[
        dict[str, Value],
        Field(
            max_length=WIDEST,
            description='Changes of the preset, by dotted name: `{"training.epochs": 1}`.',
        ),
        Few,
        AfterValidator(plain),
    ] = Field(default_factory=dict)
    keep_settings: Annotated[
        bool,
        Field(
            description="Fit only the micro-batch. Otherwise settings that do not fit the device "
            "are changed: checkpointing, then an 8-bit optimizer, then QLoRA."
        ),
    ] = False
    name: Annotated[
        str | None,
        Field(
            pattern=NAME,
            description="Name of the run's folder under `finetuning.output` of the runner's host. "
            "Default: the id.",
        ),
    ] = None
    device: WantedDevice = None
    memory_budget_bytes: Annotated[
        MemoryBudget | None, Field(description="Memory that training may use. Default: all of it.")
    ] = None

    @property
    def workload(self) -> str:
        """What a runner must offer; that it has the data too is checked when it takes the job."""
        return f"{OFFERED}{self.model}"

    @property
    def device_name(self) -> str | None:
        """The device as names are compared."""
        return name_of(self.device, None)

    @property
    def key(self) -> str:
        """Equal for two requests that ask the same; differs from that of every other job."""
        return short_hash({"finetuning": self.to_dict()})
