"""Limits of a search that are not part of the question a study answers."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.records import StudySpec
from probes.group import Group
from probes.max_batch import DEFAULT_CAP, Bounds
from probes.measurement import Config


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
    group: Group | None = None
    """The devices that train as one; ``None`` for a single device. Batches are one rank's."""

    def data_parallel(self, config: Config) -> int:
        """Number of ranks that draw different batches."""
        return 1 if self.group is None else self.group.data_parallel(config)

    def bounds(self, spec: StudySpec, config: Config) -> Bounds:
        """The bounds of the max-batch search of a config of a study."""
        bounds = Bounds(
            cap=self.batch_cap,
            dataset_size=spec.dataset_size,
            longest_step_s=spec.budget.longest_step_s,
            resolution=self.resolution,
            slowest_sample=self.slowest_sample,
            effective_batch_size=spec.scope.effective_batch_size,
        )
        ranks = self.data_parallel(config)
        return bounds if ranks == 1 else bounds.shared_by(ranks)
