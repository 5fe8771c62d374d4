"""Which devices can train together: one class, and the links that the driver tells of."""

from __future__ import annotations

from app.machine.device_groups import DeviceHere, groups_of, links_of
from probes.formatting import GIB
from tests.probes.devices.test_groups import CARDS, CPU, NOT_SUPPORTED, OK, TwoCards


def device(number: int, links: dict[int, str], class_key: str = "h100") -> DeviceHere:
    named = {f"cuda:{other}": link for other, link in links.items()}
    return DeviceHere(f"cuda:{number}", "cuda", "NVIDIA H100", class_key, 80 * GIB, named)


def told(devices: list[DeviceHere]) -> list[tuple[str, str | None]]:
    return [(group.label, group.link) for group in groups_of(devices)]


def test_devices_of_one_class_with_the_slowest_link_between_them() -> None:
    devices = [device(0, {1: "nvlink", 2: "pcie"}), device(1, {2: "system"}), device(2, {})]
    assert told(devices[:2]) == [("cuda:0-1", "nvlink")]
    (whole, pair) = groups_of(devices)
    assert (whole.label, whole.link, whole.name) == ("cuda:0-2", "system", "3 × NVIDIA H100")
    assert (pair.label, pair.link) == ("cuda:0-1", "nvlink")


def test_another_class_is_no_member() -> None:
    devices = [device(0, {1: "pcie"}), device(1, {}), device(2, {}, "a100")]
    assert told(devices) == [("cuda:0-1", "pcie")]
    assert told([device(0, {}), device(1, {}, "a100")]) == []


def test_a_link_that_is_not_known_is_said_so() -> None:
    (group,) = groups_of([device(0, {}), device(1, {})])
    assert group.link is None
    assert group.link_words == "links unknown"


def test_links_are_read_from_the_driver_for_each_pair() -> None:
    linked = TwoCards(nvmlDeviceGetP2PStatus=OK)
    assert links_of([*CARDS, CPU], linked) == {
        "cuda:0": {"cuda:1": "nvlink"},
        "cuda:1": {"cuda:0": "nvlink"},
        "cpu": {},
    }
    apart = TwoCards(nvmlDeviceGetP2PStatus=NOT_SUPPORTED, nvmlDeviceGetTopologyCommonAncestor=50)
    assert links_of(CARDS, apart)["cuda:0"] == {"cuda:1": "system"}
