"""Getting hold of Ray and of a cluster, with messages that say what to do where that fails."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

from app.fleet.address import FleetAddress
from app.fleet.engine import FleetUnavailable
from probes.errors import InputError
from probes.formatting import first_line

GIVE_UP_AFTER = "3"
"""Attempts, a second each. By default Ray tries for 20 s with a token that is wrong."""
INSTALL = "Install it with: pip install 'tonnage[ray]'"


def environment(token_file: Path | None, address: str = "") -> dict[str, str]:
    """What every process of Ray is told of the cluster's token, and of how to reach it."""
    found = {
        "RAY_NUM_REDIS_GET_RETRIES": GIVE_UP_AFTER,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    if token_file is not None:
        found |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token_file)}
    if is_loopback(address):
        # Ray replaces 127.0.0.1 by an address that others can reach, unless it is told that this
        # is a cluster of one machine. Its ports then listen on the loopback interface only.
        found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    return found


def is_loopback(address: str) -> bool:
    """Whether it is the address of a fleet that is this host alone."""
    return (address.rpartition(":")[0] or address) in ("127.0.0.1", "localhost")


def import_ray() -> ModuleType:
    """Ray. Raises ``InputError`` where it is not installed or cannot be imported."""
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise InputError(f"Ray cannot be imported: {error}. {INSTALL}") from None
        raise InputError(f"A fleet needs Ray, which is not installed. {INSTALL}") from None
    except Exception as error:  # whatever a package that it looks at raises
        hint = (
            "The package amdsmi without ROCm does this: pip uninstall amdsmi"
            if "amdsmi" in _modules_of(error)
            else f"Try it by itself: python -c 'import ray'. {INSTALL}"
        )
        raise InputError(
            f"Ray cannot be imported: {type(error).__name__}: {error}. {hint}"
        ) from error
    module: ModuleType = ray
    return module


def _modules_of(error: BaseException) -> str:
    """The files that an error came through."""
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    return " ".join(found)


def connect(address: FleetAddress) -> ModuleType:
    """Ray, connected to the cluster; a process can be connected to one. Raises ``InputError`` where
    there is no Ray, and ``FleetUnavailable`` with what to do where there is no cluster for us."""
    os.environ.update(environment(address.token_file, address.address))  # before Ray is imported
    ray = import_ray()
    options: dict[str, Any] = {
        "address": address.address,
        "namespace": "tonnage",
        "log_to_driver": False,
        "configure_logging": False,
        "logging_level": "ERROR",
    }
    if is_loopback(address.address):
        options["_node_ip_address"] = "127.0.0.1"
    try:
        ray.init(**options)
    except Exception as error:  # of many kinds: ConnectionError, RuntimeError, ValueError, …
        raise FleetUnavailable(_explained(address, error)) from None
    return ray


def _explained(address: FleetAddress, error: BaseException) -> str:
    chain = []
    found: BaseException | None = error
    while found is not None:
        chain.append(f"{type(found).__name__}: {found}")
        found = found.__cause__ or found.__context__
    text = " ".join(chain)
    where = f"The fleet at {address.address}"
    if "Unauthenticated" in text or "AuthenticationError" in text or "InvalidAuthToken" in text:
        return (
            f"{where} refuses the token of this host. Copy the file that tonnage fleet join --head "
            "has named, and give it with --token-file."
        )
    if "ersion mismatch" in text:
        return f"{where} has another version of Ray or Python than this host: {error}"
    if "node_ip_address" in text or "raylet" in text.lower():
        return (
            f"{where} has no node on this host, and a fleet is directed from one of its nodes. "
            f"Start one here with: tonnage fleet join {address.address}"
        )
    return (
        f"{where} does not answer ({first_line(error)}). Start it with: tonnage fleet join --head. "
        "If it runs: is the address right, and does a firewall let its port through?"
    )
