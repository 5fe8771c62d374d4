"""Contract of the Metal backend with torch, on fakes: no Apple GPU is tested here."""

from __future__ import annotations

import subprocess
from typing import Any
from unittest import mock

import pytest
import torch

from probes.devices import mps as mps_file
from probes.devices.mps import MpsBackend
from probes.errors import MeasurementError
from probes.formatting import GIB, MIB
from tests.probes.devices.fakes import FakeEvent


class Metal:
    """The numbers behind a fake ``torch.mps``. Bytes."""

    recommended = 12 * GIB
    driver = 200 * MIB
    allocated = 100 * MIB
    fraction = 0.0


@pytest.fixture
def metal(monkeypatch: pytest.MonkeyPatch) -> Metal:
    state = Metal()

    def set_fraction(fraction: float) -> None:
        state.fraction = fraction

    for name, does in {
        "recommended_max_memory": lambda: state.recommended,
        "driver_allocated_memory": lambda: state.driver,
        "current_allocated_memory": lambda: state.allocated,
        "set_per_process_memory_fraction": set_fraction,
        "synchronize": lambda: None,
    }.items():
        fake = mock.create_autospec(getattr(torch.mps, name), side_effect=does)
        monkeypatch.setattr(torch.mps, name, fake)
    counters_of(monkeypatch, None)
    return state


def counters_of(monkeypatch: pytest.MonkeyPatch, peak: int | None) -> None:
    """``torch.accelerator`` as in 2.13 (a peak), or as in 2.9 to 2.12 (it raises)."""

    def read(device_index: Any = None, /) -> int:
        if peak is None:
            raise RuntimeError("Allocator for mps is not a DeviceAllocator.")
        return peak

    for name in ("max_memory_allocated", "max_memory_reserved", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.accelerator, name, read)


def test_the_cap_is_a_fraction_of_what_metal_recommends(metal: Metal) -> None:
    cap = MpsBackend().apply_cap(6 * GIB, 0.1)

    assert cap.enforced
    assert metal.fraction == pytest.approx(6 * 0.9 / 12)


def test_without_a_budget_the_recommendation_is_the_device(metal: Metal) -> None:
    """Always set, because Metal swaps beyond it without an error."""
    cap = MpsBackend().apply_cap(None, 0.0)

    assert cap.limit_bytes == 12 * GIB
    assert metal.fraction == 1.0


def test_more_than_metal_recommends_is_refused(metal: Metal) -> None:
    with pytest.raises(MeasurementError, match="larger than mps"):
        MpsBackend().apply_cap(16 * GIB, 0.0)


def test_a_budget_below_what_torch_itself_holds_is_refused(metal: Metal) -> None:
    with pytest.raises(MeasurementError, match="already holds 200 MiB"):
        MpsBackend().apply_cap(150 * MIB, 0.0)


def test_the_peak_is_sampled_where_there_is_no_counter(metal: Metal) -> None:
    backend = MpsBackend()
    cap = backend.apply_cap(None, 0.0)
    metal.driver = 3 * GIB
    held = backend.held_bytes()
    metal.driver = GIB

    assert held == 100 * MIB
    assert backend.peak_bytes() == 3 * GIB
    assert "2.13" in cap.notes[0]


def test_the_counter_is_used_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, metal: Metal
) -> None:
    counters_of(monkeypatch, 5 * GIB)
    backend = MpsBackend()

    assert backend.apply_cap(None, 0.0).notes == []
    assert backend.peak_bytes() == 5 * GIB
    assert backend.phase_peak_bytes() == 5 * GIB


def test_a_torch_without_accelerator_memory_works_too(
    monkeypatch: pytest.MonkeyPatch, metal: Metal
) -> None:
    for name in ("max_memory_allocated", "max_memory_reserved", "reset_peak_memory_stats"):
        monkeypatch.delattr(torch.accelerator, name)
    backend = MpsBackend()
    backend.apply_cap(None, 0.0)
    metal.driver = 2 * GIB
    backend.reset_phase_peak()

    assert backend.peak_bytes() == 2 * GIB


def test_growth_of_swap_is_spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    used = ["used = 100.00M", "used = 1.50G"]

    def sysctl(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command == ["sysctl", "-n", "vm.swapusage"]
        text = f"total = 2048.00M  {used.pop(0)}  free = 1.00M"
        return subprocess.CompletedProcess(command, 0, stdout=text, stderr="")

    monkeypatch.setattr(subprocess, "run", sysctl)
    backend = MpsBackend()
    backend._swap_before_bytes = mps_file._swap_used_bytes()

    assert backend.spilled_bytes() == int(1.5 * GIB) - 100 * MIB


def test_without_sysctl_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("sysctl")

    monkeypatch.setattr(subprocess, "run", absent)

    assert MpsBackend().spilled_bytes() == 0


def test_marks_are_metal_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.mps.event, "Event", FakeEvent)
    backend = MpsBackend()

    assert backend.elapsed_s(backend.mark(), backend.mark()) == 0.25


def test_facts_say_that_free_memory_is_this_process_only(metal: Metal) -> None:
    facts = MpsBackend().facts()

    assert facts.free_bytes == 12 * GIB - 200 * MIB
    assert any("this process only" in note for note in facts.notes)
    assert facts.device_class["integrated"] is True


def test_another_build_says_where_mps_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)

    assert MpsBackend.devices() == []
    assert "macOS" in MpsBackend.unavailable_reason()
