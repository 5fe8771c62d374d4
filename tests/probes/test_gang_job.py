"""A job of a gang: samples per step are those of all ranks."""

from __future__ import annotations

import pytest

from probes.errors import InputError
from probes.group import Group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef


def job(batch_size: int, effective: int | None, **config: int) -> ProbeJob:
    group = Group(("cuda:0", "cuda:1", "cuda:2", "cuda:3"))
    return ProbeJob(
        WorkloadRef("w"),
        dict(config),
        batch_size,
        group.label,
        CONFIRM_PLAN,
        effective_batch_size=effective,
        group=group,
    )


def test_samples_per_step_are_those_of_all_ranks() -> None:
    assert job(8, 256).accumulation == 8
    assert job(8, 250).accumulation == 8
    assert job(64, 256).accumulation == 1
    with pytest.raises(InputError, match="64"):
        job(65, 256)


def test_ranks_that_share_layers_draw_the_same_batches() -> None:
    shared = job(8, 256, tensor_parallel=2)
    assert shared.data_parallel == 2
    assert shared.accumulation == 16


def test_a_job_of_a_gang_survives_json() -> None:
    asked = job(8, 256)
    assert ProbeJob.from_dict(asked.to_dict()) == asked
