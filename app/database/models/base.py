"""What all tables share: the declarative base, the names of constraints, and the kinds of keys."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import BigInteger, ForeignKey, Integer, MetaData, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

from app.database.types import CleanText, Document, UtcDateTime

PREFIX = "tonnage_"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraints need names that a later migration can refer to."""


BIG_KEY = BigInteger().with_variant(Integer, "sqlite")
"""SQLite assigns ids only in a column that is exactly INTEGER, which has 64 bits there."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy reads it so)
        datetime: UtcDateTime,
        dict[str, Any]: Document,
        str: CleanText,
    }


TextKey = Annotated[str, mapped_column(String(40), primary_key=True)]
"""As ``app.ids`` makes it."""
StudyKey = Annotated[
    str,
    mapped_column(ForeignKey("tonnage_studies.id", ondelete="CASCADE"), primary_key=True),
]
"""The study that a row is a part of."""
RecommendationRef = Annotated[
    str,
    mapped_column(ForeignKey("tonnage_recommendations.id", ondelete="SET NULL"), index=True),
]
"""``None`` when there was no recommendation, or it has been deleted."""
WorkloadName = Annotated[str, mapped_column(String(1024))]
FingerprintKey = Annotated[str, mapped_column(String(64), index=True)]
CreatedAt = Annotated[datetime, mapped_column(index=True)]
