"""Every table, as SQLAlchemy models.

The resources refer to each other (a trial to its study, a study to its device), so the schema is
read, and migrated, as one thing; what is done with a table is in its resource's ``repository``.
Every table is named ``tonnage_…``, because a team may keep tables of its own in the same database.

The files are apart because mapping a class takes time: ``tonnage check`` needs ``results`` only.
"""

from sqlalchemy import MetaData


def all_tables() -> MetaData:
    """The whole schema: what the migrations lead to."""
    from app.database.models import (  # noqa: F401  (importing adds)
        bundles,
        finetuning,
        fleet,
        knowledge,
        searching,
        serving,
    )
    from app.database.models.base import Base

    return Base.metadata
