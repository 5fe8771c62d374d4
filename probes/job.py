"""What the parent asks of a worker: one JSON object per job, one line.

Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from probes import effective_batch
from probes.errors import InputError
from probes.group import Group
from probes.measurement import Purpose
from probes.timeouts import ExpectedStep

WORST_CASE_STEPS = 2
"""Optimizer steps on the worst-case batch: before and after the optimizer state exists, and as many
again each time that mixed batches may have fragmented the memory."""


BUNDLE_HASH = "bundle"
"""What the source hash of a workload begins with that came in a bundle: it is over the whole
bundle, and cannot be compared with one over the modules of a workload."""


@dataclass(frozen=True)
class WorkloadRef:
    """How to find a workload, in the interpreter that will run it.

    ``spec`` is a registered name, ``path/to/file.py:Class`` (absolute path by the time it gets
    here) or ``package.module:Class``. ``options`` are passed to the constructor as keywords.
    """

    spec: str
    options: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    """What it is registered as, where that is not its ``spec``."""
    bundle: str = ""
    """SHA-256 of the bundle that it came in (a working directory of another host); empty for a
    workload of this host."""
    home: str = ""
    """Where the bundle is unpacked: the working directory, from which ``spec`` is found."""

    @property
    def label(self) -> str:
        """What its results are kept under."""
        return self.name or self.spec

    def to_dict(self) -> dict[str, Any]:
        """For the worker, which needs no label."""
        data: dict[str, Any] = {"spec": self.spec, "options": self.options}
        return {**data, "bundle": self.bundle, "home": self.home} if self.bundle else data


@dataclass(frozen=True)
class StepPlan:
    """How long a probe runs and when it is satisfied. Steps are optimizer steps."""

    purpose: Purpose
    warmup_steps: int
    """Minimum number of steps before anything is measured; the worst-case batch is among them."""
    max_warmup_steps: int
    measure_steps: int
    """Minimum number of measured steps."""
    max_measure_steps: int
    measure_budget_s: float
    """Stop measuring after this time (never before ``measure_steps``)."""
    least_measure_s: float
    """A mean must span at least this time: steps within a fraction of a second agree with
    each other while the machine's own speed drifts over seconds."""
    half_width: float
    """Satisfied when the interval of the mean step time is this narrow, relative to it."""
    phases: bool
    """Whether evaluation and checkpoint are probed too."""
    evaluation_s: float = 0.0
    """Of a command, whose phases cannot be called for: how long to go on until it evaluates or an
    epoch of it ends, from the first measured step."""
    leak_steps: int = 0
    """Of a command's second run, after one that seemed to leak: measured steps before it may end.
    A growth that levels off takes longer to show than a leak."""

    @property
    def max_steps(self) -> int:
        """Most steps that a run takes, without the repeats of the worst case."""
        return self.max_warmup_steps + max(self.max_measure_steps, self.leak_steps)


BRACKET_PLAN = StepPlan(
    purpose=Purpose.BRACKET,
    warmup_steps=2,
    max_warmup_steps=2,
    measure_steps=2,
    max_measure_steps=4,
    measure_budget_s=2.0,
    least_measure_s=0.0,
    half_width=0.05,
    phases=True,
)

CONFIRM_PLAN = StepPlan(
    purpose=Purpose.CONFIRM,
    warmup_steps=4,
    max_warmup_steps=15,
    measure_steps=24,
    max_measure_steps=200,
    measure_budget_s=20.0,
    least_measure_s=1.0,
    half_width=0.01,
    phases=True,
    evaluation_s=120.0,
)


@dataclass(frozen=True)
class ProbeJob:
    """One run of a config at a batch size."""

    workload: WorkloadRef
    config: dict[str, Any]
    batch_size: int
    device: str
    plan: StepPlan
    limit_bytes: int | None = None
    """Memory budget in bytes; ``None`` for the device's own size."""
    headroom: float = 0.05
    effective_batch_size: int | None = None
    """Samples per optimizer step at the least; ``None`` to take the lever ``accumulation``."""
    seed: int = 0
    expected_step: ExpectedStep | None = None
    """How long a step should take, where other probes of the config tell; for the time-outs."""
    group: Group | None = None
    """The devices that train as one; ``device`` is then its label, and ``batch_size`` that of one
    rank."""
    rank: int = 0
    """In a worker of a gang: which rank it is."""
    meeting: str = ""
    """In a worker of a gang: where the ranks meet (see ``probes.ranks.team.join``)."""

    def __post_init__(self) -> None:
        effective = self.effective_batch_size
        effective_batch.check(effective, self.config)
        most = self.effective_per_rank
        if most is not None and not 1 <= self.batch_size <= most:
            of_ranks = f" of {self.data_parallel} ranks" if self.data_parallel > 1 else ""
            raise InputError(
                f"A batch of {self.batch_size} does not fit an effective batch size of "
                f"{effective}: micro-batches{of_ranks} have 1 to {most} samples."
            )

    @property
    def data_parallel(self) -> int:
        """Number of ranks that draw different batches."""
        return self.group.data_parallel(self.config) if self.group is not None else 1

    @property
    def effective_per_rank(self) -> int | None:
        """Samples per optimizer step of one rank, where they are stated."""
        if self.effective_batch_size is None:
            return None
        return -(-self.effective_batch_size // self.data_parallel)

    @property
    def accumulation(self) -> int:
        """Micro-batches of ``batch_size`` per optimizer step."""
        if self.effective_per_rank is None:
            return int(self.config.get("accumulation", 1))
        return effective_batch.accumulation(self.effective_per_rank, self.batch_size)

    def to_dict(self) -> dict[str, Any]:
        """For the worker, which needs no time-outs."""
        data = {"kind": "probe", **asdict(self)}
        data["group"] = self.group.to_dict() if self.group is not None else None
        del data["expected_step"]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ProbeJob:
        data = {key: value for key, value in data.items() if key != "kind"}
        data["workload"] = WorkloadRef(**data["workload"])
        plan = dict(data["plan"])
        plan["purpose"] = Purpose(plan["purpose"])
        data["plan"] = StepPlan(**plan)
        if data.get("group") is not None:
            data["group"] = Group.from_dict(data["group"])
        return cls(**data)
