"""Priors: what a device class would take for work that ran on other classes only.

Step times are compared in logarithms, at equal batch sizes. Two classes that both ran some works
have one ratio for each; their mean carries the time of another work over, and their spread gives
the band. With ``n`` ratios the new one lies within ``t · s · sqrt(1 + 1/n)`` of their mean (the
prediction interval of a normal sample, in logarithms). Few ratios say little about their own
spread, so ``s`` leans on the spread of all pairs of classes, and that on ``USUAL_SPREAD`` (a scaled
inverse chi-squared prior: Gelman et al., *Bayesian Data Analysis*, 3rd ed., section 2.6).

Memory does not change from class to class, except for the limit: a batch is a prior only where its
peak fits.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from optimizer.fleet.amount import Amount
from optimizer.fleet.candidate import NO_ENERGY, Candidate, FleetClass, Reading, Work

LEVEL = 0.90
"""A prior's band covers the truth this often, as the other intervals of Tonnage do."""
USUAL_SPREAD = 0.25
"""Of the logarithm of a ratio from work to work, before any pair of classes shows its own: one
device is 30 % better at one kind of work than at another."""
OF_ANOTHER_KIND = 0.4
"""Added to the spread where the ratios are of works of another kind only: how much faster bf16 is
than fp32, say, differs from device to device."""
WEIGHT = 2.0
"""How many ratios the assumed spread counts as."""
ENOUGH = 2
"""With ratios of this many configs of the workload itself, other workloads are left out."""
NEAR = 1.25
"""Beyond the measured batches, a step time counts up to this factor away, per sample."""


@dataclass(frozen=True)
class Ratio:
    """Step time on one class over that on another, with its band; as logarithms."""

    target: str
    source: str
    mean: float
    half: float
    works: int
    """Number of works that both classes ran."""
    of_others: bool
    """Whether they are of other workloads."""

    def carry(self, measured: Amount) -> Amount:
        """A time of the source as a prior for the target."""
        return Amount(
            measured.mean * math.exp(self.mean),
            measured.low * math.exp(self.mean - self.half),
            measured.high * math.exp(self.mean + self.half),
            is_estimate=True,
        )

    def words(self, names: Mapping[str, str]) -> str:
        middle = math.exp(self.mean)
        low, high = math.exp(self.mean - self.half), math.exp(self.mean + self.half)
        what = "config" if self.works == 1 else "configs"
        which = f"of other workloads ({self.works} {what})" if self.of_others else (
            f"of this workload ({self.works} other {what})"
        )  # fmt: skip
        return (
            f"transferred from {names.get(self.source, self.source)}: a step takes "
            f"{middle:.3g} times as long ({low:.3g} to {high:.3g}), judging by steps {which} "
            "that ran on both"
        )


class Transfer:
    """All readings of a fleet, and the ratios between its classes."""

    def __init__(self, readings: Iterable[Reading], workload: str) -> None:
        """``workload`` is the one that is asked about; ``readings`` may be of others too."""
        self.workload = workload
        self._by_class: dict[str, dict[str, list[Reading]]] = defaultdict(lambda: defaultdict(list))
        for reading in readings:
            self._by_class[reading.class_id][reading.work.key].append(reading)
        self._own = {
            (class_id, key)
            for class_id, works in self._by_class.items()
            for key, found in works.items()
            if found[0].work.workload == workload
        }
        self._logs: dict[tuple[str, str], tuple[list[tuple[Work, float]], bool]] = {}
        self._found: dict[tuple[str, str, frozenset[tuple[str, str]]], Ratio | None] = {}
        self._spread = self._pooled()

    def ratio(self, target: str, source: str, work: Work) -> Ratio | None:
        """For carrying this work over; ``None`` where no work ran on both at a comparable batch.

        Ratios of works of the same kind, with the same precision and the like, are used if there
        are any.
        """
        key = (target, source, work.kind)
        if key not in self._found:
            self._found[key] = self._ratio(target, source, work)
        return self._found[key]

    def _ratio(self, target: str, source: str, work: Work) -> Ratio | None:
        ratios, of_others = self._ratios(target, source)
        if not ratios:
            return None
        alike = [log for other, log in ratios if _is_alike(other, work)]
        logs = alike or [log for _, log in ratios]
        count = len(logs)
        mean = sum(logs) / count
        own = sum((each - mean) ** 2 for each in logs)
        free = WEIGHT + count - 1
        variance = (WEIGHT * self._spread**2 + own) / free
        spread = math.sqrt(variance + (0.0 if alike else OF_ANOTHER_KIND**2))
        half = quantile(free) * spread * math.sqrt(1 + 1 / count)
        return Ratio(target, source, mean, half, count, of_others)

    def priors(self, target: FleetClass, names: Mapping[str, str] | None = None) -> list[Candidate]:
        """For each work of the workload that was not confirmed on the class: the batch with the
        highest expected throughput of those that fit into its memory. ``names`` are those of the
        classes by id, for the words about the source."""
        here = self._by_class.get(target.id, {})
        confirmed = {key for key, found in here.items() if any(each.is_confirmed for each in found)}
        best = {
            key: Candidate(max(found, key=_throughput), False, source="a few steps that ran there")
            for key, found in here.items()
            if key not in confirmed and (target.id, key) in self._own
        }
        tried = set(best)
        for reading in self._readings_elsewhere(target):
            key = reading.work.key
            if key in confirmed | tried or reading.peak_bytes > target.cap_bytes:
                continue
            ratio = self.ratio(target.id, reading.class_id, reading.work)
            if ratio is None:
                continue
            prior = Candidate(
                _moved(reading, target.id, ratio), False, source=ratio.words(names or {})
            )
            if key not in best or _is_better(prior, best[key]):
                best[key] = prior
        return list(best.values())

    def fitting(self, target: FleetClass) -> list[Reading]:
        """Readings of the workload on other classes whose memory would fit there."""
        return [r for r in self._readings_elsewhere(target) if r.peak_bytes <= target.cap_bytes]

    def _readings_elsewhere(self, target: FleetClass) -> list[Reading]:
        return [
            reading
            for class_id, works in self._by_class.items()
            if class_id != target.id
            for key, found in works.items()
            if (class_id, key) in self._own
            for reading in found
            if reading.ranks == target.ranks
        ]

    def _pooled(self) -> float:
        """The spread of a ratio from work to work, over all pairs of classes."""
        classes = sorted(self._by_class)
        total, free = WEIGHT * USUAL_SPREAD**2, WEIGHT
        for number, one in enumerate(classes):
            for other in classes[number + 1 :]:
                logs = [log for _, log in self._ratios(one, other)[0]]
                mean = sum(logs) / len(logs) if logs else 0.0
                total += sum((each - mean) ** 2 for each in logs)
                free += max(0, len(logs) - 1)
        return math.sqrt(total / free)

    def _ratios(self, target: str, source: str) -> tuple[list[tuple[Work, float]], bool]:
        """A logarithm for each work that ran on both, and whether they are of other workloads."""
        known = self._logs.get((target, source))
        if known is not None:
            return known
        mine, theirs = self._by_class.get(target, {}), self._by_class.get(source, {})
        own: list[tuple[Work, float]] = []
        others: list[tuple[Work, float]] = []
        for key in mine.keys() & theirs.keys():
            log = _log_ratio(mine[key], theirs[key])
            if log is not None:
                pair = (mine[key][0].work, log)
                (own if (target, key) in self._own else others).append(pair)
        found = (own, False) if len(own) >= ENOUGH or not others else (others + own, True)
        self._logs[target, source] = found
        return found


def _is_alike(one: Work, other: Work) -> bool:
    """Whether two works agree in every dimension that is not a number and that both have."""
    mine, theirs = dict(one.kind), dict(other.kind)
    return all(mine[name] == theirs[name] for name in mine.keys() & theirs.keys())


def _moved(reading: Reading, class_id: str, ratio: Ratio) -> Reading:
    return replace(
        reading,
        class_id=class_id,
        step_s=ratio.carry(reading.step_s),
        is_confirmed=False,
        energy_j=NO_ENERGY,
        host_energy_j=None,
        notes=(),
        measurement_id=None,
    )


def _is_better(one: Candidate, other: Candidate) -> bool:
    """A narrower band first, unless it is about as wide: then the higher throughput."""
    a, b = one.reading, other.reading
    wide, narrow = b.step_s.high / b.step_s.low, a.step_s.high / a.step_s.low
    if not math.isclose(wide, narrow, rel_tol=0.05):
        return narrow < wide
    return _throughput(a) > _throughput(b)


def _throughput(reading: Reading) -> float:
    return reading.samples / reading.step_s.mean


def _log_ratio(mine: Sequence[Reading], theirs: Sequence[Reading]) -> float | None:
    """Mean over the batches of ``mine`` at which ``theirs`` is known too."""
    logs = []
    for reading in mine:
        step_s = _step_at(theirs, reading.batch_size, reading.accumulation)
        if step_s is not None:
            logs.append(math.log(reading.step_s.mean / step_s))
    if not logs:
        for reading in theirs:
            step_s = _step_at(mine, reading.batch_size, reading.accumulation)
            if step_s is not None:
                logs.append(math.log(step_s / reading.step_s.mean))
    return sum(logs) / len(logs) if logs else None


def _step_at(readings: Sequence[Reading], batch_size: int, accumulation: int) -> float | None:
    """Step time at a batch size: between the two nearest that were measured, on a straight line; a
    little beyond them, per sample."""
    points = sorted(
        (r.batch_size, r.step_s.mean) for r in readings if r.accumulation == accumulation
    )
    if not points:
        return None
    below = [p for p in points if p[0] <= batch_size]
    above = [p for p in points if p[0] >= batch_size]
    if below and above:
        (x1, y1), (x2, y2) = below[-1], above[0]
        return y1 if x1 == x2 else y1 + (y2 - y1) * (batch_size - x1) / (x2 - x1)
    nearest = below[-1] if below else above[0]
    apart = max(nearest[0], batch_size) / min(nearest[0], batch_size)
    return nearest[1] * batch_size / nearest[0] if apart <= NEAR else None


@cache
def quantile(free: float) -> float:
    """How many standard deviations a band of ``LEVEL`` reaches: Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(free, (1 + LEVEL) / 2))
