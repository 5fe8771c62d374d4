"""At which batch both sides are compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from optimizer.ablation.bench import Bench
from optimizer.ablation.evidence import Ending
from optimizer.ablation.limits import LOOK_PLAN, SEARCH_PLANS
from optimizer.ablation.question import Arm
from optimizer.ablation.readings import ending_of
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import NEAR_CAP, Measurement

START = 8
EASY_STEP_S = 0.1
"""A batch is made larger until the quicker side takes this long for a step: shorter ones are mostly
overhead."""
EASY_SHARE = 0.4
"""… or until the hungrier side uses this share of the memory."""
TOLD_BYTES = 32 * 2**20
"""Where memory is compared, the step must need this much besides what is held between steps …"""
SLOW_STEP_S = 2.0
"""… unless that takes longer than this."""
MOST_LOOKS = 8


class CannotCompareError(Exception):
    """There is nothing to compare; ``ending`` and the text say why."""

    def __init__(self, ending: Ending, reason: str) -> None:
        super().__init__(reason)
        self.ending = ending


@dataclass
class Looks:
    """Finds a batch that both sides carry, by running a few steps of each."""

    bench: Bench
    arms: tuple[Arm, Arm]
    runs: list[Measurement] = field(default_factory=list)
    is_about_memory: bool = False

    def same_batch(self, stated: int | None, most: int) -> int:
        """``stated``, or less where that does not fit; without one, a batch that the device carries
        easily. Raises ``CannotCompareError`` where a side does not run at any."""
        ceiling = min(most, self.bench.bounds.ceiling)
        batch_size = min(stated or START, ceiling)
        passed: int | None = None
        for _ in range(MOST_LOOKS):
            failed = self._failure(batch_size)
            if failed is not None:
                if passed is not None:
                    return passed
                arm, run = failed
                if ending_of(run) is not Ending.DOES_NOT_FIT or batch_size == 1:
                    raise CannotCompareError(ending_of(run), why_not(arm, run))
                batch_size, stated = max(1, batch_size // 4), batch_size
                continue
            passed = batch_size
            if stated is not None or not self._is_too_easy() or batch_size >= ceiling:
                return passed
            batch_size = min(ceiling, batch_size * self._factor())
        return passed or 1

    def own_batches(self) -> tuple[int, int]:
        """The batch sizes that the change itself sets. Raises ``CannotCompareError``."""
        sizes = []
        for arm in self.arms:
            run = self._look(arm, arm.batch_size or START)
            if not run.passed:
                raise CannotCompareError(ending_of(run), why_not(arm, run))
            sizes.append(run.batch_size)
        return sizes[0], sizes[1]

    def _failure(self, batch_size: int) -> tuple[Arm, Measurement] | None:
        for arm in self.arms:
            run = self._look(arm, batch_size)
            if not run.passed:
                return arm, run
        return None

    def _look(self, arm: Arm, batch_size: int) -> Measurement:
        run = self.bench.probe(arm, batch_size, LOOK_PLAN)
        self.runs.append(run)
        return run

    def _is_too_easy(self) -> bool:
        quickest_s = self._quickest_s()
        is_told = not self.is_about_memory or self._activation_bytes() >= TOLD_BYTES
        is_quick = quickest_s < EASY_STEP_S or (not is_told and quickest_s < SLOW_STEP_S)
        return is_quick and self._share() < EASY_SHARE

    def _factor(self) -> int:
        by_time = max(2.0, EASY_STEP_S / max(self._quickest_s(), EASY_STEP_S / 8))
        by_memory = NEAR_CAP / max(self._share(), NEAR_CAP / 8)
        return max(2, 1 << int(min(by_time, by_memory)).bit_length() - 1)

    def _quickest_s(self) -> float:
        times = [run.step_time.mean_s for run in self.runs[-2:] if run.step_time is not None]
        return min(times, default=EASY_STEP_S)

    def _activation_bytes(self) -> int:
        """What the leaner side needs besides what is held between steps."""
        return min((run.peak_bytes or 0) - (run.static_bytes or 0) for run in self.runs[-2:])

    def _share(self) -> float:
        """Of the memory cap that the hungrier side used."""
        return max((run.peak_bytes or 0) / (run.cap_bytes or 1 << 62) for run in self.runs[-2:])


def maximum_batch(bench: Bench, arm: Arm, most: int, runs: list[Measurement]) -> MaxBatch:
    """The largest stable batch of a side; its probes are added to ``runs``."""
    bounds = replace(bench.bounds, cap=min(most, bench.bounds.cap))

    def measure(ask: Ask) -> Measurement:
        run = bench.probe(arm, ask.batch_size, SEARCH_PLANS[ask.purpose])
        runs.append(run)
        return run

    return run_search(MaxBatchSearch(bounds, prior=bench.prior(arm, bounds.ceiling)), measure)


def why_not(arm: Arm, run: Measurement) -> str:
    """Why a side cannot be measured, in a sentence."""
    return (
        f"{arm.name.capitalize()} the change, batch {run.batch_size}: {run.verdict}: {run.reason}"
    )
