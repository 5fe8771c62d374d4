"""What a study is, what it leaves behind, and what it ends in. Plain data, no I/O.

A study reads and writes only through ``Store``: the application implements it on a database, the
tests in memory.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from optimizer.budgets import Budget
from optimizer.scope import Scope, short_hash
from probes.measurement import Config, Measurement, Purpose
from probes.space import Space, dimension_to_dict

if TYPE_CHECKING:
    from probes.max_batch import Ask

__all__ = [
    "Grade",
    "Prediction",
    "Recommendation",
    "Scope",
    "Store",
    "StudySpec",
    "Trial",
    "config_key",
    "predictions",
    "short_hash",
    "with_mean_cycle_time",
]

Key = tuple[tuple[str, str], ...]


def config_key(config: Config) -> Key:
    """Equal for equal configs, whatever the order of their dimensions."""
    return tuple(sorted((name, repr(value)) for name, value in config.items()))


@dataclass(frozen=True)
class StudySpec:
    """The question a study answers."""

    scope: Scope
    budget: Budget
    space: Space
    dataset_size: int | None = None
    pinned: Config = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    """Fixed parameters of the workload (``--option``)."""
    search: dict[str, Any] = field(default_factory=dict)
    """Settings of the max-batch search that shape its answer."""
    time_scale: float = 1.0
    """Factor applied to the budget's times; shown with the result."""
    seed: int = 0
    max_parameters: int | None = None
    """The largest model that makes sense for the data set, if capacity is the objective."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "scope": asdict(self.scope),
            "budget": self.budget.to_dict(),
            "space": {name: dimension_to_dict(d) for name, d in self.space.items()},
            "dataset_size": self.dataset_size,
            "pinned": self.pinned,
            "options": self.options,
            "search": self.search,
            "time_scale": self.time_scale,
            "seed": self.seed,
            "max_parameters": self.max_parameters,
        }

    @property
    def key(self) -> str:
        """Equal for two commands that ask the same question of the same machine."""
        return short_hash(self.to_dict())


class TrialState(StrEnum):
    """How a trial ended. Every trial that is stored has ended."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    """It does not fit the device or the window."""
    SCREENED = "screened"
    """A few steps showed that it cannot become the best: it was not confirmed."""
    PRUNED = "pruned"
    """Not measured, because of what another config showed."""
    FAILED = "failed"
    """It could not be measured."""


@dataclass(frozen=True)
class Trial:
    """One configuration of a study, settled."""

    number: int
    config: Config
    state: str
    """A ``TrialState``."""
    reason: str
    batch_size: int | None = None
    binding: str | None = None
    throughput_samples_per_s: float | None = None
    violation: dict[str, float] = field(default_factory=dict)
    """By how much each constraint is missed, relative; zero or less when met."""
    probes: int = 0
    wall_s: float = 0.0
    parameters: int | None = None
    """Parameters of the model, as far as known; an estimate for a model that was not built."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Trial:
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(frozen=True)
class Prediction:
    """A number predicted before it was measured, so that it can be graded."""

    quantity: str
    """``peak_bytes`` or ``step_time_s``."""
    predicted: float
    low: float
    high: float


def predictions(ask: Ask) -> list[Prediction]:
    """What the max-batch search expects a probe to measure, to be graded afterwards."""
    known = (("peak_bytes", ask.peak_bytes), ("step_time_s", ask.step_time_s))
    return [Prediction(name, e.value, e.low, e.high) for name, e in known if e is not None]


@dataclass(frozen=True)
class Grade:
    """A prediction with what was measured."""

    quantity: str
    predicted: float
    low: float
    high: float
    measured: float | None

    @property
    def error(self) -> float | None:
        """Relative to the measured value; positive when the prediction was too high."""
        return self.predicted / self.measured - 1 if self.measured else None

    @property
    def is_within_interval(self) -> bool:
        """Whether the measured value fell into the predicted interval."""
        return self.measured is not None and self.low <= self.measured <= self.high


@dataclass(frozen=True)
class Recommendation:
    """What a study ends in. ``to_dict`` is the document of ``tonnage tune --json``."""

    id: str
    workload: str
    budget: str
    device: str
    config: Config
    batch_size: int
    accumulation: int
    cycle_batches: int
    cycle_time_s: dict[str, float]
    """Seconds: ``mean``, ``low``, ``high``; the deprecated ``median`` repeats ``mean``."""
    throughput_samples_per_s: float
    peak_bytes: int
    limit_bytes: int
    headroom: float
    parameters: int | None
    binding: str
    explanation: list[str]
    alternatives: list[dict[str, Any]]
    ruled_out: list[dict[str, Any]]
    evidence: dict[str, Any]
    environment: dict[str, Any]
    """What training must set to reproduce the measurement (allocator settings, threads)."""
    study: dict[str, Any]
    """``id``, ``trials``, ``pruned``, ``probes``, ``wall_s``, and the error of predictions."""
    valid: dict[str, Any]
    """``fingerprint``, ``created_at`` and everything else that must stay the same."""
    front: list[dict[str, Any]] = field(default_factory=list)
    """The Pareto front of throughput and capacity among what was measured, fastest first."""
    share_of_window: float | None = None
    """Mean cycle time over the longest that the window allows; ``None`` without a window."""
    share_of_memory: float | None = None
    """``peak_bytes`` over ``limit_bytes``."""
    most_capable: dict[str, Any] | None = None
    """The most capable model that fits the window, if it is not the recommended one."""
    most_capable_note: str = ""
    """Why there is none, or what was not settled about it."""
    devices: list[str] = field(default_factory=list)
    """The devices that train, one per rank, as torch names them."""
    ranks: list[dict[str, Any]] = field(default_factory=list)
    """What each rank contributed to the confirmation run (``RankResult``); empty for a single
    device. ``batch_size`` is then that of one rank."""
    limiting_rank: int | None = None
    data_parallel: int = 1
    """Number of ranks that draw different batches."""
    global_batch_size: int | None = None
    """Samples per optimizer step of all ranks; ``None`` in a result of an earlier release."""
    communication_share: float | None = None
    """See ``Measurement.communication_share``."""
    scaling: dict[str, Any] | None = None
    """Throughput against one rank alone: ``ranks``, ``speedup``, ``efficiency``,
    ``single_step_s``."""
    scaling_note: str = ""
    """Why there is no ``scaling``, or what makes it doubtful."""
    energy: dict[str, Any] | None = None
    """See ``probes.measurement.Energy``: of the confirmation run's measured steps."""
    energy_per_cycle_j: float | None = None
    energy_unavailable: str = ""
    """Why there is no ``energy``; empty in a result of an earlier release."""
    host_energy: dict[str, Any] | None = None
    host_energy_unavailable: str = ""

    @property
    def fingerprint(self) -> str:
        """Key of the device's fingerprint; empty in a result from before it was kept."""
        return str(self.valid.get("fingerprint", ""))

    @property
    def workload_options(self) -> dict[str, Any]:
        """The options that its workload was measured with."""
        return dict(self.valid.get("workload_options") or {})

    @property
    def disturbed_by(self) -> list[str]:
        """What disturbed the confirmation run; empty when it is clean."""
        taints: list[str] = (self.evidence.get("highest_passing") or {}).get("tainted", [])
        return taints

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recommendation:
        known = {f.name for f in fields(cls)}
        data = with_mean_cycle_time(data)
        return cls(**{key: value for key, value in data.items() if key in known})


def with_mean_cycle_time(document: dict[str, Any]) -> dict[str, Any]:
    """A recommendation document in which every ``cycle_time_s`` has both ``mean`` and ``median``.

    Earlier releases called the mean ``median``; both keys have the same value for one release.
    """
    result = dict(document)
    cycle = result.get("cycle_time_s") or {}
    if "mean" in cycle or "median" in cycle:
        mean_s = cycle.get("mean", cycle.get("median"))
        result["cycle_time_s"] = {**cycle, "mean": mean_s, "median": mean_s}
    for name in ("alternatives", "front"):
        if others := result.get(name):
            result[name] = [with_mean_cycle_time(other) for other in others]
    if most_capable := result.get("most_capable"):
        result["most_capable"] = with_mean_cycle_time(most_capable)
    return result


class Store(Protocol):
    """One study's memory. Every ``add`` has been committed when it returns."""

    def find_measurement(
        self, config: Config, batch_size: int, purpose: Purpose
    ) -> Measurement | None:
        """A measurement of the study's scope that may be used instead of a new probe."""

    def add_measurement(
        self, trial_number: int, measurement: Measurement, predictions: list[Prediction]
    ) -> None: ...

    def trials(self) -> list[Trial]:
        """Settled trials in the order of their numbers."""

    def add_trial(self, trial: Trial) -> None: ...

    def claim(self, config: Config) -> int | None:
        """The number of the config's trial, if this process may settle it; ``None`` while another
        live process has claimed it.

        A config keeps its number, even if another process takes it over, and no two configs of a
        study share one.
        A claim ends when the trial is added, or its process dies.
        """

    def busy(self) -> list[Config]:
        """Configs that other processes that are alive have claimed and not settled yet."""

    def measurements(self) -> list[Measurement]:
        """Every measurement this study used, its own and reused ones, oldest first."""

    def grades(self) -> list[Grade]:
        """The predictions of the study's own measurements, oldest first."""
