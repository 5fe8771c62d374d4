"""Contract of the CUDA and ROCm backend with torch, on fakes: no GPU is tested here."""

from __future__ import annotations

import pytest
import torch

from probes.devices import host
from probes.devices.base import AllocatorCounters
from probes.devices.cuda import CudaBackend
from probes.errors import MeasurementError
from probes.formatting import GIB
from tests.probes.devices.fakes import FakeAllocator, FakeEvent, install


@pytest.fixture
def allocator() -> FakeAllocator:
    return FakeAllocator()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator) -> CudaBackend:
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    install(monkeypatch, torch.cuda, allocator)
    return CudaBackend("cuda:0")


def test_the_allocator_gets_the_budget_less_headroom_and_overhead(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    mocks = install(monkeypatch, torch.cuda, allocator)

    cap = CudaBackend("cuda:0").apply_cap(40 * GIB, 0.05)

    assert cap.cap_bytes == 38 * GIB
    assert cap.overhead_bytes == GIB  # 80 in all, 79 free, nothing reserved
    assert cap.enforced
    mocks["set_per_process_memory_fraction"].assert_called_once_with(37 / 80, 0)


def test_without_a_budget_the_whole_device_is_the_limit(cuda: CudaBackend) -> None:
    cap = cuda.apply_cap(None, 0.1)

    assert (cap.limit_bytes, cap.cap_bytes) == (80 * GIB, 72 * GIB)


def test_what_the_allocator_already_reserved_is_no_overhead(
    cuda: CudaBackend, allocator: FakeAllocator
) -> None:
    allocator.use(allocated=GIB, reserved=2 * GIB)

    assert cuda.apply_cap(None, 0.0).overhead_bytes == GIB


def test_a_budget_that_others_have_used_up_says_how_much_is_short(
    cuda: CudaBackend, allocator: FakeAllocator
) -> None:
    allocator.free = 70 * GIB

    with pytest.raises(MeasurementError, match=r"short by 2.00 GiB of the 10.00 GiB") as caught:
        cuda.apply_cap(8 * GIB, 0.0)

    assert caught.value.exit_code == 3


def test_a_budget_larger_than_the_device_is_refused(cuda: CudaBackend) -> None:
    with pytest.raises(MeasurementError, match=r"81.00 GiB is larger than cuda:0, which has 80.00"):
        cuda.apply_cap(81 * GIB, 0.05)


@pytest.mark.parametrize("headroom", [-0.1, 1.0])
def test_a_senseless_headroom_is_refused(cuda: CudaBackend, headroom: float) -> None:
    with pytest.raises(MeasurementError, match="headroom"):
        cuda.apply_cap(None, headroom)


def test_held_is_what_is_allocated_and_the_peak_what_was_reserved(
    cuda: CudaBackend, allocator: FakeAllocator
) -> None:
    cuda.apply_cap(None, 0.05)
    allocator.use(allocated=5 * GIB, reserved=8 * GIB)
    allocator.use(allocated=3 * GIB, reserved=8 * GIB)

    assert cuda.held_bytes() == 4 * GIB
    assert cuda.phase_peak_bytes() == 6 * GIB
    assert cuda.peak_bytes() == 9 * GIB


def test_a_new_phase_keeps_the_overall_peak(cuda: CudaBackend, allocator: FakeAllocator) -> None:
    cuda.apply_cap(None, 0.05)
    allocator.use(allocated=20 * GIB, reserved=30 * GIB)
    allocator.use(allocated=GIB, reserved=2 * GIB)

    cuda.reset_phase_peak()

    assert cuda.phase_peak_bytes() == 2 * GIB
    assert cuda.peak_bytes() == 31 * GIB


def test_a_context_that_grows_counts(cuda: CudaBackend, allocator: FakeAllocator) -> None:
    cuda.apply_cap(None, 0.05)
    allocator.use(allocated=GIB, reserved=GIB)
    allocator.free -= GIB  # libraries loaded since

    assert cuda.peak_bytes() == 3 * GIB


def test_a_dead_device_still_gives_the_last_known_peak(
    monkeypatch: pytest.MonkeyPatch, cuda: CudaBackend, allocator: FakeAllocator
) -> None:
    cuda.apply_cap(None, 0.05)
    allocator.use(allocated=GIB, reserved=GIB)

    def lost(device: object = None) -> tuple[int, int]:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)

    assert cuda.peak_bytes() == 2 * GIB


def test_signs_of_pressure_are_counted(cuda: CudaBackend, allocator: FakeAllocator) -> None:
    allocator.retries, allocator.ooms = 3, 1

    assert cuda.counters() == AllocatorCounters(retries=3, ooms=1)


def test_switching_the_allocator_off_means_nothing_is_enforced(
    monkeypatch: pytest.MonkeyPatch, cuda: CudaBackend
) -> None:
    monkeypatch.setenv("PYTORCH_NO_CUDA_MEMORY_CACHING", "1")

    cap = cuda.apply_cap(None, 0.05)

    assert not cap.enforced
    assert "PYTORCH_NO_CUDA_MEMORY_CACHING" in cap.notes[0]


def test_an_integrated_device_takes_the_kernels_word_for_free_memory(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    allocator.free = 10 * GIB  # CUDA counts the page cache as used
    install(monkeypatch, torch.cuda, allocator, is_integrated=1)
    monkeypatch.setattr(host, "available_ram_bytes", lambda: 60 * GIB)
    backend = CudaBackend("cuda:0")

    assert backend.free_bytes() == 60 * GIB
    assert "shares the machine's memory" in backend.facts().notes[0]


def test_free_is_never_more_than_total(cuda: CudaBackend, allocator: FakeAllocator) -> None:
    allocator.free = 90 * GIB  # reported by ROCm APUs

    assert cuda.free_bytes() == 80 * GIB


def test_marks_are_device_events(monkeypatch: pytest.MonkeyPatch, cuda: CudaBackend) -> None:
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)

    assert cuda.elapsed_s(cuda.mark(), cuda.mark()) == 0.25


def test_facts_need_no_context(monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    mocks = install(monkeypatch, torch.cuda, allocator)

    facts = CudaBackend("cuda:0").facts()

    mocks["mem_get_info"].assert_not_called()
    assert facts.free_bytes is None
    assert (facts.kind, facts.name, facts.total_bytes) == ("cuda", "Fake GPU", 80 * GIB)
    assert facts.device_class["architecture"] == "9.0"
    assert facts.identity["uuid"] == host.hash_uuid("GPU-6fa3d1b2-0000-1111-2222-333344445555")
    assert facts.identity["pci"] == "0000:17:00"
    assert "missing" in facts.identity["driver"]
    assert "6fa3d1b2" not in repr(facts)


def test_a_torch_that_knows_less_leaves_no_hole(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    install(monkeypatch, torch.cuda, allocator, uuid=None, pci_bus_id=None, L2_cache_size=None)

    facts = CudaBackend("cuda:0").facts()

    assert "UUID" in facts.identity["uuid"]["missing"]
    assert "PCI" in facts.identity["pci"]["missing"]
    assert "L2_cache_size" in facts.device_class["l2_bytes"]["missing"]


def test_hip_makes_it_rocm(monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.3.42131")
    install(monkeypatch, torch.cuda, allocator)

    facts = CudaBackend("cuda:0").facts()

    assert (facts.kind, facts.identity["vendor"]) == ("rocm", "AMD")
    assert facts.identity["runtime"] == "6.3.42131"
    assert facts.device_class["architecture"] == "gfx942:sramecc+"


def test_torch_calls_it_cuda(cuda: CudaBackend) -> None:
    assert cuda.torch_device == torch.device("cuda", 0)
    assert cuda.autocast_kind() == "cuda"


def test_a_build_without_cuda_is_told_from_a_missing_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.version, "cuda", None)
    without = CudaBackend.unavailable_reason()
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    unseen = CudaBackend.unavailable_reason()

    assert CudaBackend.devices() == []
    assert "built without CUDA" in without
    assert "driver" in unseen
