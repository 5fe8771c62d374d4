"""What people write themselves: doubling, bisection, and the method Tonnage began as.

All in one process. Any ``RuntimeError`` counts as too big, the most forgiving thing to write.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from benchmarks.max_batch.peers import STEPS_PER_TRIAL

if TYPE_CHECKING:
    from benchmarks.max_batch.peers.trainee import Trainee

LARGEST = 65_536


def doubling(trainee: Trainee) -> int:
    """Powers of two from 1 on, until one fails."""
    passing, _ = _double(trainee, 1, STEPS_PER_TRIAL)
    return passing


def bisection(trainee: Trainee) -> int:
    """Doubling, then halving the gap until it is closed."""
    passing, failing = _double(trainee, 1, STEPS_PER_TRIAL)
    return _bisect(trainee, passing, failing, STEPS_PER_TRIAL)


def origin(trainee: Trainee) -> int:
    """Start at 16, trials of 5 steps, doubling and bisection; then 20 steps at the answer, which
    prove it stable. If they fail, bisection goes on below it with 20 steps a trial.
    """
    passing, failing = _double(trainee, 16, 5)
    answer = _bisect(trainee, passing, failing, 5)
    if answer == 0 or _passes(trainee, answer, 20):
        return answer
    return _bisect(trainee, 0, answer, 20)


def _double(trainee: Trainee, start: int, steps: int) -> tuple[int, int]:
    """The last passing and the first failing batch; (0, start) when the start fails."""
    passing, batch_size = 0, start
    while batch_size <= LARGEST and _passes(trainee, batch_size, steps):
        passing, batch_size = batch_size, 2 * batch_size
    return passing, batch_size


def _bisect(trainee: Trainee, passing: int, failing: int, steps: int) -> int:
    while failing - passing > 1:
        middle = (passing + failing) // 2
        if _passes(trainee, middle, steps):
            passing = middle
        else:
            failing = middle
    return passing


def _passes(trainee: Trainee, batch_size: int, steps: int) -> bool:
    passed = True
    try:
        trainee.train(batch_size, steps)
    except (RuntimeError, MemoryError):
        passed = False
    gc.collect()  # here, where the exception and what its frames held are gone
    return passed
