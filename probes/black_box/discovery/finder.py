"""Chooses the number in a program's output that counts optimizer steps, line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from probes.black_box.discovery.choice import Choice, choice_of, shortened, step_number
from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.shape import Line, LineReader
from probes.black_box.discovery.track import LOOKED_AT, Sighting, Track, track_of
from probes.black_box.discovery.vocabulary import Kind

CLEARLY_BETTER = 8
"""By how much a candidate must fit better than the choice to replace it."""
CLOSE = 4
MOST_TRACKS = 400
"""Candidates that are followed at the same time."""
KEPT_EXAMPLES = 5
REFRESHED_AT = (2, 4, 8, 16)
"""Moves after which it is looked again how many steps there are between two lines."""

_MARKER = re.compile(r"\btonnage step\b", re.IGNORECASE)
_ANNOUNCED = re.compile(
    r"\b(?:running|start(?:ing|ed)?|begin(?:ning)?|commenc\w+)\b.{0,30}\btrain", re.IGNORECASE
)


@dataclass(frozen=True)
class Step:
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
    """

    def __init__(self, batch_size: int | None = None, dataset_size: int | None = None) -> None:
        self.batch_size = batch_size
        self.dataset_size = dataset_size
        self.choice: Choice | None = None
        self.revision = 0
        self._reader = LineReader()
        self._tracks: dict[tuple[str, str, int | None], Track | None] = {}
        self._chosen: Track | None = None
        self._is_marked = False
        self._is_announced = False
        self._loss: float | None = None
        self._loss_lines = 0
        self._lines = 0
        self._examples: dict[str, str] = {}

    def read(self, raw: str, at_s: float) -> list[Step]:
        """The steps that this line tells of. With the line that decides, also those before it."""
        self._lines += 1
        if self._is_marked or "tonnage step" in raw.lower():
            return self._read_marked(raw, at_s)
        if not self._is_announced and self._chosen is None and _ANNOUNCED.search(raw):
            self._is_announced = True
        line = self._reader.read(raw)
        found = line.loss or loss_in(line.text)
        loss = found[1] if found else None
        if found is not None:
            self._loss = loss
            self._loss_lines += 1
        if self._chosen is None:
            self._keep_example(line, raw)
        moved: list[Track] = []
        steps: list[Step] = []
        for track, sighting in self._follow(line, raw, at_s, found):
            if track is self._chosen:
                steps = [self._step(track, sighting)]
            moved.append(track)
        for track in moved:
            if self._replaces(track):
                steps = self._choose(track)
        return steps

    def _read_marked(self, raw: str, at_s: float) -> list[Step]:
        if not _MARKER.search(raw):
            return []
        if not self._is_marked:
            self._is_marked = True
            self._chosen = None
            self.revision += 1
            self.choice = Choice.of_marker(raw.strip())
        found = loss_in(raw)
        return [Step(at_s, None, found[1] if found else None)]

    def _follow(
        self, line: Line, raw: str, at_s: float, found: tuple[str, float] | None
    ) -> Iterator[tuple[Track, Sighting]]:
        """The candidates whose numbers have moved with this line."""
        for slot in line.slots:
            key = (line.rank, slot.prefix, slot.total)
            if key not in self._tracks:
                self._make_room()
                track = track_of(slot, line, raw, is_announced=self._is_announced)
                self._tracks[key] = track
                if track is not None and self._chosen is not None:
                    track.rival_progress = self._chosen.growth.progress
            track = self._tracks[key]
            if track is None:
                continue
            growth = track.growth
            restarts = growth.restarts
            is_first = growth.lines == 0
            delta = growth.add(slot.value)
            if growth.lines <= LOOKED_AT:
                track.look(line, raw, slot, found)
            if found is None and 0 <= track.seen_loss_line < self._loss_lines and delta > 0:
                track.losses_beside += growth.restarts == restarts
            track.seen_loss_line = self._loss_lines
            if delta or (is_first and not (slot.is_bar and not slot.value)):
                loss = self._loss
                sighting = Sighting(at_s, growth.restarts, slot.value, growth.progress, loss)
                track.recent.append(sighting)
                yield track, sighting

    def _make_room(self) -> None:
        if len(self._tracks) < MOST_TRACKS:
            return
        for key, track in list(self._tracks.items()):
            if track is not self._chosen and (track is None or track.growth.lines < 3):
                del self._tracks[key]
        if len(self._tracks) >= MOST_TRACKS:
            self._tracks = {k: t for k, t in self._tracks.items() if t and t is self._chosen}

    # -- the choice ------------------------------------------------------------------------

    def _replaces(self, track: Track) -> bool:
        """Whether this candidate is to be the choice from now on."""
        chosen = self._chosen
        if track is chosen or not track.is_ready(self.batch_size):
            return False
        if chosen is None:
            return True
        if track.rank != chosen.rank:
            return False
        if track.score >= chosen.score + CLEARLY_BETTER or _is_step_of(track, chosen):
            return not self._agrees(track, chosen)
        took_over = chosen.is_complete and not (chosen.has_loss or chosen.losses_beside)
        return took_over and track.score >= chosen.score - CLOSE

    def _agrees(self, track: Track, chosen: Track) -> bool:
        """Whether both count the same: then the one that is printed more often is as good."""
        moved = chosen.growth.progress - track.rival_progress
        slack = chosen.growth.stride + track.growth.stride
        return chosen.growth.lines >= track.growth.lines and (
            abs(moved - track.growth.progress) <= slack and moved > 0
        )

    def _choose(self, track: Track) -> list[Step]:
        self._chosen = track
        self.revision += 1
        self.choice = choice_of(track, self.batch_size, self.dataset_size)
        for other in self._tracks.values():
            if other is not None and other is not track:
                other.rival_progress = track.growth.progress - other.growth.progress
        return [self._step(track, sighting) for sighting in track.recent]

    def _step(self, track: Track, seen: Sighting) -> Step:
        assert self.choice is not None
        per = self.choice.samples_per_step
        number = step_number(track.growth, per, seen.restarts, seen.value, seen.progress)
        if track.growth.ups in REFRESHED_AT:
            self.choice = replace(self.choice, stride=max(1, track.growth.stride // per))
        self._loss = None
        return Step(seen.at_s, number, seen.loss)

    # -- what to say where nothing is understood -------------------------------------------

    def _keep_example(self, line: Line, raw: str) -> None:
        if not line.slots:
            return
        prefix = line.slots[0].prefix
        if prefix in self._examples or len(self._examples) < 50:
            self._examples[prefix] = raw.strip()

    def explanation(self) -> str:
        """What was seen, what would be taken as a step, and what to add; for output in which no
        step was found."""
        shown = [shortened(text) for text in list(self._examples.values())[-KEPT_EXAMPLES:]]
        words = f"{self._lines:,} lines were printed, and none of them was taken for a step."
        if shown:
            words += "\nLines with numbers:\n" + "\n".join(f"  {text}" for text in shown)
        likely = self.likeliest()
        if likely is not None:
            return (
                f"{words}\nThe likeliest are lines like `{shortened(likely.example)}`. If they "
                f"count steps, give --step '{likely.pattern}'."
            )
        return (
            f'{words}\nPrint a line after each optimizer step, print("tonnage step", flush=True), '
            r"or say how the script's own lines look: --step 'iter (?P<step>\d+)'."
        )

    def likeliest(self) -> Choice | None:
        """The best candidate so far, whether or not enough was seen of it."""
        tracks = [t for t in self._tracks.values() if t is not None and t.growth.is_monotone]
        growing = [t for t in tracks if t.growth.ups]
        if not growing:
            return None
        best = max(growing, key=lambda t: (t.score, t.growth.ups))
        return choice_of(best, self.batch_size, self.dataset_size)


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
