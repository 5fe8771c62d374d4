"""A row as the plain data that leaves its session."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from app.database.models.base import Base

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)


def record_of(kind: type[Record], row: Base, /, **given: Any) -> Record:
    """A ``kind`` with the row's columns of the same names; ``given`` are the fields that differ."""
    names = (field.name for field in fields(kind) if field.name not in given)
    return kind(**{name: getattr(row, name) for name in names}, **given)
