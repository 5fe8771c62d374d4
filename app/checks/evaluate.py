"""From a planned run to the answer as it is stored, printed and sent."""

from __future__ import annotations

import shlex
from typing import Any

from sqlalchemy.orm import Session

from app.checks.decide import decide
from app.checks.gather import CheckInputs, gather
from app.checks.plan import CheckAnswer, CheckVerdict
from app.checks.request import CheckRequest
from app.checks.shortfall import untried
from app.settings import Settings
from app.workloads.again import settable, tune_line
from probes.black_box.template import as_text
from probes.formatting import size_argument


def evaluate(
    session: Session, asked: CheckRequest, settings: Settings, *, accept_brackets: bool = False
) -> dict[str, Any]:
    """Whether a planned run fits, from what is stored; see ``document`` for the keys. Raises
    ``InputError`` for a plan that cannot be one."""
    found = gather(session, asked, settings)
    answer = decide(
        found.plan, found.room, found.runs, accept_brackets=accept_brackets, hints=found.hints
    )
    heuristics = (
        _heuristics(session, found, settings) if answer.verdict is CheckVerdict.DOES_NOT_FIT else []
    )
    told = document(asked, found, answer)
    tune = tune_again(found.plan.workload, found.options, asked, told)
    return {**told, "heuristics": heuristics, "tune": tune}


def tune_again(
    workload: str, options: dict[str, Any], asked: CheckRequest, told: dict[str, Any]
) -> str:
    """How to measure what was asked, within the budget and the memory of the answer: a line for a
    shell."""
    words: list[str] = []
    can_set = settable(workload, options)
    for name, value in asked.config.items():
        if can_set is None or name in can_set:
            words += ["--set", f"{name}={as_text(value)}"]
    if told["budget"]:
        words += ["--budget", told["budget"]]
    if told["time_scale"] not in (None, 1.0):
        words += ["--time-scale", f"{told['time_scale']:g}"]
    here = asked.here
    whole = here.total_bytes if here and not here.ranks else None
    if asked.memory_budget_bytes or (whole is not None and told["limit_bytes"] < whole):
        words += ["--memory-budget", size_argument(told["limit_bytes"])]
    return " ".join([tune_line(workload, options), *([shlex.join(words)] if words else [])])


def _heuristics(session: Session, found: CheckInputs, settings: Settings) -> list[dict[str, Any]]:
    """What pages say of the levers that would save memory, and what was measured of that here."""
    from app.knowledge.advice import heuristics  # reading the pages takes time: only where needed

    known = heuristics(
        session,
        settings,
        untried(found.plan),
        fingerprint=found.here.fingerprint,
        workload=found.plan.workload,
    )
    return [each.to_dict() for each in known]


def document(asked: CheckRequest, found: CheckInputs, answer: CheckAnswer) -> dict[str, Any]:
    """Plain numbers with the unit in the key."""
    plan, room, here, window = found.plan, found.room, found.here, found.plan.window
    return {
        "verdict": answer.verdict,
        "reason": answer.reason,
        "details": answer.details,
        "changes": answer.changes,
        "workload": plan.workload,
        "config": plan.config,
        "batch_size": plan.batch_size,
        "accumulation": plan.accumulation,
        "budget": window.budget if window else None,
        "time_scale": window.time_scale if window else None,
        "cycle_batches": window.cycle_batches if window else None,
        "longest_cycle_s": window.longest_cycle_s if window else None,
        "cycle_time_s": answer.cycle_time_s,
        "device": here.device,
        "ranks": plan.ranks,
        "device_name": here.name,
        "fingerprint": here.fingerprint,
        "limit_bytes": room.limit_bytes,
        "headroom": room.headroom,
        "cap_bytes": room.cap_bytes,
        "free_bytes": room.free_bytes,
        "peak_bytes": answer.peak_bytes,
        "spare_bytes": answer.spare_bytes,
        "short_by_bytes": answer.short_by_bytes,
        "largest_batch": answer.largest_batch,
        "lever": answer.lever,
        "evidence": {
            "highest_passing": answer.highest_passing,
            "lowest_failing": answer.lowest_failing,
        },
        "compared": answer.compared,
        "assumed": found.notes,
        "recommendation_id": found.recommendation_id,
        "source": asked.source,
    }


def stored_columns(answer: dict[str, Any]) -> dict[str, Any]:
    """The columns of ``CheckRow``: those to filter by, and the whole answer."""
    names = ("verdict", "workload", "device", "fingerprint", "recommendation_id")
    return {**{name: answer[name] for name in names}, "document": answer}
