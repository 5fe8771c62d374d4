"""Limits of a search that are not part of the question a study answers."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.records import StudySpec
from probes.max_batch import DEFAULT_CAP, Bounds


@dataclass(frozen=True)
class SearchLimits:
    """Where the max-batch search of a config begins and ends, and how long a study may run."""

    batch_cap: int = DEFAULT_CAP
    resolution: float = 0.03
    """Relative distance of the highest passing and the lowest failing batch at the end."""
    start: int = 8
    """First batch size of a config about which nothing is known."""
    slowest_sample: float | None = None
    """See ``probes.max_batch.Bounds``."""
    timeout_s: float | None = None
    """No config is begun after this many seconds."""

    def bounds(self, spec: StudySpec) -> Bounds:
        """The bounds of the max-batch search of any config of a study."""
        return Bounds(
            cap=self.batch_cap,
            dataset_size=spec.dataset_size,
            longest_step_s=spec.budget.longest_step_s,
            resolution=self.resolution,
            slowest_sample=self.slowest_sample,
            effective_batch_size=spec.scope.effective_batch_size,
        )
