"""``tonnage choose --measure N``: run the probes that would settle the choice, on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.cli.context import find_workload
from app.cli.progress import ProgressDisplay, prior_line
from app.devices.service import register_target
from app.fleet_answers import service
from app.fleet_answers.question import FleetQuestion
from app.machine.session import MeasuringSession
from app.machine.target import Target, find_devices, open_target
from app.measurements.service import record
from optimizer.records import predictions
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.measurement import Measurement

if TYPE_CHECKING:
    from app.database import Database
    from app.settings import Settings


@dataclass(frozen=True)
class LocalProbes:
    """Searches for the largest batch of a workload on devices of this machine."""

    settings: Settings
    database: Database
    workload: str
    """As it was typed."""
    options: dict[str, Any]
    python: str | None

    def run(self, asked: FleetQuestion, most: int) -> None:
        """At most ``most`` searches, each the one that does most for the answer then. Ends before
        that where the choice is settled, the next probe is on another machine, or it would be
        the same as before. Raises ``InputError`` and ``MeasurementError``."""
        here = self._classes_here()
        done: set[tuple[str, str]] = set()
        with ProgressDisplay() as progress:
            for _ in range(most):
                found = service.answer(self.database, self.settings, asked)
                probe = found["next_probe"]
                if probe is None:
                    return
                key, _, limit = str(probe["class_id"]).partition("@")
                what = (str(probe["class_id"]), repr(sorted(probe["config"].items())))
                device = here.get(key)
                if device is None:
                    progress.line(f"The next probe is on {probe['name']}, which is not here.")
                    return
                if what in done:
                    return
                done.add(what)
                self._search(progress, device, int(limit) if limit else None, probe["config"])

    def _classes_here(self) -> dict[str, str]:
        """Class key to the name of a device."""
        _, python = find_workload(self.settings, self.workload, self.options)
        _, found = find_devices(self.settings, self.python or python)
        names: dict[str, str] = {}
        for each in found["devices"]:
            facts = DeviceFacts(**each)
            mark = build_fingerprint(facts, Telemetry(facts))
            names.setdefault(mark.class_key, facts.device)
        return names

    def _search(
        self,
        progress: ProgressDisplay,
        device: str,
        limit_bytes: int | None,
        config: dict[str, Any],
    ) -> None:
        reference, python = find_workload(self.settings, self.workload, self.options)
        target: Target = open_target(self.settings, self.python or python, device, limit_bytes)
        with target.lease(self.settings, progress.waiting):
            session = MeasuringSession.open(
                self.settings, reference, target, self.settings.headroom, progress.worker
            )
            config = session.config(config)
            bounds = session.bounds(config)
            prior = session.prior(config, bounds.ceiling)
            progress.line(prior_line(prior))

            def measure(wanted: Ask) -> Measurement:
                progress.probe(wanted)
                measurement = session.measure(config, wanted)
                record(self.database, session.scope, measurement, predictions(wanted))
                progress.measured(measurement)
                return measurement

            register_target(self.database, target)
            run_search(MaxBatchSearch(bounds, prior=prior), measure)
