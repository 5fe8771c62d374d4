"""What the methods of a workload returned: checked, so that a mistake in a user's file is named.

Each function raises ``InputError`` with the method, what came and what was expected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from probes.errors import InputError
from probes.workloads.interface import REQUIRED, default_optimizer


class WrongLossError(InputError):
    """``loss`` returned what cannot be trained on. A vector may pass for a scalar at batch 1, so
    this says nothing of the batch size."""


def model_of(workload: Any, config: Mapping[str, Any]) -> torch.nn.Module:
    """The model of a config."""
    model = workload.model(dict(config))
    if isinstance(model, torch.nn.Module):
        return model
    hint = f" Create the model: {model.__name__}(...)." if isinstance(model, type) else ""
    raise wrong("model(config)", model, REQUIRED["model"], hint)


def batches_of(workload: Any, config: Mapping[str, Any], batch_size: int) -> Iterator[Any]:
    """The batches of a config. A list of batches is repeated without end."""
    returned = workload.batches(dict(config), batch_size)
    method = "batches(config, batch_size)"
    if isinstance(returned, (torch.Tensor, Mapping, tuple, str)) or _is_one_batch(returned):
        hint = " This looks like a single batch: write `while True: yield batch`."
        raise wrong(method, returned, REQUIRED["batches"], hint)
    if isinstance(returned, list):
        if not returned:
            raise InputError(f"{method} returned an empty list; it must return at least one batch.")
        return itertools.cycle(returned)
    try:
        return iter(returned)
    except TypeError:
        raise wrong(method, returned, REQUIRED["batches"]) from None


def optimizer_of(workload: Any, model: torch.nn.Module) -> torch.optim.Optimizer:
    """The optimizer of a model: the workload's own, else the default."""
    method, make = "optimizer(model)", getattr(workload, "optimizer", None)
    if not callable(make):
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise InputError(
                f"model(config) returned a {type(model).__name__} without parameters to train: it "
                "has none, or requires_grad is off for all of them."
            )
        return default_optimizer(model)
    optimizer = make(model)
    if not isinstance(optimizer, torch.optim.Optimizer):
        is_several = isinstance(optimizer, (tuple, list, Mapping))
        hint = " Return a single optimizer, and no scheduler." if is_several else ""
        raise wrong(method, optimizer, "a torch.optim.Optimizer", hint)
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InputError(
            f"{method} returned LBFGS, whose step() needs a closure; a probe calls step() without "
            "one. Use an optimizer such as AdamW or SGD, or measure your script with --command."
        )
    return optimizer


def check_loss(loss: Any) -> None:
    """Accept one number with a gradient, in a tensor. Raises ``WrongLossError``."""
    method = "loss(model, batch)"
    if not isinstance(loss, torch.Tensor):
        hint = ""
        if isinstance(loss, (tuple, list, Mapping)):
            hint = " Return only the loss."
        elif isinstance(loss, (int, float)):
            hint = " Return the tensor itself, without .item()."
        elif hasattr(loss, "loss"):
            hint = " Return its .loss."
        raise WrongLossError(str(wrong(method, loss, REQUIRED["loss"], hint)))
    if loss.numel() != 1:
        raise WrongLossError(
            f"{method} returned a tensor of shape {tuple(loss.shape)}; it must return a scalar. "
            "Reduce it, for example with .mean()."
        )
    if not loss.requires_grad:
        raise WrongLossError(
            f"{method} returned a tensor without a gradient: it does not depend on the model's "
            "parameters, or it was detached or computed under no_grad()."
        )


def wrong(method: str, returned: Any, expected: str, hint: str = "") -> InputError:
    """The error for a method that returned something of the wrong type."""
    if returned is None:
        came = "None (is a return statement missing?)"
    elif isinstance(returned, type):
        came = f"the class {returned.__name__}, not an instance"
    else:
        came = f"a {type(returned).__name__}"
    return InputError(f"{method} returned {came}; it must return {expected}.{hint}")


def _is_one_batch(returned: Any) -> bool:
    """Whether a list is more likely inputs and labels than batches: tensors that differ in shape
    beyond the number of samples, or in type."""
    if not isinstance(returned, list) or not returned:
        return False
    if not all(isinstance(item, torch.Tensor) for item in returned):
        return False
    return len({(item.shape[1:], item.dtype) for item in returned}) > 1
