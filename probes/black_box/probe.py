"""Probes of commands, one after the other, and what one probe tells about the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from probes.black_box.command import Command, command_of
from probes.black_box.data_size import DataSize, counted_size, seen_size
from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.ending import exceptions_in
from probes.black_box.evidence import denied_leak, is_small_leak, may_leak_soon
from probes.black_box.footprint import Footprint
from probes.black_box.judge import judge, not_known
from probes.black_box.leftovers import in_the_way
from probes.black_box.observed import Observed
from probes.black_box.pace import Pace
from probes.black_box.placement import devices_of, limits_of
from probes.black_box.run import CommandRun
from probes.devices.environment import allocator_settings
from probes.devices.telemetry import Telemetry
from probes.energy.meters import Meters
from probes.errors import InputError
from probes.ignored import all_samples, same_as_smaller
from probes.job import ProbeJob
from probes.max_batch.late_failure import in_evaluation
from probes.measurement import EPOCH_SAMPLES, EPOCH_SAMPLES_FROM, Measurement
from probes.timeouts import Progress, Timeouts

PATIENCE_WHERE_FAILED = 4
"""Where another batch failed in an evaluation, a run waits this multiple of the usual time for
one."""
SECOND_RUN = "Memory grew a little. A longer run of this batch shows whether that is a leak."
LONGER = 4
"""A second run has this many times as many steps as the one that seemed to leak, so far as
``LONGEST_S`` allows."""
LONGEST_S = 120.0


class CommandProber:
    """Runs probes of commands. ``footprint`` asks a worker, once per device and budget."""

    def __init__(
        self,
        python: str,
        timeouts: Timeouts,
        footprint: Callable[[ProbeJob], Footprint],
        meters: Meters | None = None,
    ) -> None:
        self.python = python
        self.timeouts = timeouts
        self._footprint = footprint
        self._meters = meters or Meters()
        self._footprints: dict[tuple[str, int | None, float], Footprint] = {}
        self._stepped: set[str] = set()
        """Commands that have been seen to make steps."""
        self._learned: dict[str, EarlierRun] = {}
        """What counted the steps in the output of each command."""
        self._paces: dict[str, Pace] = {}
        self._passed: dict[str, list[Measurement]] = {}
        self._failed: dict[str, list[Measurement]] = {}
        self._evaluation_failed: dict[str, Measurement] = {}
        """The evaluation that failed last, of each config."""
        self._added: dict[str, set[str]] = {}
        """What the runs of each command have left in its folder."""
        self._epochs: dict[str, dict[int, EpochSteps]] = {}
        """Steps of an epoch by batch size, of each config, where the output tells them."""

    def probe(
        self,
        job: ProbeJob,
        telemetry: Telemetry | None = None,
        on_progress: Progress | None = None,
    ) -> Measurement:
        """One measurement. Raises ``InputError`` for a command that cannot be measured at all: it
        never makes a step, it ignores the batch size, it has no place for a value."""
        command = command_of(job.workload)
        command.values(job, "", self.python)  # what is wrong with them is said before anything runs
        footprints = self._of_devices(job)
        footprint = footprints[0]
        started_at, began_s = datetime.now(timezone.utc), time.monotonic()
        config = f"{command.template} {sorted(job.config.items(), key=str)}"
        failed = self._evaluation_failed.get(config)
        if failed is not None:
            patient = replace(job.plan, evaluation_s=PATIENCE_WHERE_FAILED * job.plan.evaluation_s)
            job = replace(job, plan=patient)
        run, seen, measurement = self._run(job, command, footprints, telemetry, on_progress)
        if is_small_leak(measurement) or may_leak_soon(measurement):
            if on_progress is not None:
                on_progress({"phase": "start", "note": SECOND_RUN, "about": SECOND_RUN})
            longer = replace(job, plan=replace(job.plan, leak_steps=_steps_for_leak(measurement)))
            run, seen, second = self._run(longer, command, footprints, telemetry, on_progress)
            measurement = denied_leak(measurement, second)
        epochs = self._epochs.setdefault(config, {})
        if run.reader.epoch is not None and job.effective_batch_size is None:
            epochs[job.batch_size] = run.reader.epoch
        size = counted_size(epochs, run.reader.lengths)  # of one rank
        if in_evaluation([measurement]):
            self._evaluation_failed[config] = measurement
        elif failed is not None:
            # One that ended by itself came to every evaluation there is, unless it was told when.
            is_whole = seen.why == "ended" and "steps" not in command.names
            has_evaluated = run.has_evaluated or is_whole
            measurement = not_known(measurement, failed, has_evaluated=has_evaluated)
        if measurement.passed:
            smaller = self._passed.setdefault(config, [])
            found = all_samples(measurement, smaller, self._failed.get(config, ()))
            if size is None and found is not None:
                size = seen_size(found, epochs, run.reader.lengths)
            if size is None:
                measurement = same_as_smaller(measurement, smaller, seen.shown)
            smaller.append(measurement)
        else:
            self._failed.setdefault(config, []).append(measurement)
        return replace(
            measurement,
            wall_s=time.monotonic() - began_s,
            started_at=started_at.isoformat(timespec="seconds"),
            environment={
                "torch": footprint.torch,
                "python": footprint.python,
                "threads": seen.environ.get("OMP_NUM_THREADS"),
                "allocator": allocator_settings(seen.environ),
                "command": seen.shown,
                **_steps_from(seen),
                **_samples_of_all_ranks(size, job),
            },
        )

    def _run(
        self,
        job: ProbeJob,
        command: Command,
        footprints: Sequence[Footprint],
        telemetry: Telemetry | None,
        on_progress: Progress | None,
    ) -> tuple[CommandRun, Observed, Measurement]:
        """One run of the command, what was seen of it, and what that means. Later runs know what
        this one learned about the command's output and pace."""
        earlier = self._learned.get(command.template)
        pace = self._paces.get(command.template)
        run = CommandRun(
            job, command, self.python, self.timeouts, footprints, on_progress, earlier, pace
        )
        watch = self._meters.watch(telemetry)
        seen = run.observe(watch)
        self._check_leftovers(command, seen)
        measurement = judge(job, command, seen, has_stepped=command.template in self._stepped)
        if measurement.steps:
            self._stepped.add(command.template)
            if learned := run.reader.learned:
                self._learned[command.template] = learned
        if measurement.passed:
            self._paces[command.template] = run.pace.slowest(pace)
        return run, seen, watch.beside(measurement)

    def _check_leftovers(self, command: Command, seen: Observed) -> None:
        """Raises ``InputError`` where a run failed because of what an earlier one left behind: all
        that follow would, whatever their batch."""
        added = self._added.setdefault(command.template, set())
        if seen.why == "ended" and seen.returncode and not seen.watch.evidence.attempted:
            for said in (seen.stderr_tail, seen.stdout_tail):
                for name, message in exceptions_in(said)[-1:]:
                    if words := in_the_way(added, command.folder, f"{name}: {message}"):
                        raise InputError(words)
        added |= seen.added

    def _of_devices(self, job: ProbeJob) -> list[Footprint]:
        """What a process takes on each of the job's devices."""
        found = []
        for device, limit_bytes in zip(devices_of(job), limits_of(job), strict=True):
            key = (device, limit_bytes, job.headroom)
            if key not in self._footprints:
                alone = replace(job, device=device, limit_bytes=limit_bytes, group=None)
                self._footprints[key] = self._footprint(alone)
            found.append(self._footprints[key])
        return found


def _steps_for_leak(first: Measurement) -> int:
    """Steps of a run that tells a leak from what levels off."""
    if first.growth is None or first.step_time is None:
        return 0
    steps = first.growth.steps
    return max(steps, min(LONGER * steps, int(LONGEST_S / max(first.step_time.mean_s, 1e-6))))


def _samples_of_all_ranks(size: DataSize | None, job: ProbeJob) -> dict[str, int | str]:
    if size is None:
        return {}
    return {EPOCH_SAMPLES: size.samples * job.data_parallel, EPOCH_SAMPLES_FROM: size.source}


def _steps_from(seen: Observed) -> dict[str, str]:
    """What the steps were read from, to be kept with the measurement; empty with a pattern."""
    if not seen.steps_from:
        return {}
    return {"steps_from": seen.steps_from, "step_pattern": seen.step_pattern}
