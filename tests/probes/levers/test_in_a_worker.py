"""Levers through a real worker: what is measured, and what an environment cannot do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement, Verdict
from probes.prober import Prober

FAULTY = Path(__file__).parents[1] / "faulty.py"
MIB = 2**20


def probe(
    workload: str, batch_size: int, effective: int | None = None, **config: object
) -> Measurement:
    job = ProbeJob(
        WorkloadRef(workload),
        config,
        batch_size,
        "cpu",
        BRACKET_PLAN,
        limit_bytes=1024 * MIB,
        effective_batch_size=effective,
    )
    with Prober(sys.executable) as prober:
        return prober.probe(job)


def test_a_step_has_the_samples_of_the_effective_batch_under_every_lever() -> None:
    m = probe(
        "transformer",
        6,
        effective=16,
        layers=2,
        width=32,
        precision="bf16",
        gradient_checkpointing=True,
        optimizer_impl="fused",
    )

    assert m.verdict is Verdict.STABLE, m.reason
    assert (m.accumulation, m.effective_batch_size) == (3, 18)
    assert m.samples == 18 * m.steps


def test_without_a_compiler_compile_is_unsupported_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))

    m = probe(f"{FAULTY}:Healthy", 8, width=64, compile=True)

    assert m.verdict is Verdict.UNSUPPORTED, m.reason
    assert "no-such-compiler" in m.reason
    assert "apt install g++" in m.hint
