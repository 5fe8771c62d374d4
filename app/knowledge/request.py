"""What an ablation is asked: one declaration for the HTTP interface and the queue."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import Config, FirstError, MemoryBudget, RequestBody, Short, WantedDevice
from app.machine.asked_devices import name_of
from optimizer.records import short_hash

EXAMPLE: JsonDict = {"page": "Heuristic:Gradient_Checkpointing", "device": "cuda:0"}
MOST_CLAIMS = 50

PageName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Name of the page, with or without its type.",
        examples=["Heuristic:Gradient_Checkpointing"],
    ),
]


class AblationPost(RequestBody):
    """Measure what a page claims. The fields mean what the options of `tonnage knowledge measure`
    mean."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [EXAMPLE]})

    page: PageName
    claims: Annotated[
        list[Short],
        Field(max_length=MOST_CLAIMS, description="Ids of claims. Default: all of the page."),
        FirstError,
    ] = Field(default_factory=list)
    workload: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="A name that `GET /v1/workloads/registered` lists. Default: the one that "
            "the claim names, or else small built-in ones.",
            examples=["transformer"],
        ),
    ] = None
    device: WantedDevice = None
    memory_budget_bytes: Annotated[
        MemoryBudget | None, Field(description="Emulates a smaller device.")
    ] = None
    options: Annotated[
        Config, Field(description="Parameters of the workload that a request may give.")
    ] = Field(default_factory=dict)
    pinned: Annotated[
        Config, Field(description="Values of the config that both sides of a comparison have.")
    ] = Field(default_factory=dict)


class AblationRequest(AblationPost):
    """What one job measures: claims of a page, on one workload."""

    workload: str

    @property
    def device_name(self) -> str | None:
        """The device as names are compared."""
        return name_of(self.device, None)

    @property
    def key(self) -> str:
        """Equal for two requests that ask the same; differs from that of every study."""
        return short_hash({"ablation": self.to_dict()})
