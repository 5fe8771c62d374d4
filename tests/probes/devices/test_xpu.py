"""Contract of the Intel GPU backend with torch, on fakes: no XPU is tested here."""

from __future__ import annotations

import pytest
import torch

from probes.devices.xpu import XpuBackend
from probes.formatting import GIB
from tests.probes.devices.fakes import FakeAllocator, install


@pytest.fixture
def allocator() -> FakeAllocator:
    return FakeAllocator()


def test_a_cap_is_enforced_where_torch_can(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    mocks = install(monkeypatch, torch.xpu, allocator)

    cap = XpuBackend("xpu:0").apply_cap(40 * GIB, 0.0)

    assert cap.enforced
    mocks["set_per_process_memory_fraction"].assert_called_once_with(39 / 80, 0)


def test_an_older_torch_keeps_away_from_the_end_of_the_device(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    install(monkeypatch, torch.xpu, allocator)
    monkeypatch.delattr(torch.xpu, "set_per_process_memory_fraction")
    monkeypatch.delattr(torch.xpu.memory, "set_per_process_memory_fraction")

    whole = XpuBackend("xpu:0").apply_cap(None, 0.05)
    small = XpuBackend("xpu:0").apply_cap(40 * GIB, 0.05)

    assert not whole.enforced
    assert whole.cap_bytes == int(80 * GIB * 0.85)
    assert any("2.10" in note for note in whole.notes)
    assert (small.enforced, small.cap_bytes) == (False, 38 * GIB)


def test_a_driver_that_hides_free_memory_is_noted(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    install(monkeypatch, torch.xpu, allocator)

    def hidden(device: object = None) -> tuple[int, int]:
        raise RuntimeError("The device doesn't support querying the available free memory.")

    monkeypatch.setattr(torch.xpu, "mem_get_info", hidden)

    cap = XpuBackend("xpu:0").apply_cap(40 * GIB, 0.0)

    assert (cap.enforced, cap.overhead_bytes) == (True, 0)
    assert "free memory" in cap.notes[0]


def test_facts_carry_the_driver_torch_knows(
    monkeypatch: pytest.MonkeyPatch, allocator: FakeAllocator
) -> None:
    install(monkeypatch, torch.xpu, allocator)

    facts = XpuBackend("xpu:0").facts()

    assert (facts.kind, facts.identity["vendor"]) == ("xpu", "Intel")
    assert facts.identity["driver"] == "1.6.33"
    assert facts.device_class["compute_units"] == 160
    assert facts.free_bytes is None


def test_torch_calls_it_xpu() -> None:
    assert XpuBackend("xpu:1").torch_device == torch.device("xpu", 1)


def test_without_a_device_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.xpu, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "xpu", None, raising=False)
    without = XpuBackend.unavailable_reason()
    monkeypatch.setattr(torch.version, "xpu", "20250301", raising=False)

    assert XpuBackend.devices() == []
    assert "built without XPU" in without
    assert "driver" in XpuBackend.unavailable_reason()
