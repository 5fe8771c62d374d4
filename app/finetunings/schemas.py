"""Fine-tunings, as the HTTP interface shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.finetunings.state import FineTuningState
from app.http.fields import LARGEST, Short, WorkloadText
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, NamedPageQuery, cursor_among
from finetuning.comparison.result import ComparedRun, Contrast, ModelFigure, PairedTest

MAX_EVENTS = 1000

EXAMPLE: JsonDict = {
    "id": "ftn_1k0rr48nvttvb71401qp",
    "state": "training",
    "reason": "",
    "model": "models/small",
    "preset": "production_lora",
    "strategy": "lora",
    "device": "cuda:0",
    "fingerprint": "577c5139c3e13263",
    "host": "gpu-1",
    "output": "/home/me/out",
    "tonnage_version": "0.1.0",
    "micro_batch": 4,
    "accumulation": 4,
    "limit_bytes": 8589934592,
    "predicted_peak_bytes": 3221225472,
    "measured_peak_bytes": None,
    "peak_error": None,
    "predicted_step_s": 0.52,
    "measured_step_s": None,
    "step_error": None,
    "step": 250,
    "steps": 1200,
    "eval_loss": 1.42,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:34:05Z",
    "finished_at": None,
}


class FineTuningOut(BaseModel):
    """A fine-tuning of a language model that Tonnage runs."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: str
    state: FineTuningState = Field(
        description="`queued`: it waits for a runner. `interrupted`: its process ended before the "
        "run did; its job resumes it, or `tonnage finetune resume`."
    )
    reason: str = Field(description="Why it failed or stopped.")
    model: str = Field(description="As named by who started it: a registered name, or a path.")
    preset: str | None
    strategy: str = Field(description="What trains: `full`, `lora` or `qlora`.")
    device: str = Field(description="Of one that is queued: as asked for, or empty.")
    fingerprint: str = Field(description="Empty until it has begun.")
    host: str = Field(description="Empty until it has begun.")
    output: str = Field(description="The folder of the run, on its host; empty until it has begun.")
    tonnage_version: str
    micro_batch: int | None = Field(description="Rows per micro-batch, fitted to the device.")
    accumulation: int | None = Field(description="Micro-batches per optimizer step.")
    limit_bytes: int | None = Field(description="Memory that it may use.")
    predicted_peak_bytes: int | None
    measured_peak_bytes: int | None = Field(description="The highest of all its attempts.")
    peak_error: float | None = Field(
        description="Relative to what was measured; positive when the prediction was too high."
    )
    predicted_step_s: float | None = Field(description="Time of an optimizer step.")
    measured_step_s: float | None
    step_error: float | None
    step: int = Field(description="The last optimizer step that was logged.")
    steps: int | None = Field(description="Optimizer steps planned.")
    eval_loss: float | None = Field(description="The lowest so far, or of the best checkpoint.")
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class FineTuningDetail(FineTuningOut):
    """One fine-tuning with everything that was reported of it, except events and rows."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    **EXAMPLE,
                    "settings": {"model": {"name": "models/small"}, "strategy": "lora"},
                    "fit": {"sentences": ["Each optimizer step takes 4 rows × 4 micro-batches."]},
                    "data": {"seed": 42},
                    "facts": {},
                    "evaluations": {"snake": {"n": 40}},
                }
            ]
        },
    )

    settings: dict[str, Any] = Field(description="As asked for; those that train are in `fit`.")
    fit: dict[str, Any] | None = Field(description="What was fitted to the device, and why.")
    data: dict[str, Any] | None = Field(description="The data card.")
    facts: dict[str, Any]
    evaluations: dict[str, Any] = Field(
        description="Summary by task; `baseline:TASK` is of the model that was evaluated beside."
    )


class FineTuningEventOut(BaseModel):
    """What was logged at one optimizer step."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "step": 250,
                    "epoch": 0.6,
                    "loss": 1.5,
                    "eval_loss": 1.42,
                    "learning_rate": 0.0002,
                    "tokens_per_s": 5200.0,
                    "step_s": 0.53,
                    "left_s": 503.5,
                    "peak_bytes": 3200000000,
                    "document": {"grad_norm": 0.4},
                    "created_at": "2026-01-02T03:34:05Z",
                }
            ]
        },
    )

    step: int
    epoch: float | None
    loss: float | None
    eval_loss: float | None
    learning_rate: float | None
    tokens_per_s: float | None
    step_s: float | None = Field(description="Mean of the last optimizer steps.")
    left_s: float | None = Field(description="Time left until the last step, at that pace.")
    peak_bytes: int | None = Field(description="The most memory in use so far.")
    document: dict[str, Any] = Field(description="Every other value that was logged.")
    created_at: datetime


class EventPage(BaseModel):
    """A part of what was logged, in the order of the steps."""

    items: list[FineTuningEventOut]
    next_after: int | None = Field(
        description="Send it as `after` to get the next part; null when this is the last one."
    )


class EvaluationRowOut(BaseModel):
    """What a model did on one item of a task."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "item": "game-7",
                    "group": "game-7",
                    "source": "bfs",
                    "values": {"won": 1.0, "score": 12.0},
                    "details": {"seed": 7},
                }
            ]
        },
    )

    item: str
    group: str = Field(
        validation_alias="item_group", description="What a comparison resamples as a whole."
    )
    source: str = Field(description="The data source that the item came from.")
    values: dict[str, float | None]
    details: dict[str, Any] = Field(description="For a person: the prompt, the answer, the seed.")


class RowPage(BaseModel):
    """A part of the rows of an evaluation, in the order in which they were made."""

    items: list[EvaluationRowOut]
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page; null on the last page."
    )


class ComparisonOut(BaseModel):
    """How evaluated models compare: paired tests on the rows that were kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "format": 1,
                    "runs": [],
                    "baseline": "base",
                    "level": 0.05,
                    "confidence": 0.95,
                    "resamples": 9999,
                    "seed": 0,
                    "tests_corrected": 1,
                    "contrasts": [],
                    "figures": [],
                    "tests": [],
                    "sentences": ["lora wins more games than base."],
                    "notes": [],
                }
            ]
        }
    )

    format: int
    runs: list[ComparedRun]
    baseline: str | None = Field(description="The run that the others are tested against.")
    level: float = Field(description="Family-wise error of all tests together.")
    confidence: float
    resamples: int
    seed: int
    tests_corrected: int = Field(description="Tests that Holm's correction counts.")
    contrasts: list[Contrast]
    figures: list[ModelFigure]
    tests: list[PairedTest]
    sentences: list[str]
    notes: list[str]


class FineTuningQuery(NamedPageQuery):
    cursor: str | None = cursor_among("ftn")
    state: Annotated[FineTuningState | None, Field(description="Only in this state.")] = None
    model: Annotated[WorkloadText | None, Field(description="Only of this model.")] = None
    preset: Annotated[Short | None, Field(description="Only of this preset.")] = None
    strategy: Annotated[
        Literal["full", "lora", "qlora"] | None, Field(description="Only with this strategy.")
    ] = None
    device: Annotated[Short | None, Field(description="Only on this device.")] = None


class EventQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: Annotated[
        int | None,
        Field(ge=0, le=LARGEST, description="Only steps after this one; default: all of them."),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS, description="Events at once.")] = 200


class RowQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    baseline: Annotated[
        bool, Field(description="Of the model that was evaluated beside the fine-tuned one.")
    ] = False
    source: Annotated[WorkloadText | None, Field(description="Only of this data source.")] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows at once.")] = DEFAULT_LIMIT
    cursor: Annotated[
        str | None,
        Field(pattern="^[0-9]{1,15}$", description="The `next_cursor` of the previous page."),
    ] = None


class ComparisonQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[
        str,
        Field(
            pattern="^[0-9A-Za-z_]{1,40}(,[0-9A-Za-z_]{1,40}){0,7}$",
            description="Fine-tunings, separated by commas, eight at most; one alone is compared "
            "with the baseline that was evaluated beside it.",
            examples=["ftn_1k0rr48nvttvb71401qp,ftn_1k0rr48nvttvb71401qq"],
        ),
    ]
    baseline: Annotated[
        str | None,
        Field(
            pattern="^[0-9A-Za-z_]{1,40}$",
            description="The fine-tuning that the others are tested against. Default: with two the "
            "first, with more every pair is tested.",
        ),
    ] = None
    by_source: Annotated[bool, Field(description="Test each data source by itself too.")] = False
