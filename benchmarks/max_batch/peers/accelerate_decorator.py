"""accelerate's ``find_executable_batch_size``: start high, times 0.9 after every failure."""

from __future__ import annotations

from accelerate.utils import find_executable_batch_size

from benchmarks.max_batch.peers import STARTING_BATCH
from benchmarks.max_batch.peers.trainee import Trainee


def shrink(trainee: Trainee) -> int:
    @find_executable_batch_size(starting_batch_size=STARTING_BATCH)
    def train(batch_size: int) -> int:
        trainee.train(batch_size)
        return batch_size

    return int(train())
