"""The devices of this machine: one backend per kind, chosen by how torch names a device.

Importing this package imports neither torch nor anything outside the standard library.
"""

from __future__ import annotations

import importlib
import re

from probes.devices.base import Backend, DeviceFacts
from probes.errors import InputError, MeasurementError
from probes.formatting import first_line

_BACKENDS = {
    "cuda": ("probes.devices.cuda", "CudaBackend"),
    "xpu": ("probes.devices.xpu", "XpuBackend"),
    "mps": ("probes.devices.mps", "MpsBackend"),
    "cpu": ("probes.devices.cpu", "CpuBackend"),
}
"""Best first. ROCm devices are torch's ``cuda``."""


def backend_for(device: str) -> Backend:
    """The backend of a device: ``cpu``, ``cuda:0``, ``cuda`` (the first), ``mps``, ``xpu:0``.

    Raises ``InputError`` when the name is no device name, ``MeasurementError`` when there is no
    such device here.
    """
    match = re.fullmatch(r"([a-z]+)(?::(\d+))?", device.strip().lower())
    if match is None or match.group(1) not in _BACKENDS:
        raise InputError(
            f"{device!r} is not a device: use cpu, cuda:0, mps or xpu:0 (AMD GPUs are cuda:0 too)"
        )
    kind, index = match.group(1), int(match.group(2) or 0)
    backend = _backend_class(kind)
    name = f"{kind}:{index}" if kind in ("cuda", "xpu") else kind
    offered = _offered(backend)
    if name not in offered or (kind in ("cpu", "mps") and index):
        here = ", ".join(offered or _all_offered()) or "none"
        reason = _reason(backend) if not offered else ""
        raise MeasurementError(
            f"there is no device {device!r} here; available: {here}"
            + (f". {reason}" * bool(reason))
        )
    return backend(name)


def detect() -> list[DeviceFacts]:
    """Every device torch can use here, best first. Never raises.

    A device that fails to describe itself is left out; the first one that does not carries a
    note saying so. Empty when torch cannot be imported: ``unavailable`` says why.
    """
    found: list[DeviceFacts] = []
    failures: list[str] = []
    for kind in _BACKENDS:
        try:
            backend = _backend_class(kind)
            names = backend.devices()
        except Exception as error:  # a broken driver must not hide the CPU
            failures.append(f"{kind} was left out: {_words(error)}")
            continue
        for name in names:
            try:
                found.append(backend(name).facts())
            except Exception as error:
                failures.append(f"{name} was left out: {_words(error)}")
    if found:
        found[0].notes.extend(failures)
    return found


def unavailable() -> dict[str, str]:
    """Why a kind of device cannot be used here, in words to act on; absent when it can."""
    reasons = {kind: _reason(_backend_class(kind)) for kind in _BACKENDS}
    return {kind: reason for kind, reason in reasons.items() if reason}


def _backend_class(kind: str) -> type[Backend]:
    module, name = _BACKENDS[kind]
    backend: type[Backend] = getattr(importlib.import_module(module), name)
    return backend


def _offered(backend: type[Backend]) -> list[str]:
    try:
        return backend.devices()
    except Exception:  # the reason is asked for separately
        return []


def _all_offered() -> list[str]:
    return [name for kind in _BACKENDS for name in _offered(_backend_class(kind))]


def _reason(backend: type[Backend]) -> str:
    try:
        return backend.unavailable_reason()
    except Exception as error:
        return _words(error)


def _words(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "torch is not installed in this interpreter: pip install torch"
    kind, text = type(error).__name__, first_line(str(error))
    return f"{kind}: {text}" if text else kind
