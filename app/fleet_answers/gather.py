"""What the store knows for an answer: classes, readings, prices and what is recommended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from app.database.models.results import WorkloadRow
from app.devices import repository as devices
from app.errors import NotFound
from app.fleet_answers import carbon, prices, repository
from app.fleet_answers.classes import Places
from app.fleet_answers.question import FleetQuestion
from app.fleet_answers.readings import Stale, of_other_workloads, of_workload
from app.names import nearest
from app.recommendations import repository as recommendations
from app.settings import Settings
from app.workloads.again import tune_line
from optimizer.fleet.candidate import Reading, Work
from optimizer.fleet.cost import Amounts
from optimizer.fleet.settle import Fleet
from optimizer.records import Recommendation
from probes.errors import InputError

MOST_RECOMMENDATIONS = 500


@dataclass(frozen=True)
class Gathered:
    """Everything that an answer is computed from."""

    fleet: Fleet
    places: Places
    amounts: Amounts
    recommended: Mapping[str, Recommendation]
    """By class id: the newest of the budget."""
    dataset_size: int | None
    refused: Mapping[str, str] = field(default_factory=dict)
    """By class id: why nothing passed there, of classes where something was tried."""
    carbon_source: str = ""
    notes: list[str] = field(default_factory=list)


def gather(session: Session, settings: Settings, asked: FleetQuestion) -> Gathered:
    """Raises ``NotFound`` for a workload that was never measured, and ``InputError`` for what
    cannot be answered, naming the setting or option."""
    if asked.budget not in settings.budget_table():
        near = nearest(asked.budget, list(settings.budget_table()))
        raise InputError(
            f"There is no budget {asked.budget!r}." + (f" Did you mean {near}?" if near else "")
        )
    states = repository.states_of(session, asked.workload)
    current = _current(states, asked.options)
    rows = repository.passing(session, asked.workload)
    if not rows and not states:
        raise NotFound(_unknown(session, asked.workload))
    if asked.options and current is None:
        raise NotFound(
            f"{asked.workload} was not measured with "
            f"{' '.join(f'{k}={v}' for k, v in asked.options.items())}."
        )
    seen = devices.listing(session)
    places = Places(seen)
    sources = repository.sources_of_studies(session, asked.workload)
    stale = Stale(states, current, sources, seen)
    own = of_workload(rows, places, stale)
    others = of_other_workloads(repository.passing_elsewhere(session, asked.workload), places)
    failed, refused = _failed(repository.failing(session, asked.workload), places, own)
    places.add_unmeasured()
    recommended = _recommended(session, places, asked, current)
    grams, source = carbon.intensity(settings) if asked.with_carbon else (None, "")
    classes = [place.fleet_class(settings.headroom) for place in places.found.values()]
    fleet = Fleet(
        classes,
        [*own, *others],
        asked.workload,
        {
            class_id: prices.prices_of(settings, place.named, grams)
            for class_id, place in places.found.items()
        },
        _smallest(classes_ids=[each.id for each in classes], recommended=recommended),
        _accepts(asked.pinned, own, failed),
    )
    size = current.dataset_size if current else None
    return Gathered(
        fleet=fleet,
        places=places,
        amounts=_amounts(asked, size, settings.cycle_batches),
        recommended=recommended,
        dataset_size=size,
        refused=refused,
        carbon_source=source,
        notes=stale.notes,
    )


def _current(states: Sequence[WorkloadRow], options: Mapping[str, Any]) -> WorkloadRow | None:
    """The last seen state with these options; of those that have more, the one with the fewest."""
    having = [
        state
        for state in states
        if all(name in state.options and state.options[name] == v for name, v in options.items())
    ]
    return min(having, key=lambda state: len(state.options), default=None)


def _recommended(
    session: Session, places: Places, asked: FleetQuestion, current: WorkloadRow | None
) -> dict[str, Recommendation]:
    found: dict[str, Recommendation] = {}
    for each in recommendations.listing(
        session, workload=asked.workload, budget=asked.budget, limit=MOST_RECOMMENDATIONS
    ):
        told = each.valid.get("workload_hash")
        is_other = current is not None and told is not None and told != current.source_hash
        if each.study.get("time_scale", 1.0) != asked.time_scale or is_other:
            continue
        place = places.of(each.fingerprint, each.limit_bytes, each.device)
        if place is not None:
            found.setdefault(place.named.class_id, each)
    return found


def _smallest(
    classes_ids: Sequence[str], recommended: Mapping[str, Recommendation]
) -> dict[str, int | None]:
    """The parameters of what is recommended for the class; for a class without a recommendation,
    the fewest of those that are recommended for others."""
    sizes = {k: r.parameters for k, r in recommended.items() if r.parameters is not None}
    fewest = min(sizes.values(), default=None)
    return {class_id: sizes.get(class_id, fewest) for class_id in classes_ids}


def _failed(
    rows: Sequence[Any], places: Places, own: Sequence[Reading]
) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """(class, work) pairs of which nothing passed, and the newest reason by class for the classes
    of which nothing passed at all."""
    passed = {(reading.class_id, reading.work.key) for reading in own}
    having = {reading.class_id for reading in own}
    failed: set[tuple[str, str]] = set()
    reasons: dict[str, str] = {}
    for row in rows:  # newest first
        place = places.of(row.fingerprint, row.limit_bytes)
        if place is None:
            continue
        class_id = place.named.class_id
        pair = (class_id, Work(row.workload, row.config).key)
        if pair not in passed:
            failed.add(pair)
        if class_id not in having:
            reasons.setdefault(class_id, f"Nothing passed there: {row.verdict}, {row.reason}")
    return failed, reasons


def _accepts(
    pinned: Mapping[str, Any], own: Sequence[Reading], failed: Collection[tuple[str, str]]
) -> Callable[[Reading], bool]:
    """Raises ``InputError`` for a dimension, or a value, that no measured config has."""
    for name, value in pinned.items():
        having = [r for r in own if name in r.work.config]
        if own and not having:
            known = sorted({key for r in own for key in r.work.config})
            raise InputError(
                f"--set {name}: no measured config has it. They have {', '.join(known)}."
            )
        if having and all(r.work.config[name] != value for r in having):
            seen = sorted({str(r.work.config[name]) for r in having})
            raise InputError(
                f"--set {name}={value}: nothing was measured with it, only with {', '.join(seen)}."
            )

    def accepts(reading: Reading) -> bool:
        config = reading.work.config
        if (reading.class_id, reading.work.key) in failed:
            return False
        return all(name in config and config[name] == value for name, value in pinned.items())

    return accepts


def _amounts(asked: FleetQuestion, dataset_size: int | None, cycle_batches: int) -> Amounts:
    if asked.samples is not None:
        return Amounts(samples=asked.samples, cycle_batches=cycle_batches)
    if asked.epochs is not None:
        if dataset_size is None:
            raise InputError(
                f"How many samples an epoch of {asked.workload} has is not known, because the "
                "workload states no dataset_size. Use --samples."
            )
        samples = max(1, round(asked.epochs * dataset_size))
        return Amounts(samples=samples, cycle_batches=cycle_batches)
    cycles = 1.0 if asked.cycles is None else asked.cycles
    return Amounts(steps=max(1, round(cycles * cycle_batches)), cycle_batches=cycle_batches)


def _unknown(session: Session, workload: str) -> str:
    known = repository.workload_names(session)
    near = nearest(workload, known)
    hint = f" Did you mean {near}?" if near else ""
    return f"No measurement of {workload} is stored.{hint} To make one: {tune_line(workload)}"
