"""Fitting a fine-tuning to a target with probes that are stored, as every other probe is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.database import Database
from app.machine.session import MeasuringSession
from app.measurements.service import record
from finetuning.measuring import bounds, config
from finetuning.settings.model import FineTuningSettings
from optimizer.records import predictions
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose


@dataclass(frozen=True)
class StoredMeasurer:
    """See ``finetuning.fit.Measurer``."""

    session: MeasuringSession
    database: Database
    rows: int
    """Training rows."""
    on_ask: Callable[[Ask], None] = lambda ask: None
    on_measurement: Callable[[Measurement], None] = lambda measurement: None

    def find(self, settings: FineTuningSettings) -> MaxBatch:
        limits = bounds(settings, self.rows)
        prior = self.session.prior(config(settings), limits.ceiling)
        search = MaxBatchSearch(limits, prior=prior)
        return run_search(search, lambda ask: self._measure(settings, ask))

    def confirm(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self._measure(settings, Ask(micro_batch, Purpose.CONFIRM))

    def brief(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self._measure(settings, Ask(micro_batch, Purpose.BRACKET))

    def _measure(self, settings: FineTuningSettings, ask: Ask) -> Measurement:
        self.on_ask(ask)
        measurement = self.session.measure(config(settings), ask)
        record(self.database, self.session.scope, measurement, predictions(ask))
        self.on_measurement(measurement)
        return measurement
