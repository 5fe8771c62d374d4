"""What one run of a program teaches about the output of the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.black_box.discovery.track import Track
from probes.black_box.discovery.vocabulary import Kind

EPOCHS_LET_PASS = 3
"""Epochs after which those of a later run count as steps, where the output does not tell theirs as
it did before."""
MOVES_LET_PASS = 20
"""Another number is taken when it has moved this often before the known one did: the program prints
something else than before."""


@dataclass(frozen=True)
class EarlierRun:
    """The number that counted the steps, told from others by where it stands in its line."""

    prefix: str
    """What stands before it; see ``Slot.prefix``."""
    has_total: bool
    is_bar: bool
    counts_samples: bool | None
    """``None`` where the earlier run could not tell samples from steps."""
    knew_epoch_steps: bool = field(default=False, compare=False)
    """Whether it counted epochs, and the output told their steps."""
    batch_size: int | None = field(default=None, compare=False)
    stride: int | None = field(default=None, compare=False)
    """By how much it grew from line to line, where that was in multiples of the batch size."""
    has_counter: bool = True
    """Whether there was a number; lines without one are looked for anew in each run."""

    @classmethod
    def without_counter(cls) -> EarlierRun:
        """A run whose output was understood, and whose steps had no number."""
        return cls("", False, False, None, has_counter=False)

    @classmethod
    def of(
        cls,
        track: Track,
        counts_samples: bool | None,
        *,
        knew_epoch_steps: bool = False,
        batch_size: int | None = None,
    ) -> EarlierRun:
        slot, growth = track.slot, track.growth
        return cls(
            slot.prefix,
            slot.total is not None,
            slot.is_bar,
            counts_samples,
            knew_epoch_steps,
            batch_size,
            growth.stride if growth.are_multiples_of(batch_size or 0) else None,
        )

    def is_same(self, track: Track) -> bool:
        """Whether this is that number. Its total may differ: it depends on the batch size."""
        return EarlierRun.of(track, self.counts_samples) == self

    def tells_steps(self, epochs: Track, steps: int | None) -> bool:
        """Whether to count with these epochs: it is known that they have ``steps``, as it was in
        the earlier run, or that is not told any more. Else an epoch would count as one step."""
        return not self.knew_epoch_steps or bool(steps) or epochs.growth.ups >= EPOCHS_LET_PASS

    def may_still_come(self, other: Track) -> bool:
        """Whether to wait for it although another number moves."""
        return other.growth.ups < MOVES_LET_PASS

    def counts_samples_in(self, track: Track, batch_size: int | None) -> bool | None:
        """Whether the number counts samples, as far as this run and the earlier one tell: one that
        does moves in multiples of the batch size in both."""
        if not self.is_same(track):
            return None
        growth = track.growth
        if self.counts_samples is False or not batch_size or batch_size == 1:
            return self.counts_samples
        if not growth.are_multiples_of(batch_size):
            return self.counts_samples and track.kind is Kind.SAMPLE
        if self.stride is None or self.batch_size is None or self.batch_size == batch_size:
            return self.counts_samples
        if growth.stride == self.stride and not self.is_bar:
            return False  # lines come every so many steps, whatever the batch
        is_common = not (growth.stride % self.batch_size or self.stride % batch_size)
        grew = growth.stride * self.batch_size == self.stride * batch_size
        return True if self.counts_samples or grew or not is_common else None
