"""Will a planned run fit and finish in time? From the plan and what was measured: pure functions.

Never wrong in the unsafe direction. *Fits* rests on a confirmation run that passed: of this very
batch, or of a larger one of the same config where nothing at or below this batch failed and the
measured peaks rise with the batch. A batch between the highest passing and the lowest failing one
is unknown, however likely it is. What no longer holds (another driver, torch, source …) decides
nothing: it makes the answer *stale*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.checks.plan import Answer, Plan, Room, Run, worth
from app.checks.timing import in_time
from probes.devices.base import size_text

MEMORY_LEVERS = ("gradient_checkpointing=true", "precision=bf16")
"""In the order in which they are worth trying."""
RISES = 0.98
"""A peak may be this share of a smaller batch's and still count as rising: allocators round."""


def decide(
    plan: Plan,
    room: Room,
    runs: Sequence[Run],
    *,
    accept_brackets: bool = False,
    hints: Sequence[str] = (),
) -> Answer:
    """The answer. ``runs`` are measurements of the plan's config, newest first; ``accept_brackets``
    lets a few steps count as a pass (``--probe quick``); ``hints`` say what would lift the limit,
    as the study found it."""
    holding = [run for run in runs if not run.changes and not run.elsewhere]
    usable = [run for run in holding if (run.accumulation > 1) == (plan.accumulation > 1)]
    if usable:
        answer = _from(plan, room, _Evidence(plan, room, usable, accept_brackets), hints)
    elif holding:
        answer = Answer(
            "unknown",
            f"nothing was measured with accumulation {plan.accumulation}, only with "
            f"{_listing(sorted({run.accumulation for run in holding}))}",
        )
    else:
        answer = _without_evidence(plan, room, runs, hints)
    return replace(answer, compared=[_counted(run, plan, room, accept_brackets) for run in runs])


@dataclass(frozen=True)
class _Memory:
    status: Literal["fits", "short", "unknown"]
    reason: str
    run: Run | None = None
    """What the answer rests on."""


class _Evidence:
    """Measurements of one config that hold here, by what they show."""

    def __init__(self, plan: Plan, room: Room, runs: Sequence[Run], accept_brackets: bool) -> None:
        cap = room.cap_bytes
        self.runs = runs
        passing = [r for r in runs if r.fits_in(cap) and (r.confirmed or accept_brackets)]
        self.passing = {run.batch_size: run for run in sorted(passing, key=worth)}
        self.highest = max(self.passing.values(), key=lambda r: r.batch_size, default=None)
        top = self.highest.batch_size if self.highest else 0
        # Memory that somebody else took is not the config's: a pass beyond it shows as much.
        self.failing = [
            run
            for run in runs
            if run.needed_more_than(cap) and not (run.memory_tainted and run.batch_size <= top)
        ]
        self.lowest = min(self.failing, key=lambda r: r.batch_size, default=None)
        self.exact = [run for run in runs if run.batch_size == plan.batch_size]

    def at_or_below(self, batch_size: int) -> Run | None:
        """The highest that fails at or below a batch."""
        below = [r for r in self.failing if r.refused or r.batch_size <= batch_size]
        return max(below, key=lambda r: r.batch_size, default=None)

    def above(self, batch_size: int) -> Run | None:
        """The lowest that passes above a batch."""
        over = [run for size, run in self.passing.items() if size > batch_size]
        return min(over, key=lambda r: r.batch_size, default=None)

    @property
    def peaks_rise(self) -> bool:
        """Whether no smaller batch was seen to need more memory than a larger one."""
        peaks = sorted((r.batch_size, r.peak_bytes) for r in self.runs if r.passed and r.peak_bytes)
        largest = 0
        for _, peak in peaks:
            if peak < RISES * largest:
                return False
            largest = max(largest, peak)
        return True


def _from(plan: Plan, room: Room, evidence: _Evidence, hints: Sequence[str]) -> Answer:
    memory = _memory(plan, room, evidence)
    highest, lowest = evidence.highest, evidence.lowest
    base = Answer(
        "unknown",
        memory.reason,
        details=_room_details(plan, room, memory.run),
        largest_batch=highest.batch_size if highest else None,
        highest_passing=highest.to_dict() if highest else None,
        lowest_failing=lowest.to_dict() if lowest else None,
    )
    if memory.status == "short":
        return _does_not_fit(base, plan, room, evidence, memory, hints)
    if memory.status == "fits":
        assert memory.run is not None and memory.run.peak_bytes is not None
        spare = room.cap_bytes - memory.run.peak_bytes
        base = replace(base, verdict="fits", peak_bytes=memory.run.peak_bytes, spare_bytes=spare)
    return in_time(base, plan, evidence.runs, list(evidence.passing.values()))


# -- memory --------------------------------------------------------------------------------------


def _memory(plan: Plan, room: Room, evidence: _Evidence) -> _Memory:
    wanted = plan.batch_size
    here = evidence.passing.get(wanted)
    failed = evidence.at_or_below(wanted)
    larger = evidence.above(wanted)
    if failed is not None and failed.refused:
        return _Memory("short", f"no batch of this config can run: {failed.reason}", failed)
    if here is not None and (failed is None or failed.batch_size < wanted):
        return _Memory("fits", _fit_words(here, room), here)
    if failed is not None and failed.batch_size == wanted:
        return _Memory("short", "", failed)
    inconclusive = [
        run for run in evidence.exact if not run.passed and not run.needed_more_than(room.cap_bytes)
    ]
    if inconclusive and here is None:
        run = inconclusive[0]
        return _Memory(
            "unknown", f"the run of batch {wanted} ended in {run.verdict}: {_line(run.reason)}"
        )
    if failed is not None and larger is not None:
        return _Memory(
            "unknown",
            f"batch {failed.batch_size} failed and batch {larger.batch_size} passed: between them "
            "memory does not follow the batch",
        )
    if failed is not None:
        return _Memory("short", "", failed)
    if larger is not None:
        if not evidence.peaks_rise:
            return _Memory(
                "unknown",
                f"batch {larger.batch_size} passed, but the measured peaks do not rise with the "
                f"batch, and batch {wanted} itself was not run",
            )
        return _Memory("fits", _fit_words(larger, room, wanted), larger)
    return _Memory("unknown", _between_words(wanted, evidence))


def _fit_words(run: Run, room: Room, wanted: int | None = None) -> str:
    assert run.peak_bytes is not None
    spare = room.cap_bytes - run.peak_bytes
    what = "batch" if wanted is None else f"batch {wanted} is below batch"
    verb = "needs" if wanted is None else ", which needs"
    rest = (
        f"{size_text(run.peak_bytes)} of {size_text(room.cap_bytes)}, {size_text(spare)} to spare "
        f"besides {room.headroom:.0%} headroom"
    )
    few = "" if run.confirmed else " (a few steps only, no stability run)"
    return f"{what} {run.batch_size}{'' if wanted else ' '}{verb} {rest}{few}"


def _between_words(wanted: int, evidence: _Evidence) -> str:
    highest, lowest = evidence.highest, evidence.lowest
    if highest is not None and lowest is not None:
        return (
            f"batch {wanted} was not measured: {highest.batch_size} is the largest that passed, "
            f"{lowest.batch_size} the smallest that failed ({lowest.verdict})"
        )
    if highest is not None:
        return (
            f"batch {wanted} was not measured: {highest.batch_size} is the largest that was, "
            "and it passed"
        )
    if lowest is not None:
        return (
            f"batch {wanted} was not measured: {lowest.batch_size} failed ({lowest.verdict}), and "
            "nothing below it was confirmed"
        )
    short = [run for run in evidence.runs if run.passed]
    if short:
        return (
            f"batch {short[0].batch_size} ran for a few steps only: no confirmation run shows that "
            "it is stable"
        )
    run = evidence.runs[0]
    return f"the run of batch {run.batch_size} ended in {run.verdict}: {_line(run.reason)}"


def _does_not_fit(
    base: Answer,
    plan: Plan,
    room: Room,
    evidence: _Evidence,
    memory: _Memory,
    hints: Sequence[str],
) -> Answer:
    failed = memory.run
    assert failed is not None
    if failed.refused:
        return replace(base, verdict="does_not_fit", lowest_failing=failed.to_dict())
    short, is_exact = _short_by(plan, room, evidence, failed)
    least = "at least" if is_exact else "about"
    more = "more " if short is None else f"{least} {size_text(short)} more "
    at = "" if failed.batch_size == plan.batch_size else f" (batch {failed.batch_size} failed)"
    why = {
        "leak": f"batch {plan.batch_size} leaks memory and would die later{at}",
        "spill": f"batch {plan.batch_size} uses memory outside the device{at}",
        "shape_limit": f"batch {plan.batch_size} is more than a kernel can handle{at}",
        "unsupported": f"batch {plan.batch_size} cannot run here{at}",
    }.get(
        failed.verdict,
        f"batch {plan.batch_size} needs {more}than the {size_text(room.cap_bytes)} there are{at}",
    )
    largest = base.largest_batch
    then = (
        f"the largest batch that fits is {largest}"
        if largest is not None
        else "no batch of this config is known to fit"
    )
    details = [*base.details]
    if failed.reason:
        details.append(f"Batch {failed.batch_size}: {failed.verdict}: {_line(failed.reason)}")
    if short is not None and not is_exact:
        details.append("How much is short is extrapolated from smaller batches, not measured.")
    return replace(
        base,
        verdict="does_not_fit",
        reason=f"{why}; {then}",
        details=details,
        short_by_bytes=short,
        lever=_lever(plan, largest, hints),
    )


def _short_by(plan: Plan, room: Room, evidence: _Evidence, failed: Run) -> tuple[int | None, bool]:
    """How much more memory it would need, and whether that was measured."""
    if failed.verdict not in ("oom", "spill", "stable"):
        return None, False
    cap = room.cap_bytes
    if failed.batch_size == plan.batch_size:
        if failed.passed and failed.peak_bytes is not None:
            return failed.peak_bytes - cap, True
        if failed.requested_bytes is not None and failed.peak_bytes is not None:
            return max(1, failed.peak_bytes + failed.requested_bytes - cap), True
    best = sorted((r for r in evidence.runs if r.passed and r.peak_bytes), key=worth)
    points = sorted({r.batch_size: r for r in best}.items())
    if not points:
        return None, False
    high_batch, high = points[-1]
    low_batch, low_peak = (
        (points[0][0], points[0][1].peak_bytes) if len(points) > 1 else (0, high.static_bytes)
    )
    if low_peak is None or high.peak_bytes is None or high_batch == low_batch:
        return None, False
    slope = (high.peak_bytes - low_peak) / (high_batch - low_batch)
    needed = high.peak_bytes + slope * (plan.batch_size - high_batch)
    return (int(needed - cap), False) if needed > cap else (None, False)


def _lever(plan: Plan, largest: int | None, hints: Sequence[str]) -> str:
    words = []
    if largest is not None:
        times = -(-plan.samples_per_step // largest)
        words.append(f"batch {largest} with accumulation {times} keeps the samples per step")
    if hints:
        return "; ".join([*words, *hints])
    untried = [each for each in MEMORY_LEVERS if not _is_set(plan, each)]
    if untried:
        words.append(f"{untried[0]} lowers the memory per sample (not measured)")
    return "; ".join(words) or "a smaller model, or a device with more memory"


def _is_set(plan: Plan, lever: str) -> bool:
    name, _, value = lever.partition("=")
    return str(plan.config.get(name, "")).lower() == value


# -- no evidence ---------------------------------------------------------------------------------


def _without_evidence(plan: Plan, room: Room, runs: Sequence[Run], hints: Sequence[str]) -> Answer:
    stale = [run for run in runs if run.changes and not run.elsewhere]
    if not stale:
        others = sorted({run.device for run in runs if run.elsewhere})
        only = f", only on {', '.join(others)}" if others else ""
        return Answer("unknown", f"nothing was measured for this config here{only}")
    newest = stale[0].changes
    alike = [replace(run, changes=()) for run in stale if run.changes == newest]
    before = decide(plan, room, alike, hints=hints)
    return Answer(
        "stale",
        f"what was measured no longer holds: {'; '.join(newest)}",
        details=[f"With what it was measured with: {before.verdict}: {before.reason}."],
        changes=list(newest),
        highest_passing=before.highest_passing,
        lowest_failing=before.lowest_failing,
    )


# -- words ---------------------------------------------------------------------------------------


def _room_details(plan: Plan, room: Room, run: Run | None) -> list[str]:
    found = []
    if room.total_bytes is not None and room.limit_bytes < room.total_bytes:
        found.append(
            f"Within a memory budget of {size_text(room.limit_bytes)}; the device has "
            f"{size_text(room.total_bytes)}."
        )
    peak = run.peak_bytes if run is not None and run.passed else None
    if peak is not None and room.free_bytes is not None and room.free_bytes < peak:
        found.append(
            f"At this moment only {size_text(room.free_bytes)} of the device are free: something "
            "else is using it, and a run started now would be short."
        )
    if run is not None and run.measured_at:
        what = "confirmation run" if run.confirmed else "short run"
        found.append(
            f"Evidence: {what} of batch {run.batch_size} on {run.device}, {run.measured_at}."
        )
    return found


def _counted(run: Run, plan: Plan, room: Room, accept_brackets: bool) -> dict[str, object]:
    if run.elsewhere:
        counts = "another kind of device: not compared"
    elif run.changes:
        counts = "no longer holds: " + "; ".join(run.changes)
    elif (run.accumulation > 1) != (plan.accumulation > 1):
        counts = "another use of accumulation, which needs other memory"
    elif run.fits_in(room.cap_bytes):
        if run.confirmed or accept_brackets:
            counts = f"passes within {size_text(room.cap_bytes)}"
        else:
            counts = "ran a few steps: shows memory, not stability"
    elif run.needed_more_than(room.cap_bytes):
        counts = f"fails within {size_text(room.cap_bytes)}"
    else:
        counts = "says nothing about this much memory"
    return {**run.to_dict(), "counts_as": counts}


def _listing(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _line(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else "no reason was given"
    return first.rstrip(".")
