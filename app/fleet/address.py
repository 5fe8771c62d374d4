"""Where a fleet is, and the token that opens it: as given, or as this host has joined."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from app.settings import Settings
from app.tuning.owner import Owner, this_process
from probes.errors import InputError

AUTO = "auto"
PORT = 6379
TOKEN_BYTES = 32
ADDRESS_VARIABLE, TOKEN_VARIABLE = "RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"


@dataclass(frozen=True)
class FleetAddress:
    """A fleet."""

    address: str
    """``host:port`` of its head."""
    token_file: Path | None
    """``None`` for a cluster without a token, which somebody else started."""
    joined_here: bool = field(default=False, compare=False)
    """Whether it was found as the fleet that this host has joined."""

    @property
    def arguments(self) -> list[str]:
        """That make another command of this host find it. One that was found as the fleet of this
        host is looked up again: its head may have come back at another address."""
        token = [] if self.token_file is None else ["--token-file", str(self.token_file)]
        return ["--fleet", AUTO] if self.joined_here else ["--fleet", self.address, *token]


def find(settings: Settings, asked: str, token_file: Path | None = None) -> FleetAddress:
    """The fleet at ``host``, ``host:port`` or ``ray://host:port``; ``auto`` is the one that
    ``RAY_ADDRESS`` names, else the one that this host has joined. Raises ``InputError``."""
    if asked != AUTO:
        return FleetAddress(with_port(asked), _token(settings, token_file))
    if environment := os.environ.get(ADDRESS_VARIABLE):
        return FleetAddress(with_port(environment), _token(settings, token_file))
    found = _joined_last(settings)
    if found is None:
        raise InputError(
            "This host belongs to no fleet. Start one here with: tonnage fleet join --head. Or "
            "join one with: tonnage fleet join ADDRESS"
        )
    if token_file is not None:
        return replace(found, token_file=token_file, joined_here=False)
    return found


def with_port(address: str) -> str:
    """``host:port``. Raises ``InputError``."""
    bare = address.removeprefix("ray://").strip().rstrip("/")
    host, colon, port = bare.rpartition(":")
    if not colon:
        host, port = bare, str(PORT)
    if not host or not port.isdigit() or not 0 < int(port) < 65_536 or "/" in host:
        raise InputError(
            f"{address!r} is not the address of a fleet: give host:port, such as 10.0.0.5:6379"
        )
    return f"{host}:{port}"


def own_address() -> str:
    """The address of this host on the way to the network; the loopback address without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation's: nothing is sent
        except OSError:
            return "127.0.0.1"
        found: str = probe.getsockname()[0]
        return found


def default_token_file(settings: Settings) -> Path:
    return settings.data_dir / "fleet.token"


def make_token(file: Path) -> bool:
    """A new token in a file that only its owner can read, unless there is one. Returns whether it
    was made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_hex(TOKEN_BYTES))
    return True


@contextlib.contextmanager
def joined(settings: Settings, fleet: FleetAddress) -> Iterator[None]:
    """While this process makes the host a node of a fleet, ``auto`` means that one."""
    folder = _records(settings)
    folder.mkdir(parents=True, exist_ok=True)
    record = folder / f"{os.getpid()}.json"
    token = None if fleet.token_file is None else str(fleet.token_file.absolute())
    owner = asdict(this_process())
    record.write_text(json.dumps({"address": fleet.address, "token_file": token, "owner": owner}))
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


def _joined_last(settings: Settings) -> FleetAddress | None:
    """The fleet that a process of this host belongs to, the latest one first."""
    records = sorted(
        _records(settings).glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True
    )
    for record in records:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(record.read_text())
            token = found["token_file"]
            if Owner(**found["owner"]).is_alive():
                return FleetAddress(found["address"], Path(token) if token else None, True)
    return None


def _records(settings: Settings) -> Path:
    return settings.data_dir / "fleet"


def _token(settings: Settings, asked: Path | None) -> Path | None:
    """The file that is asked for, else that of the environment, else that of this host. Raises
    ``InputError`` for one that is not there."""
    if asked is not None:
        if not asked.is_file():
            raise InputError(f"--token-file {asked}: there is no such file.")
        return asked.absolute()
    if environment := os.environ.get(TOKEN_VARIABLE):
        return Path(environment)
    own = default_token_file(settings)
    return own if own.is_file() else None
