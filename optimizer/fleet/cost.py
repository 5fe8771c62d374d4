"""Time, energy, money and carbon of a whole training, from one step of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optimizer.fleet.amount import Amount, Known, Unknown, known
from optimizer.fleet.candidate import Candidate, Reading

HOUR_S = 3600.0
KWH_J = 3.6e6


@dataclass(frozen=True)
class Amounts:
    """How much is trained: a number of samples, or of optimizer steps."""

    samples: int | None = None
    steps: int | None = None
    cycle_batches: int = 450
    """Optimizer steps in a cycle."""

    def steps_with(self, samples_per_step: int) -> int:
        """Optimizer steps of the whole training. The last batch counts as a full one."""
        if self.samples is not None:
            return math.ceil(self.samples / samples_per_step)
        return self.steps if self.steps is not None else self.cycle_batches


@dataclass(frozen=True)
class Prices:
    """What running a device class costs. ``None`` where it is not set."""

    per_hour: float | None = None
    """Money per hour of the class: of all its devices together."""
    tariff_per_kwh: float | None = None
    watts: float | None = None
    """What its devices draw while they train, for estimates where energy was not measured."""
    host_watts: float = 0.0
    """Of the machine around the devices, added to what they draw where it was not measured."""
    overhead: float = 1.0
    """Power usage effectiveness: what the building draws for each watt of the machine."""
    carbon_g_per_kwh: float | None = None
    setting: str = "fleet.devices"
    """The table of the configuration that would say more, for messages."""


@dataclass(frozen=True)
class Option:
    """A candidate with what it takes for the whole training. The unit is in the name; money is in
    the currency of the prices."""

    candidate: Candidate
    steps: int
    cycle_s: Amount
    training_s: Amount
    energy_j: Known
    """Of the devices alone, for the whole training."""
    cycle_energy_j: Known
    thousand_samples_j: Known
    cost: Known
    cycle_cost: Known
    carbon_g: Known

    @property
    def class_id(self) -> str:
        return self.candidate.class_id

    @property
    def is_measured(self) -> bool:
        return self.candidate.is_measured


def priced(candidate: Candidate, amounts: Amounts, prices: Prices) -> Option:
    """What the candidate takes. A quantity that cannot be known says why."""
    reading = candidate.reading
    steps = amounts.steps_with(reading.samples)
    step_j = _step_energy(candidate, prices)
    return Option(
        candidate=candidate,
        steps=steps,
        cycle_s=reading.step_s.times(amounts.cycle_batches),
        training_s=reading.step_s.times(steps),
        energy_j=_scaled(step_j, steps),
        cycle_energy_j=_scaled(step_j, amounts.cycle_batches),
        thousand_samples_j=_scaled(step_j, 1000 / reading.samples),
        cost=_cost(reading, step_j, steps, prices),
        cycle_cost=_cost(reading, step_j, amounts.cycle_batches, prices),
        carbon_g=_carbon(reading, step_j, steps, prices),
    )


def _step_energy(candidate: Candidate, prices: Prices) -> Known:
    """Of the devices per step, in joules: measured, else an estimate from their stated power."""
    reading = candidate.reading
    if isinstance(reading.energy_j, Amount):
        return reading.energy_j
    if prices.watts is not None:
        used = reading.step_s.times(prices.watts)
        return Amount(used.mean, used.low, used.high, is_estimate=True)
    return Unknown(f"{reading.energy_j.because} For an estimate, set watts in [{prices.setting}].")


def _scaled(value: Known, factor: float) -> Known:
    return value.times(factor) if isinstance(value, Amount) else value


def _drawn_kwh(reading: Reading, step_j: Amount, steps: int, prices: Prices) -> Amount:
    """Of the devices, their host and the building, in kWh."""
    whole_j = step_j.times(steps)
    if reading.host_energy_j is not None:
        whole_j = whole_j.plus(reading.host_energy_j.times(steps))
    elif prices.host_watts:
        host_j = reading.step_s.times(steps * prices.host_watts)
        whole_j = whole_j.plus(Amount(host_j.mean, host_j.low, host_j.high, is_estimate=True))
    return whole_j.times(prices.overhead / KWH_J)


def _cost(reading: Reading, step_j: Known, steps: int, prices: Prices) -> Known:
    if prices.per_hour is not None:
        return reading.step_s.times(steps * prices.per_hour / HOUR_S)
    if prices.tariff_per_kwh is None:
        return Unknown(
            f"No price is known: set price_per_hour in [{prices.setting}], or tariff_per_kwh in "
            "[fleet]."
        )
    energy = known(step_j)
    if energy is None:
        return Unknown(
            "A tariff is set, but the energy is not known. Set price_per_hour or watts in "
            f"[{prices.setting}]."
        )
    return _drawn_kwh(reading, energy, steps, prices).times(prices.tariff_per_kwh)


def _carbon(reading: Reading, step_j: Known, steps: int, prices: Prices) -> Known:
    """In grams of CO2 equivalent. Always an estimate: it takes the average of a grid."""
    if prices.carbon_g_per_kwh is None:
        return Unknown("Set carbon_g_per_kwh or country in [fleet].")
    energy = known(step_j)
    if energy is None:
        return Unknown(
            f"The energy is not known. For an estimate, set watts in [{prices.setting}]."
        )
    grams = _drawn_kwh(reading, energy, steps, prices).times(prices.carbon_g_per_kwh)
    return Amount(grams.mean, grams.low, grams.high, is_estimate=True)
