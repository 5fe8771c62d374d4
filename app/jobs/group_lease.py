"""The lease of a job that runs on several devices: it names all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

JOINED = "group"
DIGITS = 8
"""Of the hash of each device's lease, so that many fit into the column."""


def joined(leases: Collection[str]) -> str:
    """The one lease of a group whose devices have these."""
    apart = sorted(set(leases))
    return apart[0] if len(apart) == 1 else "+".join([JOINED, *map(_short, apart)])


def holds(lease: str, device_lease: str) -> bool:
    """Whether a job with a lease has the device of another."""
    name, *members = lease.split("+")
    return lease == device_lease or (name == JOINED and _short(device_lease) in members)


def _short(lease: str) -> str:
    return hashlib.sha256(lease.encode()).hexdigest()[:DIGITS]
