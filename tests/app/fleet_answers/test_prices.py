"""Which table of the configuration a device class is priced by."""

from __future__ import annotations

import pytest

from app.errors import NotInstalled
from app.fleet_answers import carbon
from app.fleet_answers.prices import Named, prices_of
from app.settings import load_settings
from probes.errors import InputError

ONE = Named("c1", "c1", "NVIDIA H200", "NVIDIA H200", "cuda")
FOUR = Named("c4", "c4", "4 × NVIDIA H200", "4 × NVIDIA H200", "cuda", 4)
CPU = Named("p@1", "p", "AMD EPYC", "AMD EPYC, 2.00 GiB", "cpu")


def hourly(named, tables):
    devices = {name: {"price_per_hour": price} for name, price in tables.items()}
    settings = load_settings(overrides={"fleet": {"devices": devices}})
    return prices_of(settings, named, None).per_hour


@pytest.mark.parametrize(
    ("named", "tables", "price"),
    [
        (ONE, {"NVIDIA H200": 4.0}, 4.0),
        (ONE, {"nvidia h*": 4.0}, 4.0),
        (ONE, {"cuda": 1.0}, 1.0),
        (ONE, {"c1": 3.0, "*": 1.0}, 3.0),
        (ONE, {"*": 1.0, "c1": 3.0}, 1.0),
        (ONE, {"NVIDIA A10": 4.0}, None),
        (FOUR, {"NVIDIA H200": 4.0}, 16.0),
        (FOUR, {"4 × NVIDIA H200": 14.0}, 14.0),
        (FOUR, {"c4": 14.0}, 14.0),
        (CPU, {"*2.00 GiB": 0.1}, 0.1),
        (CPU, {"AMD EPYC": 0.1}, 0.1),
    ],
)
def test_the_first_table_that_names_the_class_applies(named, tables, price):
    assert hourly(named, tables) == price


def test_the_carbon_of_a_country_comes_from_codecarbon():
    pytest.importorskip("codecarbon")
    grams, source = carbon.intensity(load_settings(overrides={"fleet": {"country": "FRA"}}))
    assert 10 < grams < 150
    assert "FRA" in source
    with pytest.raises(InputError, match="XXX"):
        carbon.intensity(load_settings(overrides={"fleet": {"country": "XXX"}}))


def test_without_codecarbon_the_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "codecarbon.core.emissions", None)
    with pytest.raises(NotInstalled, match=r"tonnage\[carbon\]"):
        carbon.intensity(load_settings(overrides={"fleet": {"country": "FRA"}}))
