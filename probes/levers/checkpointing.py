"""The lever ``gradient_checkpointing``: recompute activations in the backward pass. In the worker.

A model that can do it itself is asked to (transformers, diffusers and their like). In any other,
the repeated blocks are wrapped: the ``forward`` of these instances, never a class. Gradients stay
what they were; what a block updates in its forward pass, such as the running statistics of
BatchNorm, is updated twice, as with ``torch.utils.checkpoint`` anywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from probes.formatting import first_line
from probes.levers import UnsupportedError

ENABLERS = {
    "activation_checkpointing_enable": "activation_checkpointing_kwargs",
    "gradient_checkpointing_enable": "gradient_checkpointing_kwargs",
}
"""Methods by which a model does it itself, newest first, and how they take arguments."""

_UNCALLED = (nn.ModuleList, nn.ModuleDict)
_CONTAINERS = (nn.Sequential, *_UNCALLED)


def enable(model: nn.Module) -> None:
    """Switch it on. Raises ``UnsupportedError`` where there is nothing to checkpoint."""
    if _enabled_itself(model):
        return
    blocks = repeated_blocks(model)
    if not blocks:
        raise UnsupportedError(
            f"gradient_checkpointing=true: {type(model).__name__} has no repeated blocks to "
            "recompute (modules of one class, with submodules of their own, in an nn.ModuleList "
            "or nn.Sequential) and no gradient_checkpointing_enable(). Put its layers into blocks, "
            "give it that method, or leave the lever out."
        )
    for block in blocks:
        block.forward = _recomputed(block, block.forward)


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """The modules that the model repeats: of the class that holds most parameters among those that
    a list or sequence has several of, or a list has nothing but. Empty when there is none.

    Single layers do not count: they save nothing but their input, which checkpointing saves too.
    Blocks that are plain sequences count where there are no others.
    """
    return _repeated(model, _CONTAINERS) or _repeated(model, _UNCALLED)


def _repeated(model: nn.Module, no_blocks: tuple[type[nn.Module], ...]) -> list[nn.Module]:
    families: dict[type[nn.Module], dict[int, nn.Module]] = {}
    for container in model.modules():
        if not isinstance(container, (nn.ModuleList, nn.Sequential)):
            continue
        children = list(container)
        for kind in {type(child) for child in children if _is_block(child, no_blocks)}:
            alike = [child for child in children if type(child) is kind]
            only = len(alike) == len(children) and isinstance(container, nn.ModuleList)
            if len(alike) > 1 or only:
                families.setdefault(kind, {}).update({id(child): child for child in alike})
    largest = max(families.values(), key=_parameter_count, default={})
    return _outermost(list(largest.values()))


def _enabled_itself(model: nn.Module) -> bool:
    for method, keyword in ENABLERS.items():
        own = getattr(model, method, None)
        if not callable(own):
            continue
        # The reentrant kind loses the gradients of models whose first layers are frozen.
        takes = keyword in inspect.signature(own).parameters
        try:
            own(**({keyword: {"use_reentrant": False}} if takes else {}))
        except (ValueError, NotImplementedError) as error:
            raise UnsupportedError(
                f"gradient_checkpointing=true: {type(model).__name__}.{method}() refuses: "
                f"{first_line(str(error))}"
            ) from None
        return True
    return False


def _is_block(module: nn.Module, no_blocks: tuple[type[nn.Module], ...]) -> bool:
    if type(module) in no_blocks or isinstance(module, torch.jit.ScriptModule):
        return False
    return any(True for _ in module.children()) and any(True for _ in module.parameters())


def _parameter_count(family: dict[int, nn.Module]) -> int:
    parameters = {id(p): p.numel() for block in family.values() for p in block.parameters()}
    return sum(parameters.values())


def _outermost(blocks: list[nn.Module]) -> list[nn.Module]:
    """Without those that lie inside another: checkpoints within checkpoints only cost time."""
    inside = {id(module) for block in blocks for module in block.modules() if module is not block}
    return [block for block in blocks if id(block) not in inside]


def _recomputed(block: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def recomputed(*args: Any, **kwargs: Any) -> Any:
        if not (block.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)

    return recomputed
