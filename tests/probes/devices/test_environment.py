"""Allocator settings that a worker is started with, and that travel with a recommendation."""

from __future__ import annotations

import pytest

from probes.devices import environment
from probes.devices.environment import allocator_settings, worker_environment


@pytest.fixture(autouse=True)
def glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_glibc", lambda: True)


def test_a_cpu_worker_gets_a_pinned_allocator() -> None:
    assert worker_environment("cpu", {}) == {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "MALLOC_TRIM_THRESHOLD_": "131072",
        "MALLOC_ARENA_MAX": "1",
        "MIMALLOC_ARENA_RESERVE": "65536",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }


def test_address_space_that_is_only_reserved_does_not_decide_whether_a_peak_holds() -> None:
    added = worker_environment("cpu", {})
    assert "MIMALLOC_ARENA_RESERVE" not in allocator_settings(added)


def test_a_cuda_worker_gets_segments_that_grow() -> None:
    added = worker_environment("cuda", {})

    assert added["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"
    assert added == allocator_settings(added), "they travel with the recommendation"


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_a_cuda_allocator_that_the_user_configured_is_left_alone(name: str) -> None:
    assert worker_environment("cuda", {name: "max_split_size_mb:64"}) == {}


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_accelerators_keep_the_environment_they_train_in(kind: str) -> None:
    assert worker_environment(kind, {}) == {}


def test_what_the_user_has_set_wins() -> None:
    users = {"MALLOC_MMAP_THRESHOLD_": "4096", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=2"}

    added = worker_environment("cpu", users)

    assert "MALLOC_MMAP_THRESHOLD_" not in added
    assert "GLIBC_TUNABLES" not in added


def test_other_tunables_are_kept() -> None:
    added = worker_environment("cpu", {"GLIBC_TUNABLES": "glibc.pthread.rseq=0"})

    assert added["GLIBC_TUNABLES"] == "glibc.pthread.rseq=0:glibc.malloc.hugetlb=1"


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_glibc", lambda: False)

    assert worker_environment("cpu", {}) == {}


def test_only_what_decides_about_memory_travels() -> None:
    everything = {
        "PATH": "/usr/bin",
        "AWS_SECRET_ACCESS_KEY": "never",
        "MALLOC_ARENA_MAX": "1",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "OMP_NUM_THREADS": "4",
    }

    assert allocator_settings(everything) == {
        "MALLOC_ARENA_MAX": "1",
        "OMP_NUM_THREADS": "4",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
