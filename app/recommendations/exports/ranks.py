"""How the devices of a recommendation train as one; each format has its own words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optimizer.records import Recommendation
from probes.group import Group, group_of, is_group
from probes.levers import PARALLEL_LEVERS
from probes.ranks.shards import Shards, shards_of

DDP_ARGUMENTS = {
    "ddp_bucket_mib": "bucket_cap_mb",
    "ddp_bucket_view": "gradient_as_bucket_view",
    "ddp_static_graph": "static_graph",
    "ddp_find_unused": "find_unused_parameters",
}
"""Levers of ``parallel=ddp``, and the arguments of torch's ``DistributedDataParallel``."""

FSDP_LEVERS = ("fsdp_reshard", "fsdp_dtype", "fsdp_offload")

FIRST_HOST = "FIRST_HOST:29500"
"""Stands for the address of one of several hosts, which nobody knows before they are there."""
_SELECTED_BY = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}


@dataclass(frozen=True)
class Sharding:
    """What FSDP2 does with parameters, gradients and optimizer state."""

    reshard: bool
    """Whether blocks are sharded again between their forward and their backward pass."""
    dtype: str
    """``fp32``, or ``bf16`` for gathered parameters in bf16 and gradients reduced in fp32."""
    offload: bool
    """Whether shards stay in the host's memory, where the optimizer steps."""

    @property
    def arguments(self) -> str:
        """Those of ``fully_shard`` that differ from torch's defaults, as Python."""
        given = []
        if not self.reshard:
            given.append("reshard_after_forward=False")
        if self.dtype == "bf16":
            given.append(f"mp_policy={self.policy}")
        if self.offload:
            given.append("offload_policy=CPUOffloadPolicy()")
        return ", ".join(given)

    @property
    def policy(self) -> str:
        """The mixed precision that was measured, as Python."""
        if self.dtype == "bf16":
            return "MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)"
        return "MixedPrecisionPolicy()"


@dataclass(frozen=True)
class Ranks:
    """The ranks of a recommendation, and how they share the work."""

    group: Group
    parallel: str | None
    """``ddp``, ``fsdp`` or ``tp``; ``None`` for a command, which decides it itself."""
    tensor_parallel: int
    """Number of ranks that divide the layers among them."""
    batch_sizes: tuple[int, ...]
    """Samples per micro-batch of each rank; the ranks of one team take the same ones."""
    accumulation: int
    division: Shards
    """What FSDP was seen to shard, if it did."""

    @property
    def size(self) -> int:
        return self.group.size

    @property
    def data_parallel(self) -> int:
        """Number of ranks, or of teams that divide layers, that draw different batches."""
        return self.size // self.tensor_parallel

    @property
    def micro_batch_samples(self) -> int:
        """Samples that all ranks together take at once."""
        return sum(self.batch_sizes) // self.tensor_parallel

    @property
    def global_batch_size(self) -> int:
        """Samples per optimizer step, over all ranks."""
        return self.micro_batch_samples * self.accumulation

    @property
    def shards(self) -> bool:
        """Whether FSDP shards the model: alone, or between teams that divide its layers."""
        return self.parallel == "fsdp" or (self.parallel == "tp" and self.data_parallel > 1)

    @property
    def numbers(self) -> list[int]:
        """Of the devices of a host, in the order of the ranks; the CPU has none, so its ranks
        count."""
        here = self.group.devices[: self.group.per_host]
        if self.group.kind == "cpu":
            return list(range(len(here)))
        return [int(device.partition(":")[2] or 0) for device in here]

    @property
    def are_the_first(self) -> bool:
        """Whether a launcher that is only told the number of ranks takes just these devices."""
        return self.numbers == list(range(self.group.per_host))

    @property
    def selection(self) -> dict[str, str]:
        """The environment variable that shows a program these devices only; empty if it takes
        them anyway."""
        name = _SELECTED_BY.get(self.group.kind)
        if name is None or self.are_the_first:
            return {}
        return {name: ",".join(map(str, self.numbers))}

    @property
    def torchrun(self) -> str:
        """Arguments of ``torchrun``. On several hosts it is started on each of them."""
        if self.group.hosts > 1:
            return (
                f"--nnodes {self.group.hosts} --nproc-per-node {self.group.per_host} "
                f"--rdzv-backend c10d --rdzv-endpoint {FIRST_HOST}"
            )
        return f"--nproc-per-node {self.size} --standalone"

    @property
    def meaning(self) -> str:
        """What the recommended batch size is the size of, in a sentence."""
        of = "rank"
        if self.tensor_parallel > 1:
            of = f"team of {self.tensor_parallel} ranks that divide the layers"
        sizes = f"batch_size={self.batch_sizes[0]} is per {of}"
        if len(set(self.batch_sizes)) > 1:
            each = ", ".join(map(str, self.batch_sizes))
            sizes = f"the ranks have batch sizes of {each}; give each its own in your code"
        return (
            f"{self.size} ranks on {self.group.label}: {sizes}; together they take "
            f"{self.micro_batch_samples} samples at once and {self.global_batch_size} per "
            "optimizer step"
        )

    @property
    def levers_without_effect(self) -> set[str]:
        """Levers of another way to train in parallel than the one that was measured."""
        say: set[str] = {"parallel", "tensor_parallel"}
        if self.parallel == "ddp":
            say |= DDP_ARGUMENTS.keys()
        if self.shards:
            say |= set(FSDP_LEVERS)
        return PARALLEL_LEVERS.keys() - say

    def fsdp_calls(self, sharding: Sharding, mesh: str = "") -> str:
        """How a training script shards its model, as Python and words."""
        given = "".join(
            f", {each}" for each in (mesh and f"mesh={mesh}", sharding.arguments) if each
        )
        division = self.division
        if division.by_the_workload and division.block is None and not division.as_one:
            return "the workload's parallelize(model, mesh)"
        if division.as_one:
            return f"fully_shard(model{given})"
        block = division.block or "repeated block"
        return f"fully_shard(block{given}) for each {block}, then the same for the model"

    def to_dict(self) -> dict[str, Any]:
        """For documents and programs of one's own."""
        return {
            "world_size": self.size,
            "data_parallel": self.data_parallel,
            "tensor_parallel": self.tensor_parallel,
            "parallel": self.parallel,
            "library": self.group.library,
            "micro_batch_samples": self.micro_batch_samples,
            "global_batch_size": self.global_batch_size,
            "torchrun": self.torchrun,
            "ranks": [
                {"rank": rank, "device": device, "batch_size": batch_size}
                for rank, (device, batch_size) in enumerate(
                    zip(self.group.devices, self.batch_sizes, strict=True)
                )
            ],
        }


def ranks_of(recommendation: Recommendation) -> Ranks | None:
    """The ranks that a recommendation was measured with; ``None`` for a single device."""
    if not is_group(recommendation.device):
        return None
    config, group = recommendation.config, group_of(recommendation.device)
    measured = tuple(int(each["batch_size"]) for each in recommendation.ranks)
    alike = (recommendation.batch_size,) * group.size
    confirmed = recommendation.evidence.get("highest_passing") or {}
    return Ranks(
        group=group,
        parallel=config.get("parallel"),
        tensor_parallel=int(config.get("tensor_parallel", 1)),
        batch_sizes=measured if len(measured) == group.size else alike,
        accumulation=recommendation.accumulation,
        division=shards_of(confirmed.get("notes") or []),
    )


def ddp_call(arguments: Mapping[str, Any]) -> str:
    """How a training script wraps its model for DDP, as Python."""
    given = "".join(f", {name}={value}" for name, value in arguments.items())
    return f"torch.nn.parallel.DistributedDataParallel(model{given})"
