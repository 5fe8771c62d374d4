"""Workloads, as the HTTP interface shows them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from app.http.fields import WorkloadText
from app.http.paging import NumberedPageQuery

if TYPE_CHECKING:
    from app.workloads.registry import Registered


class WorkloadOut(BaseModel):
    """A workload that has been measured, at one state of its source and options."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "workload": "transformer",
                    "workload_hash": "0a1b2c3d4e5f6071",
                    "options": {"length": 128},
                    "dataset_size": None,
                    "space": {"layers": {"type": "choice", "options": [1, 2, 4]}},
                    "first_seen_at": "2026-01-02T03:04:05Z",
                    "last_seen_at": "2026-01-02T03:04:05Z",
                }
            ]
        },
    )

    workload: str = Field(
        validation_alias=AliasChoices("workload", "reference"),
        description="The name it was measured under.",
    )
    workload_hash: str = Field(
        validation_alias=AliasChoices("workload_hash", "source_hash"),
        description="Hash of its source and options.",
    )
    options: dict[str, Any] = Field(description="Parameters of its constructor.")
    dataset_size: int | None = Field(description="Training samples; null if not known.")
    space: dict[str, Any] = Field(description="Dimension name to what it may be.")
    first_seen_at: datetime
    last_seen_at: datetime


class RegisteredOut(BaseModel):
    """A workload that a study can be started for, by its name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "transformer", "source": "built in", "options": ["length"]}]
        }
    )

    name: str
    source: str = Field(description="Where it was registered.")
    options: list[str] = Field(description="Options that a request may give.")

    @classmethod
    def of(cls, entry: Registered) -> RegisteredOut:
        return cls(name=entry.name, source=entry.source, options=list(entry.request_options))


class WorkloadQuery(NumberedPageQuery):
    workload: Annotated[WorkloadText | None, Field(description="Only of this name.")] = None
