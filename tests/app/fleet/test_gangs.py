"""Which nodes of a fleet a gang gets, and when it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.fleet.gangs import AskedGang, asked_gang, choose_nodes
from app.fleet.nodes import SeenNode
from probes.errors import InputError


def node(name: str, gpus: int, class_key: str = "h200", kind: str = "cuda") -> SeenNode:
    labels = {"tonnage/name": name, "tonnage/device": kind, "tonnage/class": class_key}
    return SeenNode(name, name, "10.0.0.1", labels, gpus)


FLEET = [node("a", 2), node("b", 4), node("c", 4), node("d", 8, "old"), node("e", 0, "x", "cpu")]


def names(ranks: int, nodes: int | None = None, kind: str | None = None, own: str = "a") -> str:
    return "".join(each.id for each in choose_nodes(FLEET, own, AskedGang(ranks, nodes, kind)))


def test_one_node_is_taken_if_one_has_all_devices() -> None:
    assert names(2) == "a"  # this one first
    assert names(4) == "b"


def test_otherwise_as_few_as_have_them() -> None:
    assert names(8) == "bc"
    assert names(6) == "bc"


def test_the_number_of_nodes_can_be_asked_for() -> None:
    assert names(2, nodes=2) == "ab"
    assert names(6, nodes=3) == "abc"


def test_all_nodes_are_of_one_class() -> None:
    assert names(4, own="d") == "d"
    with pytest.raises(InputError, match=r"a \(2\), b \(4\), c \(4\)"):
        names(16)


def test_a_cpu_takes_any_number_of_ranks() -> None:
    cpus = [replace(each, labels={**each.labels, "tonnage/device": "cpu"}) for each in FLEET[:3]]
    assert [each.id for each in choose_nodes(cpus, "c", AskedGang(6, 3, None))] == ["c", "a", "b"]
    assert [each.id for each in choose_nodes(cpus, "c", AskedGang(6, None, None))] == ["c"]


def test_more_nodes_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="3 nodes have cuda devices of one class: a, b, c"):
        names(8, nodes=4)


def test_a_kind_that_no_node_has_is_refused() -> None:
    with pytest.raises(InputError, match="tonnage/device=xpu"):
        names(2, kind="xpu")


def test_the_options_are_read() -> None:
    assert asked_gang("4", "2", "cpu") == AskedGang(4, 2, "cpu")
    assert asked_gang("4", "auto", None) == AskedGang(4, None, None)


WRONG = [
    (None, "2", None, "--devices"),
    ("cuda:0,cuda:1", "2", None, "--devices"),
    ("1", "auto", None, "2 to"),
    ("4", "3", None, "evenly"),
    ("4", "0", None, "evenly"),
    ("4", "two", None, "auto"),
    ("4", "2", "cuda:0", "kind"),
]


@pytest.mark.parametrize(("devices", "nodes", "device", "fact"), WRONG)
def test_options_that_name_no_gang_are_refused(
    devices: str | None, nodes: str, device: str | None, fact: str
) -> None:
    with pytest.raises(InputError, match=fact):
        asked_gang(devices, nodes, device)
