"""What can be configured of a fleet: what its devices cost and draw."""

from __future__ import annotations

from pydantic import Field

from app.settings.fields import Number, Section


class FleetDeviceSettings(Section):
    """What a device costs and draws, for `tonnage choose`. NAME is a device's name, its class key
    or its kind, or a pattern such as `"NVIDIA H200*"`; the first that matches applies. The values
    are for one device: a group of four costs four times as much. See choosing.md."""

    price_per_hour: Number | None = Field(None, ge=0)
    """Price of an hour, in `fleet.currency`. Without it, the cost is the energy times
    `fleet.tariff_per_kwh`."""
    watts: Number | None = Field(None, gt=0)
    """Power while it trains, in watts. Used only where energy was not measured; what follows from
    it is marked as an estimate."""
    slurm_gres: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.:-]{1,100}$",
        json_schema_extra={"shown_default": "`gpu`"},
    )
    """Generic resource that one device is in Slurm, such as `gpu:h200`."""
    kubernetes_resource: str | None = Field(
        None,
        pattern=r"^[a-z0-9.-]{1,253}/[A-Za-z0-9_.-]{1,63}$",
        json_schema_extra={"shown_default": "that of the vendor's device plugin"},
    )
    """Resource that one device is in Kubernetes, such as `nvidia.com/gpu`."""


class FleetSettings(Section):
    """Prices, energy and carbon of your devices, for `tonnage choose`. See choosing.md."""

    currency: str = Field("EUR", min_length=1, max_length=8)
    """Currency of every price, as it is shown."""
    tariff_per_kwh: Number | None = Field(None, ge=0)
    """Price of a kilowatt-hour, for devices without a `price_per_hour`."""
    overhead: Number = Field(1.0, ge=1)
    """Power usage effectiveness: watts that the building draws for each watt of its machines."""
    host_watts: Number = Field(0.0, ge=0)
    """Power of the machine around the devices, in watts. Added to their energy for cost and carbon
    where the host's energy was not measured; they are then estimates."""
    carbon_g_per_kwh: Number | None = Field(None, ge=0)
    """Carbon intensity of your electricity, in grams of CO2 equivalent per kilowatt-hour."""
    country: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    """Instead of `carbon_g_per_kwh`: the country whose average applies, as three letters (ISO
    3166), such as `DEU`. Needs the extra `tonnage[carbon]`."""
    devices: dict[str, FleetDeviceSettings] = Field(default_factory=dict)
    """By device, see below."""
