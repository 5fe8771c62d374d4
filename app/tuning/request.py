"""What a study is asked. One declaration for the command line, the HTTP interface and the queue."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import (
    Config,
    CycleBatches,
    DevicesAtOnce,
    DeviceText,
    EffectiveBatch,
    FirstError,
    Fraction,
    MemoryBudget,
    Number,
    RankCount,
    RequestBody,
    Seconds,
    Short,
    Trials,
    WantedDevice,
)
from app.machine.asked_devices import name_of
from optimizer.budgets import Objective
from optimizer.proposals import Sampler
from optimizer.records import short_hash
from probes.group import MOST_RANKS

BUNDLED = "bundle:"
"""What a runner must offer to run a study of code from a bundle. No registered name has a colon."""

EXAMPLE: JsonDict = {
    "workload": "transformer",
    "budget": "prototyping",
    "device": "cuda:0",
    "pinned": {"precision": "bf16"},
    "trials": 8,
}


ENTRY_ALONE: JsonDict = {
    "required": ["bundle_entry"],
    "properties": {"bundle_entry": {"type": "string"}, "bundle": {"type": "null"}},
}


class StudyRequest(RequestBody):
    """A question: which configuration fits this budget on this device? The fields mean what the
    options of `tonnage tune` mean."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [EXAMPLE], "not": ENTRY_ALONE}
    )

    workload: Annotated[
        str,
        Field(
            min_length=1,
            max_length=255,
            description="A name that `GET /v1/workloads/registered` lists. A path or a module is "
            "refused: code that a request names is never imported. With `bundle`: any name, under "
            "which the results are kept.",
            examples=["transformer"],
        ),
    ]
    bundle: Annotated[
        str | None,
        Field(
            pattern="^[0-9a-f]{64}$",
            description="Train code that was sent before: the id of a bundle (`PUT "
            "/v1/bundles/{id}`). Needs a key of scope `code`.",
        ),
    ] = None
    bundle_entry: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            pattern=r"^[^/\\:~\x00-\x1f\x7f][^\\\x00-\x1f\x7f]*$",
            description="Where the workload is in the bundle: `path/to/file.py:Class` or "
            "`package.module:Class`. Default: `workload`.",
            examples=["train.py:Net"],
        ),
    ] = None
    budget: Annotated[Short, Field(examples=["prototyping"])] = "prototyping"
    device: WantedDevice = None
    devices: Annotated[
        RankCount | Annotated[list[DeviceText], Field(min_length=1, max_length=MOST_RANKS)] | None,
        Field(
            description="Trains on several devices as one: how many, or their names. `device` may "
            "give their kind, such as `cpu`; or name them all with a label, such as `cuda:0-3`.",
            examples=[2],
        ),
    ] = None
    memory_budget_bytes: Annotated[
        MemoryBudget | None,
        Field(description="Emulates a smaller device. With several devices, each has this much."),
    ] = None
    options: Annotated[
        Config, Field(description="Parameters of the workload that a request may give.")
    ] = Field(default_factory=dict)
    pinned: Annotated[Config, Field(description="Dimensions and levers that are not searched.")] = (
        Field(default_factory=dict)
    )
    levers: Annotated[
        list[Short],
        Field(max_length=20, description="Levers to search, besides the workload's own space."),
        FirstError,
    ] = Field(default_factory=list)
    objective: Annotated[
        Annotated[Objective, Field(strict=False)] | None,
        Field(description="What is best inside the window. Default: the budget's."),
    ] = None
    sampler: Annotated[
        Annotated[Sampler, Field(strict=False)] | None,
        Field(description="What proposes configurations. Default: `predictive`."),
    ] = None
    effective_batch_size: Annotated[
        EffectiveBatch | None,
        Field(description="Samples per optimizer step; the micro-batch is searched."),
    ] = None
    trials: Annotated[Trials | None, Field(description="Configurations measured at most.")] = None
    devices_at_once: Annotated[
        Annotated[DevicesAtOnce | Literal["all"], Field(union_mode="smart")],
        Field(
            description="How many devices of one class may work on the study at once, each on "
            "configurations of its own: a number, or `all`. The result is the same, only sooner.",
        ),
    ] = 1
    timeout_s: Annotated[
        Seconds | None,
        Field(
            description="Seconds after which no further configuration is begun; the best one "
            "so far is recommended."
        ),
    ] = None
    cycle_batches: Annotated[CycleBatches | None, Field(description="Batches in a cycle.")] = None
    time_scale: Annotated[
        Number, Field(gt=0, le=1000, description="Scales the budget's times; for trying it out.")
    ] = 1.0
    headroom: Annotated[
        Fraction | None, Field(description="Fraction of the memory that is kept free.")
    ] = None
    accept_disturbed: Annotated[
        bool | None,
        Field(description="Also recommend what was measured while the machine was disturbed."),
    ] = None
    fresh: Annotated[
        bool, Field(description="Measure everything again: reuse no stored measurement.")
    ] = False

    @property
    def device_name(self) -> str | None:
        """The device, or the devices, as names are compared; see
        ``app.machine.asked_devices``."""
        return name_of(self.device, self.devices)

    @property
    def most_devices(self) -> int:
        """How many devices may work on it at once; 0 for all there are."""
        return 0 if self.devices_at_once == "all" else self.devices_at_once

    @property
    def needs(self) -> str:
        """What a runner must have registered, or offer."""
        return self.workload if self.bundle is None else BUNDLED

    @property
    def entry(self) -> str:
        """Of code from a bundle: where the workload is in it."""
        return self.bundle_entry or self.workload

    @property
    def key(self) -> str:
        """Equal for two requests that ask the same, however many devices are to answer it."""
        asked = self.to_dict()
        del asked["devices_at_once"]
        for name in ("devices", "bundle", "bundle_entry"):
            if asked[name] is None:
                del asked[name]  # the key that earlier releases gave the same request
        return short_hash(asked)
