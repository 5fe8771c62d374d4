"""The analytic prior follows the levers: memory that a lever saves or costs is in it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from probes.errors import TonnageError
from probes.worker.estimate import _FakeTraining
from tests.probes.levers.small import WIDTH, Blocks, Small, job

BATCH = 512


def peak_bytes(model: Any = Blocks, batch: Any = None, **asked: Any) -> int:
    workload = Small(model, batch) if batch else Small(model)
    return _FakeTraining(workload, job(**asked), 4).peak_bytes(BATCH)


def test_checkpointing_leaves_one_block_at_a_time() -> None:
    """A hidden activation has 4 × WIDTH numbers per sample, and each of 8 blocks keeps several."""
    hidden = 4 * WIDTH * BATCH * 4
    plain = peak_bytes(lambda: Blocks(8))
    recomputed = peak_bytes(lambda: Blocks(8), gradient_checkpointing=True)

    assert plain > 16 * hidden
    assert recomputed < plain / 3


def test_bf16_activations_take_less() -> None:
    assert peak_bytes(precision="bf16") < 0.9 * peak_bytes()


def test_fp16_is_tracked_without_its_scaler() -> None:
    assert peak_bytes(precision="fp16") == pytest.approx(peak_bytes(precision="bf16"), rel=1e-4)


def test_what_only_the_device_can_do_is_tracked_all_the_same() -> None:
    assert peak_bytes(precision="tf32") == peak_bytes(precision="fp32") == peak_bytes()


def test_gradients_beside_the_next_activations_cost_memory_however_many_there_are() -> None:
    parameters = sum(p.numel() for p in Blocks(1, 128).parameters()) * 4

    def peak(**asked: Any) -> int:
        wide = Small(lambda: Blocks(1, 128), lambda size: torch.randn(size, 128))
        return _FakeTraining(wide, job(**asked), 4).peak_bytes(BATCH)

    one, two, many = peak(), peak(accumulation=2), peak(accumulation=1000)

    assert 0.5 * parameters < two - one <= 1.1 * parameters
    assert many == two
    assert peak(effective=BATCH) == one
    assert peak(effective=1000 * BATCH) == two


def test_foreach_copies_all_parameters_and_forloop_one_at_a_time() -> None:
    """With a batch of one there is little else: the optimizer step is the peak."""

    def peak(impl: str) -> int:
        workload = Small(lambda: Blocks(4, 64), lambda size: torch.randn(1, 64))
        return _FakeTraining(workload, job(optimizer_impl=impl), 1).peak_bytes(1)

    parameters = sum(p.numel() for p in Blocks(4, 64).parameters()) * 4
    assert peak("foreach") - peak("forloop") > 0.6 * parameters
    assert peak("fused") <= peak("forloop")


def test_channels_last_is_tracked() -> None:
    def image(size: int) -> torch.Tensor:
        return torch.randn(size, 3, 8, 8)

    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))

    plain, last = peak_bytes(net, image), peak_bytes(net, image, channels_last=True)

    assert last == pytest.approx(plain, rel=0.35)
    assert last > 0


def test_a_compiled_model_is_said_to_have_no_prior() -> None:
    with pytest.raises(TonnageError, match="compiled"):
        peak_bytes(compile=True)
