"""The answer: of all options, the cheapest, the fastest and the one with the least energy that meet
a deadline and a sum of money.

- Only what was confirmed on its class is ever chosen. Priors are shown, and never win.
- An option meets a limit if the upper end of its interval does.
- A smaller model than the recommended one is chosen only where nothing else meets the limits: speed
  is not bought with the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from optimizer.fleet.amount import Amount, known
from optimizer.fleet.cost import Option


class Prefer(StrEnum):
    """What decides between options that meet the limits."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    LEAST_ENERGY = "least_energy"


@dataclass(frozen=True)
class Limits:
    """What the training may take. ``None`` for no limit."""

    deadline_s: float | None = None
    """Seconds from now."""
    money: float | None = None


@dataclass(frozen=True)
class Shortfall:
    """By how much an option misses the limits; zero for one that it meets."""

    time_s: float = 0.0
    money: float = 0.0
    is_cost_unknown: bool = False
    """Whether money was limited, and what the option costs is not known."""

    @property
    def is_none(self) -> bool:
        return not (self.time_s or self.money or self.is_cost_unknown)


@dataclass(frozen=True)
class Choice:
    """What was chosen among the options. ``None`` where no measured option meets the limits."""

    chosen: Option | None
    """The one that is preferred."""
    cheapest: Option | None
    fastest: Option | None
    least_energy: Option | None
    """Of those whose energy was measured; of the estimated ones only where none was."""
    nearest: Option | None
    """Where nothing meets the limits: the measured option that misses them by the least."""
    of_class: dict[str, Option]
    """By class id: the option to show for the class. A measured one wherever there is one."""


def shortfall(option: Option, limits: Limits) -> Shortfall:
    late_s, over, is_unknown = 0.0, 0.0, False
    if limits.deadline_s is not None:
        late_s = max(0.0, option.training_s.high - limits.deadline_s)
    if limits.money is not None:
        cost = known(option.cost)
        over = max(0.0, cost.high - limits.money) if cost else 0.0
        is_unknown = cost is None
    return Shortfall(late_s, over, is_unknown)


def choose(options: Iterable[Option], limits: Limits, prefer: Prefer) -> Choice:
    every = list(options)
    measured = [option for option in every if option.is_measured]
    feasible = [option for option in measured if shortfall(option, limits).is_none]
    return Choice(
        chosen=_preferred(feasible, prefer),
        cheapest=_best(feasible, Prefer.CHEAPEST),
        fastest=_best(feasible, Prefer.FASTEST),
        least_energy=_best(feasible, Prefer.LEAST_ENERGY),
        nearest=_nearest(measured, limits) if not feasible else None,
        of_class={
            class_id: _shown([o for o in every if o.class_id == class_id], limits, prefer)
            for class_id in dict.fromkeys(option.class_id for option in every)
        },
    )


Key = tuple[float, ...]


def quantity(option: Option, prefer: Prefer) -> Amount | None:
    """What ``prefer`` makes small; ``None`` where it is not known."""
    return {
        Prefer.CHEAPEST: known(option.cost),
        Prefer.FASTEST: option.training_s,
        Prefer.LEAST_ENERGY: known(option.energy_j),
    }[prefer]


def rank(option: Option, prefer: Prefer) -> Key:
    """The smaller, the better: a measured energy before an estimated one, a model as large as the
    recommended one before a smaller one, then what is preferred, then the time."""
    amount = quantity(option, prefer)
    assumed = prefer is Prefer.LEAST_ENERGY and (amount is None or amount.is_estimate)
    mean = math.inf if amount is None else amount.mean
    return (assumed, option.candidate.is_smaller, mean, option.training_s.mean)


def _best(options: Sequence[Option], prefer: Prefer) -> Option | None:
    """``None`` where the quantity is known of none."""
    comparable = [option for option in options if quantity(option, prefer) is not None]
    return min(comparable, key=lambda option: rank(option, prefer), default=None)


def _preferred(options: Sequence[Option], prefer: Prefer) -> Option | None:
    """The best by what is preferred; by time where that is known of none."""
    return _best(options, prefer) or _best(options, Prefer.FASTEST)


def _nearest(options: Sequence[Option], limits: Limits) -> Option | None:
    return min(options, key=lambda option: _excess(option, limits), default=None)


def _excess(option: Option, limits: Limits) -> Key:
    """How far beyond the limits, as the larger of the two ratios; unknown costs come last."""
    missed = shortfall(option, limits)
    ratios = [0.0]
    if limits.deadline_s:
        ratios.append(missed.time_s / limits.deadline_s)
    if limits.money:
        ratios.append(missed.money / limits.money)
    return (missed.is_cost_unknown, max(ratios), option.training_s.mean)


def _shown(options: Sequence[Option], limits: Limits, prefer: Prefer) -> Option:
    """For one class: what is preferred of the measured ones that meet the limits, else the nearest
    of the measured ones, else the same of the priors."""
    for are_measured in (True, False):
        some = [option for option in options if option.is_measured is are_measured]
        meeting = [option for option in some if shortfall(option, limits).is_none]
        found = _preferred(meeting, prefer) or _nearest(some, limits)
        if found is not None:
            return found
    raise ValueError("a class without options")
