"""Where the service listens: taking the address before anything else is done, and saying plainly
why it cannot be had."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

from probes.errors import InputError

BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. ``port`` 0 takes a free one.

    Raises ``InputError`` for a host that has no address here, and a port that is taken or not
    allowed.
    """
    family, address = _resolve(host, port)
    # With the protocol named, asyncio sends what is written at once: else an answer's second half
    # waits 40 ms for the first to be acknowledged.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(_why(host, port, error)) from None
    return listener


def is_loopback_only(listener: socket.socket) -> bool:
    """Whether nothing but this machine reaches it."""
    return is_loopback(str(listener.getsockname()[0]))


def url_of(listener: socket.socket) -> str:
    """As a browser takes it. An address that stands for all of them is shown as this machine's."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def is_loopback(address: str) -> bool:
    """Whether a text is a loopback IP address."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def is_loopback_name(name: str) -> bool:
    """Whether a host name means this machine: ``localhost`` or a name below it, or a loopback
    address."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def _resolve(host: str, port: int) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(
            f"--host {host}: no such address ({getattr(error, 'strerror', error)}). Use 127.0.0.1 "
            "for this machine only, 0.0.0.0 for every address it has."
        ) from None
    found.sort(key=lambda each: each[0] != socket.AF_INET)
    return found[0][0], found[0][4]


def _why(host: str, port: int, error: OSError) -> str:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"{where} is in use by another program, perhaps another tonnage serve. End it, or "
            "choose another port with --port (0 takes a free one)."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{where}: this machine does not have the address {host}. Use 127.0.0.1 for this "
            "machine only, 0.0.0.0 for every address it has."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{where}: not allowed ({error.strerror}). Ports below 1024 belong to root."
    return f"{where} cannot be listened on: {error.strerror or error}."
