"""What one run of a program teaches about the output of the next."""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.black_box.discovery.track import Track

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

    @classmethod
    def of(
        cls, track: Track, counts_samples: bool | None, *, knew_epoch_steps: bool = False
    ) -> EarlierRun:
        slot = track.slot
        has_total = slot.total is not None
        return cls(slot.prefix, has_total, slot.is_bar, counts_samples, knew_epoch_steps)

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

    def counts_samples_in(self, track: Track) -> bool | None:
        """Whether the number counts samples, as far as the earlier run knew."""
        return self.counts_samples if self.is_same(track) else None
