"""Jobs of fine-tunings and evaluations, and what they may name, as the HTTP interface shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.finetunings.evaluation_request import EXAMPLE as EXAMPLE_EVALUATION
from app.finetunings.request import EXAMPLE as EXAMPLE_REQUEST
from app.jobs.schemas import JobTimes
from app.tuning.state import StudyState
from finetuning.settings.presets import PRESETS

if TYPE_CHECKING:
    from app.finetuning_jobs.evaluations import EvaluationProgress
    from app.finetuning_jobs.names import Names
    from app.finetuning_jobs.service import FineTuningProgress

EXAMPLE: JsonDict = {
    "id": "ftn_1k0rr48nvttvb71401qp",
    "state": "running",
    "message": "",
    "doing": "training",
    "request": EXAMPLE_REQUEST,
    "device": "cuda:0",
    "cancel_requested": False,
    "wall_s": 0.0,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:15Z",
    "started_at": "2026-01-02T03:04:06Z",
    "finished_at": None,
}


EVALUATION: JsonDict = {
    "id": "evl_1k0rr48nvttvb71401qr",
    "finetuning_id": "ftn_1k0rr48nvttvb71401qp",
    "state": "running",
    "message": "",
    "doing": "language: 12 of 40 items",
    **EXAMPLE_EVALUATION,
    "limit": None,
    "cancel_requested": False,
    "wall_s": 0.0,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:15Z",
    "started_at": "2026-01-02T03:04:06Z",
    "finished_at": None,
}


class FineTuningJobOut(JobTimes):
    """Where a fine-tuning that was asked for over HTTP stands in the queue."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str = Field(description="The same as that of the fine-tuning.")
    state: StudyState = Field(
        description="`interrupted`: its runner ended, and another one resumes it."
    )
    message: str = Field(description="Why it failed, or what it waits for.")
    doing: str = Field(description="What it did last.")
    request: dict[str, Any] = Field(description="What was asked for.")
    device: str | None = Field(description="As asked for; null for the best one of a host.")

    @classmethod
    def of(cls, found: FineTuningProgress) -> FineTuningJobOut:
        job = found.job
        own = {
            "message": found.waits_for or job.message,
            "doing": found.doing,
            "request": job.asked,
        }
        rest = {name: getattr(job, name) for name in cls.model_fields if name not in own}
        return cls.model_validate({**rest, **own})


class EvaluationOut(JobTimes):
    """An evaluation that was asked for over HTTP. Its figures and rows are those of the
    fine-tuning."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVALUATION]})

    id: str
    finetuning_id: str
    state: StudyState = Field(
        description="`interrupted`: its runner ended; the next one on its host goes on from the "
        "rows that were made."
    )
    message: str = Field(description="Why it failed, or what it waits for.")
    doing: str = Field(description="How far it is; empty before it began and after its end.")
    tasks: list[str]
    options: dict[str, Any]
    baseline: str | None
    limit: int | None

    @classmethod
    def of(cls, found: EvaluationProgress) -> EvaluationOut:
        job, asked = found.job, found.job.evaluation
        own: dict[str, Any] = {
            name: getattr(asked, name)
            for name in ("finetuning_id", "tasks", "options", "baseline", "limit")
        }
        own |= {"message": found.waits_for or job.message, "doing": found.doing}
        rest = {name: getattr(job, name) for name in cls.model_fields if name not in own}
        return cls.model_validate({**rest, **own})


class EvaluationListOut(BaseModel):
    """The newest evaluations of a fine-tuning."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EVALUATION]}]})

    items: list[EvaluationOut] = Field(description="Newest first, 50 at most.")


class NamedOut(BaseModel):
    """A registered model or source of rows."""

    name: str
    hosts: list[str] = Field(
        description="Hosts of runners that have it; empty while no runner is there that does."
    )


class TaskOut(BaseModel):
    """A task that an evaluation may name."""

    name: str
    about: str
    options: list[str] = Field(description="Options that a request may set.")


class PresetOut(BaseModel):
    """Settings that belong together."""

    name: str
    about: str
    sets: dict[str, Any] = Field(description="By dotted name, as `settings` of a request.")


class NamesOut(BaseModel):
    """What a request may name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "models": [{"name": "small", "hosts": ["gpu-1"]}],
                    "data": [{"name": "bfs", "hosts": ["gpu-1"]}],
                    "tasks": [{"name": "snake", "about": "Real games.", "options": ["games"]}],
                    "presets": [
                        {
                            "name": "quick_lora",
                            "about": "A first look within minutes.",
                            "sets": {"lora.r": 8},
                        }
                    ],
                }
            ]
        }
    )

    models: list[NamedOut]
    data: list[NamedOut]
    tasks: list[TaskOut]
    presets: list[PresetOut]

    @classmethod
    def of(cls, names: Names) -> NamesOut:
        return cls(
            models=[NamedOut(name=name, hosts=hosts) for name, hosts in names.models.items()],
            data=[NamedOut(name=name, hosts=hosts) for name, hosts in names.data.items()],
            tasks=[
                TaskOut(name=task.name, about=task.about, options=list(task.options))
                for task in names.tasks.values()
            ],
            presets=[
                PresetOut(name=each.name, about=each.about, sets=dict(each.sets))
                for each in PRESETS.values()
            ],
        )
