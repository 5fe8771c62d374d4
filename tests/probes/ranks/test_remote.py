"""Ranks on two hosts, which are two addresses of this one: real processes, sockets and gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from probes.devices.base import DeviceFacts
from probes.devices.lease import holder_of, lease
from probes.errors import MeasurementError
from probes.formatting import MIB
from probes.group import Group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Verdict
from probes.prober import Prober
from probes.ranks.remote.hosts import Hosts
from probes.ranks.remote.parent import Host
from probes.ranks.remote.services import interface_name
from probes.ranks.remote.wire import HostLost
from probes.timeouts import Timeouts
from tests.warm import WarmEnvironment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several addresses of one host")

FAULTY = Path(__file__).with_name("faulty.py")
ADDRESSES = {"alpha": "127.0.0.2", "beta": "127.0.0.3"}
SECRET = "a secret"
PLAN = replace(
    CONFIRM_PLAN, measure_steps=6, max_measure_steps=40, max_warmup_steps=6, measure_budget_s=1.0
)
FACTS = DeviceFacts(device="cpu", kind="cpu", name="a CPU", total_bytes=2**32, free_bytes=None)
HOST = """\
import sys
from pathlib import Path
from probes.devices.base import DeviceFacts
from probes.ranks.remote.host import RankHost
from probes.ranks.remote.services import Services
address, python, folder, secret = sys.argv[1:]
services = Services(address, python, Path(folder))
services.members = [DeviceFacts("cpu", "cpu", "a CPU", total_bytes=2**32, free_bytes=None)]
host = RankHost(services, secret.encode())
print(host.port, flush=True)
host.run()
"""


class Node:
    """A host of ranks as a process."""

    def __init__(self, name: str, python: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        command = [sys.executable, "-c", HOST, ADDRESSES[name], python, str(folder), SECRET]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def host(self, secret: str = SECRET) -> Host:
        return Host(self.name, (ADDRESSES[self.name], self.port), secret.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def nodes(warm: WarmEnvironment, folder: Path) -> Iterator[list[Node]]:
    made = [Node(name, warm.python, folder / name) for name in ADDRESSES]
    yield made
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def hosts(nodes: list[Node]) -> Iterator[Hosts]:
    made = Hosts([each.host() for each in nodes])
    yield made
    made.close()


@pytest.fixture(scope="module")
def prober(warm: WarmEnvironment, hosts: Hosts) -> Iterator[Prober]:
    with Prober(warm.python, Timeouts(120.0, 60.0, 240.0), hosts=hosts) as made:
        yield made


def job(name: str) -> ProbeJob:
    group = Group(("cpu", "cpu"), nodes=tuple(ADDRESSES))
    return ProbeJob(
        workload=WorkloadRef(f"{FAULTY}:{name}"),
        config={"layers": 2, "parallel": "ddp"},
        batch_size=8,
        device=group.label,
        plan=PLAN,
        limit_bytes=512 * MIB,
        group=group,
    )


def test_the_network_is_measured_and_said(prober: Prober, hosts: Hosts) -> None:
    group = job("Healthy").group
    assert group is not None
    network = prober.measure_network(group)
    assert (network.hosts, network.ranks, network.library) == (2, 2, "gloo")
    assert network.bandwidth_bytes_per_s > 0
    assert 0 < network.latency_s < network.size_bytes / network.bandwidth_bytes_per_s
    hosts.network = network
    measurement = prober.probe(job("Healthy"))
    assert network.words in measurement.notes


def test_ranks_on_two_hosts_train_as_one(prober: Prober) -> None:
    measurement = prober.probe(job("Healthy"))
    assert measurement.verdict is Verdict.STABLE, measurement.reason
    assert measurement.device == "cpu:0@2"
    assert [each.device for each in measurement.ranks] == ["alpha/cpu", "beta/cpu"]
    assert measurement.effective_batch_size == 16
    assert measurement.communication_share is not None
    assert measurement.energy is None and measurement.energy_unavailable


FAULTS = [
    ("HungryInBackward", Verdict.OOM, "8.00 GiB"),
    ("Killed", Verdict.CRASH, "SIGKILL"),
    ("Stopped", Verdict.TIMEOUT, "stopped"),
]


@pytest.mark.parametrize(("name", "verdict", "fact"), FAULTS)
def test_a_rank_that_fails_on_the_second_host_is_named_with_it(
    prober: Prober, name: str, verdict: Verdict, fact: str
) -> None:
    measurement = prober.probe(job(name))
    assert (measurement.verdict, measurement.limiting_rank) == (verdict, 1)
    assert "Rank 1 of 2 on beta" in measurement.reason
    assert fact in measurement.reason
    assert measurement.ranks[0].verdict is None


def test_nothing_listens_on_other_interfaces(prober: Prober, hosts: Hosts, nodes) -> None:
    meeting = hosts.next_meeting().removeprefix("tcp://").partition("#")[0]
    wanted = {int(meeting.rpartition(":")[2]): "127.0.0.2"}
    wanted |= {each.port: ADDRESSES[each.name] for each in nodes}
    listening = [
        each.laddr
        for each in psutil.net_connections("inet")
        if each.status == psutil.CONN_LISTEN and each.laddr.port in wanted
    ]
    assert {each.port: each.ip for each in listening if each.ip in wanted.values()} == wanted
    assert not [each for each in listening if each.ip in ("0.0.0.0", "::")]


def test_of_the_leases_all_are_taken_or_none(hosts: Hosts, folder: Path) -> None:
    with (
        lease(FACTS, command="somebody else", wait_s=0, folder=folder / "beta"),
        pytest.raises(MeasurementError, match=r"Node beta: cpu is in use by .*somebody else"),
    ):
        hosts.reserve("tonnage max-batch", wait_s=0)
    assert holder_of(FACTS, folder / "alpha") is None
    hosts.reserve("tonnage max-batch", wait_s=0)
    assert all(holder_of(FACTS, folder / name) is not None for name in ADDRESSES)
    hosts.release()
    assert all(holder_of(FACTS, folder / name) is None for name in ADDRESSES)


def test_who_does_not_know_the_secret_is_turned_away(nodes: list[Node], hosts: Hosts) -> None:
    with pytest.raises(HostLost, match="alpha"):
        nodes[0].host(secret="a guess")
    hosts.ask_all("release")  # the others are served as before


def test_a_host_does_only_what_is_offered(hosts: Hosts) -> None:
    with pytest.raises(MeasurementError, match="method"):
        hosts.members[0].ask("method", name="close")


def test_a_host_that_is_gone_is_a_verdict_and_then_an_error(
    warm: WarmEnvironment, nodes: list[Node], hosts: Hosts, folder: Path
) -> None:
    """Last: it ends one."""
    nodes[1].close()
    doomed = Node("beta", warm.python, folder / "beta")
    both = Hosts([hosts.members[0], doomed.host()])

    def kill(message: dict[str, object]) -> None:
        if message.get("phase") == "train":
            doomed.process.kill()

    with Prober(warm.python, Timeouts(120.0, 60.0, 240.0), hosts=both) as prober:
        measurement = prober.probe(job("Hangs"), on_progress=kill)
        assert (measurement.verdict, measurement.limiting_rank) == (Verdict.CRASH, 1)
        assert "Rank 1 of 2 on beta" in measurement.reason
        assert measurement.tainted, "it says nothing about the config"
        with pytest.raises(HostLost, match="beta"):
            prober.probe(job("Hangs"))
    doomed.close()


def test_a_host_ends_with_its_parent(nodes: list[Node], hosts: Hosts) -> None:
    """Last of all."""
    below = psutil.Process(nodes[0].process.pid).children(recursive=True)
    hosts.close()
    assert nodes[0].process.wait(30) == 0
    assert psutil.wait_procs(below, timeout=30)[1] == []


def test_the_interface_of_an_address() -> None:
    assert interface_name("127.0.0.2") == interface_name("127.0.0.1") != ""
    assert interface_name("192.0.2.77") == ""


def test_a_group_on_several_hosts_has_a_name_that_can_be_read_back() -> None:
    from probes.group import group_of, is_group

    group = Group(("cuda:0", "cuda:1") * 2, nodes=("alpha", "beta"))
    assert (group.label, group.per_host) == ("cuda:0-1@2", 2)
    assert [group.node_of(rank) for rank in range(4)] == ["alpha", "alpha", "beta", "beta"]
    assert is_group(group.label) and is_group("cpu:0@2") and not is_group("cpu:0")
    found = group_of(group.label)
    assert (found.devices, found.hosts, found.label) == (group.devices, 2, group.label)
    assert Group.from_dict(group.to_dict()) == group


def test_each_host_has_its_own_local_ranks() -> None:
    from probes.ranks.environment import environment_of

    group = Group(("cpu",) * 4, nodes=("alpha", "beta"))
    environment = environment_of(group, 3)
    named = [environment[n] for n in ("RANK", "LOCAL_RANK", "GROUP_RANK", "LOCAL_WORLD_SIZE")]
    assert named == ["3", "1", "1", "2"]
    assert os.environ.get("RANK") is None
