"""What a rank says when another is gone, or has called something else. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence

PEER_ERRORS = ("DistNetworkError", "DistBackendError", "DistStoreError", "QueueEmptyError")
"""Exceptions of torch that are never a rank's own fault."""

GONE = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Connection refused",
    "Broken pipe",
    "Read error [",
    "Write error [",
    "gloo/transport",
    "Application timeout caused pair closure",
    "NCCL communicator was aborted",
    "ncclSystemError",
    "ncclRemoteError",
)
MISMATCH = (
    "op.preamble.length",
    "preamble.nbytes",
    "Detected mismatch between collectives",
    "invalid sizes",
)


def peer_error(message: str, type_names: Sequence[str] = ()) -> str:
    """``gone`` or ``mismatch`` where a failure only says that another rank is gone, or was in
    another collective; else empty."""
    if any(sign in message for sign in MISMATCH):
        return "mismatch"
    if any(name in PEER_ERRORS for name in type_names):
        return "gone"
    return "gone" if any(sign in message for sign in GONE) else ""
