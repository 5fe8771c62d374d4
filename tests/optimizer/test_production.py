"""The production budget: the largest model that hardware and data allow, then its maximum batch."""

from __future__ import annotations

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import replace

import pytest

from optimizer.budgets import DEFAULT_BUDGETS
from optimizer.known import Known
from optimizer.records import StudySpec
from optimizer.study import Study
from probes.measurement import Config, Purpose, Verdict
from probes.model_size import ModelSize
from probes.space import Choice, Space
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, spec
from tests.probes.scripted import MIB, ScriptedDevice

PRODUCTION = DEFAULT_BUDGETS["production"]
SPACE: Space = {"layers": Choice([1, 2, 3, 4, 6, 8]), "width": Choice([8, 16, 32, 64])}


def parameters(config: Config) -> int:
    count: int = config["layers"] * config["width"] ** 2
    return count


def sizes(configs: Sequence[Config]) -> list[ModelSize]:
    return [ModelSize(parameters(c), float(parameters(c))) for c in configs]


def device(config: Config) -> ScriptedDevice:
    size = config["layers"] * config["width"]
    saved = 0.7 if config.get("precision") == "bf16" else 1.0
    return ScriptedDevice(
        memory=lambda b: (4 * size + 0.3 * size * b * saved) * MIB,
        static_bytes=4 * size * MIB,
        step_s=lambda b: 0.01 + 1e-4 * size * b * saved,
    )


def production(space: Space = SPACE, max_parameters: int | None = None) -> StudySpec:
    return replace(spec(PRODUCTION, space), max_parameters=max_parameters)


def fits(config: Config) -> bool:
    one = device(config)
    return one.memory(1) <= one.cap_bytes


def test_it_is_the_largest_that_fits_with_its_confirmed_maximum_batch() -> None:
    store, fleet = MemoryStore(), ScriptedFleet(device)
    found = Study(production(), "st_1", store, fleet, known=Known(sizes_of=sizes)).run()

    recommendation = found.recommendation
    assert recommendation is not None
    everything = [{"layers": n, "width": w} for n in (1, 2, 3, 4, 6, 8) for w in (8, 16, 32, 64)]
    best = max((c for c in everything if fits(c)), key=parameters)
    assert recommendation.config == best
    assert recommendation.evidence["highest_passing"]["purpose"] == "confirm"
    assert recommendation.binding == "memory"
    tested = {config for config, _, _ in fleet.calls}
    assert len(tested) <= 8, "about log steps, not a scan of 24"
    confirmed = {c for c, _, purpose in fleet.calls if purpose == str(Purpose.CONFIRM)}
    assert confirmed == {repr(best)}, "only the winner is measured to its end"


def test_larger_models_that_do_not_fit_are_named_with_their_witness() -> None:
    found = Study(
        production(), "st_1", MemoryStore(), ScriptedFleet(device), known=Known(sizes_of=sizes)
    ).run()
    assert found.recommendation is not None
    ruled_out = {repr(o["config"]): o for o in found.recommendation.ruled_out}
    largest = ruled_out[repr({"layers": 8, "width": 64})]
    assert largest["state"] in ("infeasible", "pruned") and largest["reason"]


def test_the_data_set_caps_the_model() -> None:
    store, fleet = MemoryStore(), ScriptedFleet(device)
    found = Study(
        production(max_parameters=1500), "st_1", store, fleet, known=Known(sizes_of=sizes)
    ).run()
    recommendation = found.recommendation
    assert recommendation is not None
    assert parameters(recommendation.config) == 1024
    assert any("more than 1,500 parameters" in line for line in recommendation.explanation)
    assert all(parameters(literal_eval(config)) <= 1500 for config, _, _ in fleet.calls)


def test_a_cap_below_every_model_says_so() -> None:
    found = Study(
        production(max_parameters=10), "st_1", MemoryStore(), ScriptedFleet(device),
        known=Known(sizes_of=sizes),
    ).run()  # fmt: skip
    assert found.recommendation is None
    assert "24 of 24 configs have more than 10 parameters" in found.reasons[0]


def test_a_model_that_only_seemed_to_fit_makes_room_for_the_next() -> None:
    """A few steps pass; a leak shows in the long run."""

    def leaky(config: Config) -> ScriptedDevice:
        leaks = config["layers"] == 3
        made = ScriptedDevice()
        made.faults = lambda b, p: Verdict.LEAK if leaks and p is Purpose.CONFIRM else None
        made.memory = lambda b: (100 * config["layers"] + b) * MIB
        return made

    space: Space = {"layers": Choice([1, 2, 3, 12])}
    store = MemoryStore()
    found = Study(
        production(space),
        "st_1",
        store,
        ScriptedFleet(leaky),
        known=Known(sizes_of=lambda cs: [ModelSize(c["layers"], c["layers"]) for c in cs]),
    ).run()
    assert found.recommendation is not None
    assert found.recommendation.config == {"layers": 2}
    states = {t.config["layers"]: t.state for t in store.settled}
    assert states[3] == "infeasible"


def test_of_equal_models_the_faster_way_to_train_wins() -> None:
    space: Space = {**SPACE, "precision": Choice(["fp32", "bf16"])}
    found = Study(
        production(space), "st_1", MemoryStore(), ScriptedFleet(device), known=Known(sizes_of=sizes)
    ).run()
    assert found.recommendation is not None
    assert found.recommendation.config["precision"] == "bf16"


def test_a_workload_may_say_what_makes_a_model_better() -> None:
    def own(configs: Sequence[Config]) -> list[ModelSize]:
        return [ModelSize(parameters(c), float(c["layers"])) for c in configs]

    found = Study(
        production(), "st_1", MemoryStore(), ScriptedFleet(device), known=Known(sizes_of=own)
    ).run()
    assert found.recommendation is not None
    assert found.recommendation.config["layers"] == 8


def test_a_model_that_cannot_be_built_is_left_out_and_named() -> None:
    def broken(configs: Sequence[Config]) -> list[ModelSize]:
        return [
            ModelSize(None, None, "ValueError: width must divide by 3") if c["width"] == 64 else s
            for c, s in zip(configs, sizes(configs))
        ]

    found = Study(
        production(), "st_1", MemoryStore(), ScriptedFleet(device), known=Known(sizes_of=broken)
    ).run()
    assert found.recommendation is not None
    assert found.recommendation.config["width"] != 64
    assert any("width must divide by 3" in line for line in found.recommendation.explanation)


@pytest.mark.parametrize("die_after", range(1, 7))
def test_killed_and_run_again_it_repeats_nothing(die_after: int) -> None:
    whole = ScriptedFleet(device)
    expected = (
        Study(production(), "st_1", MemoryStore(), whole, known=Known(sizes_of=sizes))
        .run()
        .recommendation
    )
    store = MemoryStore()
    first, second = ScriptedFleet(device, die_after=die_after), ScriptedFleet(device)
    known = Known(sizes_of=sizes)
    with pytest.raises(KeyboardInterrupt):
        Study(production(), "st_1", store, first, known=known).run()
    resumed = Study(production(), "st_1", store, second, known=known).run()

    assert not set(first.calls) & set(second.calls)
    assert sorted(first.calls + second.calls) == sorted(whole.calls)
    assert expected is not None and resumed.recommendation is not None
    assert resumed.recommendation.config == expected.config
    assert resumed.recommendation.batch_size == expected.batch_size


def test_without_sizes_the_dimensions_that_cost_more_say_which_model_is_larger() -> None:
    found = Study(production(), "st_1", MemoryStore(), ScriptedFleet(device)).run()
    assert found.recommendation is not None
    assert fits(found.recommendation.config)
