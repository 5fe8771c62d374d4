"""What to measure next, so that the answer is settled at little cost.

A prior is worth a probe as long as it could still become the answer. Its worth is the *expected
improvement* over the best measured option (Jones, Schonlau & Welch, *Efficient global optimization
of expensive black-box functions*, 1998), for a step time that is log-normal within the prior's
band; only step times that meet the limits count. The next probe is the one with the most expected
improvement for its own price.

A class that shares no work with any other has no prior. It could be anything, so it comes first:
one probe gives it a ratio to the others, and with that a prior for every other config.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

from optimizer.fleet.amount import Amount
from optimizer.fleet.candidate import Candidate, FleetClass, Reading
from optimizer.fleet.choose import Choice, Limits, Prefer, choose, quantity, rank
from optimizer.fleet.cost import HOUR_S, KWH_J, Amounts, Option, Prices, priced
from optimizer.fleet.transfer import Transfer, quantile

STARTUP_S = 15.0
"""Starting a worker, loading the workload and warming up, before the first measured step."""
PROBE_STEPS = 36
"""Steps of a confirmation run, warm-up included."""
SEARCH_PROBES = 3.5
"""Probes of a search for the largest batch that knows the memory from another class, on average
over the fleets of ``benchmarks/fleet_answer``."""
WORTH = 0.002
"""A probe that is expected to improve the answer by a smaller fraction than this is not run."""
GAIN = 0.02
"""Nor is one that can improve it by no more than this fraction, at the lower end of its band."""
FAR = 4.0
"""Freedom assumed of a prior's band: it is as wide as a few ratios make it."""

NORMAL = NormalDist()


@dataclass(frozen=True)
class NextProbe:
    """The probe that does most for the answer: a search for the largest batch of one config on one
    class, which ends in a confirmation."""

    class_id: str
    reading: Reading
    """What to run: its work, batch size and accumulation. The numbers are those of the prior, or of
    another class where ``is_unseen``."""
    is_unseen: bool
    """Whether nothing is known yet of the class."""
    seconds: float | None
    """About how long it takes; ``None`` where nothing is known of the class."""
    money: float | None
    """What that costs; ``None`` where it is not known."""
    others: int
    """Number of other (class, config) pairs that could still become the answer."""

    @property
    def settles(self) -> bool:
        """Whether nothing is open after it, whatever it shows."""
        return self.others == 0


@dataclass(frozen=True)
class Fleet:
    """Everything that an answer needs, as plain data."""

    classes: Sequence[FleetClass]
    readings: Sequence[Reading]
    """Passing runs of any workload on these classes."""
    workload: str
    prices: Mapping[str, Prices]
    """By class id."""
    smallest: Mapping[str, int | None]
    """By class id: the parameters of the recommended model; a model with fewer is a smaller one.
    ``None`` or missing: any model is as good."""
    accepts: Callable[[Reading], bool] = lambda reading: True
    """Whether a config is asked for at all (pinned dimensions)."""


def options_of(fleet: Fleet, amounts: Amounts) -> list[Option]:
    """Every measured option and every prior, priced."""
    transfer = Transfer(fleet.readings, fleet.workload)
    names = {each.id: each.name for each in fleet.classes}
    found: list[Option] = []
    for each in fleet.classes:
        candidates = [*_measured(fleet, each), *transfer.priors(each, names)]
        prices = fleet.prices.get(each.id, Prices())
        found += [
            priced(_graded(candidate, fleet.smallest.get(each.id)), amounts, prices)
            for candidate in candidates
            if fleet.accepts(candidate.reading)
        ]
    return found


def _measured(fleet: Fleet, of: FleetClass) -> list[Candidate]:
    return [
        Candidate(reading, True)
        for reading in fleet.readings
        if reading.class_id == of.id
        and reading.work.workload == fleet.workload
        and reading.is_confirmed
    ]


def _graded(candidate: Candidate, smallest: int | None) -> Candidate:
    parameters = candidate.reading.parameters
    if smallest is None or parameters is None or parameters >= smallest:
        return candidate
    return replace(candidate, is_smaller=True)


def next_probe(
    fleet: Fleet,
    options: Sequence[Option],
    limits: Limits,
    prefer: Prefer,
    *,
    answer: Choice | None = None,
    seen: Iterable[str] = (),
) -> NextProbe | None:
    """``None`` where the answer is settled: no probe is expected to change it for the better.

    ``seen`` are classes on which a probe was tried and gave no reading: they are left alone.
    """
    answer = answer or choose(options, limits, prefer)
    unseen = _unseen(fleet, options, answer, set(seen))
    open_ = _contenders(options, answer, limits, prefer)
    if unseen:
        class_id, reading = unseen[0]
        return NextProbe(class_id, reading, True, None, None, len(unseen) - 1 + len(open_))
    if not open_:
        return None
    costs = {id(o): _probe_money(o, fleet) for o, _ in open_}
    in_money = all(cost is not None for cost in costs.values())

    def value(contender: tuple[Option, float]) -> float:
        option, gain = contender
        money = costs[id(option)]
        price = money if in_money and money is not None else probe_s(option.candidate.reading)
        return gain / max(price, 1e-9)

    option, _ = max(open_, key=value)
    return NextProbe(
        option.class_id,
        option.candidate.reading,
        False,
        probe_s(option.candidate.reading),
        costs[id(option)],
        len(open_) - 1,
    )


def probe_s(reading: Reading) -> float:
    """About how long a search for its largest batch takes, in seconds."""
    return SEARCH_PROBES * (STARTUP_S + PROBE_STEPS * reading.step_s.high)


def _probe_money(option: Option, fleet: Fleet) -> float | None:
    prices = fleet.prices.get(option.class_id, Prices())
    seconds = probe_s(option.candidate.reading)
    if prices.per_hour is not None:
        return seconds * prices.per_hour / HOUR_S
    if prices.tariff_per_kwh is not None and prices.watts is not None:
        drawn_w = (prices.watts + prices.host_watts) * prices.overhead
        return seconds * drawn_w / KWH_J * prices.tariff_per_kwh
    return None


def _unseen(
    fleet: Fleet, options: Sequence[Option], answer: Choice, tried: set[str]
) -> list[tuple[str, Reading]]:
    """Classes without any option, with what to try there: the work that is chosen elsewhere, else
    the one with the shortest step, at the largest batch that fits."""
    transfer = Transfer(fleet.readings, fleet.workload)
    have = {option.class_id for option in options} | tried
    leader = answer.chosen or answer.nearest
    wanted = leader.candidate.reading.work.key if leader else None
    found = []
    for each in fleet.classes:
        if each.id in have:
            continue
        fitting = [r for r in transfer.fitting(each) if fleet.accepts(r)]
        if fitting:
            best = min(
                fitting,
                key=lambda r: (r.work.key != wanted, not r.is_confirmed, r.step_s.mean / r.samples),
            )
            found.append((each.id, best))
    return sorted(found, key=lambda pair: _hourly(fleet.prices.get(pair[0])))


def _hourly(prices: Prices | None) -> float:
    return math.inf if prices is None or prices.per_hour is None else prices.per_hour


def _contenders(
    options: Sequence[Option], answer: Choice, limits: Limits, prefer: Prefer
) -> list[tuple[Option, float]]:
    """The priors that could still become the answer, with their expected improvement."""
    priors = [option for option in options if not option.is_measured]
    best = answer.chosen
    means = [a.mean for o in priors if (a := quantity(o, prefer)) is not None]
    found = []
    for option in priors:
        bound = _to_beat(option, best, prefer, 2 * min(means, default=1.0))
        if bound is None:
            continue
        gain = _expected_gain(option, bound, limits, prefer)
        if gain > WORTH * bound:
            found.append((option, gain))
    return found


def _to_beat(option: Option, best: Option | None, prefer: Prefer, otherwise: float) -> float | None:
    """The value that the option has to stay below; ``None`` where it cannot win."""
    amount = quantity(option, prefer)
    if best is None:
        return otherwise
    if option.candidate.is_smaller != best.candidate.is_smaller:
        return otherwise if best.candidate.is_smaller else None
    reached = quantity(best, prefer)
    if amount is None or reached is None:
        return otherwise if rank(option, prefer) < rank(best, prefer) else None
    return reached.mean if amount.low < reached.mean * (1 - GAIN) else None


def _expected_gain(option: Option, bound: float, limits: Limits, prefer: Prefer) -> float:
    """E[max(0, bound - quantity)] over step times that meet the limits."""
    time, amount = option.training_s, quantity(option, prefer)
    mean = amount.mean if amount is not None else bound / 2
    most = min(_longest_s(option, limits), time.mean * bound / mean if mean else math.inf)
    sigma = _sigma(time)
    if sigma == 0:
        return max(0.0, bound - mean) if time.mean <= most else 0.0
    z = (math.log(most / time.mean)) / sigma if most > 0 else -math.inf
    if math.isinf(z):
        return max(0.0, bound - mean) if z > 0 else 0.0
    # The band is around the median of the log-normal: its mean is exp(sigma²/2) higher.
    partial = mean * math.exp(sigma * sigma / 2) * NORMAL.cdf(z - sigma)
    return max(0.0, bound * NORMAL.cdf(z) - partial)


def _longest_s(option: Option, limits: Limits) -> float:
    """The longest training that meets both limits."""
    longest = math.inf if limits.deadline_s is None else limits.deadline_s
    cost = option.cost
    if limits.money is not None and isinstance(cost, Amount) and cost.mean > 0:
        longest = min(longest, limits.money / cost.mean * option.training_s.mean)
    return longest


def _sigma(amount: Amount) -> float:
    if amount.low <= 0 or amount.high <= 0:
        return 1.0
    return math.log(amount.high / amount.low) / (2 * quantile(FAR))
