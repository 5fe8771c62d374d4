"""What a scheduler is asked for, whatever its format."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import Conflict
from app.fleet_answers.prices import Named, of_class
from app.settings import Settings
from app.settings.fleet import FleetDeviceSettings
from probes.formatting import MIB

LONGEST_NAME = 63
HOST_MARGIN = 1.1
"""Memory of the host for each byte that a run on the CPU was measured to need."""
INTERPRETER_MIB = 1024
"""For the interpreter and its libraries, which a probe on the CPU does not count."""


@dataclass(frozen=True)
class ResourceRequest:
    """One training on the chosen class."""

    name: str
    """Lower-case letters, digits and dashes, at most 63, as a DNS label has them."""
    kind: str
    device_name: str
    devices: int
    time_limit_s: int
    """The upper end of the training time's interval, rounded up to minutes."""
    host_mib: int | None
    """Measured peak and what the interpreter needs; ``None`` where the memory of the host was not
    measured."""
    settings: FleetDeviceSettings | None
    about: list[str]
    """What is trained and how that was chosen, one line each."""


def request_of(settings: Settings, answer: Mapping[str, Any]) -> ResourceRequest:
    """Raises ``Conflict`` where nothing was chosen."""
    row = answer["winners"].get("chosen")
    if row is None:
        raise Conflict(
            "No measured class meets the limits, so there is nothing to export. See the answer "
            "without --to."
        )
    ranks = int(row["ranks"])
    named = Named(
        row["class_id"], row["class_key"], row["device_name"], row["name"], row["kind"], ranks
    )
    minutes = max(1, math.ceil(row["training_time_s"]["high"] / 60))
    host = None
    if row["kind"] == "cpu":
        host = math.ceil(row["peak_bytes"] * HOST_MARGIN / MIB) + INTERPRETER_MIB
    config = " ".join(f"{name}={value}" for name, value in row["config"].items())
    return ResourceRequest(
        name=_label(f"train-{answer['workload']}"),
        kind=row["kind"],
        device_name=named.device_name,
        devices=ranks,
        time_limit_s=60 * minutes,
        host_mib=host,
        settings=of_class(settings, named)[0],
        about=[
            f"Chosen by tonnage: {_clean(row['name'])} for {_clean(answer['workload'])}",
            f"{_clean(config)}, batch size {row['batch_size']}, accumulation {row['accumulation']}",
            f"Fleet answer {answer.get('id', '')}".strip(),
        ],
    )


def _label(text: str) -> str:
    name = text.rsplit("/", 1)[-1]
    if text.startswith("train-") and not name.startswith("train-"):
        name = f"train-{name}"
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return plain[:LONGEST_NAME].rstrip("-")


def _clean(text: str) -> str:
    """On one line, so that it cannot end a comment."""
    return re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]+", " ", str(text))
