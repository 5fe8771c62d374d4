"""What can be asked of the levers, before any torch is near."""

from __future__ import annotations

import pytest

from probes import levers
from probes.errors import InputError
from probes.levers import LEVERS
from probes.space import Choice, Float, Int, Space

SPACE: Space = {"layers": Int(1, 4)}
ALL_PRECISIONS = dict.fromkeys(["fp32", "tf32", "bf16", "fp16"], "")


def test_no_lever_may_prune() -> None:
    assert not any(lever.cost_grows for lever in LEVERS.values())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("precision", "bf17", "precision=bf17: use one of fp32, tf32, bf16, fp16."),
        ("gradient_checkpointing", "yes", "use one of false, true."),
        ("compile", 1, "compile=1: use one of false, true."),
        ("accumulation", 0, "use a whole number from 1 to 1024."),
        ("accumulation", True, "accumulation=true: use a whole number"),
        ("accumulation", 2.0, "use a whole number"),
        ("optimizer_impl", "fast", "use one of default, forloop, foreach, fused."),
    ],
)
def test_a_value_a_lever_does_not_have_is_an_error_that_names_its_values(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        levers.pinned(SPACE, {name: value})
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        levers.checked({**SPACE, name: Choice([value])})


def test_a_lever_in_a_workloads_space_is_no_reason_to_prune() -> None:
    space = levers.checked({"width": Choice([8, 16]), "accumulation": Choice([4, 1, 2])})

    assert space["width"].cost_grows
    assert space["accumulation"] == Choice([1, 2, 4], cost_grows=False)


def test_a_lever_in_a_workloads_space_may_be_a_range() -> None:
    assert levers.checked({"accumulation": Int(1, 3)})["accumulation"] == Choice(
        [1, 2, 3], cost_grows=False
    )
    with pytest.raises(InputError, match=r"space\(\): accumulation is a lever"):
        levers.checked({"accumulation": Float(1.0, 3.0)})


def test_a_pinned_lever_need_not_be_in_the_space() -> None:
    space = levers.pinned(SPACE, {"precision": "bf16", "layers": 3})

    assert space == {"layers": Choice([3]), "precision": Choice(["bf16"], cost_grows=False)}


def test_a_misspelt_lever_is_recognised() -> None:
    with pytest.raises(InputError, match="Did you mean 'precision'"):
        levers.pinned(SPACE, {"precison": "bf16"})


def test_a_search_tries_what_makes_a_difference_on_the_device() -> None:
    names = ["precision", "optimizer_impl", "compile", "accumulation"]
    no_tf32 = {**ALL_PRECISIONS, "tf32": "needs compute capability 8.0"}

    cpu = levers.to_search(names, "cpu", no_tf32)
    gpu = levers.to_search(names, "cuda", ALL_PRECISIONS)

    assert cpu["precision"].values() == ["fp32", "bf16", "fp16"]  # type: ignore[union-attr]
    assert gpu["precision"].values() == ["fp32", "tf32", "bf16", "fp16"]  # type: ignore[union-attr]
    assert cpu["optimizer_impl"].values() == ["default", "foreach", "fused"]  # type: ignore[union-attr]
    assert gpu["optimizer_impl"].values() == ["default", "forloop", "fused"]  # type: ignore[union-attr]
    assert cpu["compile"].values() == [False, True]  # type: ignore[union-attr]
    assert cpu["accumulation"].values() == [1, 2, 4, 8, 16]  # type: ignore[union-attr]
    assert not any(dimension.cost_grows for dimension in [*cpu.values(), *gpu.values()])


def test_what_is_searched_are_levers() -> None:
    with pytest.raises(InputError, match=r"Unknown lever 'layers'\. .*Known: precision,"):
        levers.to_search(["layers"], "cpu", {})
