"""What knowledge from elsewhere saves."""

from __future__ import annotations

from optimizer.budgets import Budget
from optimizer.known import Known
from optimizer.replay import probes_without_prior
from optimizer.study import Study
from probes.max_batch import Bounds, MaxBatchSearch, run_search
from probes.measurement import Config
from probes.prior import Prior
from probes.space import Choice
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, spec
from tests.probes.scripted import MIB, ScriptedDevice

DEVICE_CAP = 1000 * MIB


def device(config: Config) -> ScriptedDevice:
    return ScriptedDevice(memory=lambda b: (100 + 0.5 * b) * MIB)


def measured_elsewhere(config: Config) -> Prior:
    """The same workload on a larger device, where other things took 40 MiB more."""
    return Prior([(b, int((140 + 0.5 * b) * MIB)) for b in (100, 2000, 4000)], DEVICE_CAP)


def test_the_replay_counts_what_a_search_that_knows_nothing_needs() -> None:
    bounds = Bounds(cap=4096)
    ignorant, knowing = MaxBatchSearch(bounds), MaxBatchSearch(bounds, 8, measured_elsewhere({}))
    without = len(run_search(ignorant, device({})).measurements)
    with_ = len(run_search(knowing, device({})).measurements)
    assert with_ < without
    assert abs(probes_without_prior(knowing) - without) <= 1


def test_a_study_verifies_what_is_known_and_reports_what_it_saved() -> None:
    asked = spec(Budget("smoke_test", None, 0.0, trials=1), {"layers": Choice([2])})
    plain = Study(asked, "st_1", MemoryStore(), ScriptedFleet(device)).run().recommendation
    known = Known(elsewhere=measured_elsewhere)
    fleet = ScriptedFleet(device)
    warm = Study(asked, "st_1", MemoryStore(), fleet, known=known).run().recommendation

    assert plain is not None and warm is not None
    assert warm.study["probes"] < plain.study["probes"]
    assert warm.study["probes_saved"] >= 1 and plain.study["probes_saved"] == 0
    assert warm.evidence["highest_passing"]["purpose"] == "confirm"
    assert warm.batch_size >= 0.97 * plain.batch_size


def test_a_favourite_from_elsewhere_is_measured_first_if_the_space_has_it() -> None:
    space = {"layers": Choice([1, 2, 4]), "width": Choice([8, 16])}
    asked = spec(Budget("smoke_test", None, 0.0, trials=6), space)
    fleet = ScriptedFleet(device)
    favourites = [{"layers": 3, "width": 8}, {"layers": 2, "width": 16}, {"depth": 1}]
    Study(asked, "st_1", MemoryStore(), fleet, known=Known(favourites=favourites)).run()
    assert fleet.calls[0][0] == repr({"layers": 2, "width": 16})
