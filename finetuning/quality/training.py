"""What is the loss after a short training from the same start and data?"""

from __future__ import annotations

import math
from typing import Any

import torch

from finetuning.quality.session import begin, job_of, train
from probes.levers import precision
from probes.worker.channel import Channel
from probes.worker.training import Training

HELD_OUT_BATCHES = 8


def held_out_loss(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Train ``arguments["steps"]`` optimizer steps, then take the mean loss of the batches that
    come next, which were not trained on unless the data is that short.

    Returns ``{"loss": …, "last_train_loss": …}``, not finite where training diverged.
    """
    training = begin(job_of(arguments), channel)
    last = train(training, int(arguments["steps"]), channel)
    loss = mean_loss(training, HELD_OUT_BATCHES) if math.isfinite(last) else last
    return {"loss": loss, "last_train_loss": last}


def mean_loss(training: Training, batches: int) -> float:
    """Mean loss of the next batches, in evaluation mode and without gradients."""
    training.model.eval()
    total = 0.0
    with torch.no_grad(), precision.autocast(training.levers, training.autocast_kind):
        for _ in range(batches):
            total += float(training.workload.loss(training.model, training.next_batch()))
    training.model.train()
    return total / batches
