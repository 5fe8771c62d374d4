"""Fit settings to a device: the largest micro-batch, and what else must change for them to fit.

Pure: measuring is somebody else's (``Measurer``). Nothing is fitted that did not pass a
confirmation of the very step that will train.

The order of the levers is the order of what they cost. A smaller micro-batch comes first of all:
the rows per optimizer step stay the same by accumulation, so nothing is learnt differently and
little time is lost. Then activations are recomputed (time), the optimizer's state is kept in 8 bits
(precision of the update), and at last the base weights are kept in 4 bits (precision of the model).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from finetuning.settings.model import FineTuningSettings
from finetuning.training.arguments import Batches
from probes.effective_batch import accumulation
from probes.formatting import sentences, size_text
from probes.max_batch.result import MEMORY_VERDICTS, MaxBatch
from probes.measurement import Measurement, Verdict


class Measurer(Protocol):
    """Runs probes of the workload ``sft`` with the settings given."""

    def find(self, settings: FineTuningSettings) -> MaxBatch:
        """The largest stable micro-batch up to the effective batch."""
        ...

    def confirm(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        """A full run at one micro-batch."""
        ...

    def brief(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        """A few steps at one micro-batch, for a comparison of step times."""
        ...


@dataclass(frozen=True)
class Lever:
    """One way to make training smaller."""

    name: str
    about: str
    applies: Callable[[FineTuningSettings], bool]
    changes: Mapping[str, Any]

    def pull(self, settings: FineTuningSettings) -> FineTuningSettings:
        return settings.changed(self.changes)


LEVERS = (
    Lever(
        "gradient_checkpointing",
        "activations are recomputed in the backward pass instead of kept",
        lambda s: not s.training.gradient_checkpointing,
        {"training.gradient_checkpointing": True},
    ),
    Lever(
        "8-bit optimizer",
        "the optimizer's state is kept in 8 bits",
        lambda s: s.training.optimizer in ("adamw_torch", "adamw_torch_fused"),
        {"training.optimizer": "adamw_8bit"},
    ),
    Lever(
        "qlora",
        "the base weights are frozen in 4 bits and adapters are trained",
        lambda s: s.strategy != "qlora",
        {"strategy": "qlora"},
    ),
)


@dataclass(frozen=True)
class Attempt:
    """Settings that were tried, and what came of it."""

    changed: tuple[str, ...]
    """Names of the levers that were pulled, in order; empty for the settings as asked."""
    micro_batch: int | None
    reason: str


@dataclass(frozen=True)
class Fit:
    """The answer. ``batches`` is none where nothing fits; ``attempts`` then say why."""

    settings: FineTuningSettings
    batches: Batches | None
    changed: tuple[str, ...] = ()
    time_ratio: float | None = None
    """Step time with the changes over that without, measured on shorter rows; none where nothing
    was changed or even short rows do not fit unchanged."""
    peak_bytes: int | None = None
    step_s: dict[str, float] = field(default_factory=dict)
    """``mean``, ``low`` and ``high`` of an optimizer step, in seconds."""
    binding: str | None = None
    """What limits the micro-batch."""
    failed: dict[str, str] | None = None
    """``verdict``, ``reason`` and ``hint`` of a failure that has nothing to do with memory, so that
    no lever helps."""
    limit_bytes: int | None = None
    attempts: tuple[Attempt, ...] = ()
    probes: int = 0

    @property
    def sentences(self) -> list[str]:
        """What was found, for a person."""
        if self.failed is not None:
            why = sentences(self.failed["reason"], self.failed["hint"])
            return [f"Training cannot run with these settings: {why}"]
        if self.batches is None:
            tried = "; ".join(
                f"{' + '.join(one.changed) or 'as asked'}: {one.reason}" for one in self.attempts
            )
            return [
                f"These settings do not fit this device. Tried: {tried}",
                "Use a smaller model, a shorter training.max_length, or a larger memory budget.",
            ]
        micro, times = self.batches.micro_batch, self.batches.accumulation
        asked = self.settings.training.effective_batch_size
        rows = f"{micro} rows × {times} micro-batches" if times > 1 else f"{micro} rows"
        in_all = f" = {self.batches.effective}" if times > 1 else ""
        other = f" ({asked} were asked for, which is not a multiple)"
        said = [
            f"Each optimizer step takes {rows}{in_all}"
            f"{other if self.batches.effective != asked else ''}."
        ]
        if self.peak_bytes is not None:
            of = f" of {size_text(self.limit_bytes)}" if self.limit_bytes else ""
            said.append(f"Peak memory: {size_text(self.peak_bytes)}{of}.")
        if self.changed:
            about = [lever.about for lever in LEVERS if lever.name in self.changed]
            cost = (
                f"A step takes {self.time_ratio:.2f} × as long (measured on shorter rows)."
                if self.time_ratio is not None
                else "What that costs in time is unknown: unchanged, not even short rows fit."
            )
            said.append(f"To make it fit, {' and '.join(about)}. {cost}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for ``fit.json`` and the store."""
        batches = None
        if self.batches is not None:
            batches = {**asdict(self.batches), "effective": self.batches.effective}
        return {
            "fits": self.batches is not None,
            "batches": batches,
            "changed": list(self.changed),
            "time_ratio": self.time_ratio,
            "peak_bytes": self.peak_bytes,
            "limit_bytes": self.limit_bytes,
            "step_s": self.step_s,
            "binding": self.binding,
            "failed": self.failed,
            "attempts": [asdict(one) for one in self.attempts],
            "probes": self.probes,
            "sentences": self.sentences,
            "settings": self.settings.to_plain(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Fit:
        """Back from ``to_dict``."""
        batches = plain["batches"]
        return cls(
            settings=FineTuningSettings.from_plain(plain["settings"]),
            batches=None
            if batches is None
            else Batches(batches["micro_batch"], batches["accumulation"]),
            changed=tuple(plain["changed"]),
            time_ratio=plain["time_ratio"],
            peak_bytes=plain["peak_bytes"],
            step_s=dict(plain["step_s"]),
            binding=plain["binding"],
            failed=plain.get("failed"),
            limit_bytes=plain["limit_bytes"],
            attempts=tuple(
                Attempt(tuple(one["changed"]), one["micro_batch"], one["reason"])
                for one in plain["attempts"]
            ),
            probes=plain["probes"],
        )


def fit(
    settings: FineTuningSettings,
    measurer: Measurer,
    on_line: Callable[[str], None] = lambda line: None,
    *,
    may_change: bool = True,
) -> Fit:
    """The settings as they fit, with as few changes as possible.

    ``may_change``: whether levers may be pulled; otherwise only the micro-batch is fitted.
    """
    attempts: list[Attempt] = []
    probes = 0
    for changed, tried in _candidates(settings, may_change):
        if changed:
            on_line(f"It does not fit. Trying with {changed[-1]}.")
        found = _largest(tried, measurer)
        probes += len(found.measurements)
        attempts.append(Attempt(changed, found.max_batch, found.reason))
        passed = found.highest_passing
        if found.max_batch is None or passed is None:
            failed = found.lowest_failing
            if not changed and failed is not None and not _is_short_of_memory(failed):
                why = {"verdict": str(failed.verdict), "reason": failed.reason, "hint": failed.hint}
                return Fit(settings, None, failed=why, attempts=tuple(attempts), probes=probes)
            continue
        effective = settings.training.effective_batch_size
        ratio, more = _time_ratio(settings, tried, measurer) if changed else (None, 0)
        timing = passed.step_time
        return Fit(
            settings=tried,
            batches=Batches(found.max_batch, accumulation(effective, found.max_batch)),
            changed=changed,
            time_ratio=ratio,
            peak_bytes=passed.peak_bytes,
            step_s={"mean": timing.mean_s, "low": timing.low_s, "high": timing.high_s}
            if timing is not None
            else {},
            binding=found.binding,
            limit_bytes=passed.limit_bytes,
            attempts=tuple(attempts),
            probes=probes + more,
        )
    return Fit(settings, None, attempts=tuple(attempts), probes=probes)


def _is_short_of_memory(failed: Measurement) -> bool:
    """Whether making the training smaller may help."""
    return failed.verdict in MEMORY_VERDICTS | {Verdict.LEAK}


def _candidates(
    settings: FineTuningSettings, may_change: bool
) -> list[tuple[tuple[str, ...], FineTuningSettings]]:
    """The settings as asked, then with one lever more at a time."""
    candidates: list[tuple[tuple[str, ...], FineTuningSettings]] = [((), settings)]
    if not may_change:
        return candidates
    for lever in LEVERS:
        changed, last = candidates[-1]
        if lever.applies(last):
            candidates.append(((*changed, lever.name), lever.pull(last)))
    return candidates


def _largest(settings: FineTuningSettings, measurer: Measurer) -> MaxBatch:
    """The micro-batch of the settings: searched, or confirmed where they name one."""
    asked = settings.training.batch_size
    if isinstance(asked, str):
        return measurer.find(settings)
    measurement = measurer.confirm(settings, asked)
    passed = measurement.passed
    advice = " Set it to auto." if _is_short_of_memory(measurement) else ""
    return MaxBatch(
        max_batch=asked if passed else None,
        binding="asked" if passed else None,
        reason=f"training.batch_size={asked} was asked for."
        if passed
        else f"training.batch_size={asked}: {measurement.reason}{advice}",
        highest_passing=measurement if passed else None,
        lowest_failing=None if passed else measurement,
        measurements=[measurement],
    )


SHORTER = 4
"""Rows of a comparison of times are this many times shorter than the settings' longest."""


def _time_ratio(
    asked: FineTuningSettings, changed: FineTuningSettings, measurer: Measurer
) -> tuple[float | None, int]:
    """How much longer a step takes with the changes, and how many probes that took."""
    length = max(8, asked.training.max_length // SHORTER)
    times: list[float] = []
    for settings in (asked, changed):
        short = replace(settings, training=replace(settings.training, max_length=length))
        measurement = measurer.brief(short, 1)
        if not measurement.passed or measurement.step_time is None:
            return None, len(times) + 1
        times.append(measurement.step_time.mean_s)
    return times[1] / times[0], 2
