"""Will a planned run fit and finish in time? From the plan and what was measured: pure functions.

The answer is never wrong in the unsafe direction. *Fits* requires a confirmation run that passed:
either of this batch, with no failure of a smaller one since, or of a larger batch of the same
config with no failure below it and with measured peaks that rise with the batch. A batch between
the largest passing and the smallest failing one is unknown, however likely it is to fit.
Measurements that are no longer valid (another driver, torch, source …) decide nothing: the answer
is then *stale*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.checks.evidence import MemoryEvidence
from app.checks.memory import memory_of
from app.checks.plan import CheckAnswer, CheckVerdict, MeasuredRun, Room, RunPlan
from app.checks.shortfall import does_not_fit
from app.checks.timing import in_time
from probes.formatting import size_text


def decide(
    plan: RunPlan,
    room: Room,
    runs: Sequence[MeasuredRun],
    *,
    accept_brackets: bool = False,
    hints: Sequence[str] = (),
) -> CheckAnswer:
    """The answer. ``runs`` are the measurements of the plan's config, newest first. With
    ``accept_brackets`` a few steps count as a pass (``--probe quick``). ``hints`` are the ways to
    raise the limit that the study found."""
    alike = [run for run in runs if run.ranks == plan.ranks]
    holding = [run for run in alike if not run.changes and not run.elsewhere]
    usable = [run for run in holding if (run.accumulation > 1) == (plan.accumulation > 1)]
    if usable:
        answer = _from(plan, room, MemoryEvidence(plan, room, usable, accept_brackets), hints)
    elif holding:
        answer = CheckAnswer(
            CheckVerdict.UNKNOWN,
            f"nothing was measured with accumulation {plan.accumulation}, only with "
            f"{_listing(sorted({run.accumulation for run in holding}))}",
        )
    else:
        answer = _without_evidence(plan, room, alike, hints)
        if not any(run.changes for run in alike) and (others := _other_ranks(plan, runs)):
            answer = replace(answer, reason=others)
    return replace(answer, compared=[_counted(run, plan, room, accept_brackets) for run in runs])


def _from(plan: RunPlan, room: Room, evidence: MemoryEvidence, hints: Sequence[str]) -> CheckAnswer:
    memory = memory_of(plan, room, evidence)
    highest, lowest = evidence.highest, evidence.lowest
    base = CheckAnswer(
        CheckVerdict.UNKNOWN,
        memory.reason,
        details=_room_details(plan, room, memory.run),
        largest_batch=highest.batch_size if highest else None,
        highest_passing=highest.to_dict() if highest else None,
        lowest_failing=lowest.to_dict() if lowest else None,
    )
    if memory.status == "short":
        assert memory.run is not None
        return does_not_fit(base, plan, room, evidence, memory.run, hints)
    if memory.status == "fits":
        assert memory.run is not None and memory.run.peak_bytes is not None
        spare = room.cap_bytes - memory.run.peak_bytes
        base = replace(
            base, verdict=CheckVerdict.FITS, peak_bytes=memory.run.peak_bytes, spare_bytes=spare
        )
    return in_time(base, plan, evidence.runs, evidence.sound)


def _without_evidence(
    plan: RunPlan, room: Room, runs: Sequence[MeasuredRun], hints: Sequence[str]
) -> CheckAnswer:
    stale = [run for run in runs if run.changes and not run.elsewhere]
    if not stale:
        others = sorted({run.device for run in runs if run.elsewhere})
        only = f", only on {', '.join(others)}" if others else ""
        return CheckAnswer(CheckVerdict.UNKNOWN, f"nothing was measured for this config here{only}")
    newest = stale[0].changes
    alike = [replace(run, changes=()) for run in stale if run.changes == newest]
    before = decide(plan, room, alike, hints=hints)
    return CheckAnswer(
        CheckVerdict.STALE,
        f"what was measured no longer holds: {'; '.join(newest)}",
        details=[f"Under the conditions of the measurements: {before.verdict}: {before.reason}."],
        changes=list(newest),
        highest_passing=before.highest_passing,
        lowest_failing=before.lowest_failing,
    )


def _other_ranks(plan: RunPlan, runs: Sequence[MeasuredRun]) -> str:
    """That the config was measured with another number of devices only; empty where it was not."""
    others = sorted({run.ranks for run in runs if run.ranks != plan.ranks})
    if not others:
        return ""
    seen = ", ".join(_devices_words(number) for number in others)
    return (
        f"nothing was measured for this config on {_devices_words(plan.ranks)}, only on {seen}: "
        "those results do not apply here"
    )


def _devices_words(ranks: int) -> str:
    if ranks == 1:
        return "one rank alone"
    return f"{ranks} ranks together" if ranks else "a single device"


def _room_details(plan: RunPlan, room: Room, run: MeasuredRun | None) -> list[str]:
    found = []
    if room.total_bytes is not None and room.limit_bytes < room.total_bytes:
        found.append(
            f"Within a memory budget of {size_text(room.limit_bytes)}; the device has "
            f"{size_text(room.total_bytes)}."
        )
    peak = run.peak_bytes if run is not None and run.passed else None
    if peak is not None and room.free_bytes is not None and room.free_bytes < peak:
        found.append(
            f"Only {size_text(room.free_bytes)} of the device are free at the moment: another "
            "process is using it, and a run started now would be short of memory."
        )
    if run is not None and run.measured_at:
        what = "confirmation run" if run.confirmed else "short run"
        found.append(
            f"Evidence: {what} of batch {run.batch_size} on {run.device}, {run.measured_at}."
        )
    return found


def _counted(
    run: MeasuredRun, plan: RunPlan, room: Room, accept_brackets: bool
) -> dict[str, object]:
    if run.ranks != plan.ranks:
        counts = f"measured on {_devices_words(run.ranks)}: not compared"
    elif run.elsewhere:
        counts = "another kind of device: not compared"
    elif run.changes:
        counts = "no longer holds: " + "; ".join(run.changes)
    elif (run.accumulation > 1) != (plan.accumulation > 1):
        counts = "not compared: accumulation changes what is in memory"
    elif run.fits_in(room.cap_bytes):
        if run.confirmed or accept_brackets:
            counts = f"passes within {size_text(room.cap_bytes)}"
        else:
            counts = "ran a few steps: shows memory, not stability"
    elif run.needed_more_than(room.cap_bytes):
        counts = f"fails within {size_text(room.cap_bytes)}"
    else:
        counts = "inconclusive for this amount of memory"
    return {**run.to_dict(), "counts_as": counts}


def _listing(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
