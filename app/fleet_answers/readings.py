"""From stored measurements to the readings that the choice works with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.database.models.results import DeviceRow, MeasurementRow, WorkloadRow
from app.fleet_answers.classes import Places
from app.validity.last_seen import hardware
from optimizer.fleet.amount import Amount, Known, Unknown
from optimizer.fleet.candidate import NO_ENERGY, Reading, Work
from optimizer.scope import Scope
from probes.formatting import plural
from probes.measurement import Purpose

OF_OTHERS = 0.02
"""Half the interval assumed of a step time whose own is not read."""


class Stale:
    """Which runs no longer count: of another source, or of software that was since replaced."""

    def __init__(
        self,
        states: Sequence[WorkloadRow],
        current: WorkloadRow | None,
        sources: Mapping[str, str | None],
        devices: Sequence[DeviceRow],
    ) -> None:
        """``states``: of the workload; ``current`` the one that counts; ``sources`` by study;
        ``devices`` last seen first."""
        self._current = current.source_hash if current else None
        self._others = [s.source_hash for s in states if s.source_hash != self._current]
        self._sources = sources
        self._replaced = _replaced(devices)
        self.of_source = 0
        self.of_software = 0

    def is_stale(self, row: MeasurementRow) -> bool:
        if row.fingerprint in self._replaced:
            self.of_software += 1
            return True
        if self._current is not None and self._is_other_source(row):
            self.of_source += 1
            return True
        return False

    def _is_other_source(self, row: MeasurementRow) -> bool:
        told = self._sources.get(row.study_id or "")
        if told is not None:
            return told != self._current
        return any(row.scope_key in _keys(row, other) for other in self._others)

    @property
    def notes(self) -> list[str]:
        found = []
        if self.of_source:
            found.append(f"{_left_out(self.of_source)}: the workload's source or options differ.")
        if self.of_software:
            found.append(
                f"{_left_out(self.of_software)}: their devices now have different software. Tune "
                "again there."
            )
        return found


def _left_out(runs: int) -> str:
    return f"{plural(runs, 'run')} {'was' if runs == 1 else 'were'} not counted"


def _replaced(devices: Sequence[DeviceRow]) -> set[str]:
    """Fingerprints of hardware that was seen with another fingerprint later."""
    newest: dict[tuple[str, str], str] = {}
    replaced = set()
    for row in devices:
        own = hardware(row)
        if not own:
            continue
        place = (row.kind, repr(sorted(own.items())))
        if newest.setdefault(place, row.key) != row.key:
            replaced.add(row.key)
    return replaced


def _keys(row: MeasurementRow, source_hash: str) -> list[str]:
    """The scope keys that a probe outside a study would have with a source."""
    environment = row.document.get("environment") or {}
    told = dict(environment.get("allocator") or {})
    if "threads" in environment:
        told["threads"] = str(environment["threads"])
    return [
        Scope(
            workload=row.workload,
            workload_hash=source_hash,
            fingerprint=row.fingerprint,
            device=row.device,
            limit_bytes=row.limit_bytes,
            headroom=row.document.get("headroom", 0.0),
            effective_batch_size=effective,
            environment=told,
        ).key
        for effective in (None, row.global_batch_size)
    ]


def of_workload(rows: Iterable[MeasurementRow], places: Places, stale: Stale) -> list[Reading]:
    """One for each class, config and batch: the newest confirmed one that was not disturbed, if
    there is one."""
    best: dict[tuple[Any, ...], Reading] = {}
    for row in rows:  # newest first
        place = places.of(row.fingerprint, row.limit_bytes, row.device)
        if place is None or stale.is_stale(row):
            continue
        reading = _reading(row, place.named.class_id, place.named.ranks)
        key = (reading.class_id, *reading.place)
        if key not in best or _standing(reading) > _standing(best[key]):
            best[key] = reading
    return list(best.values())


def of_other_workloads(rows: Iterable[Any], places: Places) -> list[Reading]:
    """For the ratios between classes only: the newest of each class, config and batch."""
    best: dict[tuple[Any, ...], Reading] = {}
    for row in rows:
        place = places.of(row.fingerprint, row.limit_bytes)
        if place is None:
            continue
        samples = row.global_batch_size or row.batch_size * row.data_parallel
        mean = row.step_mean_s
        reading = Reading(
            place.named.class_id,
            Work(row.workload, row.config),
            row.batch_size,
            Amount(mean, mean * (1 - OF_OTHERS), mean * (1 + OF_OTHERS)),
            row.peak_bytes,
            row.purpose == str(Purpose.CONFIRM),
            accumulation=max(1, samples // (row.batch_size * row.data_parallel)),
            ranks=place.named.ranks,
            samples_per_step=samples,
        )
        best.setdefault((reading.class_id, *reading.place), reading)
    return list(best.values())


def _standing(reading: Reading) -> tuple[bool, bool]:
    return (reading.is_confirmed, not reading.notes)


def _reading(row: MeasurementRow, class_id: str, ranks: int) -> Reading:
    document = row.document
    timing = document["step_time"]
    mean = float(timing["mean_s"])
    step = Amount(mean, min(mean, float(timing["low_s"])), max(mean, float(timing["high_s"])))
    taints = document.get("tainted") or []
    return Reading(
        class_id=class_id,
        work=Work(row.workload, row.config),
        batch_size=row.batch_size,
        step_s=step,
        peak_bytes=row.peak_bytes or 0,
        is_confirmed=row.purpose == str(Purpose.CONFIRM),
        accumulation=int(document.get("accumulation") or 1),
        ranks=ranks,
        samples_per_step=row.global_batch_size or 0,
        parameters=document.get("parameters"),
        energy_j=_energy(document),
        host_energy_j=_host_energy(document),
        measurement_id=row.id,
        notes=(f"It was disturbed: {'; '.join(taints)}.",) if taints else (),
    )


def _energy(document: Mapping[str, Any]) -> Known:
    """Joules per step of the devices, as a sensor told them."""
    found = _per_step(document.get("energy"))
    if found is not None:
        return found
    because = str(document.get("energy_unavailable") or "").strip()
    return Unknown(f"Energy was not measured: {because.rstrip('.')}.") if because else NO_ENERGY


def _host_energy(document: Mapping[str, Any]) -> Amount | None:
    """Zero where the sensor of the device counts the whole host."""
    energy = document.get("energy")
    if isinstance(energy, Mapping) and energy.get("scope") == "host":
        return Amount.exactly(0.0)
    return _per_step(document.get("host_energy"))


def _per_step(energy: Any) -> Amount | None:
    """Of a stored ``probes.measurement.Energy``."""
    if not isinstance(energy, Mapping) or not energy.get("steps"):
        return None
    steps = float(energy["steps"])
    mean = float(energy["energy_j"]) / steps
    low, high = (float(energy.get(k, energy["energy_j"])) / steps for k in ("low_j", "high_j"))
    return Amount(mean, min(mean, max(0.0, low)), max(mean, high))
