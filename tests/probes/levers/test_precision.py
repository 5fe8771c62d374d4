"""Precision: what really computes in which type, and who cannot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from probes.devices.base import autocast_refusal
from probes.devices.cpu import CpuBackend
from probes.devices.cuda import CudaBackend
from probes.levers import UnsupportedError, precision
from tests.probes.devices.fakes import FakeAllocator, install
from tests.probes.levers.small import WIDTH, Blocks, Small, gradients, training


class Spy(nn.Linear):
    """A layer that remembers the type it computed in."""

    computed_in: torch.dtype | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        self.computed_in = y.dtype
        return y


@pytest.mark.parametrize(
    ("levers", "dtype"),
    [
        ({}, torch.float32),
        ({"precision": "fp32"}, torch.float32),
        ({"precision": "bf16"}, torch.bfloat16),
        ({"precision": "fp16"}, torch.float16),
    ],
)
def test_layers_compute_in_the_precision_and_weights_stay_as_they_are(
    levers: dict[str, str], dtype: torch.dtype
) -> None:
    trained = training(Small(lambda: Spy(WIDTH, WIDTH)), **levers)

    trained.step()

    assert trained.model.computed_in is dtype
    assert {p.dtype for p in trained.model.parameters()} == {torch.float32}
    assert {g.dtype for g in gradients(trained).values()} == {torch.float32}


def test_evaluation_computes_in_the_precision_too() -> None:
    workload = Small(lambda: Spy(WIDTH, WIDTH))
    workload.evaluate = workload.loss  # type: ignore[attr-defined]
    trained = training(workload, precision="bf16")

    trained.evaluate()

    assert trained.model.computed_in is torch.bfloat16


def test_half_precision_is_close_to_full_precision_not_equal() -> None:
    full, half = (training(Small(Blocks), precision=p) for p in ("fp32", "bf16"))
    for trained in (full, half):
        torch.manual_seed(7)  # the dropout of both
        trained.step()

    for name, expected in gradients(full).items():
        error = (gradients(half)[name] - expected).norm() / expected.norm()
        assert 0 < error < 0.05, name


def test_the_first_fp16_step_goes_on_until_the_optimizer_has_really_stepped() -> None:
    """The scaler begins at 65536; gradients of this size overflow until it is far lower."""
    workload = Small(lambda: nn.Linear(WIDTH, WIDTH), lambda size: 300 * torch.randn(size, WIDTH))
    trained = training(workload, precision="fp16")
    assert trained.scaler.get_scale() == 65536

    trained.step()

    assert trained.scaler.get_scale() < 65536
    assert len(trained.optimizer.state) == 2, "weight and bias have their moments"
    assert all(torch.isfinite(g).all() for g in gradients(trained).values())


def test_a_model_whose_gradients_are_never_finite_does_not_hang() -> None:
    workload = Small(lambda: nn.Linear(WIDTH, WIDTH), lambda size: torch.full((size, WIDTH), 1e30))
    trained = training(workload, precision="fp16")

    _, loss = trained.step()

    assert not torch.isfinite(loss)


def test_tf32_is_refused_on_the_cpu_with_the_reason() -> None:
    with pytest.raises(UnsupportedError, match=r"precision=tf32: .*NVIDIA GPUs.*8\.0"):
        training(Small(Blocks), precision="tf32")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A CUDA device that only describes itself; torch's flags are put back."""
    monkeypatch.setattr(torch.version, "hip", None)
    install(monkeypatch, torch.cuda, FakeAllocator())
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield monkeypatch
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def tf32_flags() -> tuple[bool, bool, str]:
    """For matrix products, for convolutions, and what the newer interface makes of it."""
    return (
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


def test_tf32_is_on_for_products_and_convolutions_and_off_for_fp32(gpu: object) -> None:
    precision.prepare({"precision": "tf32"}, CudaBackend("cuda:0"))
    assert tf32_flags() == (True, True, "high")

    precision.prepare({"precision": "fp32"}, CudaBackend("cuda:0"))
    assert tf32_flags() == (False, False, "highest")


def test_without_the_lever_tf32_stays_as_the_workload_set_it(gpu: object) -> None:
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = True, False

    precision.prepare({}, CudaBackend("cuda:0"))

    assert tf32_flags()[:2] == (True, False)


def test_the_lever_settles_what_the_newer_interface_was_told(gpu: object) -> None:
    if not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this torch has one interface only")
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]

    precision.prepare({"precision": "fp32"}, CudaBackend("cuda:0"))

    assert tf32_flags() == (False, False, "highest")


@pytest.mark.parametrize(
    ("capability", "refused"), [((7, 5), {"tf32", "bf16"}), ((8, 0), set()), ((9, 0), set())]
)
def test_a_gpu_knows_its_precisions_by_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], refused: set[str]
) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    major, minor = capability
    install(monkeypatch, torch.cuda, FakeAllocator(), major=major, minor=minor)

    precisions = CudaBackend("cuda:0").facts().precisions

    assert {name for name, why in precisions.items() if why} == refused
    assert all("compute capability 7.5" in precisions[name] for name in refused)


def test_an_amd_gpu_has_bf16_and_no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.4")
    install(monkeypatch, torch.cuda, FakeAllocator())

    precisions = CudaBackend("cuda:0").precisions()

    assert {name for name, why in precisions.items() if why} == {"tf32"}


def test_what_autocast_only_warns_of_is_a_reason() -> None:
    assert autocast_refusal("cpu", "bfloat16") == ""
    reason = autocast_refusal("cpu", "float64")
    assert "the target dtype is not supported" in reason and "\n" not in reason
    assert "unsupported autocast device_type 'meta'" in autocast_refusal("meta", "bfloat16")


def test_fp16_needs_a_scaler_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to torch 2.7 this is what a Mac says (pytorch issue 142397)."""
    words = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support"

    def fails(self: object, optimizer: object) -> None:
        raise TypeError(words)

    monkeypatch.setattr(torch.amp.GradScaler, "step", fails)

    with pytest.raises(UnsupportedError, match=r"needs loss scaling.*on cpu.*float64.*Use bf16"):
        precision.prepare({"precision": "fp16"}, CpuBackend())
