"""A load generator as small as can be: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Request = Callable[[], bytes]


@dataclass
class Load:
    """What came of it."""

    wall_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def requests_per_s(self) -> float:
        return len(self.latencies_s) / self.wall_s

    def percentile_s(self, fraction: float) -> float:
        ordered = sorted(self.latencies_s)
        return ordered[min(int(fraction * len(ordered)), len(ordered) - 1)]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{lines}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def drive(
    address: tuple[str, int],
    request: Callable[[int], Request],
    clients: int,
    seconds: float,
    answered: Callable[[int], None] = lambda client: None,
) -> Load:
    """``clients`` connections for ``seconds``. ``request(client)`` makes each client's requests;
    ``answered(client)`` is told of each that was answered 2xx."""
    return asyncio.run(_drive(address, request, clients, seconds, answered))


async def _drive(
    address: tuple[str, int],
    request: Callable[[int], Request],
    clients: int,
    seconds: float,
    answered: Callable[[int], None],
) -> Load:
    load = Load()
    until_s = time.perf_counter() + seconds

    async def one(client: int) -> None:
        reader, writer = await asyncio.open_connection(*address)
        make = request(client)
        while time.perf_counter() < until_s:
            began_s = time.perf_counter()
            writer.write(make())
            status = await _answer(reader)
            load.latencies_s.append(time.perf_counter() - began_s)
            load.statuses[status] = load.statuses.get(status, 0) + 1
            if 200 <= status < 300:
                answered(client)
        writer.close()

    began_s = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(clients)))
    load.wall_s = time.perf_counter() - began_s
    return load


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    await reader.readexactly(length)
    return int(head[9:12])
