"""A power sweep: what lower limits save and cost, from scripted probes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from optimizer.ablation.power import sweep
from probes.errors import InputError, MeasurementError
from probes.measurement import Measurement, Verdict
from tests.app import factories

USUAL_W = 400.0
SLOWER = {400.0: 1.0, 320.0: 1.04, 240.0: 1.15}
"""Time per step, relative."""


@dataclass
class Card:
    """Draws its limit. A drift makes each probe slower than the one before."""

    noise: float = 0.002
    drift: float = 0.0
    probes: list[float] = field(default_factory=list)
    rng: random.Random = field(default_factory=lambda: random.Random(3))

    def probe(self, limit_w: float) -> Measurement:
        self.probes.append(limit_w)
        factor = 1 + self.rng.gauss(0.0, self.noise) + self.drift * len(self.probes)
        step_s = 0.1 * SLOWER[limit_w] * factor
        energy = factories.energy(limit_w * step_s * 24, window_s=24 * step_s)
        return factories.measurement(8, energy=energy, step_time=factories.step_time(step_s))


def test_each_limit_is_compared_with_the_usual_one():
    found = sweep(Card(), USUAL_W, [320.0, 240.0], rounds=6)

    assert [each.limit_w for each in found.limits] == [320.0, 240.0]
    for each, slower in zip(found.limits, (1.04, 1.15), strict=True):
        time, energy = each.step_time_change, each.energy_change
        assert time is not None and energy is not None
        assert time.low <= slower - 1 <= time.high
        assert energy.low <= slower * each.limit_w / USUAL_W - 1 <= energy.high
        assert each.power_w == pytest.approx(each.limit_w)
    assert found.usual.step_time_change is None
    assert found.source == "NVML counter"


def test_rounds_go_back_and_forth_so_that_a_drift_cancels():
    card = Card(noise=0.0, drift=0.01)
    found = sweep(card, USUAL_W, [320.0], rounds=4)

    assert card.probes == [400.0, 320.0, 320.0, 400.0, 400.0, 320.0, 320.0, 400.0]
    change = found.limits[0].step_time_change
    assert change is not None
    assert change.value == pytest.approx(0.04, abs=0.002)


def test_few_rounds_have_a_value_but_no_interval():
    found = sweep(Card(), USUAL_W, [320.0], rounds=2).to_dict()
    change = found["limits"][0]["energy_change"]
    assert change["value"] == pytest.approx(-0.168, abs=0.02)
    assert (change["low"], change["high"]) == (None, None)


def test_a_limit_that_is_asked_for_twice_or_is_the_usual_one_is_measured_once():
    card = Card()
    found = sweep(card, USUAL_W, [320.0, 320.0, 400.0], rounds=2)
    assert [each.limit_w for each in found.limits] == [320.0]
    assert len(card.probes) == 4
    with pytest.raises(InputError, match="usual"):
        sweep(card, USUAL_W, [400.0])


def test_a_probe_that_does_not_pass_ends_it_with_the_limit_and_the_reason():
    class Fails(Card):
        def probe(self, limit_w: float) -> Measurement:
            if limit_w == 240.0:
                return factories.measurement(8, Verdict.OOM)
            return super().probe(limit_w)

    with pytest.raises(MeasurementError, match="240 W"):
        sweep(Fails(), USUAL_W, [240.0])


def test_without_a_sensor_there_is_nothing_to_compare():
    class Silent(Card):
        def probe(self, limit_w: float) -> Measurement:
            run = super().probe(limit_w)
            return replace(run, energy=None, energy_unavailable="this device does not report it")

    with pytest.raises(MeasurementError, match="does not report it"):
        sweep(Silent(), USUAL_W, [320.0])


def test_what_disturbed_a_probe_is_told_once():
    class Hot(Card):
        def probe(self, limit_w: float) -> Measurement:
            return replace(super().probe(limit_w), tainted=["the device slowed down"])

    assert sweep(Hot(), USUAL_W, [320.0], rounds=2).disturbed == ["the device slowed down"]
