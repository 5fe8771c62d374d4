"""The one verdict of a gang: the worst of its ranks', with that rank's number and reason. Pure.

Where a rank fails, the others fail too, of what it left behind: a closed connection, a collective
that never ends. So ends are told apart: a *cause* stands by itself, an *echo* only says that
another rank is gone. Where there are echoes alone, or silence, the ranks' last signs of life show
who was furthest behind.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from probes.formatting import plural, size_text
from probes.job import ProbeJob
from probes.measurement import Measurement, RankResult, StepTime, Verdict

SEVERITY = (
    Verdict.STABLE,
    Verdict.NON_FINITE,
    Verdict.TIMEOUT,
    Verdict.SPILL,
    Verdict.LEAK,
    Verdict.SHAPE_LIMIT,
    Verdict.OOM,
    Verdict.CRASH,
    Verdict.UNSUPPORTED,
)
"""Of ranks that all reached the end of the run, the one with the latest of these gives the
verdict."""

ORDER = ("start", "import", "join", "build", "data", "forward", "backward", "optimizer")
"""Within a step, a rank that is in an earlier one of these is behind."""

COLLECTIVE_HINT = (
    "Every rank must call the same collectives in the same order: look for a condition on the rank "
    "or on the batch around an all_reduce, a barrier, or a part of the forward pass."
)
STOPPED_HINT = "Something stopped the process (SIGSTOP, a debugger, Ctrl-Z): let it go on, or ask "
STOPPED_HINT += "again when nothing does."


@dataclass(frozen=True)
class Ended:
    """How a rank ended, as far as the verdict is concerned."""

    rank: int
    device: str
    measurement: Measurement
    at_s: float
    """When it ended, by one clock for all ranks."""
    node: str = ""
    """Name of its host; empty where all are on this one."""
    peer_error: str = ""
    """``gone`` or ``mismatch``: it only says that another rank is gone, or did something else."""
    non_finite_step: int | None = None
    is_silent: bool = False
    """It made no progress for too long."""
    is_stopped: bool = False
    called_off: bool = False
    """It was ended because of another rank."""
    pulse: dict[str, Any] | None = None
    reached_end: bool = False
    """It ran to the end of its plan, and was judged there."""
    communication_bytes: int = 0
    local_step_s: float | None = None

    @property
    def is_cause(self) -> bool:
        """Whether its end stands by itself."""
        if self.called_off or self.is_silent or self.peer_error:
            return False
        return not self.measurement.passed

    @property
    def step(self) -> int:
        """The step that it was in, from 1; 0 before the first."""
        return int((self.pulse or {}).get("step", self.measurement.steps))

    @property
    def behind(self) -> tuple[int, int]:
        """Where it was: the smaller, the further behind."""
        at = str((self.pulse or {}).get("at", self.measurement.phase))
        return self.step, ORDER.index(at) if at in ORDER else len(ORDER)


def of_gang(job: ProbeJob, ranks: Sequence[Ended]) -> Measurement:
    """The measurement of the gang. ``job`` is the gang's; ``ranks`` are in their order."""
    assert job.group is not None
    passed = all(each.measurement.passed and not each.called_off for each in ranks)
    found = None if passed else _failure(ranks)
    limiting = found or _fullest(ranks)
    base = limiting.measurement
    slowest = max(ranks, key=lambda each: _mean_s(each.measurement))
    samples = sum(each.measurement.samples for each in ranks)
    data_parallel = job.data_parallel
    return replace(
        base,
        batch_size=job.batch_size,
        device=job.device,
        config=job.config,
        reason=_passed_reason(ranks, limiting) if passed else base.reason,
        step_time=_step_time(slowest.measurement) if passed else base.step_time,
        samples=samples * data_parallel // len(ranks),
        accumulation=job.accumulation,
        ranks=[_result(each, limiting) for each in ranks],
        limiting_rank=limiting.rank,
        data_parallel=data_parallel,
        communication_share=_communication_share(ranks) if passed else None,
        parameters=max((each.measurement.parameters or 0 for each in ranks), default=0) or None,
        tainted=_together(each.measurement.tainted for each in ranks),
        notes=_together(each.measurement.notes for each in ranks),
    )


def _failure(ranks: Sequence[Ended]) -> Ended:
    """The rank whose end is the gang's."""
    found = _cause(ranks) or _silence(ranks) or _echo(ranks)
    if found is not None:
        return found
    lost = next(each for each in ranks if each.called_off or not each.measurement.passed)
    reason = f"{_rank(lost, ranks)} ended without a verdict."
    return _with(lost, Verdict.CRASH, reason, lost.measurement.hint)


def _cause(ranks: Sequence[Ended]) -> Ended | None:
    """The rank whose own end explains the gang's."""
    causes = [each for each in ranks if each.is_cause]
    if not causes:
        return None
    non_finite = [each for each in causes if each.measurement.verdict is Verdict.NON_FINITE]
    if non_finite and len(non_finite) == len(causes):
        # Gradients carry it to every rank: it began where it came first.
        found = min(non_finite, key=lambda each: (each.non_finite_step or 0, each.rank))
    elif all(each.measurement.passed or each.reached_end for each in ranks):
        found = max(causes, key=lambda each: SEVERITY.index(each.measurement.verdict))
    else:
        found = min(causes, key=lambda each: each.at_s)
    return _named(found, found.measurement.reason, ranks)


def _silence(ranks: Sequence[Ended]) -> Ended | None:
    """The rank that the others waited for."""
    stopped = next((each for each in ranks if each.is_stopped), None)
    if stopped is not None:
        where = _where(stopped)
        return _with(
            stopped,
            Verdict.TIMEOUT,
            f"{_rank(stopped, ranks)} was stopped{where}, while the others waited for it.",
            STOPPED_HINT,
        )
    if not any(each.is_silent for each in ranks):
        return None
    late = [each for each in ranks if not each.measurement.passed]
    busy = [each for each in late if not _waits(each)]
    if not busy and len({_spot(each) for each in late}) > 1:
        return _disagreement(late)
    last = min(busy or late, key=lambda each: (each.behind, each.rank))
    other = next((each for each in late if each.rank != last.rank), None)
    others = f", while {_place(other)}" if other is not None else ""
    reason = last.measurement.reason if last.is_silent else "It made no progress."
    return _with(
        last,
        Verdict.TIMEOUT,
        f"{_rank(last, ranks)} held up the others{_where(last)}{others}. {reason}",
        last.measurement.hint,
    )


def _disagreement(late: Sequence[Ended]) -> Ended:
    """Ranks that wait for each other, each for something else. One that waits in a collective of
    the user's own code is named first."""
    first = min(late, key=lambda each: (not _call(each), each.behind, each.rank))
    other = next(each for each in late if _spot(each) != _spot(first))
    return _with(
        first,
        Verdict.TIMEOUT,
        f"The ranks waited for each other in different places: {_place(first)}, {_place(other)}.",
        COLLECTIVE_HINT,
    )


def _echo(ranks: Sequence[Ended]) -> Ended | None:
    """Ranks that only say that another is gone, or called something else, while none is."""
    echoes = [each for each in ranks if each.peer_error]
    if not echoes:
        return None
    found = min(echoes, key=lambda each: (each.peer_error != "mismatch", each.at_s))
    other = next((each for each in ranks if each.rank != found.rank), found)
    return _with(
        found,
        Verdict.CRASH,
        f"{_rank(found, ranks)} was in another collective than the others{_where(found)}; "
        f"{_place(other)}. {found.measurement.reason}",
        COLLECTIVE_HINT,
    )


def _named(found: Ended, reason: str, ranks: Sequence[Ended]) -> Ended:
    text = f"{_rank(found, ranks)}: {reason}"
    return replace(found, measurement=replace(found.measurement, reason=text))


def _with(found: Ended, verdict: Verdict, reason: str, hint: str) -> Ended:
    changed = replace(found.measurement, verdict=verdict, reason=reason.strip(), hint=hint)
    return replace(found, measurement=changed)


def _rank(each: Ended, ranks: Sequence[Ended]) -> str:
    return f"Rank {each.rank} of {len(ranks)}{_on(each)}"


def _on(each: Ended) -> str:
    return f" on {each.node}" if each.node else ""


def _waits(each: Ended) -> bool:
    return bool((each.pulse or {}).get("waits"))


def _spot(each: Ended) -> tuple[Any, ...]:
    """What it waited in; equal for ranks that are in the same place."""
    pulse = each.pulse or {}
    return each.step, pulse.get("at"), pulse.get("call"), pulse.get("where")


def _call(each: Ended) -> str:
    return str((each.pulse or {}).get("call", ""))


def _place(each: Ended) -> str:
    """Where a rank was, to stand within a sentence."""
    call = f" in {_call(each)}()" if _call(each) else ""
    return f"rank {each.rank}{_on(each)} waited{call}{_where(each)}"


def _where(each: Ended) -> str:
    """At which step, in what, and on which line of the user's; empty where it is not known."""
    pulse = each.pulse or {}
    if not pulse:
        return ""
    step = f" at step {each.step}" if pulse.get("phase") == "train" else ""
    line = f" ({pulse['where']})" if pulse.get("where") else ""
    return f"{step}, in {_WORDS.get(pulse['at'], pulse['at'])}{line}"


_WORDS = {
    "data": "waiting for a batch",
    "forward": "the forward pass",
    "backward": "the backward pass",
    "optimizer": "the optimizer",
    "evaluate": "the evaluation",
    "checkpoint": "writing a checkpoint",
    "build": "building the model",
    "compare": "training without exchanging gradients",
}


def _fullest(ranks: Sequence[Ended]) -> Ended:
    def fullness(each: Ended) -> float:
        return (each.measurement.peak_bytes or 0) / (each.measurement.cap_bytes or 1)

    return max(ranks, key=lambda each: (fullness(each), -each.rank))


def _passed_reason(ranks: Sequence[Ended], fullest: Ended) -> str:
    m = fullest.measurement
    many = plural(len(ranks), "rank")
    peak, within = size_text(m.peak_bytes or 0), size_text(m.cap_bytes or 0)
    return (
        f"{m.steps} steps on {many}, each within its cap; rank {fullest.rank}{_on(fullest)} is the "
        f"fullest, with "
        f"{peak} of {within}."
    )


def _result(each: Ended, limiting: Ended) -> RankResult:
    m = each.measurement
    verdict: Verdict | None = m.verdict
    reason = m.reason
    if each.rank == limiting.rank:
        verdict = limiting.measurement.verdict
    elif each.called_off:
        verdict, reason = None, "It was ended because of another rank."
    elif each.peer_error:
        verdict = None
    return RankResult(
        rank=each.rank,
        device=f"{each.node}/{each.device}" if each.node else each.device,
        batch_size=m.batch_size,
        verdict=verdict,
        reason=reason,
        phase=m.phase,
        steps=m.steps,
        limit_bytes=m.limit_bytes,
        cap_bytes=m.cap_bytes,
        peak_bytes=m.peak_bytes,
        static_bytes=m.static_bytes,
        communication_bytes=each.communication_bytes,
        step_mean_s=m.step_time.mean_s if m.step_time else None,
        data_s=m.step_time.data_s if m.step_time else None,
    )


def _mean_s(m: Measurement) -> float:
    return m.step_time.mean_s if m.step_time is not None else 0.0


def _step_time(m: Measurement) -> StepTime | None:
    return m.step_time


def _communication_share(ranks: Sequence[Ended]) -> float | None:
    """By how much a step is longer than one without an exchange of gradients: the mean over the
    ranks. Medians, as a single slow step says nothing about either."""
    shares = []
    for each in ranks:
        step, local_s = each.measurement.step_time, each.local_step_s
        if step is None or local_s is None or step.median_s <= 0:
            return None
        shares.append(max(0.0, 1 - local_s / step.median_s))
    return statistics.fmean(shares)


def _together(lists: Any) -> list[str]:
    found: list[str] = []
    for each in lists:
        found += [text for text in each if text not in found]
    return found
