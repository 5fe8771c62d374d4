"""Optimizer implementations: the same update by another way, or the reason why not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from probes.levers import UnsupportedError, optimizer_impl
from tests.probes.levers.small import WIDTH, Blocks, Small, training


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    decayed = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW([{"params": decayed}, {"params": rest, "weight_decay": 0.0}], lr=0.01)


@pytest.mark.parametrize("impl", ["foreach", "fused"])
def test_every_implementation_updates_alike(impl: str) -> None:
    workload = Small(Blocks, optimizer=adamw)
    loop, other = (training(workload, optimizer_impl=i) for i in ("forloop", impl))
    for trained in (loop, other):
        torch.manual_seed(3)
        for _ in range(3):
            trained.step()

    for expected, updated in zip(loop.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(updated, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("impl", "called"),
    [
        ("forloop", "_single_tensor_adam"),
        ("foreach", "_multi_tensor_adam"),
        ("fused", "_fused_adam"),
    ],
)
def test_that_implementation_is_really_called(
    monkeypatch: pytest.MonkeyPatch, impl: str, called: str
) -> None:
    import torch.optim.adam as module

    seen: list[str] = []

    def watch(name: str) -> None:
        real = getattr(module, name)

        def spy(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, spy)

    for name in ("_single_tensor_adam", "_multi_tensor_adam", "_fused_adam"):
        watch(name)

    training(Small(Blocks, optimizer=adamw), optimizer_impl=impl).step()

    assert set(seen) == {called}


def test_each_group_is_switched_and_keeps_its_own_settings() -> None:
    trained = training(Small(Blocks, optimizer=adamw), optimizer_impl="fused")

    groups = trained.optimizer.param_groups
    assert [(g["fused"], g["foreach"]) for g in groups] == 2 * [(True, False)]
    assert [g["weight_decay"] for g in groups] == [0.01, 0.0]


def test_default_changes_nothing() -> None:
    model = nn.Linear(WIDTH, WIDTH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=True)

    optimizer_impl.use(optimizer, "default")

    assert optimizer.param_groups[0]["foreach"] is True


def test_a_scheduler_goes_on_with_the_same_optimizer() -> None:
    schedulers = []

    def scheduled(model: nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        schedulers.append(torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
        return optimizer

    trained = training(Small(Blocks, optimizer=scheduled), optimizer_impl="fused")
    trained.step()
    schedulers[0].step()

    assert trained.optimizer.param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(
    ("kind", "impl", "words"),
    [
        (torch.optim.RMSprop, "fused", "RMSprop has no fused implementation. torch has one for"),
        (torch.optim.SparseAdam, "foreach", "SparseAdam has no foreach implementation"),
    ],
)
def test_an_optimizer_without_it_is_refused_by_name(
    kind: type[torch.optim.Optimizer], impl: str, words: str
) -> None:
    workload = Small(Blocks, optimizer=lambda model: kind(model.parameters()))  # type: ignore[call-arg]

    with pytest.raises(UnsupportedError, match=f"optimizer_impl={impl}: {words}"):
        training(workload, optimizer_impl=impl)


def test_a_device_without_it_is_refused_by_name() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1, device="meta"))])

    with pytest.raises(UnsupportedError, match=r"no fused AdamW on meta; it has on .*cuda"):
        optimizer_impl.use(optimizer, "fused")


@pytest.mark.parametrize(
    ("options", "dtype", "words"),
    [
        ({"differentiable": True}, torch.float32, "differentiable=True"),
        ({}, torch.complex64, "one is torch.complex64"),
    ],
)
def test_what_torchs_constructor_refuses_is_refused(
    options: dict[str, Any], dtype: torch.dtype, words: str
) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1, dtype=dtype))], lr=0.1, **options)

    with pytest.raises(UnsupportedError, match=words):
        optimizer_impl.use(optimizer, "fused")


def test_fused_works_together_with_loss_scaling() -> None:
    trained = training(
        Small(Blocks, optimizer=adamw, batch=lambda size: 100 * torch.randn(size, WIDTH)),
        optimizer_impl="fused",
        precision="fp16",
    )
    before = [p.clone() for p in trained.model.parameters()]

    trained.step()

    after = list(trained.model.parameters())
    assert all(torch.isfinite(p).all() for p in after)
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
