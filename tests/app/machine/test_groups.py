"""A group as one device of this machine: what it is called, how much memory a rank has."""

from __future__ import annotations

import pytest

from app.machine.groups import (
    asked_group,
    fingerprint_of_group,
    group_facts,
    one_of,
    with_budgets,
)
from probes.devices.base import DeviceFacts
from probes.errors import InputError
from probes.formatting import GIB
from probes.group import Group

OFFERED = ["cuda:0", "cuda:1", "cuda:2", "cpu"]


def card(number: int, gib: int = 80, name: str = "NVIDIA H100") -> DeviceFacts:
    return DeviceFacts(
        f"cuda:{number}", "cuda", name, gib * GIB, gib * GIB // 2, precisions={"bf16": ""}
    )


CPU = DeviceFacts("cpu", "cpu", "Xeon", 16 * GIB, 8 * GIB, environment={"threads": 4})
PAIR, RANKS = Group(("cuda:0", "cuda:1")), Group(("cpu", "cpu"))


@pytest.mark.parametrize(
    ("device", "devices", "label"),
    [
        (None, None, None),
        ("cuda:1", None, None),
        ("cuda:0-1", None, "cuda:0-1"),
        (None, "2", "cuda:0-1"),
        (None, 2, "cuda:0-1"),
        (None, "all", "cuda:0-2"),
        (None, "cuda:0,cuda:2", "cuda:0,2"),
        ("cpu", "2", "cpu:0-1"),
        ("cpu:0-1", None, "cpu:0-1"),
    ],
)
def test_a_label_means_the_same_as_the_devices(device, devices, label) -> None:
    found = asked_group(OFFERED, device, devices)
    assert (found.label if found else None) == label


def test_several_devices_named_twice_are_refused() -> None:
    with pytest.raises(InputError, match="leave out either"):
        asked_group(OFFERED, "cuda:0-1", "2")


def test_a_group_of_cards_has_the_memory_of_the_smallest() -> None:
    facts = group_facts(PAIR, [card(0), card(1, 40, "NVIDIA A100")])

    assert (facts.device, facts.kind) == ("cuda:0-1", "cuda")
    assert facts.name == "NVIDIA H100 + NVIDIA A100"
    assert (facts.total_bytes, facts.free_bytes) == (40 * GIB, 20 * GIB)
    assert group_facts(PAIR, [card(0), card(1)]).name == "2 × NVIDIA H100"


def test_the_ranks_of_a_cpu_share_its_memory_and_its_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("probes.devices.host.usable_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    facts = group_facts(RANKS, [CPU, CPU])

    assert (facts.device, facts.name) == ("cpu:0-1", "2 ranks on Xeon")
    assert (facts.total_bytes, facts.free_bytes) == (8 * GIB, 4 * GIB)
    assert facts.environment["threads"] == 2
    assert one_of(RANKS).threads == 2
    assert with_budgets(RANKS, [CPU, CPU], []) == (RANKS, 8 * GIB)


def test_a_budget_is_for_every_rank_or_one_for_each() -> None:
    members = [card(0), card(1)]
    assert with_budgets(PAIR, members, []) == (PAIR, None)
    assert with_budgets(PAIR, members, [GIB]) == (PAIR, GIB)
    mixed, least = with_budgets(PAIR, members, [2 * GIB, GIB])
    assert (mixed.limits, least) == ((2 * GIB, GIB), GIB)


@pytest.mark.parametrize(
    ("group", "budgets", "words"),
    [
        (PAIR, [GIB] * 3, "3 sizes for 2 ranks"),
        (PAIR, [GIB, 90 * GIB], "more than cuda:1 has"),
        (RANKS, [10 * GIB], "would take 20.00 GiB together"),
    ],
)
def test_a_budget_that_is_not_there_is_refused(group, budgets, words) -> None:
    members = [CPU, CPU] if group is RANKS else [card(0), card(1)]
    with pytest.raises(InputError, match=words):
        with_budgets(group, members, budgets)


def test_a_group_has_a_class_of_its_own() -> None:
    two = fingerprint_of_group(RANKS, [CPU, CPU])
    three = fingerprint_of_group(Group(("cpu",) * 3), [CPU] * 3)

    assert two.class_key != three.class_key
    assert two.device_class["total_bytes"] == 8 * GIB
    assert (two.identity["library"], two.identity["link"]) == ("gloo", "host_memory")
