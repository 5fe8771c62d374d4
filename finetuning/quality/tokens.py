"""How many tokens does a sample teach? Samples of other lengths are not to be compared by count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from finetuning.quality.session import job_of
from probes.errors import InputError
from probes.worker.channel import Channel
from probes.worker.returned import batches_of
from probes.workloads.loading import load_workload

BATCHES = 32
NOT_LEARNT = -100
"""Label of a token that the loss leaves out."""


def tokens_per_sample(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Mean number of tokens that a sample is learnt from, over the batches after the first, which
    is the worst case. Returns ``{"tokens": …}``.

    Raises ``InputError`` where batches have no ``labels``.
    """
    job = job_of(arguments)
    channel.progress("import")
    workload = load_workload(job.workload).workload
    channel.progress("build")
    batches = batches_of(workload, job.config, job.batch_size)
    next(batches)
    learnt = sum(learnt_tokens(next(batches)) for _ in range(BATCHES))
    return {"tokens": learnt / (BATCHES * job.batch_size)}


def learnt_tokens(batch: Any) -> int:
    """Tokens of a batch that the loss counts."""
    labels = batch.get("labels") if isinstance(batch, Mapping) else None
    if not isinstance(labels, torch.Tensor):
        raise InputError(
            "Throughput in tokens needs batches with labels, as language models have them."
        )
    return int((labels != NOT_LEARNT).sum())
