"""What one run of a program teaches about the output of the next."""

from __future__ import annotations

from dataclasses import dataclass

from probes.black_box.discovery.track import Track

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

    @classmethod
    def of(cls, track: Track, counts_samples: bool | None) -> EarlierRun:
        slot = track.slot
        return cls(slot.prefix, slot.total is not None, slot.is_bar, counts_samples)

    def is_same(self, track: Track) -> bool:
        """Whether this is that number. Its total may differ: it depends on the batch size."""
        return EarlierRun.of(track, self.counts_samples) == self

    def may_still_come(self, other: Track) -> bool:
        """Whether to wait for it although another number moves."""
        return other.growth.ups < MOVES_LET_PASS

    def counts_samples_in(self, track: Track) -> bool | None:
        """Whether the number counts samples, as far as the earlier run knew."""
        return self.counts_samples if self.is_same(track) else None
