"""A study on a disturbed machine: what is never recommended, and what is measured again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from optimizer.budgets import Budget
from optimizer.disturbed import in_doubt, standing
from optimizer.limits import SearchLimits
from optimizer.outcome import Outcome
from optimizer.records import Trial
from optimizer.study import Study
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose, Verdict
from probes.space import Choice, Space
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, spec
from tests.probes.scripted import MIB, ScriptedDevice

NO_WINDOW = Budget("smoke_test", None, 0.0, trials=20, throughput_loss=0.0)
WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
SPACE: Space = {"layers": Choice([1, 2, 4])}
LOAD = "other processes used 1.2 of 2 cores"
TAKEN = "process 7 allocated another 2.00 GiB on the device"


def device(config: Config) -> ScriptedDevice:
    """More layers need more memory and are slower."""
    return ScriptedDevice(
        memory=lambda b: (50 + 10 * b) * config["layers"] * MIB,
        step_s=lambda b: 0.01 + 0.001 * b * config["layers"],
    )


@dataclass
class Machine:
    """A fleet on which some runs are disturbed, and slower or out of memory for it."""

    disturbs: Callable[[Config, Ask], bool]
    taint: str = LOAD
    slowdown: float = 1.5
    device: Callable[[Config], ScriptedDevice] = device
    die_after: int | None = None

    def __post_init__(self) -> None:
        self.fleet = ScriptedFleet(self.device, die_after=self.die_after)

    @property
    def calls(self) -> list[tuple[str, int, str]]:
        return self.fleet.calls

    def __call__(self, config: Config, ask: Ask) -> Measurement:
        run = self.fleet(config, ask)
        if not self.disturbs(config, ask):
            return run
        state = {"memory_taints": [self.taint] if self.taint == TAKEN else []}
        run = replace(run, tainted=[self.taint], state=state)
        if self.taint == TAKEN:
            return replace(run, verdict=Verdict.OOM, step_time=None)
        if run.step_time is None:
            return run
        slow_s = run.step_time.mean_s * self.slowdown
        return replace(run, step_time=replace(run.step_time, mean_s=slow_s))


def confirms(config: Config, ask: Ask) -> bool:
    return ask.purpose is Purpose.CONFIRM


def always(config: Config, ask: Ask) -> bool:
    return True


def never(config: Config, ask: Ask) -> bool:
    return False


@dataclass
class Command:
    """The same command, run again and again on one store."""

    budget: Budget = NO_WINDOW

    def __post_init__(self) -> None:
        self.store = MemoryStore()

    def __call__(self, machine: Machine, **options: Any) -> Outcome:
        question = spec(self.budget, SPACE)
        return Study(question, "st_1", self.store, machine, **options).run()


def test_a_disturbed_candidate_is_left_out_while_there_is_a_clean_one() -> None:
    machine = Machine(lambda config, ask: confirms(config, ask) and config["layers"] == 1)

    recommendation = Command()(machine).recommendation

    assert recommendation is not None
    assert recommendation.config == {"layers": 2}, "layers=1 is faster, but was disturbed"
    assert recommendation.disturbed_by == []
    assert {"layers": 1} not in [a["config"] for a in recommendation.alternatives]
    left_out = {"config": {"layers": 1}, "state": "disturbed", "reason": LOAD}
    assert left_out in recommendation.ruled_out
    assert any("Left out" in line and "layers=1" in line for line in recommendation.explanation)


def test_with_nothing_clean_there_is_no_recommendation_but_a_way_to_go_on() -> None:
    outcome = Command()(Machine(confirms))

    assert outcome.recommendation is None
    assert not outcome.measured, "it is no answer about the configs: status 3"
    text = "\n".join(outcome.reasons)
    assert re.search(rf"layers=1, batch \d+: {LOAD}\.", text)
    assert "only disturbed runs are repeated" in text
    assert "--accept-disturbed" in text


def test_the_same_command_on_a_quiet_machine_repeats_only_disturbed_confirmations() -> None:
    command, busy, quiet = Command(), Machine(always), Machine(never)
    assert command(busy).recommendation is None

    recommendation = command(quiet).recommendation

    assert recommendation is not None
    assert quiet.calls and len(set(quiet.calls)) == len(quiet.calls)
    assert set(quiet.calls) <= {c for c in busy.calls if c[2] == "confirm"}
    undisturbed = Command()(Machine(never)).recommendation
    assert undisturbed is not None
    for name in ("config", "batch_size", "cycle_time_s", "throughput_samples_per_s"):
        assert getattr(recommendation, name) == getattr(undisturbed, name), name
    assert recommendation.study["probes"] == len(busy.calls) + len(quiet.calls)


def test_a_disturbed_confirmation_does_not_come_back_as_a_bracket() -> None:
    """A confirmed batch needs no second confirmation, so the search would end with it."""
    command, limits = Command(), SearchLimits(batch_cap=8)
    command(Machine(always), limits=limits)
    command.store.kept = [m for m in command.store.kept if m.purpose is Purpose.CONFIRM]

    recommendation = command(Machine(never), limits=limits).recommendation

    assert recommendation is not None and recommendation.disturbed_by == []


def test_a_machine_that_stays_busy_is_asked_once_per_command() -> None:
    command, first, second = Command(), Machine(confirms), Machine(confirms)
    command(first)

    assert command(second).recommendation is None
    assert second.calls and len(set(second.calls)) == len(second.calls)
    assert set(second.calls) <= {c for c in first.calls if c[2] == "confirm"}


def test_killed_while_measuring_again_it_goes_on() -> None:
    command, busy = Command(), Machine(confirms)
    command(busy)
    with pytest.raises(KeyboardInterrupt):
        command(Machine(never, die_after=0))
    quiet = Machine(never)

    recommendation = command(quiet).recommendation

    assert recommendation is not None and recommendation.disturbed_by == []
    assert quiet.calls and set(quiet.calls) <= {c for c in busy.calls if c[2] == "confirm"}


def test_accepted_it_is_recommended_and_marked() -> None:
    recommendation = Command()(Machine(confirms), accept_disturbed=True).recommendation

    assert recommendation is not None
    assert recommendation.config == {"layers": 1}
    assert recommendation.disturbed_by == [LOAD]
    assert any("disturbed" in line and LOAD in line for line in recommendation.explanation)
    assert any("Also disturbed." in other["trade"] for other in recommendation.alternatives)


def test_accepting_afterwards_measures_nothing() -> None:
    command, nothing = Command(), Machine(never)
    command(Machine(confirms))

    recommendation = command(nothing, accept_disturbed=True).recommendation

    assert recommendation is not None and recommendation.disturbed_by == [LOAD]
    assert nothing.calls == []


def test_disturbed_brackets_only_guide_the_search() -> None:
    machine = Machine(lambda config, ask: not confirms(config, ask))

    recommendation = Command()(machine).recommendation

    assert recommendation is not None and recommendation.disturbed_by == []
    assert recommendation.config == {"layers": 1}


# --- failures that may be somebody else's


def test_too_slow_on_a_disturbed_machine_is_no_verdict() -> None:
    """The window allows 60/450 s per step; disturbed, even batch 1 is slower."""
    command = Command(WINDOW)

    outcome = command(Machine(always, slowdown=50.0))

    assert outcome.recommendation is None and not outcome.measured
    assert {t.state for t in command.store.settled} == {"infeasible"}, "none may prune another"
    assert len(command.store.settled) == len(SPACE["layers"].values())  # type: ignore[union-attr]
    assert LOAD in "\n".join(outcome.reasons)

    recommendation = command(Machine(never)).recommendation

    assert recommendation is not None and recommendation.disturbed_by == []
    assert {t.state for t in command.store.settled} == {"feasible", "screened"}


def test_accepted_too_slow_is_too_slow() -> None:
    outcome = Command(WINDOW)(Machine(always, slowdown=50.0), accept_disturbed=True)

    assert outcome.recommendation is None and outcome.measured
    assert "Even batch 1 of layers=1" in outcome.reasons[0]


def test_out_of_memory_that_somebody_else_took_is_no_verdict() -> None:
    command = Command()

    outcome = command(Machine(always, taint=TAKEN))

    assert outcome.recommendation is None and not outcome.measured
    assert TAKEN in "\n".join(outcome.reasons)
    assert command(Machine(never)).recommendation is not None


def test_out_of_memory_under_load_is_out_of_memory() -> None:
    def huge(config: Config) -> ScriptedDevice:
        return ScriptedDevice(memory=lambda b: 5000 * MIB)

    command, again = Command(), Machine(never, device=huge)

    outcome = command(Machine(always, device=huge))

    assert outcome.recommendation is None and outcome.measured
    assert command(again).measured
    assert again.calls == []


# --- which run counts


def run(batch_size: int = 8, step_s: float = 0.1, tainted: bool = False) -> Measurement:
    made = ScriptedDevice(step_s=lambda b: step_s)(Ask(batch_size, Purpose.CONFIRM))
    return replace(made, tainted=[LOAD] if tainted else [])


def test_of_runs_of_one_probe_the_last_clean_one_stands_else_the_fastest() -> None:
    old, new = run(step_s=0.1), run(step_s=0.2)
    slow, fast = run(step_s=0.4, tainted=True), run(step_s=0.3, tainted=True)
    other = run(16, tainted=True)

    assert standing([old, slow, new, fast]) == [new]
    assert standing([slow, fast, other, slow]) == [fast, other]


def test_a_trial_that_could_not_be_measured_is_not_in_doubt() -> None:
    failed = Trial(0, {}, "failed", "crash")

    assert in_doubt(failed, [run(tainted=True)], None) == []
