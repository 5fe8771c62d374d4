"""Strategies alone: what is proposed first, and that one waits for other processes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from optimizer.budgets import DEFAULT_BUDGETS, Budget
from optimizer.forecaster import Forecaster
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.proposals import Proposals, Sampler
from optimizer.records import Trial
from optimizer.state import SearchState
from optimizer.stopping import Stopping
from optimizer.strategies import Proposal, Strategy
from optimizer.strategies.capacity_search import CapacitySearch
from optimizer.strategies.throughput_search import ThroughputSearch
from probes.max_batch import Ask
from probes.measurement import Config, Purpose
from probes.space import Choice
from tests.optimizer.memory_store import MemoryStore, grid_device, spec

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
SMALLEST, LARGEST = {"layers": 1, "width": 8}, {"layers": 4, "width": 64}
FAVOURITE = {"layers": 2, "width": 16}


@dataclass
class BusyStore(MemoryStore):
    """Another process is settling these configs."""

    others: list[Config] = field(default_factory=list)

    def busy(self) -> list[Config]:
        return list(self.others)


def throughput(store: MemoryStore, sampler: str = "predictive") -> tuple[SearchState, Strategy]:
    asked = spec(WINDOW)
    state = SearchState(asked, store)
    forecaster = Forecaster(state, Known(), SearchLimits(), learns=sampler == Sampler.PREDICTIVE)
    proposals = Proposals(asked.space, 0, sampler)
    stopping = Stopping(WINDOW.trials)
    return state, ThroughputSearch(
        state, forecaster, proposals, stopping, favourites=[FAVOURITE, {"depth": 3}]
    )


def test_favourites_come_first_then_the_ends_of_the_space() -> None:
    _, search = throughput(MemoryStore())
    asked = []
    for number in range(3):
        proposal = search.ask()
        assert proposal is not None and proposal.fully
        asked.append(proposal.config)
        search.tell(Trial(number, proposal.config, "failed", ""))
    assert asked == [FAVOURITE, SMALLEST, LARGEST]


def test_what_a_killed_process_has_begun_comes_before_all_else() -> None:
    begun = {"layers": 4, "width": 8}
    run = grid_device(begun)(Ask(8, Purpose.BRACKET))
    store = MemoryStore(kept=[replace(run, config=begun)])
    for sampler in Sampler:
        _, search = throughput(store, sampler)
        assert search.ask() == Proposal(begun)


def test_what_another_process_has_begun_is_left_to_it() -> None:
    begun = {"layers": 4, "width": 8}
    run = grid_device(begun)(Ask(8, Purpose.BRACKET))
    store = BusyStore(kept=[replace(run, config=begun)], others=[begun, FAVOURITE])
    state, search = throughput(store)
    state.refresh()
    assert search.ask() == Proposal(SMALLEST)


def test_an_optuna_sampler_begins_where_it_likes() -> None:
    _, search = throughput(MemoryStore(), "grid")
    assert search.ask() == Proposal(SMALLEST), "the first of the grid, not the favourite"


def test_the_search_for_the_largest_waits_for_the_test_that_another_process_runs() -> None:
    space = {"layers": Choice([1, 2, 3, 4])}
    store = BusyStore()
    state = SearchState(spec(DEFAULT_BUDGETS["production"], space), store)
    forecaster = Forecaster(state, Known(), SearchLimits(), learns=True)
    search = CapacitySearch(state, forecaster, Stopping(40))
    proposal = search.ask()
    assert proposal is not None and not proposal.fully
    store.others = [proposal.config]
    state.refresh()
    assert search.ask() is None, "the next test depends on this one"
    store.others = []
    store.add_trial(Trial(0, proposal.config, "infeasible", ""))
    for trial in state.refresh():
        search.tell(trial)
    following = search.ask()
    assert following is not None
    assert following.config["layers"] < proposal.config["layers"]
