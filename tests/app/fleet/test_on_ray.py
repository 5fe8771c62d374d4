"""A real cluster: three nodes of Ray on this host, started by ``tonnage fleet join``.

Everything is real but the measuring: the nodes say that they have a device of their own each, and a
job's process follows a script. All tests share the cluster, so they are in one file; those that end
nodes come last. A guardian ends every process of it with this one, however this one ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from app.database import Database, open_database
from app.fleet import repository as nodes
from app.fleet import service as fleets
from app.fleet.address import FleetAddress, make_token
from app.fleet.doctor import examine, is_well
from app.fleet.fleet import FleetRunner
from app.fleet.gangs import GangTarget, asked_gang, choose_nodes, gang_on
from app.fleet.nodes import Drain
from app.jobs.executor import Executor
from app.settings import RunnerSettings, load_settings
from app.studies import service
from probes.formatting import MIB
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Verdict
from probes.ranks.remote.wire import HostLost
from tests.app.jobs.conftest import ROOT, kinds, request, says, state, until
from tests.app.jobs.executor_library import URL, ExecutorLibrary, begin_on
from tests.app.jobs.test_processes import pid_of
from tests.app.one_kind import kind  # noqa: F401
from tests.processes import is_gone

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="several nodes on one host"),
]

ADDRESS = "127.0.0.2"
"""Of this host, but not the one that Ray replaces by an address of the network."""
NAMES = ("alpha", "beta", "gamma")
RACKS = {"alpha": "1", "beta": "2", "gamma": "2"}
FAULTY = ROOT / "tests" / "probes" / "ranks" / "faulty.py"
SETTINGS = RunnerSettings(heartbeat_s=0.5, cancel_grace_s=3)
TONNAGE = [sys.executable, "-P", "-c", "from app.cli import main; main()"]


class Cluster:
    """Nodes as processes of ``tonnage fleet join``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = folder / "token"
        self.address = FleetAddress(f"{ADDRESS}:{free_port()}", self.token)
        self.joined: dict[str, subprocess.Popen[str]] = {}

    def join(self, name: str, *options: str) -> None:
        labels = f"tonnage/name={name},rack={RACKS[name]}"
        budget = "1GiB" if name == "alpha" else "2GiB"
        command = [*TONNAGE, "fleet", "join", *options, "--bind", ADDRESS, "--labels", labels]
        command += ["--token-file", str(self.token), "--ray-folder", str(self.folder / name)]
        with (self.folder / f"{name}.log").open("w") as log:
            self.joined[name] = subprocess.Popen(
                [*command, "--memory-budget", budget, "--json"],
                cwd=ROOT,
                env={
                    **os.environ,
                    "TONNAGE_DATA_DIR": str(self.folder),
                    "TONNAGE_PROBE__LEASE_DIR": str(self.folder / f"leases-{name}"),
                    "OMP_NUM_THREADS": "3",
                    "FLEET_TEST_FOLDER": str(self.folder),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def has_started(self, name: str) -> bool:
        said = self.said(name)
        assert self.joined[name].poll() is None, said
        return said.rstrip().endswith("}")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def raylet(self, name: str) -> int:
        """The process that is the node."""
        below = psutil.Process(self.joined[name].pid).children(recursive=True)
        return next(each.pid for each in below if each.name() == "raylet")

    def close(self) -> None:
        for process in self.joined.values():
            process.terminate()
        for process in self.joined.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()  # its guardian ends the rest
                process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    folder = Path("/tmp") / f"tng-{os.getpid()}"  # sockets: at most 107 characters
    folder.mkdir()
    made = Cluster(folder)
    try:
        make_token(made.token)
        made.join("alpha", "--head", "--port", made.address.address.rpartition(":")[2])
        for name in NAMES[1:]:
            made.join(name, made.address.address)
        until(lambda: all(made.has_started(name) for name in NAMES))
        yield made
    finally:
        made.close()
        subprocess.run(["rm", "-rf", str(folder)], check=False)


@pytest.fixture(scope="module")
def ray(cluster):
    from app.fleet.on_ray.connection import connect

    before = dict(os.environ)
    connected = connect(cluster.address)
    yield connected
    connected.shutdown()
    os.environ.clear()  # it sets many
    os.environ.update(before)


class FakeDatabase:
    def __init__(self, url: str) -> None:
        self.full_url = url


@pytest.fixture(scope="module")
def told_folder(cluster) -> Path:
    """Where the jobs of the library tell."""
    folder: Path = cluster.folder / "told"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def open_node(ray, told_folder):
    """Opens ``beta``: gives an executor there."""
    from app.fleet.on_ray.cluster import RayEngine
    from tests.app.fleet.ray_agents import telling_agent

    engine = RayEngine(ray, FakeDatabase(URL), agent=telling_agent(told_folder))
    opened = []

    def make():
        node = next(n for n in engine.nodes() if n.labels["tonnage/name"] == "beta")
        opened.append(until(engine.open(node).poll))
        return opened[-1]

    yield make
    for executor in opened:
        executor.close()
    engine.stop_watching()


@pytest.fixture(scope="module")
def beta(open_node) -> Executor:
    made: Executor = open_node()
    return made


class TestRayExecutor(ExecutorLibrary):
    """The library of all executors, on the node ``beta``."""

    @pytest.fixture
    def folder(self, told_folder) -> Path:
        return told_folder

    @pytest.fixture
    def executor(self, beta) -> Executor:
        return beta

    @pytest.fixture
    def closable(self, open_node) -> Executor:
        return open_node()

    @pytest.fixture
    def doomed(self, open_node, folder):
        def start(job_id: str) -> tuple[int, Callable[[], None]]:
            self.doomed_executor = open_node()
            self.doomed_process, told = begin_on(self.doomed_executor, job_id, folder)
            pid = self.doomed_executor.owner.pid
            return told["pid"], lambda: os.kill(pid, signal.SIGKILL)

        return start

    def test_the_process_ends_with_its_executor(self, doomed):
        super().test_the_process_ends_with_its_executor(doomed)
        assert until(lambda: self.doomed_process.poll() is not None)
        assert self.doomed_process.poll() == -signal.SIGKILL
        with pytest.raises(OSError, match="lost"):
            begin_on(self.doomed_executor, "st_3", Path())


@pytest.fixture(scope="module")
def folder(cluster) -> Path:
    """Of the scripted jobs."""
    folder: Path = cluster.folder / "jobs"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{cluster.folder / 'fleet.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def fleet(ray, database, folder) -> Iterator[FleetRunner]:
    """The runner of the fleet, whose jobs are scripted, when all nodes are ready."""
    from app.fleet.on_ray.cluster import RayEngine
    from tests.app.fleet.ray_agents import scripted_agent

    class Engine(RayEngine):
        def close(self) -> None:
            """The connection is that of all tests."""
            self.stop_watching()

    runner = FleetRunner(database, SETTINGS, Engine(ray, database, agent=scripted_agent(folder)))
    until(lambda: ready(database) == set(NAMES), runner.step)
    yield runner
    runner.stop()
    runner.run()


def ready(database: Database) -> set[str]:
    with database.read() as session:
        return {node.name for node in nodes.listing(session) if node.state == "ready"}


def node_of(database: Database, job) -> str:
    found = [
        view.node.name
        for view in fleets.look(database).nodes
        for each in view.running
        if each.id == job.id
    ]
    return found[0] if found else ""


class TestFleet:
    def test_studies_are_placed_by_label_and_finish(self, fleet, database):
        jobs = [
            service.submit(database, request(device=f"tonnage/name={name}", trials=number))
            for number, name in enumerate(NAMES, 1)
        ]
        until(lambda: all(service.get(database, each.id).is_over for each in jobs), fleet.step)
        assert [state(database, each) for each in jobs] == ["finished"] * 3
        assert [kinds(database, each).count("measured") for each in jobs] == [1, 1, 1]

    def test_no_two_studies_are_on_one_device_at_once(self, fleet, database, folder):
        jobs = [service.submit(database, request(device="cpu", trials=n)) for n in range(11, 18)]
        until(lambda: all(service.get(database, each.id).is_over for each in jobs), fleet.step)
        assert {state(database, each) for each in jobs} == {"finished"}
        assert list(folder.rglob("overlap-*")) == []

    def test_a_cancelled_study_ends_on_its_node(self, fleet, database):
        hanging = service.submit(database, request("hang", device="tonnage/name=beta", trials=31))
        until(lambda: says(database, hanging, "hanging"), fleet.step)
        pid = pid_of(database, hanging)
        service.cancel(database, hanging.id)
        until(lambda: state(database, hanging) == "cancelled", fleet.step)
        assert is_gone(pid)

    def test_a_drained_node_gives_back_what_runs_and_another_takes_it(self, fleet, database):
        hanging = service.submit(database, request("slow", device="rack=2", trials=32))
        until(lambda: node_of(database, hanging), fleet.step)
        first = node_of(database, hanging)
        fleets.drain(database, first, Drain.NOW)
        until(lambda: service.get(database, hanging.id).is_over, fleet.step)
        assert state(database, hanging) == "finished"
        assert kinds(database, hanging).count("started") == 2
        assert first not in ready(database)
        fleets.drain(database, first, Drain.NO)
        until(lambda: first in ready(database), fleet.step)

    def test_the_doctor_finds_the_cluster_well(self, fleet, database, ray):
        from app.fleet.on_ray.cluster import living_nodes

        findings = examine(database, lambda: living_nodes(ray))
        assert is_well(findings)
        assert {each.what for each in findings} >= {*NAMES, "ray", "runner", "database"}


@pytest.fixture(scope="module")
def gang(ray, cluster, warm) -> Iterator[GangTarget]:
    """A rank on each of two nodes, which pretend to be two hosts: everything is real but that."""
    from app.fleet.on_ray.rank_hosts import RankHosts

    settings = load_settings(overrides={"data_dir": str(cluster.folder)})
    engine = RankHosts(cluster.address, ray=ray)
    asked = asked_gang("2", "2", "cpu")
    of_rack_2 = [each for each in engine.nodes if each.labels["rack"] == "2"]
    nodes = choose_nodes(of_rack_2, engine.own_id, asked)
    workload = WorkloadRef(f"{FAULTY}:Healthy")
    made = gang_on(settings, nodes, engine.start, workload, warm.python, asked, [512 * MIB])
    with made.lease(settings):
        yield made
    made.close()


def gang_job(gang: GangTarget, name: str) -> ProbeJob:
    workload = WorkloadRef(f"{FAULTY}:{name}")
    config = {"layers": 2, "parallel": "ddp"}
    given = {"limit_bytes": gang.memory_budget_bytes, "group": gang.group}
    return ProbeJob(workload, config, 8, gang.facts.device, BRACKET_PLAN, **given)


class TestGang:
    """Ranks on the nodes ``beta`` and ``gamma``."""

    def test_it_trains_as_one_and_says_how_fast_the_network_is(self, gang):
        measurement = gang.prober.probe(gang_job(gang, "Healthy"), gang.telemetry)
        assert measurement.passed, measurement.reason
        assert [each.device for each in measurement.ranks] == ["beta/cpu", "gamma/cpu"]
        assert gang.network.hosts == 2
        assert gang.network.words in measurement.notes
        assert gang.fingerprint.identity["hosts"] == 2
        assert gang.fingerprint.environment["network_gib_per_s"] > 0
        assert gang.of_one_rank().group.nodes == ("beta",)

    def test_memory_that_is_short_on_the_second_node_is_that_ranks_verdict(self, gang):
        measurement = gang.prober.probe(gang_job(gang, "HungryInForward"), gang.telemetry)
        assert (measurement.verdict, measurement.limiting_rank) == (Verdict.OOM, 1)
        assert "Rank 1 of 2 on gamma" in measurement.reason
        assert gang.checked(measurement) is measurement


class TestLosing:
    """Each takes something away: they come last, in this order."""

    def test_our_process_on_a_node_is_killed_and_nothing_is_lost(self, fleet, database):
        measured = service.submit(database, request("hang", device="rack=2", trials=33))
        until(lambda: says(database, measured, "hanging"), fleet.step)
        pid, name = pid_of(database, measured), node_of(database, measured)
        member = next(each for each in fleet.members if each.name == name)
        assert member.executor is not None
        os.kill(member.executor.owner.pid, signal.SIGKILL)
        finish_instead(database, measured)
        until(lambda: service.get(database, measured.id).is_over, fleet.step)
        assert is_gone(pid)
        ended = service.get(database, measured.id)
        assert (ended.state, ended.deaths) == ("finished", 1)
        assert kinds(database, measured).count("measured") == 1  # read back, not measured again
        until(lambda: name in ready(database), fleet.step)

    def test_a_node_is_killed_and_another_of_its_class_goes_on(
        self, fleet, database, cluster, gang
    ):
        measured = service.submit(database, request("hang", device="rack=2", trials=34))
        until(lambda: says(database, measured, "hanging"), fleet.step)
        pid, first = pid_of(database, measured), node_of(database, measured)
        ranks = [psutil.Process(each) for each in ranks_of_gang(cluster, first)]

        raylet = cluster.raylet(first)

        def kill(said: dict[str, object]) -> None:  # each rank says so: it may be gone
            if said.get("phase") == "train":
                with contextlib.suppress(ProcessLookupError):
                    os.kill(raylet, signal.SIGKILL)

        # A gang loses the node too, in the middle of a step: that is its verdict, and is not kept.
        lost = gang.prober.probe(gang_job(gang, "Hangs"), gang.telemetry, kill)
        rank = ["beta", "gamma"].index(first)
        assert (lost.verdict, lost.limiting_rank) == (Verdict.CRASH, rank)
        assert f"Rank {rank} of 2 on {first}" in lost.reason
        with pytest.raises(HostLost, match=f"on {first}"):
            gang.checked(lost)
        assert psutil.wait_procs(ranks, timeout=30)[1] == []
        finish_instead(database, measured)
        until(lambda: service.get(database, measured.id).is_over, fleet.step)
        assert is_gone(pid)
        assert state(database, measured) == "finished"
        assert kinds(database, measured).count("measured") == 1
        until(lambda: first not in ready(database), fleet.step)
        until(lambda: cluster.joined[first].poll() is not None)
        assert cluster.joined[first].returncode == 3
        assert "ended by itself" in cluster.said(first)

    def test_a_node_that_is_asked_to_leave_does_and_leaves_nothing(self, fleet, database, cluster):
        last = next(name for name in NAMES[1:] if cluster.joined[name].poll() is None)
        below = psutil.Process(cluster.joined[last].pid).children(recursive=True)
        assert below
        cluster.joined[last].terminate()
        until(lambda: cluster.joined[last].poll() is not None, fleet.step)
        assert cluster.joined[last].returncode == 0
        until(lambda: all(is_gone(each.pid) for each in below), fleet.step)
        until(lambda: ready(database) == {"alpha"}, fleet.step)


def ranks_of_gang(cluster: Cluster, name: str) -> list[int]:
    """What hosts a gang's ranks on a node, with everything below it."""
    below = psutil.Process(cluster.joined[name].pid).children(recursive=True)
    found = next(each for each in below if "app.fleet.rank_host" in each.cmdline())
    return [found.pid, *(each.pid for each in found.children(recursive=True))]


def finish_instead(database: Database, job) -> None:
    """It would hang for the next one too."""
    from app.database.models.serving import JobRow

    with database.write() as session:
        row = session.get_one(JobRow, job.id)
        row.request = {**row.request, "pinned": {"does": "finish"}}
