"""What Optuna keeps of a study, beside our own tables in the same database."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from sqlalchemy import inspect

from app.database import Database

OPTUNA_TABLE = "studies"


def forget_trials(database: Database, study_ids: Collection[str]) -> None:
    """Delete Optuna's record of studies that are gone; ones it never knew are passed over."""
    if not study_ids or not inspect(database.engine).has_table(OPTUNA_TABLE):
        return
    from optuna.storages import RDBStorage

    storage = RDBStorage(database.full_url)
    try:
        for study_id in study_ids:
            with contextlib.suppress(KeyError):
                storage.delete_study(storage.get_study_id_from_name(study_id))
    finally:
        storage.engine.dispose()
