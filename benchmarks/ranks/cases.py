"""The workloads that ranks train here, each with a config and a memory budget per rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from probes.group import Group
from probes.job import ProbeJob, StepPlan, WorkloadRef

WORKLOADS = Path(__file__).with_name("workloads.py")
MIB = 2**20


@dataclass(frozen=True)
class Case:
    name: str
    workload: str
    """Class in ``workloads.py``."""
    config: Mapping[str, int]
    budget_mib: int

    @property
    def spec(self) -> str:
        return f"{WORKLOADS}:{self.workload}"

    def job(
        self,
        batch_size: int,
        plan: StepPlan,
        *,
        budget_mib: int | None = None,
        way: str = "ddp",
        ranks: int = 1,
        seed: int = 0,
        headroom: float,
    ) -> ProbeJob:
        """A probe of a gang; with one rank, of a single device."""
        group = Group(("cpu",) * ranks) if ranks > 1 else None
        return ProbeJob(
            workload=WorkloadRef(self.spec, {"seed": seed}),
            config={**self.config, **({"parallel": way} if group else {})},
            batch_size=batch_size,
            device=group.label if group else "cpu",
            plan=plan,
            limit_bytes=(budget_mib or self.budget_mib) * MIB,
            headroom=headroom,
            seed=seed,
            group=group,
        )


CASES = (
    Case("mlp", "Mlp", {"width": 32, "layers": 4}, 48),
    Case("transformer", "Transformer", {"width": 16, "layers": 1}, 48),
    Case("conv", "Conv", {"channels": 4}, 48),
)
