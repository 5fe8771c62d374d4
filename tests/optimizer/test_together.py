"""Two processes on one study: here two threads, each with its own view of one store."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from optimizer import study as studies
from optimizer.budgets import DEFAULT_BUDGETS, Budget
from optimizer.outcome import Outcome
from optimizer.records import Key, Trial, config_key
from optimizer.study import Study
from probes.measurement import Config
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, grid_device, spec

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)


@dataclass
class Shared:
    """What both see: the store, and who has claimed what."""

    store: MemoryStore = field(default_factory=MemoryStore)
    claims: dict[Key, str] = field(default_factory=dict)
    configs: dict[Key, Config] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


class View(MemoryStore):
    """One process's store."""

    def __init__(self, shared: Shared, owner: str) -> None:
        super().__init__()
        self.shared, self.owner = shared, owner
        self.kept, self.settled = shared.store.kept, shared.store.settled

    def claim(self, config: Config) -> int | None:
        with self.shared.lock:
            key = config_key(config)
            holder = self.shared.claims.get(key, self.owner)
            if holder != self.owner and holder not in self.shared.dead:
                return None
            self.shared.claims[key], self.shared.configs[key] = self.owner, config
            return self.shared.store.claim(config)

    def busy(self) -> list[Config]:
        with self.shared.lock:
            return [
                self.shared.configs[key]
                for key, holder in self.shared.claims.items()
                if holder != self.owner and holder not in self.shared.dead
            ]

    def add_trial(self, trial: Trial) -> None:
        with self.shared.lock:
            self.settled[:] = [t for t in self.settled if t.config != trial.config] + [trial]
            self.shared.claims.pop(config_key(trial.config), None)


@pytest.mark.parametrize("budget", [WINDOW, DEFAULT_BUDGETS["production"]], ids=lambda b: b.name)
def test_two_at_once_repeat_nothing_lose_nothing_and_agree(
    budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "POLL_S", 0.001)
    shared = Shared()
    fleets = {name: ScriptedFleet(grid_device) for name in ("a", "b")}
    together = threading.Barrier(2, timeout=30)

    def run(name: str) -> Outcome:
        study = Study(spec(budget), "st_1", View(shared, name), fleets[name])
        together.wait()
        return study.run()

    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(run, fleets, timeout=120))

    alone = Study(spec(budget), "st_1", MemoryStore(), ScriptedFleet(grid_device)).run()
    calls = Counter(call for fleet in fleets.values() for call in fleet.calls)
    assert max(calls.values()) == 1, "a probe was repeated"
    assert len(shared.store.kept) == sum(calls.values()), "a measurement was lost"
    assert len({t.number for t in shared.store.settled}) == len(shared.store.settled)
    assert alone.recommendation is not None
    assert len(outcomes) == 2
    for outcome in outcomes:
        assert outcome.recommendation is not None
        assert outcome.recommendation.config == alone.recommendation.config


def test_what_a_dead_process_was_at_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "POLL_S", 0.001)
    shared = Shared()
    first = ScriptedFleet(grid_device, die_after=4)
    with pytest.raises(KeyboardInterrupt):
        Study(spec(WINDOW), "st_1", View(shared, "a"), first).run()
    assert shared.claims, "it died holding a claim"
    second = ScriptedFleet(grid_device)

    shared.dead.add("a")
    outcome = Study(spec(WINDOW), "st_1", View(shared, "b"), second).run()

    alone = Study(spec(WINDOW), "st_1", MemoryStore(), ScriptedFleet(grid_device)).run()
    assert outcome.recommendation is not None and alone.recommendation is not None
    assert outcome.recommendation.config == alone.recommendation.config
    assert not set(first.calls) & set(second.calls)
