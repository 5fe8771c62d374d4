"""A mistake in a user's own file is accepted where it is clear what was meant; else the message
names what came and what was expected. It never ends in a bare Python error."""

from __future__ import annotations

from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from probes.errors import InputError
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.space import Choice, Float, Int, as_space
from probes.worker.probe import _as_text
from probes.worker.returned import (
    WrongLossError,
    batches_of,
    check_loss,
    model_of,
    optimizer_of,
)
from probes.worker.sizes import _size

CONFIG = {"layers": 2}


@pytest.mark.parametrize(
    "written",
    [
        lambda: Choice(256, 512, 1024),
        lambda: Choice((256, 512, 1024)),
        lambda: Choice({1024, 256, 512}),
        lambda: Choice(range(256, 1025, 256), cost_grows=True),
        lambda: Choice(np.array([256, 512, 1024])),
        lambda: Choice(torch.tensor([256, 512, 1024])),
        lambda: Choice(*np.array([256, 512, 1024])),
        lambda: Choice(options=[256, 512, 1024]),
    ],
)
def test_options_are_accepted_in_every_clear_form(written: Any) -> None:
    choice = written()
    assert {256, 512, 1024} <= set(choice.options)
    assert choice.cost_grows and all(type(option) is int for option in choice.options)


def test_one_number_is_the_only_option() -> None:
    assert Choice(5) == Choice([5])


def test_cost_grows_may_still_be_given_by_position() -> None:
    assert Choice([1, 2], False) == Choice([1, 2], cost_grows=False)
    assert Choice(True, False).options == (True, False)


@pytest.mark.parametrize(
    ("written", "facts"),
    [
        (Choice, ["Choice", "no options"]),
        (lambda: Choice([]), ["Choice", "no options"]),
        (lambda: Choice("adam"), ["'adam'", "list"]),
        (lambda: Choice({"a": 1}), ["'a': 1", "list"]),
        (lambda: Choice([[1, 2]]), ["[1, 2]", "list"]),
        (Int, ["Int", "low"]),
        (lambda: Int(5), ["Int", "high"]),
        (lambda: Int(12, 2), ["low=12", "Int(2, 12)"]),
        (lambda: Int("2", "12"), ["low", "the text '2'"]),
        (lambda: Int(0.1, 0.5), ["0.1", "Float"]),
        (lambda: Int(2, 12, step="2"), ["step", "the text '2'"]),
        (lambda: Int([2], 12), ["low", "list"]),
        (lambda: Float(0.5), ["Float", "high"]),
        (lambda: Float(0.5, 0.1), ["low=0.5", "Float(0.1, 0.5)"]),
        (lambda: Float("0.1", 1), ["low", "the text '0.1'"]),
        (lambda: Float(0.0, float("inf")), ["inf"]),
    ],
)
def test_a_dimension_that_cannot_be_right_says_why(written: Any, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        written()
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_bounds_of_numpy_and_whole_floats_become_plain_numbers() -> None:
    assert Int(np.int64(2), 12.0) == Int(2, 12)
    assert type(Int(np.int64(2), 12.0).high) is int
    assert type(Float(np.float32(0.5), 1).low) is float


@pytest.mark.parametrize(
    ("returned", "facts"),
    [
        (None, ["space()", "None", "return", "dict"]),
        ([("layers", 2)], ["space()", "a list", "dict"]),
        ({"layers": range(0)}, ["'layers'", "range(0, 0)", "no values"]),
        ({"layers": []}, ["'layers'", "no options"]),
        ({"layers": object()}, ["'layers'", "object"]),
    ],
)
def test_a_space_that_cannot_be_right_says_why(returned: Any, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        as_space(returned)
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)


def test_a_space_may_hold_sets_and_arrays() -> None:
    space = as_space({"width": {64, 32}, "depth": np.array([1, 2])})
    assert space == {"width": Choice([32, 64]), "depth": Choice([1, 2])}


def workload(**returned: Any) -> Any:
    """Its methods return these values."""
    return SimpleNamespace(**{name: partial(_same, value) for name, value in returned.items()})


def _same(value: Any, *_: Any) -> Any:
    return value


@pytest.mark.parametrize(
    ("returned", "facts"),
    [
        (None, ["model(config)", "None", "return", "torch.nn.Module"]),
        (torch.nn.ReLU, ["model(config)", "class ReLU", "ReLU(...)"]),
        ({"layers": 2}, ["model(config)", "a dict"]),
    ],
)
def test_a_model_that_is_none_says_so(returned: Any, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        model_of(workload(model=returned), CONFIG)
    assert all(fact in str(caught.value) for fact in facts), str(caught.value)
    reason = _size(workload(model=returned), CONFIG).reason
    assert "model(config)" in reason and "Attribute" not in reason


@pytest.mark.parametrize(
    ("returned", "facts"),
    [
        (None, ["None", "return", "iterator"]),
        (torch.ones(4, 2), ["a Tensor", "yield batch"]),
        ({"x": torch.ones(4)}, ["a dict", "yield batch"]),
        ((torch.ones(4, 2), torch.ones(4)), ["a tuple", "yield batch"]),
        ([torch.ones(4, 2), torch.ones(4)], ["a list", "yield batch"]),
        ([], ["empty list"]),
        (7, ["int", "iterator"]),
    ],
)
def test_batches_that_are_no_iterator_say_so(returned: Any, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        batches_of(workload(batches=returned), CONFIG, 4)
    text = str(caught.value)
    assert all(fact in text for fact in ["batches(config, batch_size)", *facts]), text


def test_a_list_of_batches_is_repeated_without_end() -> None:
    batches = [torch.zeros(4), torch.ones(4)]
    found = list(islice(batches_of(workload(batches=batches), CONFIG, 4), 5))
    assert [float(batch[0]) for batch in found] == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    ("returned", "facts"),
    [
        (None, ["None", "return", "scalar"]),
        ((torch.ones(()), torch.ones(3)), ["a tuple", "only the loss"]),
        ({"loss": torch.ones(())}, ["a dict", "only the loss"]),
        (1.5, ["a float", ".item()"]),
        (SimpleNamespace(loss=torch.ones(())), ["SimpleNamespace", ".loss"]),
        (torch.ones(3, requires_grad=True), ["(3,)", ".mean()"]),
        (torch.ones(()), ["without a gradient"]),
    ],
)
def test_a_loss_that_is_no_scalar_says_so(returned: Any, facts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        check_loss(returned)
    assert isinstance(caught.value, WrongLossError)
    assert all(fact in str(caught.value) for fact in ["loss(model, batch)", *facts])


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_a_loss_of_one_number_is_accepted_in_any_shape(shape: tuple[int, ...]) -> None:
    check_loss(torch.ones(shape, requires_grad=True))


@pytest.mark.parametrize(
    "model", [torch.nn.ReLU(), torch.nn.Linear(2, 2).requires_grad_(False)], ids=["none", "frozen"]
)
def test_a_model_with_nothing_to_train_is_named(model: torch.nn.Module) -> None:
    with pytest.raises(InputError, match=r"model\(config\) returned a .* without parameters"):
        optimizer_of(SimpleNamespace(), model)


def test_an_optimizer_with_its_schedulers_is_told_to_come_alone() -> None:
    lightning = SimpleNamespace(optimizer=lambda m: ([torch.optim.SGD(m.parameters())], []))
    with pytest.raises(InputError, match="single optimizer, and no scheduler"):
        optimizer_of(lightning, torch.nn.Linear(2, 2))


def test_an_optimizer_that_needs_a_closure_is_named() -> None:
    workload = SimpleNamespace(optimizer=lambda m: torch.optim.LBFGS(m.parameters()))
    with pytest.raises(InputError, match=r"LBFGS.*closure.*--command"):
        optimizer_of(workload, torch.nn.Linear(2, 2))


@pytest.mark.parametrize(("device", "is_told"), [("cpu", True), ("cuda:0", False)])
def test_a_workload_that_moves_its_model_itself_is_told_to_leave_that(
    device: str, is_told: bool
) -> None:
    job = ProbeJob(WorkloadRef("train.py:Net"), {}, 8, device, BRACKET_PLAN)
    error = AssertionError("Torch not compiled with CUDA enabled")
    classified, _ = _as_text(error, "build", job, False)
    assert ("Leave out .cuda()" in classified.hint) is is_told
