"""Which workloads a claim is measured on."""

from __future__ import annotations

import pytest

from optimizer.ablation import Quantity
from optimizer.ablation.defaults import (
    CPU_BUDGET_BYTES,
    default_budget_bytes,
    default_workloads,
)
from probes.levers import LEVERS
from probes.workloads import BUILT_IN
from tests.optimizer.ablation.scripted import question

SETTINGS = ("lora_rank", "dora", "rslora", "target_modules", "strategy", "optimizer", "packing")


@pytest.mark.parametrize("lever", [*LEVERS, *SETTINGS, "merge", "chunked_loss", "batch_size"])
def test_each_lever_has_two_built_in_workloads(lever: str) -> None:
    asked = question(low=0.0, before={lever: 0}, after={lever: 1}, workload="", batch_size=None)

    found = default_workloads(asked, "cpu")

    assert len({one.name for one in found}) == len(found) >= 2
    assert {one.spec for one in found} <= set(BUILT_IN)
    assert all(one.ask(asked).batch_size for one in found)


@pytest.mark.parametrize("name", ["transformer", "causal-lm"])
def test_the_workload_that_a_page_names_comes_first(name: str) -> None:
    assert default_workloads(question(low=0.0, workload=name), "cpu")[0].spec == name


def test_a_workload_of_the_user_is_the_only_one() -> None:
    (only,) = default_workloads(question(low=0.0, workload="mine"), "cpu")

    assert only.spec == "mine"
    assert only.ask(question(low=0.0, workload="mine")).config == {}


def test_a_lever_is_called_as_the_workload_calls_it() -> None:
    asked = question(
        low=0.0,
        workload="",
        before={"target_modules": "q_proj"},
        after={"target_modules": "all-linear"},
        config={"lora_rank": 16},
    )
    causal, tuned = (one.ask(asked) for one in default_workloads(asked, "cpu"))

    assert causal.config["lora_rank"] == 16
    assert tuned.config["lora_r"] == 16


def test_the_config_of_the_page_wins_over_that_of_the_workload() -> None:
    asked = question(low=0.0, workload="transformer", config={"layers": 2})

    assert default_workloads(asked, "cpu")[0].ask(asked).config["layers"] == 2


def test_an_accelerator_gets_larger_models() -> None:
    asked = question(Quantity.PEAK_MEMORY, low=0.0, workload="transformer")
    sizes = [default_workloads(asked, kind)[0].config["width"] for kind in ("cpu", "cuda")]

    assert sizes[0] < sizes[1]


def test_maxima_are_searched_within_a_small_budget() -> None:
    assert default_budget_bytes("cpu", 64 << 30) == CPU_BUDGET_BYTES
    assert default_budget_bytes("cpu", 128 << 20) == 64 << 20
