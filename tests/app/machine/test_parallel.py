"""The levers of parallel training: only where several devices train, and in every config there."""

from __future__ import annotations

import pytest

from app.machine import parallel
from probes.errors import InputError
from probes.group import Group
from probes.levers import to_search
from probes.space import Choice

FOUR = Group(("cuda:0", "cuda:1", "cuda:2", "cuda:3"))
LAYERS = {"layers": Choice([1, 2])}


def test_without_several_devices_they_are_refused_with_the_option_that_is_missing() -> None:
    for names in ({"parallel": "fsdp"}, ["fsdp_reshard"]):
        with pytest.raises(InputError, match="add --devices 2"):
            parallel.check(names, None)
    parallel.check({"layers": 2}, None)


@pytest.mark.parametrize(
    ("pinned", "words"),
    [
        ({"tensor_parallel": 3}, "use 1, 2, 4"),
        ({"tensor_parallel": 2, "parallel": "ddp"}, "needs parallel=tp"),
    ],
)
def test_tensor_parallelism_that_the_group_cannot_have_is_refused(pinned, words) -> None:
    with pytest.raises(InputError, match=words):
        parallel.check(pinned, FOUR)
    parallel.check({"tensor_parallel": 2}, FOUR)


def test_a_config_of_a_group_says_how_it_trains() -> None:
    def ways(space, is_command=False):
        found = parallel.with_parallel(space, FOUR, is_command)
        return found["parallel"].values() if "parallel" in found else None

    assert ways(LAYERS) == ["ddp"]
    assert ways({"tensor_parallel": Choice([2])}) == ["tp"]
    assert ways({"parallel": Choice(["fsdp"])}) == ["fsdp"]
    assert ways(LAYERS, is_command=True) is None
    assert parallel.with_parallel(LAYERS, None, False) == LAYERS


def test_a_search_tries_what_works_without_the_workload() -> None:
    def values(*names):
        found = parallel.searched(to_search(names, "cuda", {}), FOUR)
        return {name: each.values() for name, each in found.items()}

    assert values("parallel") == {"parallel": ["ddp", "fsdp"]}
    assert values("parallel", "ddp_bucket_view")["ddp_bucket_view"] == [False, True]
    assert values("tensor_parallel") == {"tensor_parallel": [1, 2, 4]}


def test_a_workloads_own_space_is_cut_to_what_the_group_can_do() -> None:
    space = {**LAYERS, "tensor_parallel": Choice([1, 2, 3])}
    assert parallel.for_group(space, FOUR)["tensor_parallel"].values() == [1, 2]
    assert parallel.for_group(space, None) == LAYERS
