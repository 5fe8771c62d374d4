"""Everything that is recommended, at a glance: workloads and devices down, budgets across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.database import Database
from app.database.models.results import DeviceRow
from app.devices import repository as devices
from app.recommendations import repository
from app.recommendations.preferred import preferred
from app.validity.comparison import Validity
from app.validity.last_seen import hardware, validity
from app.workloads import repository as workloads
from optimizer.records import Recommendation
from probes.formatting import size_text

MOST = 1000
"""Recommendations that are looked at, newest first."""
ALL = 0.97
"""From this share of a device's memory on, a limit is all of it."""
OF_EACH = 5
"""Of a workload, a budget and a device."""


@dataclass(frozen=True)
class MatrixCell:
    """What counts for a workload, budget and device, as for ``tonnage run``: trials with scaled
    times or a smaller memory budget do not replace it."""

    recommendation: Recommendation
    standing: Validity
    memory_bytes: int | None
    """All memory of the device; ``None`` if unknown."""

    @property
    def notes(self) -> list[str]:
        """What its two numbers do not tell."""
        made, found = self.recommendation, []
        if self.memory_bytes is not None and made.limit_bytes < ALL * self.memory_bytes:
            found.append(f"within {size_text(made.limit_bytes)}")
        if (scale := made.study.get("time_scale", 1.0)) != 1.0:
            found.append(f"times scaled by {scale:g}")
        if made.disturbed_by:
            found.append("measured while disturbed")
        return found


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
        found = repository.newest_of_each(session, OF_EACH, MOST)
        seen = devices.listing(session)
        known = workloads.listing(session)
    by_key = {each.key: each for each in seen}
    rows: dict[tuple[str, str], MatrixRow] = {}
    for each in _counting(found):  # the newest first: what is there already is newer
        key = each.fingerprint
        record = by_key.get(key)
        place = (each.workload, _place(key, record))
        if place not in rows:
            name = record.name if record is not None else each.device
            rows[place] = MatrixRow(each.workload, each.device, name, key)
        memory = record.total_bytes if record is not None else None
        cell = MatrixCell(each, validity(each, seen, known), memory)
        rows[place].cells.setdefault(each.budget, cell)
    return sorted(rows.values(), key=lambda row: (row.workload, row.device_name, row.fingerprint))


def budgets_of(rows: Sequence[MatrixRow], configured: Sequence[str]) -> list[str]:
    """The columns: the configured budgets, then others that have recommendations."""
    answered = {budget for row in rows for budget in row.cells}
    return [*configured, *sorted(answered - set(configured))]


def _counting(found: Sequence[Recommendation]) -> list[Recommendation]:
    """The preferred one of each workload, budget and fingerprint, in the order of the newest."""
    groups: dict[tuple[str, str, str], list[Recommendation]] = {}
    for each in found:
        groups.setdefault((each.workload, each.budget, each.fingerprint), []).append(each)
    return [best for group in groups.values() if (best := preferred(group)) is not None]


def _place(key: str, record: DeviceRow | None) -> str:
    own = hardware(record) if record is not None else {}
    return f"{record.kind} {sorted(own.items())}" if record is not None and own else key
