"""What a probe returns: a verdict, its evidence, and the numbers behind it.

Everything here is plain data that survives JSON unchanged, because it crosses a process
boundary (worker to parent), a database and an HTTP response. Standard library only, and
Python 3.10 syntax: the worker runs in the user's interpreter.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

Config = dict[str, Any]
"""One point of a search space: dimension name to plain value (int, float, str, bool, None)."""

UNSEEN = "unseen"
"""The phase of a command's run that ended before the evaluation in which another batch failed."""
CONTRACT = "contract"
"""The phase of a run that ended because the loss of its workload is nothing that can be trained on,
whatever the batch."""
NEAR_CAP = 0.85
"""With this share of the memory cap in use, a failure that could mean memory does mean memory."""


class Verdict(str, Enum):
    """The outcome of one probe. Every value but ``STABLE`` comes with a reason to act on."""

    STABLE = "stable"
    """It ran, within the memory cap, for the whole plan of the probe."""
    OOM = "oom"
    """It asked for more memory than the cap allows."""
    LEAK = "leak"
    """It ran, but memory held between steps grows: it would die later."""
    SPILL = "spill"
    """It ran, but only by using memory outside the device (swap, shared system memory)."""
    SHAPE_LIMIT = "shape_limit"
    """A kernel cannot handle a tensor this large, however much memory there is."""
    TIMEOUT = "timeout"
    """It made no progress for longer than the probe allows."""
    CRASH = "crash"
    """The workload raised, or its process died, for a reason that is not memory."""
    NON_FINITE = "non_finite"
    """The loss became NaN or infinite."""
    UNSUPPORTED = "unsupported"
    """This device, model or environment cannot do what the config asks for."""

    def __str__(self) -> str:
        return self.value


class Purpose(str, Enum):
    """Why a probe was run; decides how long it runs and what its verdict is worth."""

    BRACKET = "bracket"
    """A few steps to learn memory and time. Never enough to recommend anything."""
    CONFIRM = "confirm"
    """The full stability run in a fresh process. The only thing a recommendation may rest on."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class StepTime:
    """Duration of one training step, data fetching included, after warm-up. Seconds.

    ``low_s``/``high_s`` bound the *mean* (bootstrap): a cycle is a sum of steps, so the mean is
    what multiplies. ``median_s``, ``p10_s`` and ``p90_s`` describe single steps.
    """

    median_s: float
    mean_s: float
    low_s: float
    high_s: float
    p10_s: float
    p90_s: float
    steps: int
    warmup_steps: int
    converged: bool
    data_s: float
    """Median time spent waiting for ``batches()``, a part of each step."""


@dataclass(frozen=True)
class Growth:
    """Trend of the memory held at step boundaries. Bytes per step, with a confidence interval."""

    bytes_per_step: float
    low: float
    high: float
    steps: int
    dies_at_step: int | None
    """The step near which the memory cap would be reached at this rate."""


@dataclass(frozen=True)
class Energy:
    """What the measured steps took, as a sensor told it: never an estimate. Joules and watts.

    The window is that of the step time: from the first measured step to the end of the last.
    """

    energy_j: float
    """All of it, idle power included; of a gang, of all its devices together."""
    low_j: float
    """With ``high_j``, bounds of ``energy_j``: a sensor is not read at the very moment at which the
    steps begin and end, and has a period of its own."""
    high_j: float
    window_s: float
    steps: int
    """Optimizer steps in the window."""
    samples: int
    """Samples in the window, of all ranks."""
    source: str
    """The sensor: ``NVML counter``, ``NVML power, integrated``, ``RAPL package and DRAM``, …"""
    scope: str
    """``device``, or ``host`` for a sensor that counts everything which runs on the host."""
    idle_power_w: float | None = None
    """Power before the first probe, while nothing of ours used the device."""
    idle_unavailable: str = ""
    """Why there is no ``idle_power_w``."""

    @property
    def per_step_j(self) -> float:
        """Joules of one step, on average."""
        return self.energy_j / self.steps

    @property
    def per_sample_j(self) -> float:
        """Joules of one sample, on average."""
        return self.energy_j / self.samples

    @property
    def power_w(self) -> float:
        """Mean power over the window, in watts."""
        return self.energy_j / self.window_s

    @property
    def above_idle_j(self) -> float | None:
        """``energy_j`` without what the idle device would have taken in that time."""
        if self.idle_power_w is None:
            return None
        return max(0.0, self.energy_j - self.idle_power_w * self.window_s)

    def to_dict(self) -> dict[str, Any]:
        """With what follows from the fields, for readers of JSON; ``from_dict`` leaves it out."""
        return {
            **asdict(self),
            "energy_per_step_j": self.per_step_j,
            "energy_per_sample_j": self.per_sample_j,
            "energy_above_idle_j": self.above_idle_j,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Energy:
        known = {f.name for f in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})


@dataclass(frozen=True)
class Trace:
    """The run itself, step by step (warm-up first), so that a verdict can be re-examined.

    Both lists have one entry per step and the same length.
    """

    step_s: list[float] = field(default_factory=list)
    held_bytes: list[int] = field(default_factory=list)
    """Memory allocated at the end of each step."""


@dataclass(frozen=True)
class RankResult:
    """What one rank of a gang contributed. Sizes in bytes, times in seconds."""

    rank: int
    device: str
    batch_size: int
    """Samples of its micro-batch."""
    verdict: Verdict | None
    """``None`` where it was ended, or lost the connection, because of another rank."""
    reason: str = ""
    phase: str = ""
    """Where it ended; ``done`` for a rank that passed."""
    steps: int = 0
    limit_bytes: int | None = None
    cap_bytes: int | None = None
    peak_bytes: int | None = None
    static_bytes: int | None = None
    communication_bytes: int = 0
    """Device memory that the communication library holds outside the tensor allocator."""
    step_mean_s: float | None = None
    data_s: float | None = None

    @property
    def fullness(self) -> float:
        """Peak memory as a share of the cap; 0 where it is not known."""
        return (self.peak_bytes or 0) / self.cap_bytes if self.cap_bytes else 0.0


EPOCH_SAMPLES = "epoch_samples"
EPOCH_SAMPLES_FROM = "epoch_samples_from"
"""Keys in ``Measurement.environment``."""


@dataclass(frozen=True)
class Measurement:
    """One isolated run of (workload, config, batch size) on a device."""

    workload: str
    config: Config
    batch_size: int
    device: str
    purpose: Purpose
    verdict: Verdict
    reason: str
    hint: str = ""
    """What to try next; empty when there is nothing to add."""

    limit_bytes: int | None = None
    """The memory budget: the device's size, or the smaller device that was asked for."""
    headroom: float = 0.0
    """The fraction of ``limit_bytes`` that was kept free."""
    cap_bytes: int | None = None
    """What the run was allowed: ``limit_bytes * (1 - headroom)``, enforced."""
    peak_bytes: int | None = None
    """Most memory in use at once, ``overhead_bytes`` included."""
    static_bytes: int | None = None
    """Memory held between steps once the optimizer state exists, overhead included."""
    overhead_bytes: int = 0
    """Device memory outside the tensor allocator (context, libraries)."""
    requested_bytes: int | None = None
    """The allocation that failed, when the error names it."""
    phase_peak_bytes: dict[str, int] = field(default_factory=dict)
    """Peak per phase: ``train``, and ``evaluate`` and ``checkpoint`` where they ran."""

    step_time: StepTime | None = None
    growth: Growth | None = None
    trace: Trace = field(default_factory=Trace)
    steps: int = 0
    samples: int = 0
    accumulation: int = 1
    """Micro-batches of ``batch_size`` per optimizer step."""
    ranks: list[RankResult] = field(default_factory=list)
    """One per rank where several devices trained as one; empty for a single device. The other
    fields are then those of the rank that limits (``limiting_rank``), but for the step time, which
    is the slowest rank's, and ``samples``, which are those of all ranks."""
    limiting_rank: int | None = None
    """The rank that gave the verdict; of a run that passed, the one with the fullest device."""
    data_parallel: int = 1
    """Number of ranks (or teams of ranks that share layers) that draw different batches."""
    communication_share: float | None = None
    """Share of a step that is spent on communication which nothing hides; ``None`` where that
    cannot be measured within the gang."""
    energy: Energy | None = None
    """Of the device, or of all devices of a gang. ``None`` where no sensor tells it, and in a
    result of an earlier release."""
    energy_unavailable: str = ""
    """Why there is no ``energy``, and what to do about it."""
    host_energy: Energy | None = None
    """Of the host's CPU and memory beside its devices. ``None`` on the CPU: it is the device."""
    host_energy_unavailable: str = ""
    parameters: int | None = None
    last_loss: float | None = None
    first_loss: float | None = None

    tainted: list[str] = field(default_factory=list)
    """Why the times may be too long (throttling, another tenant); empty when they are clean."""
    notes: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    """Telemetry around the run; a missing field is ``{"missing": reason}``."""
    environment: dict[str, Any] = field(default_factory=dict)
    """What must be the same for the result to hold: torch, allocator settings, threads."""

    wall_s: float = 0.0
    started_at: str = ""
    """ISO 8601, UTC."""
    stdout_tail: str = ""
    stderr_tail: str = ""
    phase: str = ""
    """Where it ended: ``import``, ``build``, ``train``, ``evaluate``, ``checkpoint``, ``done``; or
    ``UNSEEN``."""

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.STABLE

    @property
    def epoch_samples(self) -> int | None:
        """Samples per epoch at the least, where the output of a command tells."""
        return self.environment.get(EPOCH_SAMPLES)

    @property
    def epoch_samples_from(self) -> str:
        """What tells ``epoch_samples``, in one sentence; empty where nothing does."""
        return str(self.environment.get(EPOCH_SAMPLES_FROM, ""))

    @property
    def effective_batch_size(self) -> int:
        """Samples per optimizer step, over all ranks."""
        return self.micro_batch_samples * self.accumulation

    @property
    def micro_batch_samples(self) -> int:
        """Samples that all ranks together take at once."""
        if len({each.batch_size for each in self.ranks}) > 1:
            total = sum(each.batch_size for each in self.ranks)
            return total * self.data_parallel // len(self.ranks)
        return self.batch_size * self.data_parallel

    @property
    def energy_j(self) -> float | None:
        """Joules of the measured steps; see ``Energy``."""
        return self.energy.energy_j if self.energy is not None else None

    @property
    def energy_per_sample_j(self) -> float | None:
        """Joules of one sample; ``None`` where no sensor measured the energy."""
        return self.energy.per_sample_j if self.energy is not None else None

    @property
    def memory_taints(self) -> list[str]:
        """Those of ``tainted`` that touch memory too; see ``devices.telemetry.Window``."""
        found: list[str] = self.state.get("memory_taints", [])
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data; ``from_dict`` is its inverse."""
        data = asdict(self)
        data["verdict"] = self.verdict.value
        data["purpose"] = self.purpose.value
        for name in ("energy", "host_energy"):
            found: Energy | None = getattr(self, name)
            data[name] = found.to_dict() if found is not None else None
        for each in data["ranks"]:
            each["verdict"] = each["verdict"].value if each["verdict"] is not None else None
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Measurement:
        """Rebuild a measurement. Keys this version does not know are ignored."""
        known = {f.name for f in fields(cls)}
        kept = {key: value for key, value in data.items() if key in known}
        kept["verdict"] = Verdict(kept["verdict"])
        kept["purpose"] = Purpose(kept["purpose"])
        for name, kind in (("step_time", StepTime), ("growth", Growth), ("trace", Trace)):
            if isinstance(kept.get(name), dict):
                kept[name] = kind(**kept[name])
        for name in ("energy", "host_energy"):
            if isinstance(kept.get(name), dict):
                kept[name] = Energy.from_dict(kept[name])
        kept["ranks"] = [_rank_result(each) for each in kept.get("ranks", ())]
        return cls(**kept)


def _rank_result(given: Any) -> RankResult:
    if isinstance(given, RankResult):
        return given
    known = {f.name for f in fields(RankResult)}
    kept = {key: value for key, value in given.items() if key in known}
    verdict = kept["verdict"]
    return RankResult(**{**kept, "verdict": None if verdict is None else Verdict(verdict)})
