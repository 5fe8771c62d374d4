"""Everything that is recommended, at a glance: workloads and devices down, budgets across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.database import Database
from app.database.models.results import DeviceRow
from app.devices import repository as devices
from app.recommendations import repository
from app.validity.comparison import Validity
from app.validity.last_seen import hardware, validity
from app.workloads import repository as workloads
from optimizer.records import Recommendation

MOST = 1000
"""Recommendations that are looked at, newest first."""


@dataclass(frozen=True)
class MatrixCell:
    """The newest answer for a workload, budget and device."""

    recommendation: Recommendation
    standing: Validity


@dataclass
class MatrixRow:
    """One workload on one device."""

    workload: str
    device: str
    """As the command line names it."""
    device_name: str
    fingerprint: str
    """The newest one of the device."""
    cells: dict[str, MatrixCell] = field(default_factory=dict)
    """By budget; a budget that is not there is missing."""


def matrix(database: Database) -> list[MatrixRow]:
    """By workload, then by device; a device keeps its row when its software changes."""
    with database.read() as session:
        found = repository.newest_of_each(session, MOST)
        seen = devices.listing(session)
        known = workloads.listing(session)
    by_key = {each.key: each for each in seen}
    rows: dict[tuple[str, str], MatrixRow] = {}
    for each in found:  # the newest first: what is there already is newer
        key = each.fingerprint
        record = by_key.get(key)
        place = (each.workload, _place(key, record))
        if place not in rows:
            name = record.name if record is not None else each.device
            rows[place] = MatrixRow(each.workload, each.device, name, key)
        rows[place].cells.setdefault(each.budget, MatrixCell(each, validity(each, seen, known)))
    return sorted(rows.values(), key=lambda row: (row.workload, row.device_name, row.fingerprint))


def budgets_of(rows: Sequence[MatrixRow], configured: Sequence[str]) -> list[str]:
    """The columns: the configured budgets, then others that have recommendations."""
    answered = {budget for row in rows for budget in row.cells}
    return [*configured, *sorted(answered - set(configured))]


def _place(key: str, record: DeviceRow | None) -> str:
    own = hardware(record) if record is not None else {}
    return f"{record.kind} {sorted(own.items())}" if record is not None and own else key
