"""Bounds of one rank among several."""

from __future__ import annotations

from probes.max_batch.bounds import Bounds


def test_ranks_share_the_data_set_and_the_samples_of_a_step() -> None:
    bounds = Bounds(dataset_size=1000, effective_batch_size=250).shared_by(4)

    assert bounds.dataset_size == 250
    assert bounds.effective_batch_size == 63  # 4 × 63 is the least that is not below 250


def test_a_data_set_smaller_than_the_group_still_allows_a_sample_each() -> None:
    assert Bounds(dataset_size=3).shared_by(4).ceiling == 1
