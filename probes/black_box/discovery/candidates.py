"""The numbers in the output that may count steps, followed from line to line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import compress

from probes.black_box.discovery.amounts import Amounts
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.discovery.losses import Loss
from probes.black_box.discovery.shape import Key, OutputLine, Slot
from probes.black_box.discovery.track import LOOKED_AT, Track, track_of
from probes.black_box.discovery.uncounted import UnnamedNumbers
from probes.black_box.discovery.vocabulary import FRACTION_OF_EPOCH, Kind

MOST_TRACKS = 400
"""Candidates that are followed at the same time."""

_ANNOUNCED = re.compile(
    r"\b(?:running|start(?:ing|ed)?|begin(?:ning)?|commenc\w+)\b.{0,30}\btrain", re.IGNORECASE
)


class Candidates:
    """Give it each line; it returns the candidates whose numbers have moved."""

    def __init__(self) -> None:
        self.chosen: Track | None = None
        """The one that counts the steps."""
        self.unnamed = UnnamedNumbers()
        self.are_epochs_fractions = False
        """Epochs are written as 0.25, so that a whole one is no more than a fourth of them."""
        self.is_alive = False
        """Whether the last line held a candidate."""
        self.outer: list[Track] = []
        """Bars inside of which another one has begun with the last line."""
        self._tracks: dict[Key, Track | None] = {}
        self._amounts = Amounts()
        self._is_announced = False
        self._has_timesteps = False

    def __iter__(self) -> Iterator[Track]:
        return (track for track in self._tracks.values() if track is not None)

    def __len__(self) -> int:
        """Numbers that are kept in mind, those of no interest included."""
        return len(self._tracks)

    def hear(self, raw: str) -> None:
        """What a line says of those to come, before one is chosen."""
        self._is_announced = self._is_announced or bool(_ANNOUNCED.search(raw))
        self._has_timesteps = self._has_timesteps or "timesteps" in raw
        if "poch" in raw:
            self.are_epochs_fractions |= bool(FRACTION_OF_EPOCH.search(raw))

    def follow(
        self,
        line: OutputLine,
        raw: str,
        loss: Loss | None,
        *,
        losses: int,
        uncounted: int,
        is_evaluating: bool,
    ) -> list[Track]:
        """The candidates whose numbers have moved with this line, which has this ``loss``.

        Args:
            losses: losses that were seen before.
            uncounted: steps that were told by lines without a number.
        """
        moved: list[Track] = []
        self.outer = []
        self.is_alive = False
        evaluated = line.is_row and is_evaluating
        rank = f"{line.rank} evaluation" if evaluated else line.rank
        keys: list[Key] = [(rank, slot.prefix, slot.total) for slot in line.slots]
        if self.chosen is None or self.chosen.is_young:
            counts = [not slot.is_of_time_or_size for slot in line.slots]
            values = (slot.value for slot in line.slots)
            self._amounts.read([*compress(zip(keys, values), counts)])
        for key, slot in zip(keys, line.slots):
            again = slot.name and loss is not None and self.chosen is None
            if key not in self._tracks or (again and self._tracks[key] is None and not evaluated):
                self._make_room()
                self._tracks[key] = None if evaluated else self._new(slot, line, raw, uncounted)
            track = self._tracks[key]
            if track is None:
                if self.chosen is None:
                    self.unnamed.add(key, slot)
                continue
            self.is_alive = True
            if loss is None and track.is_about_evaluation(line, slot):
                continue
            growth = track.growth
            restarts, is_first = growth.restarts, growth.lines == 0
            delta = growth.add(slot.value)
            if growth.lines <= LOOKED_AT:
                track.look(line, slot, loss)
                if slot.is_bar:
                    track.example = raw.strip()
            if loss is None and 0 <= track.seen_loss_line < losses and delta > 0:
                track.losses_beside += growth.restarts == restarts
            track.seen_loss_line = losses
            if delta or (is_first and not (slot.is_bar and not slot.value)):
                moved.append(track)
        tracks = {key: track for key in keys if (track := self._tracks.get(key))}
        self._look_for_amounts(tracks)
        self._look_for_epochs([*tracks.values()])
        return moved

    def _look_for_amounts(self, tracks: dict[Key, Track]) -> None:
        """Which of these numbers are amounts, and which are their sums. One that is called a step
        and rises steadily is none, although the tokens so far may grow by it."""
        sums = {
            key: total
            for key, total in self._amounts.sums.items()
            if not ((track := self._tracks.get(key)) and track.is_steady_step)
        }
        for key, track in tracks.items():
            track.is_amount = key in sums
            track.is_sum = key in sums.values()

    def _look_for_epochs(self, tracks: list[Track]) -> None:
        """A number that falls, and has another epoch in each of its lines, is what that epoch had:
        ``Episode 12: steps=42``."""
        epochs = {track.growth.lines: track for track in tracks if track.kind is Kind.EPOCH}
        for track in tracks:
            growth, epoch = track.growth, epochs.get(track.growth.lines)
            ups = epoch.growth.ups if epoch else 0
            every = growth.lines > 2 and ups == growth.lines - 1
            track.is_of_each_epoch = every and growth.falls > 0 and not track.slot.total
            track.is_amount |= track.is_of_each_epoch

    def choose(self, track: Track) -> None:
        """Count with this one from now on. Where it is taken again, what was counted with meanwhile
        was an evaluation between two epochs, and is not taken any more."""
        if self.chosen is not None and track.was_chosen:
            self.chosen.is_dismissed = True
        self.chosen, track.was_chosen = track, True
        for other in self:
            if other is not track:
                other.rival_progress = track.growth.progress - other.growth.progress

    def revoke(self) -> None:
        """Count with none. What is counted from now on is compared with how far these go on."""
        if self.chosen is not None:
            self.chosen.was_chosen = False
            self.chosen = None
        for track in self:
            track.rival_progress = -track.growth.progress

    def any_grows(self, line: OutputLine) -> bool:
        """Whether a number beside those of this line may count the steps."""
        return any(t.growth.ups and t.growth.is_monotone for t in self) or self.unnamed.grow(
            besides={slot.prefix for slot in line.slots}
        )

    def part_beside(self, epochs: Track) -> Track | None:
        """The number of steps in the line of each epoch, where it stays and has a total, which is
        the steps of an epoch: ``epoch 3 / 500, step 0 / 250``, ``Epoch [13][50/83]``."""
        parts = {
            track.slot.total: track
            for track in self
            if track.growth.stays == epochs.growth.ups and track.tells_length_of_epoch
        }
        return parts.popitem()[1] if len(parts) == 1 else None

    def samples_beside(self, epochs: Track, earlier: EarlierRun | None) -> int | None:
        """The samples of an epoch, where the line of each epoch has a number that stays, and what
        it counts up to, and an earlier run has seen it count samples: ``[0/18000 (0%)]``."""
        if earlier is None or not earlier.counts_samples:
            return None
        for track in self:
            if earlier.is_same(track) and track.growth.stays == epochs.growth.ups:
                return track.slot.total
        return None

    @property
    def are_rollouts(self) -> bool:
        """Whether iterations are printed beside the time steps of an environment: each collects a
        rollout and trains on it for several optimizer steps."""
        return self._has_timesteps and any(track.slot.name == "iterations" for track in self)

    @property
    def totals(self) -> set[int]:
        """What numbers other than the chosen one count up to."""
        own = self.chosen.slot.total if self.chosen else None
        return {total for _, _, total in self._tracks if total and total != own}

    @property
    def of_environment(self) -> Track | None:
        """The number that counts the steps of an environment, if there is one."""
        return next((track for track in self if track.counts_environment), None)

    def likeliest(self) -> Track | None:
        """The best one so far, whether or not enough was seen of it."""
        tracks = [
            track
            for track in self
            if track.growth.is_monotone
            and not track.is_excluded
            and not (track.is_decimal and not track.growth.ups)
            and not track.is_fraction_of_epoch
            and not (track.kind is Kind.EPOCH and self.are_epochs_fractions)
        ]
        for fitting in (
            [t for t in tracks if t.growth.ups and (t.has_loss or t.kind is not Kind.BARE)],
            [t for t in tracks if t.has_loss],  # one line so far
            [t for t in tracks if t.growth.ups > 1 and t.growth.is_even],  # a number and no words
        ):
            if fitting:
                return max(fitting, key=lambda t: (not t.is_bare_bar, t.score, t.growth.ups))
        return None

    def _new(self, slot: Slot, line: OutputLine, raw: str, uncounted: int) -> Track | None:
        track = track_of(slot, line, raw, is_announced=self._is_announced)
        if track is not None:
            track.rival_progress = self.chosen.growth.progress if self.chosen else uncounted
            if track.is_unnamed_bar:
                self.outer = [one for one in self if one.is_on_its_way]
            track.is_inside = bool(self.outer)
            for one in self.outer:
                one.has_inner = True
        return track

    def _make_room(self) -> None:
        if len(self._tracks) < MOST_TRACKS:
            return
        for least in (3, 1_000_000_000):
            self._tracks = {
                key: track
                for key, track in self._tracks.items()
                if track is not None and (track is self.chosen or track.growth.lines >= least)
            }
            if len(self._tracks) < MOST_TRACKS // 2:
                return
