"""The answer of an ablation: what the change came to here, and what that says about the claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from optimizer.ablation.question import At, Quantity
from probes.formatting import finite


class ClaimVerdict(StrEnum):
    """What a measurement says about a claim."""

    CONFIRMED = "confirmed"
    """The whole interval lies within what is claimed."""
    REFUTED = "refuted"
    """The whole interval lies outside of it."""
    UNDECIDED = "undecided"
    """The measurement cannot tell, or nothing could be measured; the reason says which."""


class Ending(StrEnum):
    """How an ablation ended."""

    MEASURED = "measured"
    UNSUPPORTED = "unsupported"
    """This device, workload or interpreter cannot do what the claim is about."""
    DOES_NOT_FIT = "does_not_fit"
    """One side needs more memory than there is, at every batch."""
    NON_FINITE = "non_finite"
    """The loss became NaN or infinite on one side."""
    FAILED = "failed"
    """A side crashed, hung, leaked or could not be judged for another reason."""

    @property
    def is_measured(self) -> bool:
        return self is Ending.MEASURED


@dataclass(frozen=True)
class Evidence:
    """What was measured for one claim on one workload and device. JSON round trip by ``to_dict``.

    ``change``, ``low`` and ``high`` are relative changes of the quantity from before to after, with
    the bounds of a 95 % interval; for ``output_error`` they are the error itself. They are
    ``None`` where nothing could be measured; both bounds are, where too few pairs were run, and
    ``high`` alone is, where only a lower bound is known.
    """

    claim: str
    """Full id, like ``Heuristic:Gradient_Checkpointing#activation-memory``."""
    page: str
    text: str
    """The claim in words."""
    quantity: Quantity
    before: Mapping[str, Any]
    """Values of the levers before the change."""
    after: Mapping[str, Any]
    claimed_low: float | None
    claimed_high: float | None
    at: At
    workload: str
    options: Mapping[str, Any]
    config: Mapping[str, Any]
    verdict: ClaimVerdict
    reason: str
    """One sentence for a person: what was claimed and what it is here."""
    ending: Ending = Ending.MEASURED
    change: float | None = None
    low: float | None = None
    high: float | None = None
    before_value: float | None = None
    """Mean of the quantity before the change, in bytes, seconds, samples or tokens per second,
    samples, or as a loss."""
    after_value: float | None = None
    before_batch: int | None = None
    """Batch size before the change."""
    after_batch: int | None = None
    pairs: int = 0
    """Pairs of probes, or of trainings, that the interval rests on."""
    probes: int = 0
    """Everything that was run, searches for the maximum batch included."""
    disturbed: int = 0
    """How many of the paired probes another program or the device's own throttling disturbed."""
    wall_s: float = 0.0
    device: str = ""
    fingerprint: str = ""
    measured_at: str = ""
    """ISO 8601, UTC."""
    tonnage: str = ""
    """Version."""
    torch: str = ""
    """Version."""
    notes: list[str] = field(default_factory=list)

    @property
    def lever(self) -> str:
        """Names of what changed, joined by ``+``."""
        return "+".join(self.after)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready data; ``from_dict`` is its inverse."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evidence:
        """Rebuild evidence. Keys that this version does not know are ignored."""
        known = {f.name for f in fields(cls)}
        kept = {key: value for key, value in data.items() if key in known}
        kept["quantity"] = Quantity(kept["quantity"])
        kept["at"] = At(kept["at"])
        kept["verdict"] = ClaimVerdict(kept["verdict"])
        kept["ending"] = Ending(kept.get("ending", Ending.MEASURED))
        return cls(**kept)
