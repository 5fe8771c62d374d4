"""What the result of a max-batch search means for a study: feasible, infeasible or failed."""

from __future__ import annotations

from optimizer.budgets import Budget
from optimizer.records import Trial, TrialState
from probes.max_batch.result import MaxBatch, short_by_bytes
from probes.measurement import Config, Measurement, Verdict

UNMEASURED = {Verdict.CRASH, Verdict.TIMEOUT, Verdict.UNSUPPORTED}
"""Verdicts that say nothing about whether the config fits."""


def settled_trial(number: int, config: Config, answer: MaxBatch, budget: Budget) -> Trial:
    """The settled trial of a config, with its violation of each constraint: above zero means
    infeasible, as Optuna has it."""
    run = answer.highest_passing
    if run is not None and run.step_time is not None:
        return Trial(
            number,
            config,
            TrialState.FEASIBLE,
            answer.reason,
            batch_size=run.batch_size,
            binding=answer.binding,
            throughput_samples_per_s=run.effective_batch_size / run.step_time.mean_s,
            violation=_violation(run, budget),
            probes=answer.probes,
        )
    failing = answer.lowest_failing
    if failing is None or failing.verdict in UNMEASURED:
        return Trial(number, config, TrialState.FAILED, answer.reason, probes=answer.probes)
    return Trial(
        number,
        config,
        TrialState.INFEASIBLE,
        answer.reason,
        binding=answer.binding,
        violation=_violation(failing, budget),
        probes=answer.probes,
    )


def _violation(run: Measurement, budget: Budget) -> dict[str, float]:
    return {"memory": _memory_violation(run), "time": _time_violation(run, budget)}


def _memory_violation(run: Measurement) -> float:
    """Relative distance to the memory cap: below zero if it fits, at least 1 % if it failed."""
    if run.cap_bytes is None or run.cap_bytes <= 0:
        return 0.0 if run.passed else 1.0
    if run.passed:
        return (run.peak_bytes or 0) / run.cap_bytes - 1
    short = short_by_bytes(run)
    return max(0.01, (short or 0) / run.cap_bytes)


def _time_violation(run: Measurement, budget: Budget) -> float:
    if budget.longest_step_s is None or run.step_time is None:
        return -1.0
    return run.step_time.mean_s / budget.longest_step_s - 1
