"""The recommendation that a study ends in, put together from its choice and its measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from optimizer import choose as choosing
from optimizer import no_answer
from optimizer.records import Grade, Recommendation, StudySpec, Trial
from probes.doubt import is_too_slow
from probes.measurement import Config, Measurement

PRUNED_SHOWN = 50
"""At most this many configs that another one ruled out are listed."""


@dataclass(frozen=True)
class Coverage:
    """How much of the space was searched, and how well."""

    configs: int | None
    """Configs of the space; ``None`` for infinitely many."""
    probes: int
    probes_saved: int = 0
    """Estimate of the probes saved by knowledge from other devices and budgets."""
    pruned: Sequence[tuple[Config, Trial]] = ()
    """Configs that needed no measurement, with the trial that rules each out."""
    timed_out: bool = False
    notes: Sequence[str] = ()
    """What would help, which configs were no candidates, and why the search ended."""
    grades: Sequence[Grade] = ()
    more_capable: int = 0
    """Configs more capable than every confirmed one of which it is not known whether they fit."""


def recommendation(
    spec: StudySpec,
    study_id: str,
    selected: choosing.Selection,
    trials: Sequence[Trial],
    runs: Sequence[Measurement],
    coverage: Coverage,
) -> Recommendation:
    """``runs`` are the measurements that count (see ``disturbed.standing``)."""
    best, run, budget = selected.best, selected.best.run, spec.budget
    failing = _lowest_failing(runs, run, budget.longest_step_s)
    most_capable, most_capable_note = choosing.most_capable(selected, budget, coverage.more_capable)
    return Recommendation(
        id=study_id.replace("st_", "rec_", 1),
        workload=spec.scope.workload,
        budget=budget.name,
        device=spec.scope.device,
        config=run.config,
        batch_size=run.batch_size,
        accumulation=run.accumulation,
        cycle_batches=budget.cycle_batches,
        cycle_time_s=choosing.cycle_time_s(best.step_time, budget.cycle_batches),
        throughput_samples_per_s=best.throughput_samples_per_s,
        peak_bytes=run.peak_bytes or 0,
        limit_bytes=run.limit_bytes or 0,
        headroom=run.headroom,
        parameters=run.parameters,
        binding=best.trial.binding or "",
        explanation=[
            *choosing.explain(selected, budget, best.trial.binding, best.trial.reason),
            *coverage.notes,
            *choosing.most_capable_text(selected, budget),
        ],
        alternatives=[
            choosing.alternative(c, best, budget.cycle_batches) for c in selected.alternatives
        ],
        ruled_out=_ruled_out(trials, coverage, selected.left_out),
        evidence={
            "highest_passing": run.to_dict(),
            "lowest_failing": failing.to_dict() if failing else None,
        },
        environment=run.environment,
        study=_study_facts(spec, study_id, trials, coverage),
        valid=_validity(spec),
        front=[choosing.alternative(c, best, budget.cycle_batches) for c in selected.front],
        share_of_window=choosing.share_of_window(best.step_time, budget),
        share_of_memory=choosing.share_of_memory(run),
        most_capable=most_capable,
        most_capable_note=most_capable_note,
        devices=[each.device for each in run.ranks] or [spec.scope.device],
        ranks=run.to_dict()["ranks"],
        limiting_rank=run.limiting_rank,
        data_parallel=run.data_parallel,
        global_batch_size=run.effective_batch_size,
        communication_share=run.communication_share,
        energy=run.energy.to_dict() if run.energy is not None else None,
        energy_per_cycle_j=run.energy.per_step_j * budget.cycle_batches if run.energy else None,
        energy_unavailable=run.energy_unavailable,
        host_energy=run.host_energy.to_dict() if run.host_energy is not None else None,
        host_energy_unavailable=run.host_energy_unavailable,
    )


def prediction_errors(grades: Sequence[Grade]) -> dict[str, Any]:
    """For each quantity, the number of graded predictions and their median relative error."""
    errors: dict[str, list[float]] = {}
    for grade in grades:
        if grade.error is not None:
            errors.setdefault(grade.quantity, []).append(abs(grade.error))
    return {
        quantity: {"graded": len(found), "median": round(statistics.median(found), 4)}
        for quantity, found in errors.items()
    }


def _ruled_out(
    trials: Sequence[Trial], coverage: Coverage, left_out: Sequence[choosing.Candidate]
) -> list[dict[str, Any]]:
    """Every config that cannot be recommended, and why."""
    measured = [
        {"config": t.config, "state": t.state, "reason": t.reason}
        for t in trials
        if t.state != "feasible"
    ]
    pruned = [
        {"config": config, "state": "pruned", "reason": no_answer.why_pruned(witness)}
        for config, witness in coverage.pruned[:PRUNED_SHOWN]
    ]
    disturbed = [
        {"config": c.run.config, "state": "disturbed", "reason": "; ".join(c.disturbed_by)}
        for c in left_out
    ]
    return measured + pruned + disturbed


def _study_facts(
    spec: StudySpec, study_id: str, trials: Sequence[Trial], coverage: Coverage
) -> dict[str, Any]:
    """How much was searched, at what price."""
    return {
        "id": study_id,
        "trials": len(trials),
        "configs": coverage.configs,
        "pruned": sum(t.state == "pruned" for t in trials) + len(coverage.pruned),
        "probes": coverage.probes,
        "probes_saved": coverage.probes_saved,
        "timed_out": coverage.timed_out,
        "prediction_error": prediction_errors(coverage.grades),
        "wall_s": round(sum(t.wall_s for t in trials), 3),
        "time_scale": spec.time_scale,
        "budget": spec.budget.to_dict(),
    }


def _validity(spec: StudySpec) -> dict[str, Any]:
    """The conditions under which it holds, and since when."""
    return {
        "fingerprint": spec.scope.fingerprint,
        "workload_hash": spec.scope.workload_hash,
        "workload_options": spec.options,
        "effective_batch_size": spec.scope.effective_batch_size,
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _lowest_failing(
    runs: Sequence[Measurement], best: Measurement, longest_step_s: float | None
) -> Measurement | None:
    """Evidence that the batch is the maximum: the lowest larger batch of the config that fails."""
    above = [r for r in runs if r.config == best.config and r.batch_size > best.batch_size]
    failing = [r for r in above if not r.passed or is_too_slow(r, longest_step_s)]
    return min(failing, key=lambda r: r.batch_size, default=None)
