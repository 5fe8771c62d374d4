"""A database in which two classes of GPUs ran a workload, and a third is only known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.database import Database
from app.devices import service as devices
from app.measurements import repository as measurements
from app.settings import Settings, load_settings
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from probes.devices.fingerprint import Fingerprint
from probes.measurement import Measurement
from tests.app import factories

GIB = 2**30
FAST, SLOW, NEW = "NVIDIA H200", "NVIDIA A10", "NVIDIA L4"
PRICES = {
    FAST: {"price_per_hour": 4.0},
    SLOW: {"price_per_hour": 0.6},
    NEW: {"price_per_hour": 0.4},
}


def settings(**fleet: Any) -> Settings:
    return load_settings(overrides={"fleet": {"devices": PRICES, **fleet}})


def fingerprint(name: str, total_gib: int = 24, **identity: Any) -> Fingerprint:
    return Fingerprint(
        {"model": name, "torch": "2.13.0", "uuid": f"uuid of {name}", **identity},
        {"model": name, "total_bytes": total_gib * GIB},
    )


def measured(step_s: float, layers: int = 2, batch_size: int = 8, **changes: Any) -> Measurement:
    return factories.measurement(
        batch_size,
        config={"layers": layers},
        device="cuda:0",
        limit_bytes=24 * GIB,
        step_time=replace(factories.step_time(step_s), low_s=step_s * 0.98, high_s=step_s * 1.02),
        peak_bytes=5 * GIB,
        parameters=1000 * layers,
        **changes,
    )


def study(database: Database, name: str, *runs: Measurement, recommended: int = 2) -> str:
    """A finished study on a class: its runs, and what it recommends."""
    mark = fingerprint(name)
    devices.register(database, mark, kind="cuda", name=name)
    spec = factories.spec(
        "prototyping", fingerprint=mark.key, device="cuda:0", limit_bytes=24 * GIB
    )
    opened, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, opened.id, spec)
    for run in runs:
        store.add_measurement(0, run, [])
    chosen = next(run for run in runs if run.config["layers"] == recommended)
    made = factories.recommendation(
        f"rec_{opened.id[3:]}",
        config=chosen.config,
        budget="prototyping",
        device="cuda:0",
        batch_size=chosen.batch_size,
        limit_bytes=24 * GIB,
        parameters=chosen.parameters,
    )
    valid = {**made.valid, "fingerprint": mark.key, "workload_hash": "abc123"}
    studies.finish(database, opened.id, replace(made, valid=valid))
    return mark.class_key


def fill(database: Database) -> dict[str, str]:
    """Class ids by name. A step with 2 layers takes 0.1 s on the fast class and 0.4 s on the slow
    one; with 4 layers, twice that. The new class ran nothing."""
    ids = {
        FAST: study(database, FAST, measured(0.1), measured(0.2, 4)),
        SLOW: study(database, SLOW, measured(0.4), measured(0.8, 4)),
    }
    mark = fingerprint(NEW)
    devices.register(database, mark, kind="cuda", name=NEW)
    return {**ids, NEW: mark.class_key}


def add_run(database: Database, name: str, run: Measurement, *, workload: str = "other") -> None:
    """A probe outside every study, of another workload unless one is named."""
    with database.write() as session:
        measurements.add(
            session,
            f"scope of {workload} on {name}",
            replace(run, workload=workload),
            fingerprint=fingerprint(name).key,
        )
