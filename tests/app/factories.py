"""Plain data for the tests, complete and valid; every argument is what a test cares about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.database import Database
from app.database.models.finetuning import FineTuningRow
from app.finetunings import service as finetunings
from optimizer.ablation import At, ClaimVerdict, Evidence, Quantity
from optimizer.budgets import Budget
from optimizer.records import Recommendation, Scope, StudySpec, Trial
from probes.measurement import Energy, Measurement, Purpose, RankResult, StepTime, Verdict
from probes.space import Choice

GIB = 2**30


def scope(**changes: Any) -> Scope:
    return replace(
        Scope(
            workload="train.py:Net",
            workload_hash="abc123",
            fingerprint="f" * 16,
            device="cpu",
            limit_bytes=2 * GIB,
            headroom=0.05,
        ),
        **changes,
    )


def spec(budget: str = "smoke_test", **scope_changes: Any) -> StudySpec:
    return StudySpec(
        scope=scope(**scope_changes),
        budget=Budget(budget, None, 0.0, trials=4),
        space={"layers": Choice([1, 2, 4]), "activation": Choice(["relu", "gelu"])},
        dataset_size=1000,
    )


def step_time(mean_s: float = 0.1) -> StepTime:
    return StepTime(
        median_s=mean_s,
        mean_s=mean_s,
        low_s=mean_s * 0.9,
        high_s=mean_s * 1.1,
        p10_s=mean_s * 0.8,
        p90_s=mean_s * 1.2,
        steps=24,
        warmup_steps=4,
        converged=True,
        data_s=0.01,
    )


def energy(energy_j: float = 240.0, **changes: Any) -> Energy:
    """Of the 24 steps of ``step_time``, with a batch of 8."""
    made = Energy(
        energy_j=energy_j,
        low_j=energy_j * 0.99,
        high_j=energy_j * 1.01,
        window_s=2.4,
        steps=24,
        samples=192,
        source="NVML counter",
        scope="device",
        idle_power_w=20.0,
    )
    return replace(made, **changes)


def measurement(
    batch_size: int = 8,
    verdict: Verdict = Verdict.STABLE,
    purpose: Purpose = Purpose.CONFIRM,
    config: dict[str, Any] | None = None,
    **changes: Any,
) -> Measurement:
    made = Measurement(
        workload="train.py:Net",
        config={"layers": 2, "activation": "relu"} if config is None else config,
        batch_size=batch_size,
        device="cpu",
        purpose=purpose,
        verdict=verdict,
        reason="It ran." if verdict is Verdict.STABLE else f"It ended in {verdict}.",
        limit_bytes=2 * GIB,
        headroom=0.05,
        peak_bytes=5 * GIB,  # above 32 bits on purpose
        step_time=step_time() if verdict is Verdict.STABLE else None,
    )
    return replace(made, **changes)


def gang_measurement(batch_size: int = 8, **changes: Any) -> Measurement:
    """Two ranks that share the CPU; the second has less memory, and limits."""
    ranks = [
        RankResult(
            rank=rank,
            device="cpu",
            batch_size=batch_size,
            verdict=Verdict.STABLE,
            phase="done",
            steps=24,
            limit_bytes=limit,
            cap_bytes=limit,
            peak_bytes=5 * GIB,
            step_mean_s=0.1,
        )
        for rank, limit in enumerate((8 * GIB, 6 * GIB))
    ]
    gang = {
        "config": {"layers": 2, "activation": "relu", "parallel": "ddp"},
        "device": "cpu:0-1",
        "ranks": ranks,
        "limiting_rank": 1,
        "data_parallel": 2,
        "communication_share": 0.25,
    }
    return measurement(batch_size, **{**gang, **changes})


def broken_gang(**changes: Any) -> Measurement:
    """The first rank was out of memory; the second was ended because of it."""
    made = gang_measurement(verdict=Verdict.OOM, reason="Rank 0 of 2: no room.", step_time=None)
    ends = [(Verdict.OOM, "no room"), (None, "")]
    ranks = [
        replace(each, verdict=verdict, reason=reason, phase="train", step_mean_s=None)
        for each, (verdict, reason) in zip(made.ranks, ends, strict=True)
    ]
    return replace(made, ranks=ranks, limiting_rank=0, **changes)


def recommendation(
    id: str = "rec_1", config: dict[str, Any] | None = None, **changes: Any
) -> Recommendation:
    made = Recommendation(
        id=id,
        workload="train.py:Net",
        budget="smoke_test",
        device="cpu",
        config={"layers": 4, "activation": "relu"} if config is None else config,
        batch_size=96,
        accumulation=1,
        cycle_batches=450,
        cycle_time_s={"mean": 600.0, "low": 590.0, "high": 615.0, "median": 600.0},
        throughput_samples_per_s=72.0,
        peak_bytes=1 * GIB,
        limit_bytes=2 * GIB,
        headroom=0.05,
        parameters=1234,
        binding="memory",
        explanation=["It is the fastest."],
        alternatives=[],
        ruled_out=[],
        evidence={"highest_passing": measurement(96).to_dict(), "lowest_failing": None},
        environment={
            "torch": "2.13.0",
            "threads": 2,
            "allocator": {"MALLOC_ARENA_MAX": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"},
        },
        study={"id": "st_1", "trials": 4, "pruned": 1, "probes": 9, "wall_s": 60.0},
        valid={
            "fingerprint": "f" * 16,
            "workload_hash": "abc123",
            "created_at": "2026-01-02T03:04:05+00:00",
        },
    )
    return replace(made, **changes)


def trial(number: int = 0, **changes: Any) -> Trial:
    made = Trial(
        number=number,
        config={"layers": 2, "activation": "relu"},
        state="feasible",
        reason="Batch 8 fits.",
        batch_size=8,
        binding="memory",
        throughput_samples_per_s=80.0,
        violation={"memory": -0.1, "time": -1.0},
        probes=5,
        wall_s=12.5,
    )
    return replace(made, **changes)


SETTINGS = {
    "model": {"name": "models/small"},
    "preset": "quick_lora",
    "strategy": "lora",
    "training": {"seed": 42, "learning_rate": 2e-4},
}


def finetuning(database: Database, **changes: Any) -> FineTuningRow:
    """A fine-tuning that this process has begun."""
    known = {
        "output": "/runs/a",
        "settings": SETTINGS,
        "device": "cpu",
        "fingerprint": "f" * 16,
    }
    return finetunings.begin(database, **{**known, **changes})


def evidence(claim: str = "activation-memory", **changes: Any) -> Evidence:
    """What a claim of ``tests.knowledge.pages`` came to; it was refuted."""
    page = changes.pop("page", "Heuristic:Gradient_Checkpointing")
    made = Evidence(
        claim=f"{page}#{claim}",
        page=page,
        text="50-60 % less activation memory",
        quantity=Quantity.ACTIVATION_MEMORY,
        before={"gradient_checkpointing": False},
        after={"gradient_checkpointing": True},
        claimed_low=-0.6,
        claimed_high=-0.5,
        at=At.SAME_BATCH,
        workload="transformer",
        options={},
        config={"layers": 2},
        verdict=ClaimVerdict.REFUTED,
        reason="Claimed: 50–60 % less activation memory. Here: 41 % (38–44) less.",
        change=-0.41,
        low=-0.44,
        high=-0.38,
        before_value=4e8,
        after_value=2.36e8,
        before_batch=32,
        after_batch=32,
        pairs=6,
        probes=14,
        device="cpu",
        fingerprint="f" * 16,
        measured_at="2026-01-02T03:04:05+00:00",
        tonnage="0.1.0",
        torch="2.13.0",
    )
    return replace(made, **changes)


def evaluation_row(number: int = 0, score: float = 1.0, **changes: Any) -> dict[str, Any]:
    """A game that was won or lost."""
    return {
        "item": f"game-{number}",
        "group": f"game-{number}",
        "source": "bfs",
        "values": {"score": score},
        "details": {"seed": number},
        **changes,
    }
