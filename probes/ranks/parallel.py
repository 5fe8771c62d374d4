"""How the model of a config is spread over the ranks: DDP, FSDP2 or tensor parallel. In the worker.

What a workload's own ``parallelize(model, mesh)`` does comes first; ``mesh`` has the dimensions
``dp`` and ``tp``. Otherwise the blocks that the model repeats are sharded one by one, and the rest
as one, as every guide to FSDP does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from probes.formatting import first_line
from probes.group import Group
from probes.levers import UnsupportedError
from probes.levers.checkpointing import repeated_blocks
from probes.ranks import shards
from probes.ranks.team import Alone, Team

FORWARD_METHODS = ("training_step", "validation_step", "generate")
"""Methods that run a model as calling it does, by Lightning's and transformers' names."""

Loss = Callable[[Any, Any], torch.Tensor]


class Single:
    """One device: the loss is the workload's own."""

    notes: tuple[str, ...] = ()
    measures_communication = False

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        self.model = model
        self._loss = loss

    def loss(self, batch: Any) -> torch.Tensor:
        return self._loss(self.model, batch)

    def without_exchange(self) -> AbstractContextManager[Any]:
        """No gradients are exchanged meanwhile: between micro-batches of one step."""
        return nullcontext()


class Replicated(Single):
    """``DistributedDataParallel`` around the loss, so that it works however the loss calls the
    model; what it holds and sends is the same as around the model."""

    measures_communication = True

    def __init__(self, model: nn.Module, loss: Loss, config: Mapping[str, Any]) -> None:
        super().__init__(model, loss)
        if not any(p.requires_grad for p in model.parameters()):
            raise UnsupportedError("parallel=ddp: the model has no parameter that needs a gradient")
        self._ddp = nn.parallel.DistributedDataParallel(
            _LossOf(model, loss),
            bucket_cap_mb=config.get("ddp_bucket_mib", 25),
            gradient_as_bucket_view=config.get("ddp_bucket_view", False),
            static_graph=config.get("ddp_static_graph", False),
            find_unused_parameters=config.get("ddp_find_unused", False),
        )

    def loss(self, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = self._ddp(batch)
        return loss

    def without_exchange(self) -> AbstractContextManager[Any]:
        return self._ddp.no_sync()


class Sharded(Single):
    """A model whose parameters are shards: of FSDP2, of tensor parallelism, or of both."""

    def __init__(self, model: nn.Module, loss: Loss, notes: tuple[str, ...]) -> None:
        super().__init__(model, loss)
        self.notes = notes

    def without_exchange(self) -> AbstractContextManager[Any]:
        from torch.distributed.fsdp import FSDPModule

        if not isinstance(self.model, FSDPModule):
            return nullcontext()
        return _Unsynchronised(self.model)


class _Unsynchronised:
    def __init__(self, model: Any) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._model.set_requires_gradient_sync(False)

    def __exit__(self, *_: object) -> None:
        self._model.set_requires_gradient_sync(True)


class _LossOf(nn.Module):
    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, batch: Any) -> torch.Tensor:
        return self._loss(self.model, batch)


def is_built_on_host(config: Mapping[str, Any]) -> bool:
    """Whether the whole model need not fit the device: it is sharded as it is moved there."""
    return config.get("parallel") == "fsdp"


def needs_mesh(config: Mapping[str, Any]) -> bool:
    """Whether the ranks are arranged, and not merely all alike."""
    return config.get("parallel") in ("fsdp", "tp")


def sharded(
    workload: Any, model: nn.Module, team: Alone, config: Mapping[str, Any]
) -> tuple[nn.Module, tuple[str, ...]]:
    """The model with its parameters sharded over the ranks, and what was done in words. For DDP,
    and for one device, it is returned as it is. Raises ``UnsupportedError``."""
    way = config.get("parallel")
    if not isinstance(team, Team) or not needs_mesh(config):
        return model, ()
    own = getattr(workload, "parallelize", None)
    notes: tuple[str, ...] = ()
    if callable(own):
        model = _by_the_workload(own, model, team)
        notes = (shards.BY_THE_WORKLOAD,)
    elif way == "tp":
        raise UnsupportedError(
            "parallel=tp: the workload has no parallelize(model, mesh), which alone knows how its "
            "layers are divided. Add it (torch.distributed.tensor.parallel.parallelize_module on "
            "mesh['tp']), or use parallel=fsdp."
        )
    if team.data_parallel > 1 and not _is_fully_sharded(model):
        notes += (_fully_shard(model, team, config),)
    return model, notes


def spread(
    model: nn.Module, loss: Loss, team: Alone, config: Mapping[str, Any], notes: tuple[str, ...]
) -> Single:
    """How the loss of a (sharded) model is computed on this rank, with gradients exchanged."""
    if not isinstance(team, Team):
        return Single(model, loss)
    if config.get("parallel", "ddp") == "ddp":
        return Replicated(model, loss, config)
    return Sharded(model, loss, notes)


def check(config: Mapping[str, Any], group: Group, accumulation: int) -> None:
    """Raise ``UnsupportedError`` where a config says what such a group cannot do."""
    team_size = group.size
    if group.kind == "mps":
        raise UnsupportedError("A Mac has a single GPU: leave --devices and parallel out.")
    degree, way = config.get("tensor_parallel", 1), config.get("parallel", "ddp")
    if team_size % degree:
        raise UnsupportedError(
            f"tensor_parallel={degree} does not divide the group of {team_size} devices."
        )
    if degree > 1 and way != "tp":
        raise UnsupportedError(f"tensor_parallel={degree} needs parallel=tp; it is {way}.")
    if way == "ddp" and config.get("ddp_static_graph") and accumulation > 1:
        raise UnsupportedError(
            "ddp_static_graph=true with accumulation: DDP cannot leave out the exchange between "
            "micro-batches of a static graph. Leave one of the two out."
        )
    if config.get("fsdp_offload") and way == "fsdp" and group.kind == "cpu":
        raise UnsupportedError(
            "fsdp_offload=true: on the CPU, the parameters are in the host's memory already."
        )
    if way != "ddp" and config.get("precision") == "fp16":
        raise UnsupportedError(
            f"parallel={way} with precision=fp16: a gradient scaler does not see the other ranks' "
            "overflows. Use bf16."
        )


def local_state(state: Any) -> Any:
    """A state dict with this rank's own shards, which is what a sharded checkpoint writes."""
    from torch.distributed.tensor import DTensor

    if isinstance(state, DTensor):
        return state.to_local()
    if isinstance(state, Mapping):
        return {key: local_state(value) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [local_state(value) for value in state]
    return state


def _by_the_workload(own: Callable[..., Any], model: nn.Module, team: Team) -> nn.Module:
    returned = own(model, team.mesh)
    if returned is None:
        return model
    if not isinstance(returned, nn.Module):
        raise UnsupportedError(
            f"parallelize(model, mesh) returned {type(returned).__name__}; return the model, or "
            "nothing where it is changed in place."
        )
    return returned


def _is_fully_sharded(model: nn.Module) -> bool:
    from torch.distributed.fsdp import FSDPModule

    return any(isinstance(module, FSDPModule) for module in model.modules())


def _fully_shard(model: nn.Module, team: Team, config: Mapping[str, Any]) -> str:
    """Shard the model in place over ``dp``; returns what was wrapped, in words."""
    from torch.distributed.fsdp import (
        CPUOffloadPolicy,
        MixedPrecisionPolicy,
        OffloadPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    dtype = torch.bfloat16 if config.get("fsdp_dtype") == "bf16" else None
    common: dict[str, Any] = {
        "mesh": team.mesh["dp"],
        "mp_policy": MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
        if dtype is not None
        else MixedPrecisionPolicy(),
        "offload_policy": CPUOffloadPolicy() if config.get("fsdp_offload") else OffloadPolicy(),
    }
    reshard = config.get("fsdp_reshard", True)
    # The rest is needed again at once by the backward pass: torch keeps it unless told otherwise.
    whole: dict[str, Any] = {} if reshard else {"reshard_after_forward": False}
    blocks = repeated_blocks(model)
    try:
        for block in blocks:
            fully_shard(block, reshard_after_forward=reshard, **common)
        fully_shard(model, **whole, **common)
        for method in FORWARD_METHODS:
            if callable(getattr(model, method, None)):
                register_fsdp_forward_method(model, method)
    except (ValueError, NotImplementedError, AssertionError) as error:
        raise UnsupportedError(
            f"parallel=fsdp: fully_shard() refuses {type(model).__name__}: {first_line(str(error))}"
        ) from None
    kind = type(blocks[0]).__name__.removeprefix("FSDP") if blocks else ""
    return shards.text_of(len(blocks), kind)
