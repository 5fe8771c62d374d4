"""Working directories that users have sent, to be unpacked on the hosts that run their code."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database.models.base import Base


class BundleRow(Base):
    """A bundle: an archive of files, named by what is in it."""

    __tablename__ = "tonnage_bundles"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the archive."""
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of the archive, before compression."""
    files: Mapped[int]
    sent_by: Mapped[str] = mapped_column(String(64), default="")
    """Id of the API key that sent it first; empty for a user of the database."""
    created_at: Mapped[datetime]
    used_at: Mapped[datetime] = mapped_column(index=True)
    """When it was last sent, asked for by a study, or unpacked for one."""


class BundleChunkRow(Base):
    """A part of the compressed archive."""

    __tablename__ = "tonnage_bundle_chunks"

    bundle_id: Mapped[str] = mapped_column(
        ForeignKey("tonnage_bundles.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
