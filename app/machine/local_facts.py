"""This machine's devices and workloads as a check needs them, without starting torch each time.

A fingerprint needs torch (for its version, and the device's UUID as CUDA reports it), which takes
seconds to start. So the answer of a worker is kept (see ``app.machine.disk_cache``). Its key is the
boot's id, the requested interpreter and the variables that decide what torch sees. Its witnesses
are the interpreter, torch's ``version.py``, the folders that packages are installed in (installing
another torch changes them) and the driver's version in ``/proc`` and ``/sys``. Facts that can
change without a trace there are read every time: NVIDIA's driver, MIG and power limit from NVML,
and the CPU's memory and control group from the kernel.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.machine.disk_cache import keep, kept
from probes.devices import host
from probes.devices.environment import (
    allocator_settings,
    group_environment,
    process_environment,
    worker_environment,
)
from probes.errors import InputError, MeasurementError
from probes.formatting import sentences
from probes.group import Group, group_of, is_group
from probes.space import unknown_name

if TYPE_CHECKING:
    from app.settings import Settings
    from probes.job import WorkloadRef
    from probes.timeouts import Timeouts

DEVICES, WORKLOAD = "devices", "workload"
SEEN_THROUGH = (
    "CONDA_PREFIX",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HIP_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "MKL_NUM_THREADS",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PYTHONNOUSERSITE",
    "PYTHONPATH",
    "ROCR_VISIBLE_DEVICES",
    "VIRTUAL_ENV",
    "ZE_AFFINITY_MASK",
)
"""Variables that decide which torch is found, and what it sees."""
DRIVERS = ("/proc/driver/nvidia/version", "/sys/module/amdgpu/version", "/sys/module/xe/version")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class DeviceNow:
    """A device as it is now: one of this machine, or one that the store knows by name."""

    device: str
    """``cuda:0``; for a device of another machine, the name that its results have."""
    kind: str
    """``cpu``, ``cuda``, ``rocm``, ``mps`` or ``xpu``."""
    name: str
    fingerprint: str
    """Key of the fingerprint."""
    document: dict[str, Any] = field(default_factory=dict)
    """The fingerprint's groups; empty when only the key is known."""
    total_bytes: int | None = None
    free_bytes: int | None = None
    environment: dict[str, str] | None = None
    """Allocator settings and thread count that a probe would run with here. ``None`` for another
    machine's device: they are then not compared."""

    @property
    def ranks(self) -> int:
        """Number of devices that train as one; 0 for a single device."""
        if is_group(self.device):
            return group_of(self.device).size
        told = self.document.get("identity", {}).get("ranks", 0)
        return told if isinstance(told, int) else 0


def device_here(
    python: str | None,
    device: str | None,
    timeouts: Timeouts,
    *,
    refresh: bool,
    devices: str | int | None = None,
) -> DeviceNow:
    """The device of this machine that is asked for, the best one, or the group that ``devices`` or
    a label as ``device`` names.

    ``timeouts`` are for the worker that is started where nothing is kept, or with ``refresh``.
    Raises ``InputError`` for a device that this machine does not have, and ``MeasurementError``
    without a usable torch.
    """
    from app.machine.groups import asked_group

    found = devices_here(python, timeouts, refresh=refresh)
    group = asked_group([each["device"] for each in found["devices"]], device, devices)
    if group is not None and group.size > 1:
        return _group_here(group, [choose(found, name) for name in group.devices])
    return _here(choose(found, group.devices[0] if group is not None else device))


def devices_here(
    python: str | None, timeouts: Timeouts, *, refresh: bool = False
) -> dict[str, Any]:
    """What a worker says of all devices, best first, now or since it was last asked. Raises
    ``MeasurementError`` without a usable torch."""
    found: dict[str, Any] | None = None if refresh else kept(DEVICES, devices_key(python))
    return _ask(python, timeouts) if found is None else found


def choose(found: dict[str, Any], device: str | None) -> dict[str, Any]:
    """The facts of a device by its name, or of the best one, in what a worker said of the devices.

    Raises ``InputError`` for a device that is not among them, and ``MeasurementError`` without any.
    """
    devices: dict[str, dict[str, Any]] = {each["device"]: each for each in found["devices"]}
    if not devices:
        raise MeasurementError(f"torch in {found['interpreter']['executable']} offers no device.")
    name = device if device is not None else next(iter(devices))
    facts = devices.get({"cuda": "cuda:0", "xpu": "xpu:0"}.get(name, name))
    if facts is None:
        reason = found.get("unavailable", {}).get(name.partition(":")[0], "")
        told = unknown_name("device", name, list(devices))
        raise InputError(sentences(told, reason[:1].upper() + reason[1:]))
    return facts


def probe_environment(
    device: str, facts: Mapping[str, Any], group: Group | None = None
) -> dict[str, str]:
    """The allocator settings and the thread count that a probe on ``device``, or on a group, runs
    with. ``facts`` are those of the device's environment."""
    added = worker_environment(device.partition(":")[0])
    if group is not None:
        added |= group_environment(group)
    return {**allocator_settings(process_environment(added)), "threads": str(facts.get("threads"))}


def is_name_of_one_here(device: str | None) -> bool:
    """Whether a name means a device of this machine; any other is one that has results."""
    return device is None or device.partition(":")[0] in ("cpu", "cuda", "mps", "xpu")


def devices_key(python: str | None) -> dict[str, Any]:
    return {
        "boot": boot_id(),
        "python": python,
        "own": sys.executable,
        "cores": host.usable_cores(),
        "machine": host.hashed_machine_id(),
        "variables": {name: os.environ[name] for name in SEEN_THROUGH if name in os.environ},
    }


def remember_devices(python: str | None, found: dict[str, Any]) -> None:
    """Keep what a worker said of the devices."""
    interpreter = found["interpreter"]
    if "torch_file" not in interpreter:
        return
    home = Path(interpreter["torch_file"]).parent
    version = ".".join(interpreter["python"].split(".")[:2])
    witnesses = [
        interpreter["executable"],
        Path(interpreter["executable"]).parent.parent / "pyvenv.cfg",
        home / "version.py",
        home.parent,
        Path.home() / f".local/lib/python{version}/site-packages",
        *(entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry),
        *DRIVERS,
    ]
    keep(DEVICES, devices_key(python), found, witnesses)


def workload_here(
    spec: str,
    options: dict[str, Any],
    python: str | None,
    timeouts: Timeouts,
    *,
    refresh: bool,
) -> dict[str, Any]:
    """What a worker says of a workload (``source_hash``, ``space`` …); a command needs none. Raises
    ``InputError``."""
    found = None if refresh else kept(WORKLOAD, workload_key(spec, options, python))
    if found is not None:
        described: dict[str, Any] = found
        return described
    from probes.black_box.command import is_command
    from probes.black_box.sources import describe
    from probes.interpreter import resolve_python
    from probes.job import WorkloadRef
    from probes.prober import Prober

    reference = WorkloadRef(spec, options)
    if is_command(reference):
        return describe(reference)
    with Prober(resolve_python(python), timeouts) as prober:
        described = prober.describe(reference)
    remember_workload(reference, python, described)
    return described


def workload_key(spec: str, options: dict[str, Any], python: str | None) -> dict[str, Any]:
    variables = ("CONDA_PREFIX", "PYTHONPATH", "VIRTUAL_ENV")
    place = spec.partition(":")[0]
    is_module = "." in place and not place.endswith(".py")  # looked for in the working directory
    return {
        "spec": spec,
        "options": options,
        "python": python,
        "own": sys.executable,
        "folder": str(Path.cwd()) if is_module else "",
        "variables": {name: os.environ[name] for name in variables if name in os.environ},
    }


def remember_workload(
    reference: WorkloadRef, python: str | None, described: dict[str, Any]
) -> None:
    """Keep what a worker said of a workload, for as long as no file of its own changes."""
    files = [Path(file) for file in described.get("files", ())]
    if files:
        key = workload_key(reference.spec, reference.options, python)
        keep(WORKLOAD, key, described, files)


def timeouts(settings: Settings) -> Timeouts:
    """The time limits of a worker, as configured."""
    from probes.timeouts import Timeouts

    probe = settings.probe
    return Timeouts(probe.startup_timeout_s, probe.step_timeout_s, probe.probe_timeout_s)


def _ask(python: str | None, timeouts: Timeouts) -> dict[str, Any]:
    from probes.interpreter import resolve_python
    from probes.prober import Prober

    with Prober(resolve_python(python), timeouts) as prober:
        found = prober.devices()
    remember_devices(python, found)
    return found


def _here(facts: dict[str, Any]) -> DeviceNow:
    from probes.devices.fingerprint import Fingerprint, build_fingerprint

    kind, total, free = facts["kind"], facts["total_bytes"], None
    if kind == "cuda":
        from probes.devices.base import DeviceFacts
        from probes.devices.telemetry import Telemetry

        known = DeviceFacts(**facts)
        fingerprint = build_fingerprint(known, Telemetry(known))
        used = fingerprint.state.get("memory_used_bytes")
        free = max(0, total - used) if isinstance(used, int) else None
    else:
        fingerprint = Fingerprint(facts["identity"], facts["device_class"], facts["environment"])
    if kind == "cpu":
        total, free = host.memory_total_bytes(), host.memory_free_bytes()
    return DeviceNow(
        facts["device"],
        kind,
        facts["name"],
        fingerprint.key,
        fingerprint.to_dict(),
        total_bytes=total,
        free_bytes=free,
        environment=probe_environment(facts["device"], facts["environment"]),
    )


def _group_here(group: Group, members: list[dict[str, Any]]) -> DeviceNow:
    from app.machine.groups import fingerprint_of_group, group_facts
    from probes.devices.base import DeviceFacts

    known = [DeviceFacts(**each) for each in members]
    if group.kind == "cpu":
        total, free = host.memory_total_bytes(), host.memory_free_bytes()
        known = [replace(each, total_bytes=total, free_bytes=free) for each in known]
    facts, fingerprint = group_facts(group, known), fingerprint_of_group(group, known)
    return DeviceNow(
        group.label,
        facts.kind,
        facts.name,
        fingerprint.key,
        fingerprint.to_dict(),
        total_bytes=facts.total_bytes,
        free_bytes=facts.free_bytes,
        environment=probe_environment(group.label, facts.environment, group),
    )


def boot_id() -> str:
    """Of this boot of the kernel; empty where it does not tell. Containers of a host share it."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""
