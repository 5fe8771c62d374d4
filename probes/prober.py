"""Run a probe and turn whatever happens into a measurement.

The one way to measure: a fresh process per probe, telemetry around it, every ending classified.
Runs in the parent; never imports torch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from probes.black_box import command as commands
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.black_box.sources import describe as describe_command
from probes.devices.environment import worker_environment
from probes.devices.telemetry import Telemetry
from probes.energy.meters import Meters
from probes.energy.watch import ProbeWatch
from probes.errors import MeasurementError
from probes.group import Group
from probes.ignored import without_size
from probes.isolation import Worker, WorkerReply
from probes.job import ProbeJob, WorkloadRef
from probes.measurement import Config, Measurement, Trace
from probes.model_size import ModelSize
from probes.prior import Prior
from probes.ranks.gang import AnyWorker, Gang, RankEnd
from probes.ranks.network import Network
from probes.ranks.remote.hosts import Hosts
from probes.ranks.verdict import of_gang
from probes.replies import ended_of, measurement_of, result_of, tail_of
from probes.timeouts import ExpectedStep, Progress, Timeouts

ATTEMPTS = 2
"""For a question about devices or workloads, where the worker was killed over it."""
NO_ENERGY = "the sensors of the nodes of a gang are not read together"


class Prober:
    """Where and how probes run. Keeps one worker, which forks a fresh process for every job
    where the platform allows; elsewhere each probe gets a worker of its own.

    Use as a context manager, or ``close`` it when nothing more is to be measured for a while.
    """

    def __init__(
        self,
        python: str = sys.executable,
        timeouts: Timeouts | None = None,
        meters: Meters | None = None,
        hosts: Hosts | None = None,
    ) -> None:
        """``meters`` are those of this host, unless others are given. ``hosts`` are those of a
        group that names nodes; whatever trains nothing runs on this one."""
        self.python = python
        self.timeouts = timeouts or Timeouts()
        self._meters = meters or Meters()
        self._worker: Worker | None = None
        self._environment: dict[str, str] = {}
        self._libraries: dict[str, Any] = {}
        self._prepared: Worker | None = None
        self._gang: Gang | None = None
        self._hosts = hosts
        self._passed: dict[str, list[tuple[Measurement, int]]] = {}
        """What passed of each config of a workload, with the bytes of its worst-case batch."""
        self._commands = CommandProber(python, self.timeouts, self._footprint, self._meters)

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def devices(self) -> dict[str, Any]:
        """Facts of every device as torch in ``python`` sees it (see ``worker.facts``)."""
        return self._ask({"kind": "devices"})

    def describe(self, workload: WorkloadRef) -> dict[str, Any]:
        """Space, dataset size and source hash of a workload. Raises ``InputError``."""
        if commands.is_command(workload):
            return describe_command(workload)
        reply = self._ask({"kind": "describe", "workload": workload.to_dict()})
        self._libraries, self._prepared = reply["libraries"], None
        result: dict[str, Any] = reply["workload"]
        return result

    def model_sizes(self, workload: WorkloadRef, configs: Sequence[Config]) -> list[ModelSize]:
        """Parameters and capacity of each config, without training any."""
        if commands.is_command(workload):
            return [ModelSize(None, None, "not built: it is a command's") for _ in configs]
        asked = {"workload": workload.to_dict(), "configs": list(configs)}
        reply = self._ask({"kind": "sizes", **asked})
        return [ModelSize(**size) for size in reply["sizes"]]

    def call(
        self, function: str, arguments: dict[str, Any], on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """What ``package.module:function`` returns in a fresh process (see ``probes.beside``).

        ``arguments["device"]`` says which device's environment it needs. Raises what it raises, as
        ``InputError`` or ``MeasurementError``.
        """
        kind = str(arguments.get("device", "cpu")).partition(":")[0]
        job = {"kind": "call", "function": function, "arguments": arguments}
        reply = self._request(self._ready(worker_environment(kind)), job, on_progress)
        result = result_of(reply)
        if result is None:
            how = reply.timed_out or f"ended with status {reply.returncode}"
            raise MeasurementError(f"The worker of {self.python} {how}.{tail_of(reply)}")
        value: dict[str, Any] = result["value"]
        return value

    def estimate(self, job: ProbeJob, ceiling: int) -> Prior:
        """The analytic prior of the job's config (its batch size does not matter). Never raises
        for a config that cannot be estimated: the prior then has no points, and says why.

        It is waited for no longer than for a step: all that it can save is a short probe."""
        if commands.is_command(job.workload):
            return Prior(reason="the memory of a command cannot be estimated from its code")
        worker = self._ready(worker_environment(job.device.partition(":")[0]))
        asked = {"kind": "estimate", "job": job.to_dict(), "ceiling": ceiling}
        most_s = min(self.timeouts.startup_s, self.timeouts.step_s)
        reply = self._request(worker, asked, timeouts=replace(self.timeouts, startup_s=most_s))
        if reply.result is None or "prior" not in reply.result:
            ended = reply.timed_out or f"ended with status {reply.returncode}"
            return Prior(reason=f"the worker {ended}", wall_s=reply.wall_s)
        return Prior.from_dict(reply.result["prior"])

    def probe(
        self,
        job: ProbeJob,
        telemetry: Telemetry | None = None,
        on_progress: Progress | None = None,
    ) -> Measurement:
        """One measurement in a fresh process. Raises only when the job itself is wrong."""
        if commands.is_command(job.workload):
            return self._commands.probe(job, telemetry, on_progress)
        if job.group is not None:
            return self._probe_together(job, job.group, telemetry, on_progress)
        started_at = datetime.now(timezone.utc)
        worker = self._ready(worker_environment(job.device.partition(":")[0]))
        watch = self._meters.watch(telemetry)
        watch.begin(worker.pid)
        try:
            heard = watch.listener(on_progress)
            reply = self._request(worker, job.to_dict(), heard, job.expected_step)
        finally:
            watch.end()
        return replace(
            watch.beside(self._checked(job, measurement_of(job, reply), reply)),
            wall_s=reply.wall_s,
            started_at=started_at.isoformat(timespec="seconds"),
            stdout_tail=reply.stdout_tail,
            stderr_tail=reply.stderr_tail,
        )

    def _checked(self, job: ProbeJob, measurement: Measurement, reply: WorkerReply) -> Measurement:
        """The measurement, with a note where the workload seems to ignore the batch size. Raises
        ``InputError`` where it certainly does."""
        if not measurement.passed:
            return measurement
        held = int((reply.result or {}).get("measurement", {}).get("batch_bytes", 0))
        config = f"{job.workload.to_dict()} {sorted(job.config.items(), key=str)}"
        others = self._passed.setdefault(config, [])
        checked = without_size(measurement, held, others)
        others.append((replace(measurement, trace=Trace()), held))
        return checked

    def _probe_together(
        self,
        job: ProbeJob,
        group: Group,
        telemetry: Telemetry | None,
        on_progress: Progress | None,
    ) -> Measurement:
        """One measurement by one worker per rank, all at once."""
        started_at = datetime.now(timezone.utc)
        began_s = time.monotonic()
        gang = self._gang_for(group)
        # The sensors of this host know nothing of the ranks on others.
        watch = self._meters.watch(telemetry) if gang.is_here else ProbeWatch(telemetry, None)
        try:
            ends = gang.run(job, self.timeouts, watch, on_progress, self._prepare)
        except BaseException:
            self._end_gang()
            raise
        finally:
            watch.end()
        measurement = of_gang(job, [ended_of(rank, end) for rank, end in enumerate(ends)])
        if not gang.is_here:
            measurement = self._over_nodes(measurement, group, ends)
        return replace(
            watch.beside(measurement),
            wall_s=time.monotonic() - began_s,
            started_at=started_at.isoformat(timespec="seconds"),
        )

    def measure_network(self, group: Group) -> Network:
        """How fast the ranks of a group on several hosts exchange data. Raises
        ``MeasurementError``."""
        try:
            return self._gang_for(group).measure_network(self.timeouts)
        except BaseException:
            self._end_gang()
            raise

    def _gang_for(self, group: Group) -> Gang:
        if self._gang is None or not self._gang.serves(group):
            self._end_gang()
            self._gang = Gang(self.python, group, self._hosts if group.nodes else None)
        return self._gang

    def _over_nodes(
        self, measurement: Measurement, group: Group, ends: Sequence[RankEnd]
    ) -> Measurement:
        """A measurement with what is to be said where its ranks were on other hosts."""
        network = self._hosts.network if self._hosts is not None else None
        notes = [network.words] if network is not None and group.hosts > 1 else []
        lost = list(dict.fromkeys(end.reply.lost for end in ends if end.reply.lost))
        return replace(
            measurement,
            notes=[*notes, *measurement.notes],
            tainted=[*lost, *measurement.tainted],
            energy_unavailable=NO_ENERGY,
            host_energy_unavailable=NO_ENERGY,
        )

    def _end_gang(self) -> None:
        if self._gang is not None:
            self._gang.close()
            self._gang = None

    def _footprint(self, job: ProbeJob) -> Footprint:
        """What torch takes before it trains, as a worker for this job would have it."""
        self._started(worker_environment(job.device.partition(":")[0]))
        asked = {"device": job.device, "limit_bytes": job.limit_bytes, "headroom": job.headroom}
        reply = self._ask({"kind": "footprint", **asked})
        self.close()  # it would only take memory from the command
        return Footprint(**reply["footprint"])

    def close(self) -> None:
        """End the workers, if there are any; the next job starts others."""
        self._end_gang()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _started(self, environment: dict[str, str]) -> Worker:
        """The worker, with this in its environment; a new one unless there is such a one."""
        if self._worker is None or self._environment != environment or not self._worker.alive:
            self.close()
            self._worker, self._environment = Worker(self.python, environment), environment
        return self._worker

    def _ready(self, environment: dict[str, str]) -> Worker:
        """A worker that has imported what the workload that was last described imports."""
        worker = self._started(environment)
        if self._libraries and self._prepared is not worker:
            reply = self._request(worker, self._preparation)
            if not reply.reusable:
                self._libraries = {}  # one of them is nothing to be forked: import it in each fork
            worker = self._prepared = self._started(environment)
        return worker

    @property
    def _preparation(self) -> dict[str, Any]:
        return {"kind": "prepare", "libraries": self._libraries}

    def _prepare(self, worker: AnyWorker) -> bool:
        """Let a worker of a gang import what the workload will import; whether it can go on."""
        if not self._libraries:
            return True
        return worker.request(self._preparation, self.timeouts).reusable

    def _request(
        self,
        worker: Worker,
        job: dict[str, Any],
        on_progress: Progress | None = None,
        expected: ExpectedStep | None = None,
        timeouts: Timeouts | None = None,
    ) -> WorkerReply:
        """The worker's reply; the worker is ended if it is used up, or if we are interrupted."""
        timeouts = timeouts or self.timeouts
        reusable = False
        try:
            reply = worker.request(job, timeouts, on_progress, expected)
            if reply.never_began:  # somebody ended the worker between two jobs
                self.close()
                worker = self._started(self._environment)
                reply = worker.request(job, timeouts, on_progress, expected)
            reusable = reply.reusable
        finally:
            if not reusable:
                self.close()
        return reply

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        # Most machines without an accelerator will go on to measure the CPU: ask in its terms.
        environment = self._environment if self._worker else worker_environment("cpu")
        start = self._ready if job["kind"] == "sizes" else self._started
        for _ in range(ATTEMPTS):
            reply = self._request(start(environment), job)
            result = result_of(reply)
            if result is not None:
                return result
            if reply.timed_out or (reply.returncode or 0) >= 0:
                break  # killed, on the other hand, it may have been by mistake: nothing is measured
        if reply.timed_out:
            raise MeasurementError(f"The worker was {reply.timed_out}.{tail_of(reply)}")
        raise MeasurementError(
            f"The worker of {self.python} ended with status {reply.returncode}.{tail_of(reply)}"
        )
