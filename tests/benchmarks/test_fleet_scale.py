"""What the benchmark of large fleets rests on, and what it shows, at a small size."""

from __future__ import annotations

import pytest

from app.database import open_database
from benchmarks.fleet_scale import speed_up
from benchmarks.fleet_scale.nodes import OneLoop, RunnerPerHost, World
from benchmarks.fleet_scale.scheduling import submit
from benchmarks.fleet_scale.simulated import SimulatedClock
from benchmarks.fleet_scale.statements import counting


@pytest.fixture
def database(tmp_path):
    opened = open_database(f"sqlite:///{tmp_path}/tonnage.db")
    yield opened
    opened.close()


class TestClock:
    def test_devices_sleep_side_by_side_and_wake_in_the_order_of_their_times(self):
        clock, woke = SimulatedClock(), []

        def device(name: str, naps_s: list[float]):
            def work() -> str:
                for nap_s in naps_s:
                    clock.sleep(nap_s)
                    woke.append(name)
                return name

            return work

        assert clock.run([device("a", [3, 3]), device("b", [2, 2, 2])]) == ["a", "b"]
        assert woke == ["b", "a", "b", "a", "b"]
        assert clock.now_s == 6

    def test_an_error_of_one_is_raised_when_all_have_ended(self):
        clock = SimulatedClock()

        def fails() -> None:
            clock.sleep(1)
            raise ValueError("a device broke")

        with pytest.raises(ValueError, match="a device broke"):
            clock.run([fails, lambda: clock.sleep(5)])
        assert clock.now_s == 5


def test_two_devices_need_little_more_than_half_the_time_and_agree():
    (case,) = [each for each in speed_up.CASES if each.title == "random, window"]
    one, two = (speed_up.run(case, 0, devices) for devices in (1, 2))
    assert two.makespan_s <= 0.65 * one.makespan_s
    assert (two.probes, two.repeated) == (one.probes, 0)
    assert one.outcome.recommendation is not None
    assert two.outcome.recommendation is not None
    assert two.outcome.recommendation.config == one.outcome.recommendation.config


@pytest.mark.parametrize("build", [OneLoop, RunnerPerHost])
def test_simulated_nodes_take_every_study_once(database, build):
    processes = open_database(database.full_url)
    world = World(processes)
    submit(database, 6)
    fleet = build(database, world, 3)
    for _ in range(40):
        fleet.step()
    assert (world.started, world.finished) == (6, 6)
    processes.close()


def test_a_round_in_which_nothing_happens_asks_the_same_of_the_database_at_any_size(database):
    """A heartbeat is among the rounds."""

    def idle(nodes: int) -> int:
        world = World(database)
        fleet = OneLoop(database, world, nodes)
        for _ in range(8):
            fleet.step()
        with counting(database) as asked:
            for _ in range(12):
                fleet.step()
        return asked.statements

    assert idle(8) <= idle(2) + 8
