"""Registering measured workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.database import Database
from app.workloads import repository
from probes.space import Space, dimension_to_dict

if TYPE_CHECKING:
    from app.machine.session import MeasuringSession


def register(
    database: Database,
    reference: str,
    source_hash: str,
    space: Space,
    *,
    dataset_size: int | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """Store a workload with its options and its whole space; a study knows only a part of it."""
    with database.write() as session:
        repository.save(
            session,
            reference=reference,
            source_hash=source_hash,
            dataset_size=dataset_size,
            space={name: dimension_to_dict(dimension) for name, dimension in space.items()},
            options=options,
        )


def register_measured(database: Database, bench: MeasuringSession) -> None:
    """Store the workload that is about to be measured."""
    register(
        database,
        bench.workload.label,
        bench.scope.workload_hash,
        bench.space,
        dataset_size=bench.dataset_size,
        options=bench.workload.options,
    )
