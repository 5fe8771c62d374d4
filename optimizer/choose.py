"""Choose one configuration from what was measured, and say why. Pure functions.

Nothing here predicts: every candidate has a stored confirmation run, and every sentence of the
explanation quotes a measured number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.budgets import Budget, Objective
from optimizer.disturbed import confirmation
from optimizer.formatting import config_text, limit_text, rate
from optimizer.records import Trial
from probes.formatting import duration_text, plural, size_text
from probes.measurement import Config, Measurement, StepTime

ALTERNATIVES = 3


@dataclass(frozen=True)
class Candidate:
    """A feasible trial with the confirmation run that makes it one."""

    trial: Trial
    run: Measurement
    step_time: StepTime
    capacity: float
    """What makes a model better: parameters, or what the workload says."""

    @property
    def throughput_samples_per_s(self) -> float:
        return self.run.effective_batch_size / self.step_time.mean_s

    @property
    def parameters(self) -> int:
        return self.run.parameters or 0

    @property
    def disturbed_by(self) -> list[str]:
        """What disturbed the run, so that its time may be too long; empty for a clean run."""
        return self.run.tainted


@dataclass(frozen=True)
class Selection:
    """The chosen candidate, the others worth showing, and the argument."""

    best: Candidate
    fastest: Candidate
    alternatives: list[Candidate]
    front: list[Candidate]
    """The Pareto front of throughput and capacity, fastest first."""
    left_out: list[Candidate]
    """Not considered, because the machine was disturbed."""
    most_capable: Candidate
    """The most capable model that fits the window; it may be ``best``."""


def candidates(
    trials: Sequence[Trial],
    runs: Sequence[Measurement],
    capacity: Callable[[Config], float] | None = None,
) -> list[Candidate]:
    """Feasible trials, each with the confirmation run of its batch.

    ``runs`` has one run of each probe (see ``disturbed.standing``). Capacity is the number of
    parameters unless ``capacity`` is given.
    """
    result = []
    for trial in trials:
        if trial.state != "feasible":
            continue
        run = confirmation(trial, runs)
        if run is not None and run.step_time is not None:
            size = float(run.parameters or 0) if capacity is None else capacity(run.config)
            result.append(Candidate(trial, run, run.step_time, size))
    return result


def choose(
    found: Sequence[Candidate], budget: Budget, *, accept_disturbed: bool = False
) -> Selection | None:
    """Select the highest throughput within the window, or a more capable model that costs little.

    "Little" is ``budget.throughput_loss``: among candidates that lose at most this fraction of the
    best throughput, the most capable wins. If capacity is the objective, the most capable of all
    wins. Candidates that were only measured while the machine was disturbed are left out, unless
    accepted. Returns ``None`` without candidates.
    """
    longest = budget.longest_step_s
    left_out = [c for c in found if c.disturbed_by and not accept_disturbed]
    inside = [
        c for c in found if c not in left_out and (longest is None or c.step_time.mean_s <= longest)
    ]
    if not inside:
        return None
    fastest = max(inside, key=lambda c: c.throughput_samples_per_s)
    enough = fastest.throughput_samples_per_s * (1 - budget.throughput_loss)
    near = [c for c in inside if c.throughput_samples_per_s >= enough]
    among = inside if budget.objective is Objective.CAPACITY else near
    best = max(among, key=_capacity_then_throughput)
    largest = max(inside, key=_capacity_then_throughput)
    most_capable = best if best.capacity >= largest.capacity else largest
    front = pareto_front(inside)
    others = [c for c in front if c is not best]
    others += [c for c in inside if c is not best and c not in others]
    return Selection(best, fastest, others[:ALTERNATIVES], front, left_out, most_capable)


def _capacity_then_throughput(candidate: Candidate) -> tuple[float, float]:
    return candidate.capacity, candidate.throughput_samples_per_s


def pareto_front(found: Sequence[Candidate]) -> list[Candidate]:
    """Candidates that no other beats in both throughput and capacity, fastest first."""
    front = []
    ordered = sorted(found, key=lambda c: (-c.throughput_samples_per_s, -c.capacity))
    most = float("-inf")
    for candidate in ordered:
        if candidate.capacity > most:
            front.append(candidate)
            most = candidate.capacity
    return front


def cycle_time_s(timing: StepTime, cycle_batches: int) -> dict[str, float]:
    """Mean cycle time with its interval, in seconds: a cycle is a sum of steps, so means multiply.

    Deprecated: the key ``median`` repeats ``mean`` for one release, for those who still read it.
    """
    mean_s = timing.mean_s * cycle_batches
    return {
        "mean": mean_s,
        "low": timing.low_s * cycle_batches,
        "high": timing.high_s * cycle_batches,
        "median": mean_s,
    }


def share_of_window(timing: StepTime, budget: Budget) -> float | None:
    """Mean cycle time as a fraction of the longest cycle that the window allows; ``None`` without
    a window."""
    longest_step_s = budget.longest_step_s
    return None if longest_step_s is None else timing.mean_s / longest_step_s


def share_of_memory(run: Measurement) -> float | None:
    """Peak memory as a fraction of the memory that the run was measured with."""
    if run.peak_bytes is None or not run.limit_bytes:
        return None
    return run.peak_bytes / run.limit_bytes


def uses_text(window: float | None, memory: float | None) -> str:
    """``2% of the time window and 41% of the memory``; empty if neither is known."""
    known = [(window, "the time window"), (memory, "the memory")]
    return " and ".join(f"{share:.0%} of {name}" for share, name in known if share is not None)


def explain(
    selection: Selection, budget: Budget, binding: str | None, why_binding: str
) -> list[str]:
    """The recommendation as sentences, most important first."""
    best, run = selection.best, selection.best.run
    cycle = cycle_time_s(best.step_time, budget.cycle_batches)
    lines = [
        f"Train {config_text(run.config)} with batch {batch_words(run)}: "
        f"{rate(best.throughput_samples_per_s)}, {duration_text(cycle['mean'])} per cycle of "
        f"{budget.cycle_batches} batches "
        f"({duration_text(cycle['low'])} to {duration_text(cycle['high'])})."
    ]
    if budget.longest_cycle_s is not None and budget.target_s is not None:
        lines.append(
            f"The {budget.name} window is {duration_text(budget.target_s)} per cycle, up to "
            f"{duration_text(budget.longest_cycle_s)}."
        )
    if run.peak_bytes is not None and run.limit_bytes:
        lines.append(
            f"Peak memory {size_text(run.peak_bytes)} of {size_text(run.limit_bytes)}"
            f"{_limiting_words(run)}, "
            f"{run.headroom:.0%} kept free; {run.steps} steps were run in a fresh process to "
            "confirm it."
        )
    if uses := uses_text(share_of_window(best.step_time, budget), share_of_memory(run)):
        lines.append(f"This uses {uses}.")
    if binding is not None:
        lines.append(f"Limited by: {limit_text(binding)}. {why_binding}".strip())
    if selection.fastest is not best:
        lines.append(trade(selection.fastest, best, chosen_over=True))
    if best.disturbed_by:
        lines.append(
            "This measurement was disturbed, and accepted as it is: "
            f"{'; '.join(best.disturbed_by)}. The batch size fits in memory, but the true cycle "
            "time is probably shorter than the measured one. To measure it again, start it on an "
            "idle machine without accepting disturbed results."
        )
    elif not best.step_time.converged:
        lines.append(
            "Step times varied, so the cycle time is less certain than usual (see its interval)."
        )
    if selection.left_out:
        names = ", ".join(config_text(c.run.config) for c in selection.left_out[:ALTERNATIVES])
        more = len(selection.left_out) - ALTERNATIVES
        lines.append(
            f"Left out because the machine was disturbed during each run: {names}"
            f"{f' and {more} more' if more > 0 else ''}. To measure them again, use --fresh on an "
            "idle machine."
        )
    return lines


def batch_words(run: Measurement) -> str:
    """``96``, or ``96 on each of 4 ranks (384 samples per optimizer step)``."""
    if not run.ranks:
        return str(run.batch_size)
    return (
        f"{run.batch_size} {teams_text(run)} ({run.effective_batch_size} samples per "
        "optimizer step)"
    )


def teams_text(run: Measurement) -> str:
    """Who draws a batch: ``on each of 4 ranks``, or ``on each of 2 teams of 2 ranks`` where ranks
    divide the layers among them."""
    degree = len(run.ranks) // run.data_parallel
    if degree == 1:
        return f"on each of {plural(len(run.ranks), 'rank')}"
    if run.data_parallel == 1:
        return f"on a team of {degree} ranks"
    return f"on each of {run.data_parallel} teams of {degree} ranks"


def _limiting_words(run: Measurement) -> str:
    if run.limiting_rank is None or not run.ranks:
        return ""
    return f" on rank {run.limiting_rank} ({run.ranks[run.limiting_rank].device}), which limits"


def trade(other: Candidate, best: Candidate, *, chosen_over: bool = False) -> str:
    """What choosing ``other`` instead of ``best`` would change, in one sentence."""
    speed = other.throughput_samples_per_s / best.throughput_samples_per_s
    size = other.parameters / best.parameters if best.parameters else 1.0
    words = f"{_times(size)} the parameters for {_times(speed)} the throughput"
    name = f"{config_text(other.run.config)}, batch {other.run.batch_size}"
    if chosen_over:
        return (
            f"The fastest was {name}. The chosen config has {_times(1 / size)} its parameters and "
            f"{1 - 1 / speed:.0%} less throughput."
        )
    return f"{name}: {words}."


def most_capable_text(selection: Selection, budget: Budget) -> list[str]:
    """The most capable model that fits the window as a sentence; an empty list if it is the
    recommended one, or if there is no window."""
    other, best = selection.most_capable, selection.best
    if budget.target_s is None or other is best:
        return []
    cycle = cycle_time_s(other.step_time, budget.cycle_batches)
    uses = uses_text(share_of_window(other.step_time, budget), share_of_memory(other.run))
    return [
        "The most capable model confirmed to fit the window is "
        f"{config_text(other.run.config)} with batch {other.run.batch_size}: "
        f"{_times(other.parameters / (best.parameters or 1))} the "
        f"parameters, {rate(other.throughput_samples_per_s)}, {duration_text(cycle['mean'])} per "
        f"cycle. It uses {uses}."
    ]


def _times(ratio: float) -> str:
    return f"{ratio:.2f} ×" if ratio < 10 else f"{ratio:.0f} ×"


def most_capable(
    selection: Selection, budget: Budget, unsettled: int
) -> tuple[dict[str, Any] | None, str]:
    """The most capable model that fits the window, in the form of the recommendation document, or
    ``None``; and in words why there is none, or what is not known about it.

    ``unsettled`` is the number of more capable configs of which it is not known whether they fit.
    """
    found, best = selection.most_capable, selection.best
    if budget.objective is Objective.CAPACITY:
        return None, "Capacity is the objective, so the recommended model is the most capable."
    if budget.target_s is None:
        return None, f"The budget {budget.name} has no time window."
    note = (
        f"Whether {plural(unsettled, 'more capable config')} {'fits' if unsettled == 1 else 'fit'} "
        "the window was not determined."
        if unsettled
        else ""
    )
    if found is best:
        return None, " ".join(
            ["The recommended model is the most capable one confirmed in the window.", note]
        ).strip()
    document = {
        **alternative(found, best, budget.cycle_batches),
        "accumulation": found.run.accumulation,
        "binding": found.trial.binding or "",
        "limit_bytes": found.run.limit_bytes,
        "share_of_window": share_of_window(found.step_time, budget),
        "share_of_memory": share_of_memory(found.run),
        "evidence": {"highest_passing": found.run.to_dict()},
    }
    return document, note


def alternative(other: Candidate, best: Candidate, cycle_batches: int) -> dict[str, Any]:
    """An alternative in the form of the recommendation document."""
    return {
        "config": other.run.config,
        "batch_size": other.run.batch_size,
        "parameters": other.run.parameters,
        "throughput_samples_per_s": other.throughput_samples_per_s,
        "cycle_time_s": cycle_time_s(other.step_time, cycle_batches),
        "peak_bytes": other.run.peak_bytes,
        "global_batch_size": other.run.effective_batch_size,
        "trade": trade(other, best) + (" Also disturbed." if other.disturbed_by else ""),
    }
