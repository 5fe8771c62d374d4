"""The cases: a workload, a config and a memory budget each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKLOADS = ROOT / "benchmarks" / "workloads.py"

MIB = 2**20
HEADROOM = 0.05


@dataclass(frozen=True)
class Case:
    """What everybody is given. The edge lies well away from 4096, where some peers start."""

    name: str
    workload: str
    """Class in ``benchmarks/workloads.py``."""
    config: Mapping[str, int]
    budget_mib: int
    near: int
    """Roughly where the edge is, so that the scan for the truth wastes no time. Never told to
    anybody else."""

    @property
    def spec(self) -> str:
        return f"{WORKLOADS}:{self.workload}"

    @property
    def cap_bytes(self) -> int:
        """The hard limit that is the same for all: the budget less the headroom."""
        return int(self.budget_mib * MIB * (1 - HEADROOM))

    @property
    def identity(self) -> str:
        """Equal for results that may be compared with each other."""
        config = ",".join(f"{key}={value}" for key, value in sorted(self.config.items()))
        return f"{self.workload}({config})@{self.budget_mib}MiB"


CASES = (
    Case("mlp", "ResidualMLP", {"blocks": 24, "width": 128}, 192, 2250),
    Case("transformer", "Transformer", {"layers": 2, "width": 64}, 256, 200),
    Case("conv", "ConvNet", {"channels": 16}, 256, 480),
    Case("visnet", "Molecules", {"layers": 3, "hidden_channels": 48}, 192, 57),
    Case("causal_lm", "CausalLM", {"layers": 2, "width": 64}, 384, 28),
    Case("variable_length", "VariableLength", {"layers": 2, "width": 64}, 256, 115),
    Case("contrastive", "Contrastive", {"width": 512}, 160, 2450),
    Case("padded", "Padded", {"layers": 2, "width": 64}, 192, 350),
)
