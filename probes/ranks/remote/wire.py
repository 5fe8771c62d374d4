"""How a gang's parent and the process on each of its nodes reach each other.

Connections are those of ``multiprocessing.connection``: both sides show that they know a secret
before anything else is read, and messages are tuples. Nothing is encrypted, as in the fleet itself.
"""

from __future__ import annotations

import contextlib
import socket
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge

from probes.errors import MeasurementError

BEAT_S = 1.0
"""The side that works on an answer says so this often."""
LOST_S = 15.0
"""A side that has been silent for this long is lost: its host is, or is stopped."""
REACH_S = 10.0
IDLE_S, INTERVAL_S, TRIES = 5, 3, 3
"""When the kernel asks whether the other host is there, and how often. About ``LOST_S``."""


class HostLost(MeasurementError):
    """A node of the gang, or the process on it, is gone."""


def dial(address: tuple[str, int], secret: bytes) -> Connection:
    """Connect to the process on a node. Raises ``OSError``, and ``AuthenticationError``, where it
    is not there or is another one."""
    socket.create_connection(address, REACH_S).close()  # a firewall may swallow everything
    connection = Client(address, authkey=secret)
    keep_alive(connection)
    return connection


def welcome(connection: Connection, secret: bytes) -> None:
    """The other side of ``dial``."""
    keep_alive(connection)
    deliver_challenge(connection, secret)
    answer_challenge(connection, secret)


def keep_alive(connection: Connection) -> None:
    """Let the kernel notice that the other host has gone without a word."""
    options = {
        socket.SOL_SOCKET: {"SO_KEEPALIVE": 1},
        socket.IPPROTO_TCP: {
            "TCP_KEEPIDLE": IDLE_S,
            "TCP_KEEPINTVL": INTERVAL_S,
            "TCP_KEEPCNT": TRIES,
            "TCP_NODELAY": 1,
        },
    }
    with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as same:
        for level, values in options.items():
            for name, value in values.items():
                number = getattr(socket, name, None)  # not every system has all of them
                with contextlib.suppress(OSError):
                    if number is not None:
                        same.setsockopt(level, number, value)
