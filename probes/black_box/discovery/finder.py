"""Chooses the number in a program's output that counts optimizer steps, line by line."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from probes.black_box.discovery.candidates import Candidates
from probes.black_box.discovery.choice import (
    OF_ROLLOUTS,
    CounterChoice,
    choice_of,
    step_number,
)
from probes.black_box.discovery.chosen import ChosenCounter
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.discovery.examples import Examples
from probes.black_box.discovery.known import NOTHING, SETTLED_LINES, KnownLines
from probes.black_box.discovery.lengths import PrintedEpochs
from probes.black_box.discovery.losses import LastLoss, loss_in
from probes.black_box.discovery.shape import LineReader, OutputLine
from probes.black_box.discovery.track import Sighting, Track
from probes.black_box.discovery.uncounted import EpochFractions, UncountedLines
from probes.black_box.discovery.vocabulary import (
    Kind,
    is_evaluation,
    is_training,
    words_of,
)

CLEARLY_BETTER = 8
"""By how much a candidate must fit better than the choice to replace it."""
BETTER_THAN_EPOCHS = 4
"""The same where the choice are epochs, which count only where nothing finer does."""
CLOSE = 4
REFRESHED_AT = (2, 4, 8, 16)
"""Moves after which it is looked again how many steps there are between two lines."""
LOSSES_LET_PASS = 200
"""Losses after which the counter of an earlier run is not waited for."""
LONGEST_HEADING = 60
"""Characters."""

_DIGIT = re.compile(r"\d")
_MARKER = re.compile(r"\btonnage step\b", re.IGNORECASE)


@dataclass(frozen=True)
class FoundStep:
    """A line that tells that steps have ended."""

    at_s: float
    """When the line arrived."""
    number: int | None
    """Steps since the start of training; ``None`` where the lines have no number and each is one
    step."""
    loss: float | None


class StepFinder:
    """Give it each line of the output as it arrives; it returns the steps that the line tells of.

    ``choice`` is ``None`` until it is decided which number counts the steps. ``revision`` grows
    when another number turns out to fit better: what was returned before then does not count.

    Args:
        batch_size: samples per step, for output that counts samples.
        dataset_size: samples per epoch, where known; it tells samples from batches.
        earlier: what an earlier run of the same program took for the steps. It is taken again as
            soon as it moves; the usual rules apply once it has let others pass for long.
        epoch_steps: steps of an epoch, where known, for output with a line per epoch.
    """

    def __init__(
        self,
        batch_size: int | None = None,
        dataset_size: int | None = None,
        earlier: EarlierRun | None = None,
        epoch_steps: int | None = None,
    ) -> None:
        self._earlier = earlier if earlier is not None and earlier.has_counter else None
        self._epoch_steps = epoch_steps
        self._printed = PrintedEpochs()
        self._fractions = EpochFractions()
        self.batch_size = batch_size
        self.dataset_size = dataset_size
        self.choice: CounterChoice | None = None
        self.revision = 0
        self.lines = 0
        self._reader = LineReader()
        self._candidates = Candidates()
        self._uncounted = UncountedLines()
        self._known = KnownLines()
        self._was_refuted = False
        """A number was chosen that turned out to count nothing."""
        self._were_lines_finer = False
        """It had counted fewer steps than it had lines, so that a line is no step for certain."""
        self._is_marked = False
        self._is_evaluating = False
        self._loss = LastLoss()
        self._examples = Examples()

    def read(self, raw: str, at_s: float) -> list[FoundStep]:
        """The steps that this line tells of. With the line that decides, also those before it."""
        self.lines += 1
        if self._is_marked or "tonnage step" in raw.lower():
            return self._read_marked(raw, at_s)
        chosen = self._chosen
        if chosen is None or chosen.rank or chosen.is_row or not self._is_settled:
            return self._read_fully(raw, at_s)
        skeleton = self._known.skeleton(raw)
        place = self._known.place(skeleton)
        if place == NOTHING:
            return []
        value = self._known.number(raw, place, chosen.slot.total) if place is not None else None
        if value is None:
            before = (chosen.growth.lines, self._loss.lines)
            steps = self._read_fully(raw, at_s)
            if chosen is self._chosen:
                same = before == (chosen.growth.lines, self._loss.lines)
                if not same and chosen.growth.lines > before[0]:
                    self._known.learn(skeleton, raw, chosen.growth.last)
                elif same and not self._candidates.is_alive:
                    self._known.learn(skeleton, raw, None)
            return steps
        return self._read_known(chosen, raw, value, at_s)

    @property
    def _chosen(self) -> Track | None:
        return self._candidates.chosen

    @property
    def _is_settled(self) -> bool:
        return self._chosen is not None and self._chosen.growth.lines >= SETTLED_LINES

    def _read_known(self, chosen: Track, raw: str, value: int, at_s: float) -> list[FoundStep]:
        """As ``_read_fully``, for a line in which only the chosen number matters."""
        found = loss_in(raw)
        if found is not None:
            self._loss.hear(found)
        moved = chosen.growth.add(value)
        self._is_evaluating = False
        return [self._step(chosen, chosen.saw(at_s, self._loss.value))] if moved else []

    def _read_fully(self, raw: str, at_s: float) -> list[FoundStep]:
        line = self._reader.read(raw)
        if self._chosen is None:
            self._candidates.hear(raw)
            self._examples.keep(line, raw)
            self._printed.read(raw)
        self._note_section(line)
        found = line.loss or loss_in(line.text)
        moved = self._candidates.follow(
            line,
            raw,
            found,
            losses=self._loss.lines,
            uncounted=self._uncounted.count,
            is_evaluating=self._is_evaluating,
        )
        if any(track is self._chosen for track in moved):
            self._is_evaluating = False
        if found is not None and (moved or line.is_row or not self._is_evaluating):
            self._loss.hear(found)
        self._revoke_refuted()
        steps: list[FoundStep] = []
        for track in moved:
            sighting = track.saw(at_s, self._loss.value)
            if track is self._chosen:
                is_other = self._turns_out_otherwise(track)
                steps = self._choose(track, raw) if is_other else [self._step(track, sighting)]
        for track in [*moved, *self._candidates.outer]:
            if self._replaces(track):
                steps = self._choose(track, raw)
        if self._chosen is None and found is not None and not self._is_evaluating:
            if self._candidates.are_epochs_fractions and (in_all := self._steps_of_an_epoch):
                return self._read_fraction(raw, at_s, found[1], in_all)
            return self._read_uncounted(line, raw, at_s, found[1])
        return steps

    def _read_marked(self, raw: str, at_s: float) -> list[FoundStep]:
        """``tonnage step`` is said for us; nothing else counts once it was seen."""
        if not _MARKER.search(raw):
            return []
        if not self._is_marked:
            self._is_marked = True
            self._candidates.chosen = None
            self._decide(CounterChoice.of_lines(raw.strip(), "tonnage step"))
        found = loss_in(raw)
        return [FoundStep(at_s, None, found[1] if found else None)]

    @property
    def _steps_of_an_epoch(self) -> int | None:
        return self._epoch_steps or self._printed.steps

    def _read_fraction(self, raw: str, at_s: float, loss: float, in_all: int) -> list[FoundStep]:
        was_free = not self._fractions.is_taken
        found = self._fractions.add(raw, at_s, loss, in_all)
        if found and was_free:
            stride = self._fractions.stride
            self._decide(CounterChoice.of_fractions(raw.strip(), stride, in_all))
        return [FoundStep(time_s, number, value) for time_s, number, value in found]

    def _read_uncounted(
        self, line: OutputLine, raw: str, at_s: float, loss: float
    ) -> list[FoundStep]:
        is_in_doubt = self._was_refuted or self._candidates.unnamed.grow()
        may_come = self._earlier is not None and self._loss.lines < LOSSES_LET_PASS
        may_come |= self._were_lines_finer
        was_free = self._uncounted.shape is None
        found = self._uncounted.add(
            line,
            at_s,
            loss,
            is_free=not may_come and not self._candidates.any_grows(line),
            is_in_doubt=is_in_doubt,
        )
        if found and was_free:
            is_in_doubt = self._uncounted.is_in_doubt
            choice = CounterChoice.of_loss_lines(raw.strip(), is_in_doubt=is_in_doubt)
            self._decide(choice)
        return [FoundStep(time_s, None, value) for time_s, value in found]

    def _note_section(self, line: OutputLine) -> None:
        """A line such as "validation" says what the lines below it are about."""
        if line.slots or len(line.text) > LONGEST_HEADING or _DIGIT.search(line.text):
            return
        words = words_of(line.text)
        if is_training(words):
            self._is_evaluating = False
        elif is_evaluation(words):
            self._is_evaluating = True

    # -- the choice ------------------------------------------------------------------------

    def _revoke_refuted(self) -> None:
        """A chosen number that turns out to be an amount counts nothing."""
        if self._chosen is None or not self._chosen.is_refuted:
            return
        self._was_refuted = True
        growth = self._chosen.growth
        self._were_lines_finer |= growth.first + growth.progress < growth.lines
        self._candidates.revoke()
        self._uncounted = UncountedLines()
        self._known = KnownLines()
        self.choice = None
        self.revision += 1

    def _replaces(self, track: Track) -> bool:
        """Whether this candidate is to be the choice from now on."""
        chosen = self._chosen
        if track is chosen:
            return False
        if chosen is None and self._earlier is not None:
            if self._earlier.is_same(track):
                moves = track.growth.ups > 0 and track.growth.is_monotone and not track.is_amount
                return moves and self._earlier.tells_steps(track, self._steps_in(track))
            if not self._hides_steps(track) and self._earlier.may_still_come(track):
                return False
        if not track.is_ready(self.batch_size):
            return False
        if track.kind is Kind.EPOCH and self._candidates.are_epochs_fractions:
            return False
        if chosen is None:
            return not self._uncounted.counts_like(track.growth.progress, track.rival_progress)
        if track.rank != chosen.rank:
            return False
        margin = BETTER_THAN_EPOCHS if chosen.kind is Kind.EPOCH else CLEARLY_BETTER
        if track.score >= chosen.score + margin or _is_step_of(track, chosen):
            return not self._agrees(track, chosen)
        if self._is_evaluating and track.is_bare_bar:
            return False
        took_over = chosen.is_complete and not (chosen.has_loss or chosen.losses_beside)
        return took_over and not track.is_dismissed and track.score >= chosen.score - CLOSE

    def _hides_steps(self, track: Track) -> bool:
        """Whether these are epochs of too few steps for a second line of the known number, which is
        at its start in each: ``Epoch: 3 [0/60000]``. It will not come."""
        beside = self._candidates.samples_beside
        return track.kind is Kind.EPOCH and beside(track, self._earlier) is not None

    def _agrees(self, track: Track, chosen: Track) -> bool:
        """Whether both count the same: then the one that is printed more often is as good."""
        strides = sorted((chosen.growth.stride, track.growth.stride))
        if chosen.kind is Kind.EPOCH and strides[1] > 2 * strides[0]:
            return False
        moved = chosen.growth.progress - track.rival_progress
        slack = chosen.growth.stride + track.growth.stride
        return chosen.growth.lines >= track.growth.lines and (
            abs(moved - track.growth.progress) <= slack and moved > 0
        )

    def _choose(self, track: Track, raw: str) -> list[FoundStep]:
        self._candidates.choose(track)
        choice = self._choice_of(track)
        if track.kind is Kind.EPOCH:
            steps = self._steps_in(track) or 1
            choice = replace(choice, steps_per_epoch=steps, rival=self._doubt_about_epochs(track))
        elif self._candidates.are_rollouts:
            choice = replace(choice, rival=OF_ROLLOUTS)
        self._decide(choice)
        return [self._step(track, sighting) for sighting in track.recent]

    def _choice_of(self, track: Track) -> CounterChoice:
        counts_samples = self._knows_samples(track)
        lengths = self._candidates.totals
        return choice_of(track, self.batch_size, self.dataset_size, counts_samples, lengths)

    def _turns_out_otherwise(self, chosen: Track) -> bool:
        """Whether the chosen number, which seemed to count samples, has moved by less."""
        if self.choice is None or self.choice.samples_per_step == 1:
            return False
        if chosen.growth.ups not in REFRESHED_AT:
            return False
        return self._choice_of(chosen).samples_per_step == 1

    def _steps_in(self, epochs: Track) -> int | None:
        """The steps of each of these epochs, where the output tells them."""
        part = self._candidates.part_beside(epochs)
        beside = part.slot.total if part else None
        samples = self._candidates.samples_beside(epochs, self._earlier)
        if beside is None and samples and self.batch_size:
            beside = -(-samples // self.batch_size)
        return self._steps_of_an_epoch or beside

    def _doubt_about_epochs(self, epochs: Track) -> str:
        """What else the length of these epochs may be, where the output alone tells it."""
        part = None if self._steps_of_an_epoch else self._candidates.part_beside(epochs)
        if part is None or not part.may_stay_at_samples(self.batch_size):
            return ""
        return (
            f"These {part.slot.total:,} may also be samples; if so, give --option "
            f"dataset_size={part.slot.total}."
        )

    def _knows_samples(self, track: Track) -> bool | None:
        earlier = self._earlier
        return None if earlier is None else earlier.counts_samples_in(track, self.batch_size)

    def _decide(self, choice: CounterChoice) -> None:
        self.choice = choice
        self.revision += 1
        self._examples = Examples()
        self._known = KnownLines()

    def _step(self, track: Track, seen: Sighting) -> FoundStep:
        assert self.choice is not None
        per = self.choice.samples_per_step
        if track.growth.ups in REFRESHED_AT:
            self.choice = replace(self.choice, stride=max(1, track.growth.stride // per))
        self._loss.step()
        number = step_number(track.growth, per, seen.restarts, seen.value, seen.progress)
        number *= self.choice.steps_per_epoch
        return FoundStep(seen.at_s, number, seen.loss)

    @property
    def counter(self) -> ChosenCounter | None:
        """The chosen number; ``None`` until it is decided, and where lines have none."""
        if self._chosen is None or self.choice is None:
            return None
        return ChosenCounter(self._chosen, self.choice, self._epoch_steps is not None)

    @property
    def learned(self) -> EarlierRun | None:
        """What the next run of the same program can be told; ``None`` for output that was not
        understood."""
        track, choice = self._chosen, self.choice
        if choice is None:
            return None
        if track is None:
            return EarlierRun.without_counter()
        if self._hides_steps(track):
            return self._earlier
        counts_samples, batch_size = self._knows_samples(track), self.batch_size
        if counts_samples is None and not choice.rival and batch_size not in (None, 1):
            could = track.growth.are_multiples_of(batch_size or 0)
            counts_samples = choice.samples_per_step > 1 or (None if could else False)
        return EarlierRun.of(
            track,
            counts_samples,
            knew_epoch_steps=choice.steps_per_epoch > 1,
            batch_size=batch_size,
        )

    def explanation(self) -> str:
        """What was seen, what would be taken as a step, and what to add; for output in which no
        step was found."""
        track = self._candidates.likeliest()
        environment = self._candidates.of_environment
        is_near = track is not None and track.is_near
        return self._examples.explanation(
            self.lines,
            self.likeliest(),
            is_near=is_near,
            is_starting=track is not None and track.is_starting,
            are_epochs_fractions=self._candidates.are_epochs_fractions,
            epoch_steps=self._steps_of_an_epoch,
            of_environment=environment.example if environment else "",
        )

    def likeliest(self) -> CounterChoice | None:
        """The best candidate so far, whether or not enough was seen of it."""
        track = self._candidates.likeliest()
        if track is not None:
            return self._choice_of(track)
        example = self._examples.with_loss()
        return CounterChoice.of_loss_lines(example) if example else None


def _is_step_of(track: Track, chosen: Track) -> bool:
    """Whether a line holds both, and the candidate is the one called a step: ``iter 8 step 2``
    where batches are accumulated."""
    return (
        track.kind is Kind.STEP
        and chosen.kind in (Kind.ITERATION, Kind.BATCH, Kind.MICRO)
        and track.growth.lines == chosen.growth.lines
        and track.growth.ups >= 2
        and track.growth.stays > track.growth.ups
    )
