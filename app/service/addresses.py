"""Which addresses only this machine can reach."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str) -> bool:
    """Of an IP address as text; anything else is not one."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_loopback_name(name: str) -> bool:
    """Of a host as a client writes it: ``localhost`` and below, or a loopback address."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)
