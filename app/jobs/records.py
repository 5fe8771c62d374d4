"""What a job is: plain data, as the service and the runner hand it around."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from optimizer.records import short_hash

QUEUED, RUNNING, INTERRUPTED = "queued", "running", "interrupted"
FINISHED, FAILED, CANCELLED = "finished", "failed", "cancelled"

WAITING = (QUEUED, INTERRUPTED)
"""A runner may take it: it has not begun, or its runner ended."""
ACTIVE = (*WAITING, RUNNING)
OVER = (FINISHED, FAILED, CANCELLED)
STATES = (*ACTIVE, *OVER)


@dataclass(frozen=True)
class StudyRequest:
    """What somebody asks for. The fields mean what the options of ``tonnage tune`` mean."""

    workload: str
    """A registered name (``app.workloads.registry``), never a path or module."""
    budget: str = "prototyping"
    device: str | None = None
    """``cuda:0``, a fingerprint's key or a product name; ``None``: the best one of the host."""
    memory_budget_bytes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    pinned: dict[str, Any] = field(default_factory=dict)
    levers: list[str] = field(default_factory=list)
    """Levers to search too."""
    objective: str | None = None
    """``throughput``, ``capacity`` or ``pareto``; ``None``: the budget's."""
    sampler: str | None = None
    """What proposes configs (``optimizer.proposals.Sampler``); ``None``: the study's own."""
    trials: int | None = None
    timeout_s: float | None = None
    """No config is begun after so long; the best so far is recommended."""
    cycle_batches: int | None = None
    time_scale: float = 1.0
    headroom: float | None = None
    effective_batch_size: int | None = None
    accept_disturbed: bool | None = None
    fresh: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StudyRequest:
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})

    @property
    def device_name(self) -> str | None:
        """The device as names are compared."""
        return self.device.strip().lower() if self.device is not None else None

    @property
    def key(self) -> str:
        """Equal for two requests that ask the same."""
        return short_hash(self.to_dict())


@dataclass(frozen=True)
class Job:
    """A stored job."""

    id: str
    """What ``submit`` returned, for as long as the job is kept."""
    study_id: str | None
    """The study that answers it: with the job's own id where the question is new, an older one
    that is gone on with (or has the answer) where it is not; ``None`` until a runner knows."""
    state: str
    """``queued``, ``running``, ``interrupted`` (its runner ended; another goes on with it),
    ``finished``, ``failed`` or ``cancelled``."""
    request: StudyRequest
    message: str
    """Why it failed, was interrupted or found nothing, or what it waits for."""
    deaths: int
    """How often in a row it took its process with it without having stored anything new."""
    cancel_requested: bool
    runner_id: str | None
    lease: str | None
    """The device it measures on, while it runs."""
    last_event: int
    """Id of its newest event."""
    wall_s: float
    """Time spent running, in all attempts that have ended."""
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    """Of the latest attempt."""
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.state in OVER


@dataclass(frozen=True)
class JobEvent:
    """Something that happened to a job."""

    id: int
    """Counts up by one within a job, in the order in which the events were committed."""
    kind: str
    data: dict[str, Any]
    created_at: datetime
