"""``find_executable_batch_size`` as accelerate documents it, under its own launcher or torchrun.

``once`` as argument: model and optimizer are prepared once, outside of the function that is tried
again, as scripts do that find the decorator later.
"""

from __future__ import annotations

import sys
from typing import Any

from accelerate import Accelerator
from accelerate.utils import find_executable_batch_size
from trainee import ASKED, Trainee


def main() -> None:
    accelerator = Accelerator(cpu=True)
    trainee = Trainee(accelerator.process_index, accelerator.num_processes)

    def prepared() -> tuple[Any, Any]:
        model = trainee.model()
        return accelerator.prepare(model, trainee.optimizer(model))

    kept = prepared() if "once" in sys.argv else None

    def train(batch_size: int, steps: int) -> int:
        accelerator.free_memory()
        model, optimizer = kept or prepared()
        model.train()
        batches = trainee.batches(batch_size)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = trainee.loss(model, next(batches), batch_size)
            accelerator.backward(loss)
            optimizer.step()
        return batch_size

    train(4, 3)  # what is imported and started late is not charged to it
    accelerator.wait_for_everyone()
    trainee.limit()

    @find_executable_batch_size(starting_batch_size=ASKED["start"])
    def search(batch_size: int) -> int:
        return train(batch_size, ASKED["steps"])

    found = search()
    trainee.lift()
    trainee.tell({"found": found})


if __name__ == "__main__":
    main()
