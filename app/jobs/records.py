"""What a job is: plain data, as the service and the runner hand it around."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.finetunings.evaluation_request import EvaluationRequest
from app.finetunings.request import FineTuningPost
from app.knowledge.request import AblationRequest
from app.tuning.request import BUNDLED, StudyRequest
from app.tuning.state import StudyState


class JobKind(StrEnum):
    """What a job runs."""

    STUDY = "study"
    ABLATION = "ablation"
    FINETUNING = "finetuning"
    EVALUATION = "evaluation"
    """Of the model of a fine-tuning that the service ran."""
    ASSIST = "assist"
    """One more device works on a study. It is listed nowhere: people see it with the study."""


@dataclass(frozen=True)
class Job:
    """A stored job."""

    id: str
    """What ``submit`` returned, for as long as the job is kept."""
    kind: JobKind
    study_id: str | None
    """The study that answers the job. It has the job's own id if the question is new; otherwise it
    is the older study that is resumed or has the answer. ``None`` until a runner knows."""
    state: StudyState
    asked: dict[str, Any]
    """The request as it is stored: ``request`` of a study, ``ablation`` of an ablation,
    ``finetuning`` of a fine-tuning, ``evaluation`` of an evaluation."""
    workload: str
    """A registered name: a runner that has it can run the job. Of a fine-tuning: see
    ``FineTuningPost.workload``; of a study of code from a bundle: ``BUNDLED``."""
    device: str | None
    """What the request asks for, in lower case; ``None`` for the best one of the host."""
    message: str
    """Why it failed, was interrupted or found nothing, or what it waits for."""
    deaths: int
    """How often in a row its process died without having stored anything new."""
    cancel_requested: bool
    runner_id: str | None
    lease: str | None
    """The device it measures on, while it runs."""
    attempt: int
    """How often a runner has taken it; 0 before the first time."""
    last_event: int
    """Id of its newest event."""
    wall_s: float
    """Time spent running, in all attempts that have ended."""
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    """When the latest attempt began."""
    finished_at: datetime | None
    devices_at_once: int = 1
    """How many devices of one class may work on it at once; 0 for all there are."""
    class_key: str | None = None
    """The class of the device it ran on last."""
    runs_on: dict[str, Any] | None = None
    """``host``, ``device`` and ``name`` of the device, while it runs."""
    assists: str | None = None
    """Of an ``assist``: the job that it helps with."""
    resume_on: str | None = None
    """The device it ran on before: nobody else takes it until ``elsewhere_at``."""
    elsewhere_at: datetime | None = None
    """``None``: never, as its folder is on that device's host."""

    @property
    def is_shared(self) -> bool:
        """Whether several devices may work on it at once."""
        return self.devices_at_once != 1

    @property
    def trains(self) -> str:
        """What it trains, for people."""
        return self.request.workload if self.workload == BUNDLED else self.workload

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def request(self) -> StudyRequest:
        """What a study was asked."""
        return StudyRequest.trusted(self.asked)

    @property
    def ablation(self) -> AblationRequest:
        """What an ablation was asked."""
        return AblationRequest.trusted(self.asked)

    @property
    def finetuning(self) -> FineTuningPost:
        """What a fine-tuning was asked."""
        return FineTuningPost.trusted(self.asked)

    @property
    def evaluation(self) -> EvaluationRequest:
        """What an evaluation was asked."""
        return EvaluationRequest.trusted(self.asked)


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job."""

    id: int
    """Counts up by one within a job, in the order in which the events were committed."""
    kind: str
    data: dict[str, Any]
    created_at: datetime
