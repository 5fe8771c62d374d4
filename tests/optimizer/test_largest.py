"""The largest model that fits: the lattice search against brute force."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.largest import LargestModel
from optimizer.spaces import costs_at_least
from probes.measurement import Config
from probes.space import Choice, Space, grid

settings.register_profile("lattice", deadline=None)
settings.load_profile("lattice")


def find(
    space: Space, fits: dict[str, bool], capacity: dict[str, float]
) -> tuple[Config | None, int]:
    configs = grid(space) or []
    search = LargestModel(space, configs, [capacity[repr(c)] for c in configs])
    tests = 0
    while (config := search.ask()) is not None:
        tests += 1
        assert tests <= len(configs)
        search.tell(config, fits[repr(config)])
    return search.result(), tests


@given(st.data())
def test_it_finds_what_brute_force_finds(data: st.DataObject) -> None:
    space: Space = {
        "layers": Choice(sorted(data.draw(st.sets(st.integers(1, 12), min_size=1, max_size=5)))),
        "width": Choice(sorted(data.draw(st.sets(st.integers(1, 64), min_size=1, max_size=4)))),
        "precision": Choice(["fp32", "bf16"][: data.draw(st.integers(1, 2))]),
    }
    configs = grid(space) or []
    weights = {"fp32": data.draw(st.floats(0.5, 2)), "bf16": data.draw(st.floats(0.5, 2))}
    limit = data.draw(st.floats(0, 1200))
    power = data.draw(st.floats(0.5, 2))
    fits = {
        repr(c): c["layers"] * c["width"] ** power * weights[c["precision"]] <= limit
        for c in configs
    }
    capacity = {repr(c): float(c["layers"] * c["width"] ** 2) for c in configs}

    found, _ = find(space, fits, capacity)

    fitting = [capacity[repr(c)] for c in configs if fits[repr(c)]]
    assert (found is None) == (not fitting)
    if found is not None:
        assert fits[repr(found)]
        assert capacity[repr(found)] == max(fitting)


@given(st.integers(1, 200), st.data())
def test_on_one_dimension_it_needs_about_log2_tests(n: int, data: st.DataObject) -> None:
    edge = data.draw(st.integers(0, n))
    space: Space = {"layers": Choice(range(1, n + 1))}
    configs = grid(space) or []

    found, tests = find(
        space,
        {repr(c): c["layers"] <= edge for c in configs},
        {repr(c): float(c["layers"]) for c in configs},
    )

    assert found == ({"layers": edge} if edge else None)
    assert tests <= math.ceil(math.log2(n + 1)) + 1


def test_a_grid_of_six_hundred_needs_few_tests() -> None:
    space: Space = {"layers": Choice(range(1, 13)), "width": Choice(range(8, 401, 8))}
    configs = grid(space) or []
    fits = {repr(c): c["layers"] * c["width"] ** 2 * 16 <= 9e6 for c in configs}
    capacity = {repr(c): float(c["layers"] * c["width"] ** 2) for c in configs}

    found, tests = find(space, fits, capacity)

    assert found is not None
    assert capacity[repr(found)] == max(capacity[k] for k, fit in fits.items() if fit)
    assert tests <= 30


def test_what_a_long_run_refutes_makes_room_for_the_next_largest() -> None:
    space: Space = {"layers": Choice([1, 2, 3, 4])}
    configs = grid(space) or []
    search = LargestModel(space, configs, [1.0, 2.0, 3.0, 4.0])
    while (config := search.ask()) is not None:
        search.tell(config, config["layers"] <= 3)
    assert search.result() == {"layers": 3}

    search.tell({"layers": 3}, fits=False)
    while (config := search.ask()) is not None:
        search.tell(config, config["layers"] <= 2)

    assert search.result() == {"layers": 2}


def test_what_could_not_be_measured_settles_nothing_else() -> None:
    space: Space = {"layers": Choice([1, 2, 3])}
    configs = grid(space) or []
    search = LargestModel(space, configs, [1.0, 2.0, 3.0])
    search.skip({"layers": 3})
    search.tell({"layers": 2}, fits=True)
    assert search.ask() is None
    assert search.result() == {"layers": 2}


@given(st.data())
def test_pruning_never_removes_what_would_have_fitted(data: st.DataObject) -> None:
    """Whatever the cost, as long as it grows with the dimensions that are said to cost more."""
    space: Space = {
        "a": Choice([1, 2, 3]),
        "b": Choice(["small", "large"], cost_grows=True),
        "c": Choice(["x", "y"]),
    }
    configs = grid(space) or []
    steps = data.draw(st.lists(st.floats(0, 5), min_size=5, max_size=5))
    offset = {"x": data.draw(st.floats(0, 5)), "y": data.draw(st.floats(0, 5))}

    def cost(config: Config) -> float:
        place = {"small": 0, "large": 1}[config["b"]]
        return sum(steps[: config["a"]]) + sum(steps[3 : 3 + place]) + offset[config["c"]]

    limit = data.draw(st.floats(0, 20))
    for one in configs:
        for other in configs:
            if cost(other) > limit and costs_at_least(space, one, other):
                assert cost(one) > limit - 1e-9
