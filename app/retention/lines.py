"""The form of exported results: JSON lines, a header first, then one object per line.

``{"measurement": {…}}``: the one key says what it is. Everything a line refers to stands in a line
before it. Floats that JSON does not know are written as in the database's documents.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from app.database.floats import decoded, encoded
from probes.errors import InputError

FORMAT = "tonnage-results"
VERSION = 1
"""Raised when an older Tonnage could not read what is written."""


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=True)


class Header(BaseModel):
    """The first line."""

    format: str
    version: int
    tonnage: str
    made_at: AwareDatetime


class DeviceLine(Line):
    key: str
    class_key: str
    kind: str
    name: str
    document: dict[str, Any]
    first_seen_at: AwareDatetime
    last_seen_at: AwareDatetime


class WorkloadLine(Line):
    reference: str
    source_hash: str
    options: dict[str, Any]
    dataset_size: int | None
    space: dict[str, Any]
    first_seen_at: AwareDatetime
    last_seen_at: AwareDatetime


class StudyLine(Line):
    id: str
    key: str
    generation: int
    fresh: bool
    state: str
    spec: dict[str, Any]
    scope_key: str
    budget: str
    workload: str
    source_hash: str
    """With ``workload``, which workload line."""
    device: str
    """Key of the device line."""
    message: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    finished_at: AwareDatetime | None
    wall_s: float


class TrialLine(Line):
    study_id: str
    number: int
    config: dict[str, Any]
    state: str
    reason: str
    batch_size: int | None
    binding: str | None
    throughput_samples_per_s: float | None
    violation: dict[str, Any]
    probes: int
    wall_s: float
    parameters: int | None = None
    created_at: AwareDatetime


class PredictionPart(Line):
    quantity: str
    predicted: float
    low: float
    high: float
    measured: float | None


class UsePart(Line):
    """That a study used the measurement."""

    study_id: str
    reused: bool


class MeasurementLine(Line):
    scope_key: str
    study_id: str | None
    trial_number: int | None
    workload: str
    device: str
    fingerprint: str
    config_hash: str
    config: dict[str, Any]
    batch_size: int
    purpose: str
    verdict: str
    reason: str
    peak_bytes: int | None
    limit_bytes: int | None
    step_mean_s: float | None
    tainted: bool
    document: dict[str, Any]
    created_at: AwareDatetime
    predictions: list[PredictionPart]
    used_by: list[UsePart]


class RecommendationLine(Line):
    id: str
    study_id: str
    workload: str
    budget: str
    device: str
    fingerprint: str
    scope_key: str
    document: dict[str, Any]
    created_at: AwareDatetime


KINDS: dict[str, type[Line]] = {
    "device": DeviceLine,
    "workload": WorkloadLine,
    "study": StudyLine,
    "trial": TrialLine,
    "measurement": MeasurementLine,
    "recommendation": RecommendationLine,
}


def written(kind: str, values: dict[str, Any]) -> str:
    """One line, its end included."""
    text = json.dumps({kind: encoded(values)}, default=_plain, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def header_from(line: str, source: str) -> Header:
    """Raises ``InputError`` for what is no export, or one of a newer Tonnage."""
    try:
        data = json.loads(line)
        header = Header.model_validate(data["header"])
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{source} is no export of Tonnage: its first line must be the header that "
            "`tonnage db export` writes."
        ) from None
    if header.format != FORMAT or header.version > VERSION:
        raise InputError(
            f"{source} was written by a newer Tonnage ({header.tonnage}, {header.format} version "
            f"{header.version}; this one reads up to {VERSION}). Install the newer version, or "
            "export there again with this one."
        )
    return header


def line_from(text: str, number: int, source: str) -> tuple[str, Line]:
    """Kind and content of a line. Raises ``InputError`` that names the line."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or len(data) != 1:
            raise ValueError("it is not an object with one key")
        ((kind, values),) = data.items()
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is nothing that is known")
        return kind, KINDS[kind].model_validate(decoded(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        what = str(error)
    raise wrong_line(source, number, what)


def wrong_line(source: str, number: int, what: str) -> InputError:
    """An error that names the line."""
    return InputError(
        f"{source}, line {number}: {what}. What stands before it is imported; correct the line "
        "and import again, which doubles nothing."
    )


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not written to an export")
