"""Bundles, as the HTTP interface shows them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class BundleOut(BaseModel):
    """A working directory that was sent."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
                    "size_bytes": 51200,
                    "files": 14,
                    "sent_by": "key_1k0s0w6rsepcgtsa44wd",
                    "created_at": "2026-01-02T03:04:05Z",
                    "used_at": "2026-01-02T03:04:05Z",
                }
            ]
        },
    )

    id: str = Field(description="SHA-256 of the archive.")
    size_bytes: int = Field(description="Of the archive, before compression.")
    files: int
    sent_by: str = Field(description="Id of the key that sent it first; empty for a local user.")
    created_at: datetime
    used_at: datetime = Field(
        description="When it was last sent, asked for by a study, or unpacked for one."
    )
