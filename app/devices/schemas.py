"""Devices, as the HTTP interface shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import Json, Key, RequestBody, Short
from app.http.paging import NumberedPageQuery
from probes.devices.fingerprint import Fingerprint

EXAMPLE_FINGERPRINT: JsonDict = {
    "identity": {"vendor": "NVIDIA", "model": "NVIDIA H200", "driver": "560.28", "torch": "2.13.0"},
    "device_class": {"model": "NVIDIA H200", "total_bytes": 150_754_820_096},
    "environment": {"os": "Linux 6.8"},
    "state": {},
}
EXAMPLE: JsonDict = {
    "key": "577c5139c3e13263",
    "class_key": "450b72b0901e34b5",
    "kind": "cuda",
    "name": "NVIDIA H200",
    "fingerprint": EXAMPLE_FINGERPRINT,
    "first_seen_at": "2026-01-02T03:04:05Z",
    "last_seen_at": "2026-01-02T03:04:05Z",
}


class DeviceOut(BaseModel):
    """A device that has results: one per fingerprint key."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    key: str = Field(
        description="Key of its fingerprint: the same device, driver, runtime and torch."
    )
    class_key: str = Field(
        description="The same for devices of this make, size and power limit; empty if not known."
    )
    kind: str = Field(description="`cpu`, `cuda`, `rocm`, `mps` or `xpu`.")
    name: str
    fingerprint: dict[str, Any] = Field(
        validation_alias=AliasChoices("fingerprint", "document"),
        description="Its four groups, `identity`, `device_class`, `environment` and `state`; empty "
        "when only the key is known.",
    )
    first_seen_at: datetime
    last_seen_at: datetime


class DeviceGroupOut(BaseModel):
    """Devices of one host that can train together."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "host": "node-7",
                    "label": "cuda:0-3",
                    "devices": ["cuda:0", "cuda:1", "cuda:2", "cuda:3"],
                    "name": "4 × NVIDIA H100",
                    "link": "nvlink",
                    "total_bytes": 85_520_809_984,
                }
            ]
        }
    )

    host: str
    label: str = Field(description="What `device` of a study's request names them by.")
    devices: list[str]
    name: str
    link: str | None = Field(
        description="The slowest link between two of them: `nvlink`, `pcie`, or `system` (PCIe "
        "from one CPU socket to another); null if the driver does not tell."
    )
    total_bytes: int = Field(description="Memory of each device.")


class FingerprintIn(RequestBody):
    """The four groups of `tonnage devices --json`. The keys are computed from the first two."""

    identity: Json = Field(description="This device with this software.")
    device_class: Json = Field(description="A device like this one; with `total_bytes`.")
    environment: Json = Field(default_factory=dict, description="The machine around it.")
    state: Json = Field(default_factory=dict, description="Its temperature, clocks and so on.")

    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.identity, self.device_class, self.environment, self.state)


class DeviceIn(RequestBody):
    """A device of another machine, so that its results can be described in words."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "cuda", "name": "NVIDIA H200", "fingerprint": EXAMPLE_FINGERPRINT}
            ]
        }
    )

    kind: Annotated[str, Field(pattern="^[a-z]{1,16}$", description="`cpu`, `cuda`, `rocm`, …")]
    name: Short
    fingerprint: FingerprintIn


class DeviceQuery(NumberedPageQuery):
    kind: Annotated[
        str | None, Field(pattern="^[a-z]{1,16}$", description="Only of this kind.")
    ] = None
    class_key: Annotated[Key | None, Field(description="Only of this class.")] = None
