"""Micro-batches of different sizes where the devices of a group differ. Pure.

The even answer is what the weakest rank carries. Every probe of the search has shown what each rank
needed, so it is known what the others could carry beyond it; whether they do is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from probes.curve import fit
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Verdict

WORTH = 1.1
"""An uneven division is tried where it carries this many times the samples of the even one."""
ROOM = 0.01
"""Share of a rank's cap that the first try leaves free: a step more costs a run of all ranks."""
STEP_BACK = 0.8
"""After a failure, a rank keeps this share of what it took beyond the even batch."""
TRIES = 4


@dataclass(frozen=True)
class Uneven:
    """A confirmed division, and the even one that it is compared with."""

    measurement: Measurement
    even: Measurement

    @property
    def batch_sizes(self) -> list[int]:
        """Micro-batch of each rank."""
        return [each.batch_size for each in self.measurement.ranks]

    @property
    def gain(self) -> float | None:
        """Samples per second over those of the even division; ``None`` without step times."""
        ours, even = self.measurement.step_time, self.even.step_time
        if ours is None or even is None:
            return None
        rate = self.measurement.effective_batch_size / ours.mean_s
        return rate * even.mean_s / self.even.effective_batch_size


class UnevenSearch:
    """Ask for a division, measure it (a confirmation), tell the outcome; until ``ask`` returns
    ``None``. ``most`` is the largest micro-batch of a rank that makes sense."""

    def __init__(self, answer: MaxBatch, most: int) -> None:
        self._even = answer.highest_passing
        self._tries = 0
        self.found: Uneven | None = None
        self._sizes = self._first(answer, most)

    def ask(self) -> tuple[int, ...] | None:
        even = self._even
        if even is None or self.found is not None or self._tries >= TRIES:
            return None
        return self._sizes if self._is_worth_it(even) else None

    def tell(self, measurement: Measurement) -> None:
        self._tries += 1
        assert self._even is not None
        if measurement.passed:
            self.found = Uneven(measurement, self._even)
            return
        batch = self._even.batch_size
        failed = measurement.limiting_rank
        self._sizes = tuple(
            batch + int((size - batch) * STEP_BACK) if rank == failed else size
            for rank, size in enumerate(self._sizes)
        )
        if measurement.verdict not in (Verdict.OOM, Verdict.SHAPE_LIMIT):
            self._tries = TRIES

    def _is_worth_it(self, even: Measurement) -> bool:
        return sum(self._sizes) >= WORTH * even.batch_size * len(self._sizes)

    def _first(self, answer: MaxBatch, most: int) -> tuple[int, ...]:
        even = self._even
        if even is None or not even.ranks:
            return ()
        sizes = []
        for each in even.ranks:
            points = {
                m.batch_size: float(result.peak_bytes)
                for m in answer.measurements
                for result in m.ranks
                if result.rank == each.rank
                and result.verdict is Verdict.STABLE
                and result.peak_bytes
            }
            curve = fit(points)
            edge = even.batch_size
            if curve is not None and each.cap_bytes and len(points) > 1:
                edge = int(min(most, curve.reaches((1 - ROOM) * each.cap_bytes, most)))
            sizes.append(min(most, max(even.batch_size, edge)))
        return tuple(sizes)
