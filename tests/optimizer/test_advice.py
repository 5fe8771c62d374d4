"""What a recommendation says about lifting the constraint that binds it."""

from __future__ import annotations

from dataclasses import replace

from optimizer.advice import advice
from optimizer.budgets import Budget
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose
from probes.prior import Prior
from probes.space import Choice
from tests.probes.scripted import MIB, ScriptedDevice

BUDGET = Budget("prototyping", 1200.0, 1200.0, trials=4)
RUN = replace(ScriptedDevice()(Ask(64, Purpose.CONFIRM)), config={"layers": 2})


def prior(config: Config, ceiling: int) -> Prior:
    """Checkpointing halves what a sample needs, bf16 saves next to nothing."""
    share = 0.5 if config.get("gradient_checkpointing") else 1.0
    share *= 0.97 if config.get("precision") == "bf16" else 1.0
    return Prior([(1, int(10 * MIB)), (100, int((10 + 200 * share) * MIB))], 1000 * MIB)


def run_advice(binding: str, run: Measurement = RUN) -> list[str]:
    return advice(binding, run, BUDGET, {"layers": Choice([1, 2])}, prior)


def test_a_lever_that_saves_memory_is_named_with_its_estimate() -> None:
    [line] = run_advice("memory")
    assert "--set gradient_checkpointing=true" in line
    assert "73.6 MiB" in line and "137 MiB" in line
    assert "estimate" in line


def test_what_is_known_of_a_lever_stands_behind_its_estimate() -> None:
    said = {("gradient_checkpointing", True): "Heuristic:X was refuted here."}
    [line] = advice(
        "memory",
        RUN,
        BUDGET,
        {"layers": Choice([1, 2])},
        prior,
        lambda lever, value: said.get((lever, value), ""),
    )
    assert "--set gradient_checkpointing=true" in line
    assert line.endswith("Heuristic:X was refuted here.")


def test_a_lever_that_is_set_already_is_not_advised() -> None:
    assert run_advice("memory", replace(RUN, config={"gradient_checkpointing": True})) == []


def test_without_an_estimate_nothing_is_claimed() -> None:
    assert advice("memory", RUN, BUDGET, {}, lambda config, ceiling: Prior()) == []
    assert advice("memory", RUN, BUDGET, {}, None) == []


def test_time_and_cap_name_what_can_be_changed() -> None:
    assert "cycle_batches" in run_advice("time")[0] and "40 min" in run_advice("time")[0]
    assert "probe.max_batch" in run_advice("cap")[0]
    assert run_advice("data") == []
