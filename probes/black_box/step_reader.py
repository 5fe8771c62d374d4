"""Steps from a command's output: by a pattern, or found without one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from probes.black_box.caught import CaughtOutOfMemory
from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.discovery.examples import of_unfinished
from probes.black_box.discovery.finder import StepFinder
from probes.black_box.discovery.landmarks import Landmarks
from probes.black_box.discovery.lengths import PrintedLengths
from probes.black_box.discovery.text import LineSplitter
from probes.black_box.ranks.lines import RankLines, UnnumberedSteps, separate
from probes.black_box.steps import OutputSteps, Seen

UNDERSTOOD_WITHIN_S = 15.0
"""Output that has flowed for this long without a step is shown to the person who waits."""


class Piece(Protocol):
    """Output that arrived at one moment."""

    @property
    def stream(self) -> str: ...

    @property
    def data(self) -> bytes: ...

    @property
    def at_s(self) -> float: ...


class StepReader:
    """Reads both streams of a command.

    Args:
        pattern: regular expression of the steps; empty to find them in the output.
        batch_size: samples per optimizer step of one rank, for output that counts samples.
        dataset_size: samples per epoch of all ranks together, where known.
        earlier: what an earlier run of the same command took for the steps.
        ranks: how many ranks share an epoch, and may print; a step that all of them print is one.
    """

    def __init__(
        self,
        pattern: str,
        batch_size: int,
        dataset_size: int | None,
        earlier: EarlierRun | None = None,
        *,
        ranks: int = 1,
    ) -> None:
        self._pattern = pattern
        self._by_pattern: OutputSteps | None = None
        self._splitters: dict[str, LineSplitter] = {}
        self._rank_lines = RankLines() if ranks > 1 else None
        self._unnumbered = UnnumberedSteps(ranks)
        self._epoch_steps = -(-dataset_size // (batch_size * ranks)) if dataset_size else None
        self._finder = StepFinder(batch_size, dataset_size, earlier, self._epoch_steps)
        self._batch_size = batch_size
        self._is_known = earlier is not None
        self._first_line_s: float | None = None
        self._is_told = False
        self.landmarks = Landmarks()
        """Evaluations and ends of epochs in the output."""
        self._restarts = 0
        """How often the counter had begun again with the last step: a bar shows 0 before it shows
        another step."""
        self._last_number: int | None = None
        self._ahead: int | None = None
        self.lengths = PrintedLengths()
        """Lengths of data sets that were printed before the first step."""
        self.caught = CaughtOutOfMemory()
        """Memory that was refused, where the program says so and goes on."""
        self.last_output_s: float | None = None
        """When output last arrived, on the monotonic clock."""

    @property
    def revision(self) -> int:
        """Grows when other lines than before are taken for the steps; earlier ones do not count."""
        return self._finder.revision

    @property
    def rank_remark(self) -> str:
        """That several lines without a number were taken for one step; empty where none were."""
        lines = self._unnumbered.lines_per_step
        if lines < 2:
            return ""
        return (
            f"the lines of the steps have no number; {lines} of them came together each time, and "
            "count as one step"
        )

    @property
    def unit_remark(self) -> str:
        """That what is counted as steps are epochs; empty where they are steps."""
        if self._finder.choice is None or not self._finder.choice.are_steps_epochs:
            return ""
        return (
            "each step here is an epoch, and so is its time: how many steps an epoch has is not "
            "known. Say how many samples it has: --option dataset_size=N"
        )

    @property
    def source(self) -> str:
        """What the steps are read from, in one sentence; empty until that is decided."""
        return self._finder.choice.description if self._finder.choice else ""

    @property
    def learned(self) -> EarlierRun | None:
        """What the next run of the same command can be told."""
        return self._finder.learned

    @property
    def pattern(self) -> str:
        """A pattern for ``--step`` that takes the same lines; empty until that is decided."""
        return self._finder.choice.pattern if self._finder.choice else self._pattern

    def heard(self, pieces: Iterable[Piece]) -> None:
        """Output arrived, whatever it says."""
        for piece in pieces:
            self.last_output_s = piece.at_s

    def steps_ahead(self, steps: int) -> int | None:
        """Steps until the epoch ends, as far as the output or the size of the data set tells;
        ``None`` where nothing does. ``steps``: how many have ended."""
        counter = self._finder.counter
        ahead = counter.steps_ahead if counter else self._ahead
        if self._epoch_steps is None:
            return ahead
        by_size = -steps % self._epoch_steps
        return by_size if ahead is None else min(ahead, by_size)

    @property
    def epoch_steps(self) -> int | None:
        """Steps in what the counter counts up to, or in an epoch by the size of the data set."""
        if self._pattern:
            known = None if self._ahead is None else (self._last_number or 0) + self._ahead
        else:
            known = counter.steps_in_all if (counter := self._finder.counter) else None
        return min((n for n in (known, self._epoch_steps) if n is not None), default=None)

    @property
    def epoch(self) -> EpochSteps | None:
        """The steps of an epoch as the output tells them: by what the counter counts up to, or by
        how far it came before it started again."""
        if self._pattern:
            steps = self.epoch_steps
            return None if steps is None else EpochSteps(steps, steps)
        return counter.epoch if (counter := self._finder.counter) else None

    def read(self, pieces: Iterable[Piece]) -> list[Seen]:
        """The steps that these pieces tell of. Those before the last revision are left out."""
        found: list[Seen] = []
        for piece in pieces:
            if self._first_line_s is None:
                self._first_line_s = piece.at_s
            splitter = self._splitters.setdefault(piece.stream, LineSplitter())
            for line, at_s in self._lines(splitter, piece):
                self.caught.read(line, at_s)
                if self._finder.choice is None and self._last_number is None:
                    self.lengths.read(line)
                before = self._finder.revision
                read = self._read_by_pattern if self._pattern else self._read_by_finder
                steps = read(line, at_s)
                if self._finder.revision != before:
                    found = []
                    self._unnumbered.restart()
                if steps:
                    self.caught.stepped(at_s)
                found += self._unnumbered.of_one(steps)
        return found

    def _lines(self, splitter: LineSplitter, piece: Piece) -> list[tuple[str, float]]:
        """The lines that end in this piece and when they came, those left out that another rank
        prints as well."""
        lines, ranks = splitter.timed(piece.data, piece.at_s), self._rank_lines
        if ranks is None:
            return lines
        return [
            (part, at_s) for line, at_s in lines for part in separate(line) if ranks.counts(part)
        ]

    def _read_by_finder(self, line: str, at_s: float) -> list[Seen]:
        finder, revision = self._finder, self._finder.revision
        steps = [Seen(step.at_s, step.number, step.loss) for step in finder.read(line, at_s)]
        if finder.revision != revision:
            self.landmarks.restart()
            self._restarts = self._restarts_now
        if not steps:
            self.landmarks.line(line)
            return []
        before, self._restarts = self._restarts, self._restarts_now
        starts_again = self._restarts > before
        if self.landmarks.step(line, starts_again=starts_again):
            steps[-1] = replace(steps[-1], evaluated=True)
        return steps

    @property
    def _restarts_now(self) -> int:
        return counter.restarts if (counter := self._finder.counter) else 0

    def _read_by_pattern(self, line: str, at_s: float) -> list[Seen]:
        if self._by_pattern is None:
            self._by_pattern = OutputSteps(self._pattern, self._batch_size, self._epoch_steps)
        steps = self._by_pattern.read(f"{line}\n".encode(), at_s)
        if not steps:
            self.landmarks.line(line)
            return []
        self._ahead = self._by_pattern.steps_ahead
        return self._marked(steps, line)

    def beside_log(self, pieces: Iterable[Piece], logged: list[Seen]) -> list[Seen]:
        """The steps that a log told of while this output arrived, with what it says of
        evaluations."""
        for piece in pieces:
            splitter = self._splitters.setdefault(piece.stream, LineSplitter())
            for line in splitter.lines(piece.data):
                self.caught.read(line, piece.at_s)
                self.landmarks.line(line)
        return self._marked(logged, "")

    def _marked(self, steps: list[Seen], line: str) -> list[Seen]:
        """The steps of one line. A number that falls begins another epoch."""
        found = []
        for step in steps:
            number, last = step.number, self._last_number
            again = number is not None and last is not None and number < last
            self._last_number = number
            evaluated = self.landmarks.step(line, starts_again=again)
            found.append(replace(step, evaluated=evaluated))
        return found

    def explanation(self) -> str:
        """What was printed and what to add, for output that is not understood; empty where nothing
        was printed or a pattern was given."""
        if self._pattern or self._finder.choice is not None or not self._finder.lines:
            return ""
        return self._finder.explanation()

    def overdue(self, now_s: float) -> str:
        """The explanation, once, when output has flowed for 15 s and is not understood. An earlier
        run that was understood needs none: its next lines come later where batches are larger."""
        if self._is_told or self._first_line_s is None or self._is_known:
            return ""
        if now_s - self._first_line_s < UNDERSTOOD_WITHIN_S:
            return ""
        self._is_told = True
        begun = next(filter(None, (each.unfinished for each in self._splitters.values())), "")
        text = self.explanation()
        if begun and not self._pattern and not self._finder.lines:
            text = of_unfinished(begun)
        return f"{text}\nTonnage keeps waiting for steps." if text else ""
