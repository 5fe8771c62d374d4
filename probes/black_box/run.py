"""One run of a command under way: started, watched step by step, and ended. What it means is said
in ``judge``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from probes.black_box import template
from probes.black_box.background import left_running
from probes.black_box.beginning import Beginning
from probes.black_box.command import Command
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.footprint import Footprint
from probes.black_box.leftovers import Leftovers
from probes.black_box.logs import StepLog, open_log
from probes.black_box.observed import Observed, RankSeen
from probes.black_box.pace import Pace, allowed_silence_s, allowed_start_s
from probes.black_box.placement import Placement
from probes.black_box.ranks.processes import RankFinder
from probes.black_box.ranks.watches import RankWatches
from probes.black_box.step_reader import StepReader
from probes.black_box.steps import Passed, Seen, StepClock
from probes.black_box.usage import Usage
from probes.devices import host
from probes.energy.watch import ProbeWatch
from probes.errors import InputError
from probes.job import ProbeJob
from probes.processes.launch import GuardedProcess, Output, StartError
from probes.timeouts import Progress, Timeouts

LOG_STREAM = "log"
"""Stands beside ``stdout`` and ``stderr`` for a log file of text."""
POLL_BEFORE_STEPS_S = 0.02
POLL_S = 0.05
PRINTING_PATIENCE = 5.0
"""A command that prints without making steps, as in an evaluation, is given this many times the
patience for one that is silent."""
PRINTS_WITHIN_S = 10.0
"""A command that has printed within this time is not silent."""
FIND_S = 0.2
"""Seconds between two searches for new processes."""
SIGNS_BEFORE_ENFORCED = 3
"""After this many signs of steps the kernel holds the command to the budget. Until then it is only
watched: if the first signs are misread or a first step loads further libraries, the kernel must not
refuse memory that the budget allows."""
LEAST_LINES_PER_EPOCH = 4
"""With fewer lines in an epoch, none of them says that its end is near."""

CAUGHT_GRACE_S = 5.0
"""A command that says that it ran out of memory usually ends within this time; if it does not, or
makes another step, it caught the error."""
RANK_GRACE_S = 10.0
"""Once the process of a rank has ended, a command that makes no step is given this long to end."""
TAIL_BYTES_PER_RANK = 8192
"""Each rank may write a traceback, and the launcher a report after them."""
MOST_TAILS = 16


class Tree(Protocol):
    """Memory of a command's processes."""

    usages: list[Usage]
    """By rank."""
    notes: list[str]

    def find(self) -> None: ...

    def look(self) -> None: ...

    def enforce(self) -> None: ...

    def relax(self) -> None: ...


class CommandRun:
    """Starts a command for a job and watches it to its end; ``observe`` once."""

    def __init__(
        self,
        job: ProbeJob,
        command: Command,
        python: str,
        timeouts: Timeouts,
        footprints: Sequence[Footprint],
        on_progress: Progress | None = None,
        earlier: EarlierRun | None = None,
        usual: Pace | None = None,
    ) -> None:
        """``footprints``: one per rank. ``usual``: how earlier runs of the command showed their
        steps. Raises ``MeasurementError`` for a budget that a device does not have."""
        self.job = job
        self.command = command
        self.python = python
        self.timeouts = timeouts
        self.on_progress = on_progress
        self.usual = usual
        self.pace = Pace()
        """The one of this run."""
        self.clock = StepClock()
        self.beginning = Beginning()
        self._signs = 0
        self._lost_s: float | None = None
        """When it was seen that a rank has ended."""
        self._share = 0.0
        """Of its cap, the most that a rank has used."""
        self._gap_s = 0.0
        """Time between the last two signs of steps."""
        self.was_printing = False
        self.placement = Placement(job, footprints)
        self.finder = RankFinder(self.placement.size) if job.group is not None else None
        samples = job.batch_size * job.accumulation
        self.reader = StepReader(
            command.step, samples, command.dataset_size, earlier, ranks=self.placement.size
        )
        self.watches = RankWatches(job.plan, self.placement.caps)

    @property
    def has_evaluated(self) -> bool:
        """An evaluation or the end of an epoch was seen between two steps."""
        return self.watches.first.has_evaluated

    def observe(self, watch: ProbeWatch) -> Observed:
        """Raises ``InputError`` where the command cannot be started, ``MeasurementError`` where
        its memory cannot be read."""
        try:
            return self._observe(watch)
        except StartError as error:
            raise InputError(
                f"The command could not be started in {self.command.folder}: {error}."
            ) from None

    def _observe(self, watch: ProbeWatch) -> Observed:
        with _folder("tonnage-run-") as run_dir, self._config_folder() as config_dir:
            values = self.command.values(self.job, run_dir, self.python, config_dir)
            if self.command.config:
                Path(values["config"]).write_text(self.command.config_text(values))
            place, leftovers = self.placement, Leftovers(self.command.folder)
            environ = place.environ(self.command.environment(values))
            seen = Observed(self.command.shown(values), environ, self._ranks_seen())
            with GuardedProcess(
                self.command.argv(values),
                cwd=self.command.folder,
                environ=environ,
                address_limit=place.first_address_limit,
                tail_bytes=TAIL_BYTES_PER_RANK * min(place.size, MOST_TAILS),
            ) as process:
                tree = place.tree(process.guardian_pid, self.finder)
                watch.begin(process.guardian_pid)
                kills_before = host.cgroup_oom_kills()
                try:
                    seen.log = str(self._log_path(values) or "")
                    seen.why, seen.late = self._watch(process, tree, self._log(values))
                finally:
                    watch.end(self.watches.first.window)
                if seen.why == "ended" and process.returncode == 0:
                    seen.left = left_running(process.guardian_pid)
                seen.cgroup_oom_kills = host.cgroup_oom_kills() - kills_before
                process.end()
                seen.stdout_tail, seen.stderr_tail = process.take_tails()
        seen.steps_from, seen.step_pattern = self.reader.source, self.reader.pattern
        seen.was_printing = self.was_printing
        seen.steps_per_sign = self.pace.slowest(self.usual).steps_per_sign
        seen.steps_ahead = self.reader.steps_ahead(self.watches.evidence.attempted)
        seen.is_evaluating = self._is_evaluating(seen.steps_ahead)
        seen.caught = self.reader.caught.line if self._was_refused_memory else ""
        seen.not_understood = self.reader.explanation()
        seen.returncode = process.returncode
        for rank, usage in zip(seen.ranks, tree.usages, strict=True):
            rank.peak_bytes, rank.swap_bytes = usage.peak_bytes, usage.swap_bytes
        if self.finder is not None:
            seen.ranks_found, seen.lost = self.finder.found, self.finder.lost
            remarks = filter(None, (self.finder.remark, self.reader.rank_remark))
            place.notes.extend(remarks)
        seen.added = leftovers.added()
        remarks = filter(None, (leftovers.note(), self.reader.unit_remark))
        seen.notes = [*place.notes, *tree.notes, *remarks]
        return seen

    def _ranks_seen(self) -> list[RankSeen]:
        ranks = zip(self.placement.devices, self.placement.caps, self.watches.ranks, strict=True)
        return [RankSeen(device, cap, watch) for device, cap, watch in ranks]

    def _is_evaluating(self, steps_ahead: int | None) -> bool:
        """As far as the output tells. Lines may come every few steps only: near the end of a short
        epoch they tell nothing."""
        if self.clock.first is None:
            return False
        epoch, stride = self.reader.epoch_steps, self.pace.steps_per_sign
        near = steps_ahead is not None and steps_ahead <= stride
        is_long = epoch is not None and epoch >= LEAST_LINES_PER_EPOCH * stride
        return (near and is_long) or self.reader.landmarks.is_under_way

    def _config_folder(self) -> AbstractContextManager[str]:
        """Where the filled configuration file goes: not into ``{run_dir}``, which is empty."""
        return _folder("tonnage-config-") if self.command.config else nullcontext("")

    # -- before ----------------------------------------------------------------------------

    def _log(self, values: Mapping[str, Any]) -> StepLog | None:
        path = self._log_path(values)
        return open_log(path, self.command.step) if path is not None else None

    def _log_path(self, values: Mapping[str, Any]) -> Path | None:
        if not self.command.log:
            return None
        return self.command.folder / template.fill(self.command.log, values)

    # -- while it runs ---------------------------------------------------------------------

    def _watch(self, process: GuardedProcess, tree: Tree, log: StepLog | None) -> tuple[str, str]:
        """Why it is enough (see ``Observed.why``), and what is late."""
        began_s = heard_s = time.monotonic()
        find_s = 0.0
        is_group = self.finder is not None
        self._say("start")
        while True:
            stepping = self.clock.first is not None
            pieces = process.wait(POLL_S if stepping else POLL_BEFORE_STEPS_S)
            ended = not process.running
            if ended:
                pieces += process.drain()
            now_s = time.monotonic()
            if now_s - find_s > (FIND_S if stepping or is_group else 0.0):
                tree.find()
                find_s = now_s
            tree.look()
            self.watches.see(now_s, tree.usages)
            self.reader.heard(pieces)
            if log is None:
                seen = self._read(pieces, now_s, tree)
            else:
                seen = self.reader.beside_log(pieces, log.read())
                if (text := log.text()) and not seen:
                    written = Output(LOG_STREAM, text, now_s)
                    self.reader.heard([written])
                    seen = self._read([written], now_s, tree)
            seen = self.beginning.take(seen, now_s, ended=ended)
            done = self._add(self._passed(seen, tree), tree.usages)
            self._see_share(tree.usages)
            if seen:
                if not stepping:
                    self.pace = self.pace.slowest(Pace(now_s - began_s))
                heard_s = now_s
                self._say("train")
            if self.watches.is_over(tree.usages) and not ended:
                return "over", ""
            if done or ended:
                return "done" if done else "ended", ""
            if self._was_refused_memory and self._went_on(now_s):
                return "caught", ""
            why, late = self._given_up(now_s, began_s, heard_s)
            if why:
                return why, late

    def _given_up(self, now_s: float, began_s: float, stepped_s: float) -> tuple[str, str]:
        """Why not to wait for more steps, as in ``Observed.why``, and what is late; empty texts
        while there is hope."""
        if self._has_wrong_ranks:
            return "ranks", ""
        late = self._late(now_s, began_s, stepped_s)
        if self.watches.has_waited_enough(now_s) or (late and self.watches.is_waiting):
            return "done", ""  # what it had to show besides an evaluation was shown
        if self._is_left_alone(now_s, stepped_s):
            return "alone", ""
        if late:
            self.was_printing = now_s - (self.reader.last_output_s or 0.0) < PRINTS_WITHIN_S
            return "timeout", late
        return "", ""

    def _see_share(self, usages: list[Usage]) -> None:
        caps = zip(self.placement.caps, usages, strict=True)
        self._share = max(usage.peak_bytes / max(1, cap.cap_bytes) for cap, usage in caps)

    @property
    def _was_refused_memory(self) -> bool:
        """Whether the command says that it ran out of memory."""
        return self.reader.caught.is_likely(self._share)

    def _went_on(self, now_s: float) -> bool:
        """Whether it did not end after it had said so. A launcher ends late when a rank fails."""
        caught = self.reader.caught
        waited = self.finder is None and now_s - caught.at_s > CAUGHT_GRACE_S
        return caught.went_on or waited

    @property
    def _has_wrong_ranks(self) -> bool:
        """Whether another number of ranks trains than was asked for."""
        finder = self.finder
        return (
            finder is not None
            and self._signs >= SIGNS_BEFORE_ENFORCED
            and max(1, finder.found) != self.placement.size
        )

    def _is_left_alone(self, now_s: float, stepped_s: float) -> bool:
        """Whether a rank has ended a while ago, and the others have made no step since."""
        if self.finder is None or not self.finder.lost:
            self._lost_s = None
            return False
        if self._lost_s is None:
            self._lost_s = now_s
        return now_s - max(self._lost_s, stepped_s) > RANK_GRACE_S

    def _add(self, steps: list[Passed], usages: list[Usage]) -> bool:
        """Whether these steps were enough. Those that arrived together with an evaluation after
        them had the peak of before it."""
        evaluated_at = next((i for i, passed in enumerate(steps) if passed.evaluated), 0)
        for i, passed in enumerate(steps):
            self.pace = self.pace.slowest(Pace(steps_per_sign=passed.count))
            self._gap_s = passed.each_s * passed.count
            ahead = self.reader.steps_ahead(self.watches.evidence.attempted + passed.count)
            if self.watches.add(passed, usages, ahead, is_seen=i >= evaluated_at):
                return True
        return False

    def _read(self, pieces: list[Output], now_s: float, tree: Tree) -> list[Seen]:
        """The steps in the output. Where other lines than before turn out to be the steps, the
        measurement starts again with them."""
        before = self.reader.revision
        seen = self.reader.read(pieces)
        if self.reader.revision != before:
            self.clock, self.beginning = StepClock(), Beginning()
            self.watches.restart()
            if self._signs >= SIGNS_BEFORE_ENFORCED:
                tree.relax()
            self._signs = 0
            self._tell(self.reader.source, self.reader.pattern)
        elif self.clock.first is None and (text := self.reader.overdue(now_s)):
            self._tell(text, "not understood")
        return seen

    def _tell(self, note: str, about: str) -> None:
        """Notes about the same thing are shown once in a search."""
        if self.on_progress is not None:
            phase = "train" if self.reader.source else "start"
            self.on_progress({"phase": phase, "note": note, "about": about})

    def _passed(self, seen: list[Seen], tree: Tree) -> list[Passed]:
        before = self.clock.first
        passed = self.clock.passed(seen)
        if before is None and self.clock.first is not None:
            self.watches.begin()
            tree.find()
            tree.look()
        signs = self._signs + len(seen)
        if self._signs < SIGNS_BEFORE_ENFORCED <= signs:
            tree.find()
            tree.enforce()
            tree.look()
            if self.finder is not None:
                self.finder.settle()
        self._signs = signs
        return passed

    def _late(self, now_s: float, began_s: float, stepped_s: float) -> str:
        """Why no longer to wait; empty while there is hope. ``stepped_s``: when the last step was
        seen."""
        times, expected, gap_s = self.timeouts, self.job.expected_step, self._gap_s
        silent_s = now_s - max(stepped_s, self.reader.last_output_s or 0.0)
        why = f", {expected.words()}" if expected is not None else ""
        if self.clock.first is None:
            is_printing = silent_s <= PRINTS_WITHIN_S
            allowed_s = allowed_start_s(times, expected, self.usual, is_printing=is_printing)
            late = now_s - began_s > allowed_s
            return f"without a step for {allowed_s:.3g} s{why}" if late else ""
        allowed_s = allowed_silence_s(times, expected, self.usual, gap_s)
        step = self.watches.evidence.attempted + 1
        if silent_s > allowed_s:
            return f"silent for {allowed_s:.3g} s in step {step}{why}"
        if now_s - stepped_s > max(allowed_s, PRINTING_PATIENCE * times.allowed_step_s(gap_s)):
            return f"printing for {now_s - stepped_s:.0f} s without a step after step {step - 1}"
        if now_s - began_s > times.probe_s:
            return f"still running after {times.probe_s:.0f} s"
        return ""

    def _say(self, phase: str) -> None:
        if self.on_progress is not None:
            step, of = self.watches.evidence.attempted, self.watches.first.least_steps
            self.on_progress({"phase": phase, "step": step, "of": max(step, of)})


def _folder(prefix: str) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
