"""What the number that was chosen to count steps tells of epochs."""

from __future__ import annotations

from dataclasses import dataclass

from probes.black_box.discovery.choice import CounterChoice
from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.discovery.track import Track
from probes.black_box.discovery.vocabulary import Kind


@dataclass(frozen=True)
class ChosenCounter:
    """A number in the output, and how it counts."""

    track: Track
    choice: CounterChoice
    is_epoch_known: bool
    """The steps of an epoch were known without it."""

    @property
    def restarts(self) -> int:
        """How often it has begun again, as it does with each epoch; one that counts epochs does so
        with each step."""
        growth = self.track.growth
        return growth.ups if self.track.kind is Kind.EPOCH else growth.restarts

    @property
    def steps_in_all(self) -> int | None:
        """What it counts up to, in steps, the 500 in ``12/500``: those of an epoch or of the
        training. ``None`` where that is not printed."""
        if not self.track.slot.total or self.track.kind is Kind.EPOCH:
            return None
        return -(-self.track.slot.total // self.choice.samples_per_step)

    @property
    def epoch(self) -> EpochSteps | None:
        """The steps of an epoch, as far as it tells: by what it counts up to, or by how far it has
        come when it started again."""
        in_all = self.steps_in_all
        if in_all is not None:
            return EpochSteps(in_all, in_all)
        if self.track.kind is Kind.EPOCH:
            steps = self.choice.steps_per_epoch
            return EpochSteps(steps, steps) if steps > 1 and not self.is_epoch_known else None
        return self.track.growth.epoch if self.choice.samples_per_step == 1 else None

    @property
    def steps_ahead(self) -> int | None:
        """Steps until it has come to ``steps_in_all``."""
        in_all = self.steps_in_all
        if in_all is None:
            return None
        return max(0, in_all - -(-self.track.growth.last // self.choice.samples_per_step))
