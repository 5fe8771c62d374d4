"""A ``Store`` in memory, and a study's scripted device: what the logic tests run on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from optimizer.budgets import Budget
from optimizer.records import Grade, Key, Prediction, Scope, StudySpec, Trial, config_key
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose
from probes.space import Choice, Space
from tests.probes.scripted import MIB, ScriptedDevice


@dataclass
class MemoryStore:
    kept: list[Measurement] = field(default_factory=list)
    settled: list[Trial] = field(default_factory=list)
    graded: list[Grade] = field(default_factory=list)
    numbers: dict[Key, int] = field(default_factory=dict)
    """The number of each config's trial."""

    def find_measurement(
        self, config: Config, batch_size: int, purpose: Purpose
    ) -> Measurement | None:
        """As the database does: a passed confirmation answers for a bracket too."""
        found = [
            m
            for m in self.kept
            if (m.config, m.batch_size) == (config, batch_size)
            and (m.purpose is purpose or (purpose is Purpose.BRACKET and m.passed))
        ]
        return min(
            reversed(found),
            key=lambda m: (bool(m.tainted), m.purpose is not purpose),
            default=None,
        )

    def add_measurement(
        self, trial_number: int, measurement: Measurement, predictions: list[Prediction]
    ) -> None:
        self.kept.append(measurement)
        for p in predictions:
            timing = measurement.step_time
            truth = (
                measurement.peak_bytes if p.quantity == "peak_bytes" else timing and timing.mean_s
            )
            self.graded.append(Grade(p.quantity, p.predicted, p.low, p.high, truth))

    def trials(self) -> list[Trial]:
        return sorted(self.settled, key=lambda trial: trial.number)

    def add_trial(self, trial: Trial) -> None:
        self.settled = [t for t in self.settled if t.number != trial.number] + [trial]

    def claim(self, config: Config) -> int | None:
        """Everything that was claimed keeps its number."""
        return self.numbers.setdefault(config_key(config), len(self.numbers))

    def busy(self) -> list[Config]:
        return []

    def measurements(self) -> list[Measurement]:
        return list(self.kept)

    def grades(self) -> list[Grade]:
        return list(self.graded)


@dataclass
class ScriptedFleet:
    """One scripted device per config: a probe function for a study. Counts what it was asked."""

    device: Callable[[Config], ScriptedDevice]
    calls: list[tuple[str, int, str]] = field(default_factory=list)
    die_after: int | None = None
    """Raise ``KeyboardInterrupt`` instead of the probe with this number."""

    def __call__(self, config: Config, ask: Ask) -> Measurement:
        if self.die_after is not None and len(self.calls) >= self.die_after:
            raise KeyboardInterrupt
        self.calls.append((repr(config), ask.batch_size, str(ask.purpose)))
        measurement = self.device(config)(ask)
        layers, width = config.get("layers", 1), config.get("width", 1)
        return replace(
            measurement,
            config=config,
            parameters=layers * width * width,
            limit_bytes=measurement.cap_bytes,
        )


def grid_device(config: Config) -> ScriptedDevice:
    """Memory and time grow with layers and width."""
    size = config["layers"] * config["width"]
    return ScriptedDevice(
        memory=lambda b: (size + 0.1 * size * b) * MIB,
        static_bytes=size * MIB,
        step_s=lambda b: 0.01 * config["layers"] + 0.001 * b * config["width"] ** 0.5,
    )


LAYERS_AND_WIDTH: Space = {"layers": Choice([1, 2, 4]), "width": Choice([8, 16, 64])}


def spec(budget: Budget, space: Space | None = None, dataset_size: int | None = None) -> StudySpec:
    scope = Scope("scripted", "hash", "fingerprint", "cpu", None, 0.0)
    return StudySpec(scope, budget, space or LAYERS_AND_WIDTH, dataset_size)
