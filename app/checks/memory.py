"""Rules that decide from measurements whether a planned batch fits into the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.checks.evidence import MemoryEvidence
from app.checks.plan import MeasuredRun, Room, RunPlan
from probes.formatting import size_text


@dataclass(frozen=True)
class Memory:
    status: Literal["fits", "short", "unknown"]
    reason: str
    run: MeasuredRun | None = None
    """What the answer rests on."""


def memory_of(plan: RunPlan, room: Room, evidence: MemoryEvidence) -> Memory:
    """Whether the batch of the plan fits into the room, by runs of the same config."""
    wanted = plan.batch_size
    here = evidence.passing.get(wanted)
    failed = evidence.at_or_below(wanted)
    if failed is not None and failed.refused:
        return Memory("short", f"no batch of this config can run: {failed.reason}", failed)
    if here is not None:
        doubt = evidence.failed_below_since(here)
        if doubt is None:
            return Memory("fits", _fit_words(here, room), here)
        return Memory(
            "unknown",
            f"batch {wanted} passed, but batch {doubt.batch_size} has failed since "
            f"({doubt.verdict}): it has to pass again",
        )
    if failed is not None and failed.batch_size == wanted:
        return Memory("short", "", failed)
    cap = room.cap_bytes
    inconclusive = [r for r in evidence.exact if not r.passed and not r.needed_more_than(cap)]
    if inconclusive:
        run = inconclusive[0]
        return Memory("unknown", f"the run of batch {wanted} ended in {run.verdict}: {run.why}")
    return _by_neighbours(plan, room, evidence, failed)


def _by_neighbours(
    plan: RunPlan, room: Room, evidence: MemoryEvidence, failed: MeasuredRun | None
) -> Memory:
    """For a batch that was not run in full; ``failed`` is the lowest below it that fails."""
    wanted = plan.batch_size
    larger = evidence.above(wanted)
    if larger is not None:
        below = evidence.at_or_below(larger.batch_size)
        if below is not None:
            return Memory(
                "unknown",
                f"batch {below.batch_size} failed and batch {larger.batch_size} passed: memory "
                f"does not follow the batch, and batch {wanted} itself was not run in full",
            )
        if not evidence.peaks_rise:
            return Memory(
                "unknown",
                f"batch {larger.batch_size} passed, but the measured peaks do not rise with the "
                f"batch, and batch {wanted} itself was not run in full",
            )
        return Memory("fits", _fit_words(larger, room, wanted), larger)
    if failed is not None:
        return Memory("short", "", failed)
    return Memory("unknown", _between_words(wanted, evidence))


def _fit_words(run: MeasuredRun, room: Room, wanted: int | None = None) -> str:
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


def _between_words(wanted: int, evidence: MemoryEvidence) -> str:
    highest, lowest = evidence.highest, evidence.lowest
    few = any(run.passed for run in evidence.exact)
    was = f"batch {wanted} {'ran for a few steps only' if few else 'was not measured'}"
    if highest is not None and lowest is not None:
        return (
            f"{was}: {highest.batch_size} is the largest that passed, {lowest.batch_size} the "
            f"smallest that failed ({lowest.verdict})"
        )
    if highest is not None:
        return f"{was}: {highest.batch_size} is the largest that passed a stability run"
    if lowest is not None:
        return (
            f"{was}: {lowest.batch_size} failed ({lowest.verdict}), and nothing below it was "
            "confirmed"
        )
    short = [run for run in evidence.runs if run.passed]
    if short:
        return (
            f"batch {short[0].batch_size} ran for a few steps only: no confirmation run shows that "
            "it is stable"
        )
    run = evidence.runs[0]
    return f"{was}: the run of batch {run.batch_size} ended in {run.verdict}: {run.why}"
