"""Why nothing can be recommended, or a config was ruled out, in sentences. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.advice import MEMORY_LEVERS
from optimizer.budgets import Budget
from optimizer.choose import ALTERNATIVES
from optimizer.formatting import config_text
from optimizer.records import Key, Trial, config_key
from probes.formatting import duration_text, plural, size_text
from probes.max_batch.result import short_by_bytes
from probes.measurement import Config, Measurement, Verdict


def why_pruned(witness: Trial) -> str:
    """Why a config needed no measurement."""
    return (
        f"Costs at least as much as {config_text(witness.config)}, which was ruled out: "
        f"{witness.reason}"
    )


def why_nothing(trials: Sequence[Trial], runs: Sequence[Measurement], budget: Budget) -> list[str]:
    """Why there is no candidate: by how much the nearest config misses, and what would help; then
    what is wrong with the configs of which that does not say it. Each reason is given once, in
    words that hold on the command line, over HTTP and on a page."""
    lines: list[str] = []
    explained: set[Key] = set()
    short = {
        config_key(r.config): (by, r)
        for r in runs
        if r.verdict is Verdict.OOM and r.batch_size == 1 and (by := short_by_bytes(r)) is not None
    }
    slow = {
        config_key(r.config): (r.step_time.mean_s * budget.cycle_batches, r)
        for r in runs
        if r.passed and r.batch_size == 1 and r.step_time is not None
    }
    if short:
        by, nearest = min(short.values(), key=lambda found: found[0])
        levers = [
            f"{name}={str(value).lower()}"
            for name, value in MEMORY_LEVERS.items()
            if nearest.config.get(name) != value
        ]
        lines.append(
            f"Even batch 1 of {config_text(nearest.config)} does not fit: short by at least "
            f"{size_text(by)}, and no measured config is nearer. To find one that fits, use a "
            f"larger memory budget or device, {''.join(f'{each}, ' for each in levers)}or a search "
            "space with smaller configs."
        )
        explained |= short.keys()
    elif slow and budget.longest_cycle_s is not None:
        cycle_s, nearest = min(slow.values(), key=lambda found: found[0])
        if cycle_s > budget.longest_cycle_s:
            lines.append(
                f"Even batch 1 of {config_text(nearest.config)} takes {duration_text(cycle_s)} per "
                f"cycle, more than the window's {duration_text(budget.longest_cycle_s)}, and no "
                "measured config is faster. To find one that fits, use a budget with a longer "
                "window, fewer batches per cycle (cycle_batches), or a search space with "
                "smaller configs."
            )
            explained |= slow.keys()
    return lines + _each_reason_once(
        [t for t in trials if t.state != "pruned" and config_key(t.config) not in explained]
    )


def _each_reason_once(trials: Sequence[Trial]) -> list[str]:
    """A line for each of the first reasons, with the first config that it holds for."""
    having: dict[str, list[Config]] = {}
    for trial in trials:
        having.setdefault(trial.reason, []).append(trial.config)
    lines = []
    for reason, configs in list(having.items())[:ALTERNATIVES]:
        more = f" and {plural(len(configs) - 1, 'other config')}" if len(configs) > 1 else ""
        lines.append(f"{config_text(configs[0])}{more}: {reason}")
    return lines


def why_disturbed(found: Sequence[tuple[Trial, list[str]]]) -> list[str]:
    """Why there is no clean candidate: what disturbed each trial in doubt, and what to do."""
    lines = [
        "The machine was disturbed during every decisive measurement, so the quality of these "
        "configs is unknown."
    ]
    for trial, taints in found[:ALTERNATIVES]:
        batch = "" if trial.batch_size is None else f", batch {trial.batch_size}"
        lines.append(f"{config_text(trial.config)}{batch}: {'; '.join(taints)}.")
    if len(found) > ALTERNATIVES:
        lines.append(f"… and {len(found) - ALTERNATIVES} more.")
    lines.append(
        "Start it again when the machine is quiet: only disturbed runs are repeated. Or accept the "
        "results as they are (accept_disturbed; on the command line --accept-disturbed): the "
        "measured times are probably too long."
    )
    return lines
