"""The format of exported results: JSON lines, a header first, then one object per line.

``{"measurement": {…}}``: the only key names the kind of the line. Everything that a line refers to
is in an earlier line. NaN and infinity are written as in the database's documents.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from types import GenericAlias
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, create_model
from sqlalchemy import inspect

from app.database.floats import decoded, encoded
from app.database.models.base import Base
from app.database.models.finetuning import (
    EvaluationItemRow,
    FineTuningEventRow,
    FineTuningRow,
)
from app.database.models.knowledge import EvidenceRow
from app.database.models.results import (
    DeviceRow,
    MeasurementRow,
    RecommendationRow,
    StudyRow,
    WorkloadRow,
)
from app.database.models.searching import PredictionRow, StudyMeasurementRow, TrialRow
from probes.errors import InputError

FORMAT = "tonnage-results"
VERSION = 2
"""Increased when an older release could not read what this one writes."""
FIRST_VERSION = 1
"""The version of an export with neither fine-tunings nor evidence: a release that does not know
them reads it."""


class Header(BaseModel):
    """The first line."""

    format: str
    version: int
    tonnage: str
    made_at: AwareDatetime
    lines: int | None = None
    """Number of lines that follow; exports of earlier releases do not say it."""


class Line(BaseModel):
    """A line has the columns of its table, except for those that have a meaning in one database
    only: numbers that the database assigns, and the process that runs a study."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=True)


ADDED_LATER = {"parameters", "incumbent"}
"""Columns that lines of earlier releases do not have. They are ``None`` there."""


IN_DOCUMENT = [
    "limiting_rank",
    "data_parallel",
    "communication_share",
    "global_batch_size",
    "energy_j",
    "energy_per_sample_j",
    "energy_source",
    "energy_unavailable",
    "host_energy_j",
]
"""Columns of a measurement that only repeat what its document says, like the rows of its ranks:
without them an earlier release can read the line."""


def _line_of(table: type[Base], *, without: Collection[str] = (), **more: Any) -> Any:
    fields: dict[str, Any] = {}
    for column in inspect(table).columns:
        if column.name not in without:
            kind = column.type.python_type
            kind = AwareDatetime if kind is datetime else dict[str, Any] if kind is dict else kind
            default = None if column.name in ADDED_LATER else ...
            fields[column.name] = (kind | None if column.nullable else kind, default)
    fields |= {name: (kind, ...) for name, kind in more.items()}
    return create_model(table.__name__, __base__=Line, **fields)


PREDICTION = _line_of(PredictionRow, without=["id", "measurement_id"])
USE = _line_of(StudyMeasurementRow, without=["measurement_id"])

KINDS: dict[str, type[Line]] = {
    "device": _line_of(DeviceRow, without=["id"]),
    "workload": _line_of(WorkloadRow, without=["id"]),
    "study": _line_of(
        StudyRow,
        without=["workload_id", "device_id", "owner_pid", "owner_host", "owner_started_s"],
        workload=str,
        source_hash=str,
        device=str,
    ),
    "trial": _line_of(TrialRow),
    "measurement": _line_of(
        MeasurementRow,
        without=["id", *IN_DOCUMENT],
        predictions=GenericAlias(list, PREDICTION),
        used_by=GenericAlias(list, USE),
    ),
    "recommendation": _line_of(RecommendationRow),
    "finetuning": _line_of(
        FineTuningRow, without=["generation", "changes", "owner_pid", "owner_started_s"]
    ),
    "finetuning_event": _line_of(FineTuningEventRow),
    "evaluation_row": _line_of(EvaluationItemRow, without=["id"]),
    "evidence": _line_of(EvidenceRow),
}
"""A study names its workload by reference and source hash, its device by key. A measurement
carries its predictions, and the studies that used it."""


def written(kind: str, values: dict[str, Any]) -> str:
    """One line, its end included."""
    text = json.dumps({kind: encoded(values)}, default=_plain, ensure_ascii=False, allow_nan=False)
    return text + "\n"


def header_from(line: str, source: str) -> Header:
    """Raises ``InputError`` for a file that is not an export, or is from a newer Tonnage."""
    try:
        data = json.loads(line)
        header = Header.model_validate(data["header"])
    except (ValueError, TypeError, KeyError):
        raise InputError(
            f"{source} is not an export of Tonnage: its first line must be the header that "
            "`tonnage db export` writes."
        ) from None
    if header.format != FORMAT or header.version > VERSION:
        raise InputError(
            f"{source} was written by a newer Tonnage ({header.tonnage}, {header.format} version "
            f"{header.version}; this release reads up to version {VERSION}). Install the newer "
            "release, or export again with this one."
        )
    return header


def line_from(text: str, number: int, source: str) -> tuple[str, dict[str, Any]]:
    """Kind and values of a line. Raises ``InputError`` that names the line."""
    try:
        data = json.loads(text)
        if not isinstance(data, dict) or len(data) != 1:
            raise ValueError("it is not an object with one key")
        ((kind, values),) = data.items()
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not a known kind of line")
        return kind, KINDS[kind].model_validate(decoded(values)).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        what = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    except (ValueError, RecursionError) as error:
        what = str(error)
    raise wrong_line(source, number, what)


def wrong_line(source: str, number: int, what: str) -> InputError:
    """An error that names the line."""
    return InputError(
        f"{source}, line {number}: {what}. The lines before it are imported. Correct this one and "
        "import the file again: existing rows are skipped."
    )


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"An export has no form for a {type(value).__name__}")
