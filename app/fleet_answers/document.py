"""An answer as plain data: the document of ``tonnage choose --json`` and ``/v1/fleet-answers``."""

from __future__ import annotations

import math
import shlex
from datetime import datetime, timedelta
from typing import Any

from app.fleet_answers.classes import Place
from app.fleet_answers.gather import Gathered
from app.fleet_answers.question import FleetQuestion
from app.settings import Settings
from optimizer.fleet.amount import Amount, Known, known
from optimizer.fleet.choose import Choice, Limits, shortfall
from optimizer.fleet.cost import Amounts, Option
from optimizer.fleet.settle import NextProbe
from probes.formatting import size_argument

NOT_RUN = (
    "Nothing that was measured there can be compared with the other classes, so its times are not "
    "known."
)
NOT_FITTING = "No config that was measured elsewhere fits into its memory."
OF_AN_OPTION = (
    *("config", "batch_size", "accumulation", "samples_per_step", "parameters", "cycle_time_s"),
    *("training_time_s", "peak_bytes", "energy_per_cycle_j", "energy_per_1000_samples_j"),
    *("energy_j", "energy_basis", "cost_per_cycle", "cost", "cost_basis", "carbon_g", "meets"),
    *("misses", "measurement_id", "recommendation_id"),
)
"""Keys of a row that are ``None`` where nothing is known of the class."""
NEVER = "No config of the workload was confirmed on any class."


def document(
    asked: FleetQuestion,
    settings: Settings,
    gathered: Gathered,
    options: list[Option],
    choice: Choice,
    probe: NextProbe | None,
    now: datetime,
) -> dict[str, Any]:
    """The fleet answer as JSON: seconds (``_s``), bytes (``_bytes``), joules (``_j``), grams
    (``_g``); money is in ``fleet.currency``."""
    limits = limits_of(asked)
    deadline_at = None
    if asked.deadline_s is not None:
        deadline_at = (now + timedelta(seconds=asked.deadline_s)).isoformat(timespec="seconds")
    return {
        "verdict": verdict_of(choice, options),
        **asked.to_dict(),
        "training": _training(asked, gathered),
        "deadline_at": deadline_at,
        "currency": settings.fleet.currency,
        "chosen": _id(choice.chosen),
        "cheapest": _id(choice.cheapest),
        "fastest": _id(choice.fastest),
        "least_energy": _id(choice.least_energy),
        "classes": _rows(gathered, choice, limits, asked),
        "winners": {
            name: _row(gathered.places.found[option.class_id], option, limits, gathered, asked)
            for name in ("chosen", "cheapest", "fastest", "least_energy")
            if (option := getattr(choice, name)) is not None
        },
        "nearest": _nearest(choice.nearest, limits, gathered, asked),
        "next_probe": _probe(probe, gathered, asked),
        "is_settled": probe is None,
        "carbon_source": gathered.carbon_source,
        "notes": [*gathered.notes, *_notes(choice)],
    }


def limits_of(asked: FleetQuestion) -> Limits:
    return Limits(asked.deadline_s, asked.budget_money)


def verdict_of(choice: Choice, options: list[Option]) -> str:
    """``possible``, ``impossible``, or ``unmeasured`` where nothing was confirmed anywhere."""
    if choice.chosen is not None:
        return "possible"
    return "impossible" if any(option.is_measured for option in options) else "unmeasured"


def _id(option: Option | None) -> str | None:
    return None if option is None else option.class_id


def _training(asked: FleetQuestion, gathered: Gathered) -> dict[str, Any]:
    amounts = gathered.amounts
    return {
        "samples": amounts.samples,
        "steps": amounts.steps,
        "epochs": asked.epochs,
        "cycle_batches": amounts.cycle_batches,
        "dataset_size": gathered.dataset_size,
    }


def _rows(
    gathered: Gathered, choice: Choice, limits: Limits, asked: FleetQuestion
) -> list[dict[str, Any]]:
    """What meets the limits first, then the measured rest, the priors and the unknown ones; each by
    time."""
    rows = []
    for each in gathered.fleet.classes:
        place = gathered.places.found[each.id]
        option = choice.of_class.get(each.id)
        if option is None:
            rows.append(_unknown_row(place, gathered))
        else:
            rows.append(_row(place, option, limits, gathered, asked))
    order = {"measured": 0, "prior": 1, "unknown": 2}
    return sorted(
        rows,
        key=lambda row: (
            row["meets"] is not True or row["basis"] != "measured",
            order[row["basis"]],
            row["training_time_s"]["mean"] if row["training_time_s"] else math.inf,
        ),
    )


def _place(place: Place) -> dict[str, Any]:
    named = place.named
    return {
        "class_id": named.class_id,
        "class_key": named.class_key,
        "name": named.shown,
        "device_name": named.name,
        "kind": named.kind,
        "ranks": named.ranks,
        "device": place.label or None,
        "memory_bytes": place.limit_bytes,
        "fingerprints": [row.key for row in place.devices],
    }


def _unknown_row(place: Place, gathered: Gathered) -> dict[str, Any]:
    cap = place.fleet_class(0.0).cap_bytes
    own = [r for r in gathered.fleet.readings if r.work.workload == gathered.fleet.workload]
    fits = [r for r in own if r.peak_bytes <= cap]
    because = NEVER if not own else NOT_FITTING if not fits else NOT_RUN
    because = gathered.refused.get(place.named.class_id, because)
    empty = dict.fromkeys(OF_AN_OPTION)
    return {
        **_place(place), **empty, "basis": "unknown", "because": because, "source": "",
        "is_smaller_model": False, "is_recommended": False, "energy_because": because,
        "cost_because": because, "carbon_because": because, "notes": [],
    }  # fmt: skip


def _row(
    place: Place, option: Option, limits: Limits, gathered: Gathered, asked: FleetQuestion
) -> dict[str, Any]:
    candidate, reading = option.candidate, option.candidate.reading
    recommended = gathered.recommended.get(option.class_id)
    is_recommended = (
        recommended is not None
        and recommended.config == dict(reading.work.config)
        and recommended.batch_size == reading.batch_size
    )
    missed = shortfall(option, limits)
    misses = {
        "time_s": missed.time_s, "money": missed.money, "cost_unknown": missed.is_cost_unknown
    }  # fmt: skip
    return {
        **_place(place),
        "basis": "measured" if option.is_measured else "prior",
        "because": "",
        "source": candidate.source,
        "config": dict(reading.work.config),
        "batch_size": reading.batch_size,
        "accumulation": reading.accumulation,
        "samples_per_step": reading.samples,
        "parameters": reading.parameters,
        "is_smaller_model": candidate.is_smaller,
        "is_recommended": is_recommended,
        "cycle_time_s": option.cycle_s.to_dict(),
        "training_time_s": option.training_s.to_dict(),
        "peak_bytes": reading.peak_bytes,
        "energy_per_cycle_j": _amount(option.cycle_energy_j),
        "energy_per_1000_samples_j": _amount(option.thousand_samples_j),
        "energy_j": _amount(option.energy_j),
        "energy_basis": _basis(option.energy_j),
        "energy_because": _because(option.energy_j),
        "cost_per_cycle": _amount(option.cycle_cost),
        "cost": _amount(option.cost),
        "cost_basis": _basis(option.cost),
        "cost_because": _because(option.cost),
        "carbon_g": _amount(option.carbon_g) if asked.with_carbon else None,
        "carbon_because": _because(option.carbon_g) if asked.with_carbon else "",
        "meets": missed.is_none,
        "misses": misses,
        "measurement_id": reading.measurement_id,
        "recommendation_id": recommended.id if recommended and is_recommended else None,
        "notes": list(reading.notes),
    }


def _amount(value: Known) -> dict[str, Any] | None:
    amount = known(value)
    return None if amount is None else amount.to_dict()


def _basis(value: Known) -> str | None:
    """``measured``, ``estimated``, or ``None`` where it is not known."""
    amount = known(value)
    if amount is None:
        return None
    return "estimated" if amount.is_estimate else "measured"


def _because(value: Known) -> str:
    return "" if isinstance(value, Amount) else value.because


def _nearest(
    option: Option | None, limits: Limits, gathered: Gathered, asked: FleetQuestion
) -> dict[str, Any] | None:
    """The measured option that misses by the least, and what would make it possible."""
    if option is None:
        return None
    place = gathered.places.found[option.class_id]
    cost = known(option.cost)
    return {
        **_row(place, option, limits, gathered, asked),
        "needs_deadline_s": math.ceil(option.training_s.high),
        "needs_money": None if cost is None else cost.high,
        "fits": _fits(option, limits, gathered.amounts, gathered.dataset_size),
    }


def _fits(
    option: Option, limits: Limits, amounts: Amounts, dataset_size: int | None
) -> dict[str, float] | None:
    """How much of the training meets the limits on it; ``None`` where not a step does, or the cost
    is not known."""
    step_s = option.candidate.reading.step_s.high
    steps = math.inf if limits.deadline_s is None else limits.deadline_s / step_s
    if limits.money is not None:
        cost = known(option.cost)
        if cost is None:
            return None
        if cost.high > 0:
            steps = min(steps, limits.money / cost.high * option.steps)
    if steps < 1 or math.isinf(steps):
        return None
    whole = math.floor(steps)
    samples = whole * option.candidate.reading.samples
    found: dict[str, float] = {"steps": whole, "samples": samples}
    found["cycles"] = whole / amounts.cycle_batches
    if dataset_size:
        found["epochs"] = samples / dataset_size
    return found


def _probe(
    probe: NextProbe | None, gathered: Gathered, asked: FleetQuestion
) -> dict[str, Any] | None:
    if probe is None:
        return None
    place = gathered.places.found[probe.class_id]
    reading = probe.reading
    return {
        "class_id": probe.class_id,
        "name": place.named.shown,
        "device": place.label or place.named.kind,
        "config": dict(reading.work.config),
        "batch_size": reading.batch_size,
        "seconds": probe.seconds,
        "money": probe.money,
        "is_unseen": probe.is_unseen,
        "others": probe.others,
        "command": _command(asked, place, dict(reading.work.config)),
    }


def _command(asked: FleetQuestion, place: Place, config: dict[str, Any]) -> str:
    """What to run on a device of the class."""
    words = ["tonnage", "max-batch", asked.workload]
    for name, value in config.items():
        words += ["--set", f"{name}={_written(value)}"]
    for name, value in asked.options.items():
        words += ["--option", f"{name}={_written(value)}"]
    words += ["--device", place.label or place.named.kind]
    if not place.is_whole:
        words += ["--memory-budget", size_argument(place.limit_bytes)]
    return shlex.join(words)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _notes(choice: Choice) -> list[str]:
    found = []
    configs = {o.candidate.reading.work.key for o in choice.of_class.values()}
    if len(configs) > 1:
        found.append(
            "The classes train different configs. To compare one config, fix it with --set."
        )
    if choice.chosen is not None and choice.chosen.candidate.is_smaller:
        found.append(
            "Only a smaller model than the recommended one meets the limits. The answer is that."
        )
    if choice.least_energy is not None:
        energy = known(choice.least_energy.energy_j)
        if energy is not None and energy.is_estimate:
            found.append("No energy was measured: the least energy is an estimate from watts.")
    return found
