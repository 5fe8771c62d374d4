"""Grams of CO2 equivalent per kilowatt-hour: as configured, or the average of a country."""

from __future__ import annotations

from app.errors import NotInstalled
from app.settings import Settings
from probes.errors import InputError


def intensity(settings: Settings) -> tuple[float, str]:
    """The number and where it is from, in words.

    Raises ``InputError`` where nothing is configured or the country is unknown, and
    ``NotInstalled`` without codecarbon, whose tables give a country's average.
    """
    fleet = settings.fleet
    if fleet.carbon_g_per_kwh is not None:
        return fleet.carbon_g_per_kwh, "fleet.carbon_g_per_kwh"
    if fleet.country is None:
        raise InputError("For carbon, set carbon_g_per_kwh or country in [fleet] of tonnage.toml.")
    return _of_country(fleet.country), f"the average of {fleet.country}, from codecarbon's tables"


def _of_country(country: str) -> float:
    """Read offline from the tables of codecarbon."""
    try:
        from codecarbon.core.emissions import Emissions
        from codecarbon.core.units import Energy
        from codecarbon.external.geography import GeoMetadata
        from codecarbon.input import DataSource
    except ImportError:
        raise NotInstalled(
            "The carbon intensity of a country needs codecarbon: pip install 'tonnage[carbon]', "
            "or set carbon_g_per_kwh in [fleet]."
        ) from None
    tables = DataSource()
    if country not in tables.get_global_energy_mix_data():
        raise InputError(
            f"fleet.country: codecarbon has no data for {country!r}. Write the three letters of "
            "ISO 3166, such as DEU, or set carbon_g_per_kwh."
        )
    geography = GeoMetadata(country_iso_code=country)
    kilograms = Emissions(tables).get_country_emissions(Energy.from_energy(kWh=1.0), geography)
    return float(kilograms) * 1000
