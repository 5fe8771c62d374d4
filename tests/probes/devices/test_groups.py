"""Devices that train as one: how they are linked, watched, reserved and told apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, group_fingerprint
from probes.devices.group_telemetry import GroupTelemetry
from probes.devices.host import hash_uuid
from probes.devices.lease import holder_of, lease
from probes.devices.links import link_between, link_words
from probes.devices.reading import Missing
from probes.errors import MeasurementError
from probes.formatting import GIB
from tests.probes.devices.test_telemetry import FakeNvml, QuietMachine

ROOT = Path(__file__).parents[3]
UUIDS = ("GPU-0", "GPU-1")
OK, NOT_SUPPORTED = 0, 5
GONE = pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


def card(number: int) -> DeviceFacts:
    identity = {"uuid": hash_uuid(f"GPU-{number}")}
    return DeviceFacts(f"cuda:{number}", "cuda", "Fake", GIB, None, identity=identity)


CARDS = [card(0), card(1)]
CPU = DeviceFacts("cpu", "cpu", "Fake", GIB, None)


class TwoCards(FakeNvml):
    """A driver that tells the two cards apart."""

    def __init__(self, **values: Any) -> None:
        fails = {name: value for name, value in values.items() if isinstance(value, Exception)}
        super().__init__(**fails)
        self.values |= values

    def __getattr__(self, name: str) -> Any:
        known = super().__getattr__(name)

        def call(*arguments: Any) -> Any:
            if name in self.fails:
                raise self.fails[name]
            if name == "nvmlDeviceGetUUID":
                return UUIDS[arguments[0]]
            value = self.values.get(name)
            return value(*arguments) if callable(value) else known(*arguments)

        return call


# --- links


@pytest.mark.parametrize(
    ("p2p", "ancestor", "link"),
    [(OK, 50, "nvlink"), (NOT_SUPPORTED, 30, "pcie"), (NOT_SUPPORTED, 50, "system")],
)
def test_the_driver_tells_how_two_cards_are_linked(p2p: int, ancestor: int, link: str) -> None:
    nvml = TwoCards(nvmlDeviceGetP2PStatus=p2p, nvmlDeviceGetTopologyCommonAncestor=ancestor)
    assert link_between(CARDS, nvml) == link


def test_a_driver_that_knows_no_peers_still_lists_the_ends_of_its_links() -> None:
    nvml = TwoCards(
        nvmlDeviceGetP2PStatus=GONE,
        nvmlDeviceGetNvLinkState=lambda handle, number: int(number == 3),
        nvmlDeviceGetNvLinkRemotePciInfo=lambda handle, number: SimpleNamespace(
            busId=f"bus-{number}"
        ),
        nvmlDeviceGetPciInfo=lambda handle: SimpleNamespace(busId="bus-3"),
        nvmlDeviceGetTopologyCommonAncestor=30,
    )
    assert link_between(CARDS, nvml) == "nvlink"
    nvml.values["nvmlDeviceGetPciInfo"] = lambda handle: SimpleNamespace(busId="bus-4")
    assert link_between(CARDS, nvml) == "pcie"


def test_a_link_that_nobody_tells_is_missing_with_the_reason() -> None:
    nvml = TwoCards(nvmlDeviceGetP2PStatus=NOT_SUPPORTED, nvmlDeviceGetTopologyCommonAncestor=GONE)
    found = link_between(CARDS, nvml)
    assert isinstance(found, Missing) and "too old" in found.reason
    assert link_words({"missing": found.reason}) == "unknown"


def test_the_ranks_of_a_cpu_share_its_memory() -> None:
    assert link_between([CPU, CPU]) == "host_memory"


# --- telemetry


def test_a_taint_says_which_device_and_power_is_a_sum() -> None:
    slow = {0: 0, 1: 0x8}
    nvml = TwoCards(nvmlDeviceGetCurrentClocksEventReasons=slow.__getitem__)
    machines = [QuietMachine(), QuietMachine()]
    telemetry = GroupTelemetry(CARDS, nvml=nvml, machine=_Both(machines))
    telemetry.begin(4242, 4243)
    window = telemetry.end()

    assert window.taints == ["cuda:1 slowed down: hardware slowdown at up to 61 °C"]
    assert window.mean_power_w == 700.0
    assert window.max_temperature_c == 61.0
    assert window.before.memory_used_bytes == 3 * GIB


def test_the_host_is_watched_once() -> None:
    machines = [QuietMachine(), QuietMachine()]
    for machine in machines:
        machine.swap = [0, GIB]
    telemetry = GroupTelemetry(CARDS, nvml=TwoCards(), machine=_Both(machines))
    telemetry.begin(4242)
    assert telemetry.end().taints == ["swap in use grew by 1.00 GiB during the probe"]


class _Both(QuietMachine):
    """One host for both cards: each reads it twice."""

    def __init__(self, machines: list[QuietMachine]) -> None:
        super().__init__()
        self.swap = [machine.swap[when] for when in (0, 1) for machine in machines]
        self.uses = [machine.uses[when] for when in (0, 1) for machine in machines]


# --- the fingerprint


def member(uuid: str, torch: str = "2.13.0") -> Fingerprint:
    return Fingerprint(
        identity={"uuid": uuid, "torch": torch},
        device_class={"name": "Fake", "total_bytes": 8 * GIB},
        environment={"nccl": "2.27.5"},
    )


def group(*members: Fingerprint, link: Any = "nvlink") -> Fingerprint:
    return group_fingerprint(members, total_bytes=8 * GIB, library="nccl", link=link)


def test_a_group_is_its_members_in_the_order_of_their_ranks_and_how_they_talk() -> None:
    pair = group(member("a"), member("b"))

    assert pair.identity["uuid"] == ["a", "b"]
    assert pair.identity["torch"] == "2.13.0"
    assert pair.identity["library_version"] == "2.27.5"
    assert pair.key != group(member("b"), member("a")).key
    assert pair.class_key == group(member("b"), member("a")).class_key
    assert pair.key != group(member("a"), member("b"), link="pcie").key
    assert pair.key != member("a").key
    assert len({pair.class_key, group(*[member("a")] * 3).class_key, member("a").class_key}) == 3


def test_what_changed_in_a_group_is_told_as_for_one_device() -> None:
    updated = group(member("a", "2.14.0"), member("b", "2.14.0"))

    assert group(member("a"), member("b")).differences(updated) == ["torch 2.13.0 -> 2.14.0"]


# --- leases


def take(folder: Path, *cards: DeviceFacts, wait_s: float = 0.0) -> Any:
    return lease(*cards, command="tonnage max-batch net", wait_s=wait_s, folder=folder)


def test_a_group_is_had_whole_or_not_at_all(tmp_path: Path) -> None:
    with take(tmp_path, card(1)):
        with (
            pytest.raises(MeasurementError, match="cuda:1 is in use by"),
            take(tmp_path, card(0), card(1), card(2)),
        ):
            pass
        assert holder_of(card(0), tmp_path) is None
        assert holder_of(card(2), tmp_path) is None
    with take(tmp_path, card(2), card(0), card(1)):
        assert all(holder_of(card(number), tmp_path) is not None for number in range(3))
    assert holder_of(card(0), tmp_path) is None


def test_ranks_that_share_a_device_reserve_it_once(tmp_path: Path) -> None:
    with take(tmp_path, CPU, CPU):
        assert holder_of(CPU, tmp_path) is not None


SEARCH = """
import sys
from pathlib import Path
from tests.probes.devices.test_groups import card, take

folder, numbers = Path(sys.argv[1]), map(int, sys.argv[2])
cards = [card(number) for number in numbers]
for _ in range(30):
    with take(folder, *cards, wait_s=60.0):
        pass
"""


def test_searches_of_overlapping_groups_never_wait_for_each_other(tmp_path: Path) -> None:
    """Each wants what the others have, in another order; a deadlock would last for ever."""
    searches = [
        subprocess.Popen([sys.executable, "-c", SEARCH, str(tmp_path), order], cwd=ROOT)
        for order in ("01", "10")
    ]
    try:
        assert [search.wait(timeout=60) for search in searches] == [0, 0]
    finally:
        for search in searches:
            search.kill()
            search.wait()
