"""What a study will cost, estimated from earlier ones before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.database import Database
from app.settings import Settings
from app.tuning import trial_repository
from app.tuning.trial_repository import TrialCosts
from optimizer.budgets import Budget
from optimizer.spaces import planned
from probes.space import Space, size

PROBES_PER_CONFIG = 5
"""Measurements that finding one maximum takes, where nothing has been measured yet."""
START_S = 5.0
"""Seconds that a probe's worker takes to start and to warm up."""
LIKELY_SHARE = 0.5
"""Part of the planned configs after which a study tends to know enough."""


@dataclass(frozen=True)
class Cost:
    """Device time that a study takes."""

    configs: int | None
    """Number of configs in the space; ``None`` for infinitely many."""
    planned: int
    """Configs that are measured at most."""
    likely_s: float
    most_s: float
    basis: str
    """What the estimate rests on, in words."""


def expected(
    database: Database,
    settings: Settings,
    *,
    workload: str,
    budget: Budget,
    device: str | None,
    space: Space | None,
) -> Cost:
    """``device`` is a fingerprint's key or a name; ``space`` is what is left to search."""
    configs = size(space) if space is not None else None
    most = budget.trials if space is None else planned(space, budget.trials)
    with database.read() as session:
        known = trial_repository.costs(session)
    per_config_s, basis = _per_config_s(known, settings, workload, budget.name, device)
    likely = max(1, round(most * LIKELY_SHARE)) if most > 4 else most
    return Cost(configs, most, likely * per_config_s, most * per_config_s, basis)


def _per_config_s(
    known: list[TrialCosts], settings: Settings, workload: str, budget: str, device: str | None
) -> tuple[float, str]:
    """From the nearest that has been measured."""

    def here(each: TrialCosts) -> bool:
        return device is None or device in (each.fingerprint, each.device)

    near: list[tuple[str, Callable[[TrialCosts], bool]]] = [
        (
            f"{workload} for {budget} on this device",
            lambda each: each.workload == workload and each.budget == budget and here(each),
        ),
        (f"{workload} on this device", lambda each: each.workload == workload and here(each)),
        (f"{workload} on other devices", lambda each: each.workload == workload),
        ("other workloads on this device", here),
    ]
    for words, is_near in near:
        found = [each for each in known if is_near(each)]
        trials = sum(each.trials for each in found)
        if trials:
            per_config_s = sum(each.wall_s for each in found) / trials
            measured = "the config" if trials == 1 else f"the {trials} configs"
            return per_config_s, f"{measured} measured for {words}"
    per_config_s = PROBES_PER_CONFIG * START_S + settings.probe.measure_budget_s
    return per_config_s, "the configured times of a probe: nothing like it has been measured yet"
