"""A probe as one of several ranks: meeting the others, what the exchange with them takes, and what
the parent needs to judge them all. A probe of a single device is alone."""

from __future__ import annotations

import statistics
from typing import Any

from probes.devices.base import Backend
from probes.group import Group
from probes.job import ProbeJob
from probes.ranks import parallel, team
from probes.ranks.pulse import Pulse
from probes.worker.evidence import RunEvidence
from probes.worker.training import Training

LOCAL_STEPS = 7
"""Steps of every rank by itself, to tell what the exchange takes. The median counts."""


class Rank:
    """This process among the ranks of a gang."""

    def __init__(self) -> None:
        self.team = team.Alone()
        self.outside_before = 0
        self.local_step_s: list[float] = []
        """Durations of steps without any exchange between ranks."""

    def join(self, job: ProbeJob, group: Group, backend: Backend, pulse: Pulse) -> None:
        """Meet the other ranks. ``pulse`` gives signs of life from here on."""
        self.outside_before = backend.outside_bytes()
        if group.kind == "cpu":
            backend.sharers = group.per_host
        pulse.start()
        degree = job.config.get("tensor_parallel", 1)
        joined = team.join(group, job.rank, degree, job.meeting, backend.torch_device)
        if parallel.needs_mesh(job.config):
            joined.make_mesh()
        self.team = joined

    def step_without_exchange(self, training: Training, backend: Backend) -> None:
        """The same steps with every rank by itself: what they take less is communication that
        nothing hides."""
        training.exchanges = False
        for _ in range(LOCAL_STEPS):
            self.team.wait()
            begin = backend.mark()
            training.step()
            end = backend.mark()
            backend.synchronize()
            self.local_step_s.append(backend.elapsed_s(begin, end))
        self.team.wait()

    def told(
        self,
        evidence: RunEvidence,
        backend: Backend | None,
        from_a_peer: str,
        reached_end: bool,
    ) -> dict[str, Any]:
        """What the parent needs beside the measurement, to judge the gang. ``backend``: the device,
        once there is a cap on it."""
        outside = backend.outside_bytes() if backend is not None else 0
        return {
            "peer_error": from_a_peer,
            "non_finite_step": evidence.first_non_finite,
            "reached_end": reached_end,
            "communication_bytes": max(0, outside - self.outside_before),
            "local_step_s": statistics.median(self.local_step_s) if self.local_step_s else None,
            "data_parallel": self.team.data_parallel,
        }
