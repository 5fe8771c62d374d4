"""Making this host a node of a fleet: what it is labelled with, and how the engine is started.

The engine's processes are children of a guardian (``probes.processes``): they end with the command
that started them, however that ends.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.fleet.address import FleetAddress
from app.fleet.environment import remembered
from optimizer.records import short_hash
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.errors import InputError, MeasurementError
from probes.processes.launch import GuardedProcess, StartError

OBJECT_STORE_BYTES = 80_000_000
"""The least that Ray takes: nothing of ours travels through it."""
HEAD_WITHIN_S = 30
"""How long a node waits for a head that has not started yet: a batch system may start both at once.
"""
HEADLESS_S = 20
"""How long a node waits for a head that has gone before it ends. (Ray: 60 s.)"""
HEALTH_PERIOD_MS, HEALTH_FAILURES = 1000, 3
"""A node that does not answer three times in a row, a second apart, is dead. Ray's own settings
take 14 s."""
START_S = 120.0
END_S = 20.0
"""How long Ray may take to end its processes."""
WORKER_PORTS = range(10_002, 20_000)
"""Ray's own choice for its workers, which a head must not listen on."""
STARTED = "Ray runtime started"
ADDRESS = re.compile(r"Local node IP: (\S+)")
VENDORS = {"cuda": "nvidia", "mps": "apple", "xpu": "intel"}
LOGGED = re.compile(r"^\S+ [\d:,]+\s+(INFO|ERR|WARN|SUCC|PANIC)\w* \S+ -- |^\[.*?\]( \(\w+\))?")
COMPLAINT = re.compile(r"Exception|Error:|\[exit code|Failed to|annot ")
LABEL = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
VALUE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class NodeOptions:
    """How a node is started."""

    fleet: FleetAddress
    """Of a head: its own address."""
    is_head: bool
    interface: str
    """The address of this host that other nodes reach; empty: the engine finds one."""
    labels: Mapping[str, str]
    memory_budget_bytes: int | None = None
    folder: Path | None = None
    """For the engine's sockets and logs."""
    accept_bundles: bool = False
    """Whether code that users send may run here."""
    dashboard: bool = False


def labels_of(devices: Sequence[dict[str, Any]], budget_bytes: int | None) -> dict[str, str]:
    """Labels of a node with these devices, best first, as a worker told them."""
    facts = DeviceFacts(**devices[0])
    fingerprint = build_fingerprint(facts, Telemetry(facts))
    total = facts.total_bytes
    is_smaller = budget_bytes is not None and budget_bytes < total
    memory = budget_bytes if budget_bytes is not None and is_smaller else total
    rocm = "rocm" in str(facts.identity.get("runtime", "")).lower()
    vendor = "amd" if rocm else VENDORS.get(facts.kind, "")
    class_key = fingerprint.class_key
    found = {
        "tonnage/device": facts.kind,
        "tonnage/vendor": vendor,
        "tonnage/memory-gib": f"{memory / 2**30:.0f}"
        if memory >= 2**30
        else f"{memory / 2**30:.2g}",
        "tonnage/class": short_hash([class_key, budget_bytes]) if is_smaller else class_key,
    }
    return {name: value for name, value in found.items() if VALUE.fullmatch(value)}


def parse_labels(text: str) -> dict[str, str]:
    """``rack=3,room=cellar``. Raises ``InputError``."""
    found = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not LABEL.fullmatch(name) or not VALUE.fullmatch(value):
            raise InputError(
                f"--labels: {part!r} is not a label. Give name=value, with letters, digits and "
                ". - _ only, such as rack=3"
            )
        found[name] = value
    return found


def command(options: NodeOptions) -> list[str]:
    """Starts the engine on this host."""
    labels = ",".join(f"{name}={value}" for name, value in options.labels.items())
    found = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    found += ["--object-store-memory", str(OBJECT_STORE_BYTES), "--disable-usage-stats"]
    found += ["--include-log-monitor", "false", "--labels", labels]
    if options.is_head:
        found += ["--head", "--port", options.fleet.address.rpartition(":")[2]]
        found += ["--include-dashboard", str(options.dashboard).lower()]
    else:
        found += ["--address", options.fleet.address]
    if options.interface:
        found += ["--node-ip-address", options.interface]
    if options.folder is not None:
        found += ["--temp-dir", str(options.folder)]
    return found


def environment(options: NodeOptions, engine: Mapping[str, str]) -> dict[str, str]:
    """Of the engine's processes on this host. ``engine``: what they are told of the cluster."""
    found = {**os.environ, **remembered(os.environ), **engine}
    found |= {
        "RAY_NUM_REDIS_GET_RETRIES": str(HEAD_WITHIN_S),
        "RAY_worker_niceness": "0",  # 15 by default, which a job would inherit
        "RAY_memory_monitor_refresh_ms": "0",  # it would kill our actor for what a probe needs
        "RAY_process_group_cleanup_enabled": "true",
        "RAY_enable_worker_prestart": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(HEADLESS_S),
        "RAY_health_check_initial_delay_ms": "0",
        "RAY_health_check_period_ms": str(HEALTH_PERIOD_MS),
        "RAY_health_check_timeout_ms": str(HEALTH_PERIOD_MS),
        "RAY_health_check_failure_threshold": str(HEALTH_FAILURES),
    }
    if options.memory_budget_bytes is not None:
        found["TONNAGE_RUNNER__MEMORY_BUDGET_BYTES"] = str(options.memory_budget_bytes)
    if options.accept_bundles:
        found["TONNAGE_BUNDLES__ACCEPT"] = "true"
    return found


class Node:
    """The engine's processes on this host. A context manager: leaving it ends them."""

    def __init__(self, options: NodeOptions, engine: Mapping[str, str]) -> None:
        try:
            self._process = GuardedProcess(
                command(options), environ=environment(options, engine), tail_bytes=20_000
            )
        except StartError as error:
            raise MeasurementError(f"Ray could not be started: {error}") from None
        self._said = ""
        self.address = options.interface
        """By which the others reach this host."""

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def is_running(self) -> bool:
        return self._process.running

    def wait_until_started(self, stopped: Callable[[], bool]) -> None:
        """Raises ``MeasurementError`` with what Ray said where it does not start."""
        until_s = time.monotonic() + START_S
        while STARTED not in self._said:
            if stopped():
                return
            if not self.is_running or time.monotonic() >= until_s:
                raise MeasurementError(f"Ray did not start. {self.complaint()}")
            self.listen()
        if told := ADDRESS.search(self._said):
            self.address = told[1]

    def listen(self) -> None:
        """Take note of what it says for half a second."""
        try:
            for output in self._process.wait(0.5):
                self._said = (self._said + output.data.decode(errors="replace"))[-20_000:]
        except StartError as error:
            raise MeasurementError(f"Ray could not be started: {error}") from None

    def complaint(self) -> str:
        """The end of what it said, without its decoration."""
        lines = [LOGGED.sub("", line).strip() for line in self._said.splitlines()]
        lines = [line for line in lines if line and "[state-dump]" not in line]
        wrong = [line for line in lines if COMPLAINT.search(line)]
        return " ".join((wrong or lines)[-2:])[:600]

    def end(self) -> None:
        """Let Ray leave the cluster in order, then end what is left."""
        if self._process.running and self._process.pid:
            os.kill(self._process.pid, signal.SIGTERM)
            until_s = time.monotonic() + END_S
            while self._process.running and time.monotonic() < until_s:
                self._process.wait(0.2)
        self._process.close()
