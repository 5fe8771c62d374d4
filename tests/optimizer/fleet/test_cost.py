"""Time, energy, money and carbon of a whole training."""

from __future__ import annotations

import pytest

from optimizer.fleet.amount import Amount, Unknown
from optimizer.fleet.candidate import Candidate
from optimizer.fleet.cost import Amounts, Prices, priced
from tests.optimizer.fleet.made import option, reading


def test_samples_are_divided_by_the_batch_and_rounded_up():
    made = priced(Candidate(reading(batch_size=32), True), Amounts(samples=1000), Prices())
    assert made.steps == 32
    assert made.training_s.mean == pytest.approx(3.2)
    assert made.cycle_s.mean == pytest.approx(45)


def test_all_ranks_share_the_samples():
    gang = reading(batch_size=8, ranks=4, samples_per_step=32)
    assert priced(Candidate(gang, True), Amounts(samples=3200), Prices()).steps == 100


def test_a_price_per_hour_is_used_before_a_tariff():
    prices = Prices(per_hour=3.6, tariff_per_kwh=100.0, watts=100.0)
    cost = option(prices=prices).cost
    assert (cost.low, cost.mean, cost.high) == pytest.approx((0.098, 0.1, 0.102))


def test_a_tariff_takes_the_energy_of_device_host_and_building():
    energy = Amount(3600.0, 3600.0, 3600.0)  # per step of 0.1 s
    made = option(prices=Prices(tariff_per_kwh=0.5, overhead=1.5), energy_j=energy, half=0)
    assert made.cost.mean == pytest.approx(1000 * 3600 / 3.6e6 * 1.5 * 0.5)
    assert not made.cost.is_estimate
    with_host = option(
        prices=Prices(tariff_per_kwh=0.5, host_watts=36_000), energy_j=energy, half=0
    )
    assert with_host.cost.mean == pytest.approx(2 * 1000 * 3600 / 3.6e6 * 0.5)
    assert with_host.cost.is_estimate
    measured = option(
        prices=Prices(tariff_per_kwh=0.5, host_watts=36_000), energy_j=energy,
        host_energy_j=Amount(1800.0, 1800.0, 1800.0), half=0,
    )  # fmt: skip
    assert measured.cost.mean == pytest.approx(1.5 * 1000 * 3600 / 3.6e6 * 0.5)
    assert not measured.cost.is_estimate


def test_what_follows_from_watts_is_an_estimate():
    made = option(prices=Prices(watts=200.0, tariff_per_kwh=0.5, carbon_g_per_kwh=400.0))
    assert made.energy_j.mean == pytest.approx(200 * 100)
    assert made.energy_j.is_estimate
    assert made.cost.is_estimate
    assert made.carbon_g.mean == pytest.approx(200 * 100 / 3.6e6 * 400)
    assert made.thousand_samples_j.mean == pytest.approx(200 * 0.1 * 1000 / 8)


def test_what_is_not_known_names_the_setting():
    made = option(prices=Prices(setting='fleet.devices."X"'))
    for value in (made.energy_j, made.cost, made.carbon_g):
        assert isinstance(value, Unknown)
    assert 'price_per_hour in [fleet.devices."X"]' in made.cost.because
    only_tariff = option(prices=Prices(tariff_per_kwh=0.3, setting='fleet.devices."X"'))
    assert "watts" in only_tariff.cost.because


def test_carbon_of_measured_energy_is_still_an_estimate():
    made = option(energy_j=Amount(1.0, 1.0, 1.0), prices=Prices(carbon_g_per_kwh=100.0))
    assert made.carbon_g.is_estimate
    assert not made.energy_j.is_estimate
