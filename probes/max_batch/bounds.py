"""What limits a max-batch search besides memory. Standard library only, Python 3.10 syntax."""

from __future__ import annotations

from dataclasses import dataclass, replace

from probes.effective_batch import next_useful, useful

DEFAULT_CAP = 65_536
DEFAULT_RESOLUTION = 0.03


@dataclass(frozen=True)
class Bounds:
    """What limits the answer besides memory. ``None`` where there is no such limit."""

    cap: int = DEFAULT_CAP
    """Largest batch to consider at all."""
    dataset_size: int | None = None
    """A batch larger than the data set would repeat samples."""
    is_size_counted: bool = False
    """Whether ``dataset_size`` was not stated, but told by what a command counts up to."""
    size_source: str = ""
    """What tells a ``dataset_size`` that was not stated, in one sentence."""
    longest_step_s: float | None = None
    """Mean step time that must not be exceeded: the time edge."""
    resolution: float = DEFAULT_RESOLUTION
    """Stop when the lowest failing batch is within this fraction of the answer."""
    slowest_sample: float | None = None
    """Reject a batch whose time per sample exceeds this multiple of a smaller batch's: it is how
    memory that silently overflows into host memory shows. Only for devices that can do so."""
    effective_batch_size: int | None = None
    """Samples per optimizer step, in micro-batches: those are what is searched then. Only sizes
    that are useful for it are tried (see ``probes.effective_batch``)."""

    multiple_of: int = 1
    """Only multiples of this are tried: a search finds out where a training takes no others."""
    are_powers: bool = False
    """Only powers of two are tried, for the same reason."""

    ranks: int = 1
    """Number of ranks that share the data set and the samples of a step: the other numbers are
    those of one rank."""

    def shared_by(self, ranks: int) -> Bounds:
        """The bounds of one of several ranks that draw different batches: they share the data set
        and the samples of a step."""
        size, effective = self.dataset_size, self.effective_batch_size
        return replace(
            self,
            dataset_size=None if size is None else max(1, size // ranks),
            effective_batch_size=None if effective is None else -(-effective // ranks),
            ranks=ranks,
        )

    @property
    def ceiling(self) -> int:
        return self.useful(self.limit)

    @property
    def ceiling_binding(self) -> str:
        """What the ceiling stands for: ``data`` or ``cap``."""
        return "data" if self.limit == self.dataset_size else "cap"

    @property
    def ceiling_reason(self) -> str:
        """Why nothing above the ceiling was tried."""
        if self.limit == self.dataset_size and self.is_size_counted:
            counted = f"By its own count, an epoch has about {self.dataset_size} samples."
            return self.size_source or counted
        if self.limit == self.dataset_size:
            whose = f" for each of {self.ranks} ranks" if self.ranks > 1 else ""
            return f"The data set has {self.dataset_size} samples{whose}."
        if self.limit == self.effective_batch_size:
            share = "the whole" if self.ranks == 1 else f"a rank's share (1 of {self.ranks}) of the"
            return f"It is {share} effective batch, {self.effective_batch_size} samples."
        return f"The largest batch considered is {self.limit}."

    @property
    def step_edge_s(self) -> float | None:
        """``longest_step_s`` where a larger batch makes a longer step. With the samples of a step
        stated, a larger micro-batch makes a shorter one: time is then judged at the end."""
        return self.longest_step_s if self.effective_batch_size is None else None

    def useful(self, batch_size: int) -> int:
        """The largest batch up to this one that is worth trying."""
        effective = self.effective_batch_size
        if batch_size < self.multiple_of:
            return batch_size
        if self.are_powers:
            return 1 << (batch_size.bit_length() - 1)
        if effective is None:
            return batch_size - batch_size % self.multiple_of
        return useful(effective, batch_size)

    def next_useful(self, batch_size: int) -> int:
        """The smallest batch above this one that is worth trying."""
        effective = self.effective_batch_size
        if batch_size < 1:
            return 1
        if self.are_powers:
            return 1 << batch_size.bit_length()
        above = None if effective is None else next_useful(effective, batch_size)
        beyond = batch_size - batch_size % self.multiple_of + self.multiple_of
        return beyond if above is None else above

    @property
    def limit(self) -> int:
        """The tightest of the limits that are known before anything is measured."""
        limits = (self.cap, self.dataset_size, self.effective_batch_size)
        return min(limit for limit in limits if limit is not None)
