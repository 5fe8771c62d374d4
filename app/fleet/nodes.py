"""What a node of the fleet is: as the engine sees it, as it describes itself, as it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.jobs.offers import Offers
from app.tuning.owner import Owner


class NodeState(StrEnum):
    """How far a node can be used."""

    JOINING = "joining"
    """It has been seen and is being asked what it offers."""
    READY = "ready"
    DRAINING = "draining"
    """It takes nothing new and finishes what it has."""
    DRAINED = "drained"
    UNUSABLE = "unusable"
    """It is there, but nothing can run on it."""
    GONE = "gone"

    @property
    def is_there(self) -> bool:
        return self is not NodeState.GONE


class Drain(StrEnum):
    """What a person asked for."""

    NO = ""
    FINISH = "finish"
    """Take nothing new."""
    NOW = "now"
    """Give back what runs as well."""


@dataclass(frozen=True)
class SeenNode:
    """A living node, as the engine lists it."""

    id: str
    host: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    """As the engine counts them."""


@dataclass(frozen=True)
class Description:
    """What a node says of itself."""

    owner: Owner
    """The process there that every job's process ends with."""
    place: str
    """See ``app.tuning.owner.this_place``."""
    versions: Mapping[str, Any]
    """``tonnage``, ``python``, ``ray``, ``torch``, ``driver``; those that are not known are left
    out."""
    offers: Offers | None
    problem: str = ""
    """Why it offers nothing."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "owner": asdict(self.owner),
            "place": self.place,
            "versions": dict(self.versions),
            "offers": None if self.offers is None else self.offers.to_dict(),
            "problem": self.problem,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Description:
        offers = data["offers"]
        return cls(
            Owner(**data["owner"]),
            data["place"],
            data["versions"],
            None if offers is None else Offers.from_dict(offers),
            data["problem"],
        )


@dataclass(frozen=True)
class FleetNode:
    """A node as it is stored."""

    id: str
    name: str
    """What a person calls it: its host, with a part of its id where several share that."""
    host: str
    address: str
    state: NodeState
    reason: str
    drain: Drain
    labels: Mapping[str, str]
    versions: Mapping[str, Any]
    runner_id: str | None
    joined_at: datetime
    seen_at: datetime
