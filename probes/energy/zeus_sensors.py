"""What only Zeus reads (the extra ``energy``): AMD and Apple devices, and the RAPL counters of a
host where its daemon reads them for users who may not.

Zeus is imported when such a device is measured, and not before: the import takes half a second, and
some of what it tries is loud.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from probes.devices.reading import Maybe, Missing
from probes.energy.counter import DEVICE, HOST, SensorError

INSTALL = "pip install 'tonnage[energy]'"
DAEMON_VARIABLES = ("ZEUSD_SOCK_PATH", "ZEUSD_HOST_PORT")


@dataclass
class ZeusCounter:
    """A total that Zeus tells, in millijoules."""

    read_mj: Callable[[], float]
    source: str
    scope: str
    period_s: float = 0.1

    def read_j(self) -> float:
        try:
            return self.read_mj() * 1e-3
        except Exception as error:
            raise SensorError(f"Zeus could no longer read it: {error}") from None


def find_amd(index: int) -> Maybe[ZeusCounter]:
    """The counter of ``cuda:INDEX`` as torch's ROCm build names it."""
    if (problem := _not_installed("An AMD device")) is not None:
        return problem
    try:
        with _quiet():
            from zeus.device.gpu.amd import AMDGPUs, amdsmi_is_available

            if not amdsmi_is_available():
                return Missing(
                    "Zeus found no usable amdsmi: install the one of this ROCm release "
                    "(/opt/rocm/share/amd_smi)"
                )
            device = AMDGPUs().gpus[index]
            if not device.supports_get_total_energy_consumption():
                return Missing("amdsmi says that the energy counter of this device is not accurate")
            read: Callable[[], float] = device.get_total_energy_consumption
            read()
    except Exception as error:
        return _failed(error)
    return ZeusCounter(read, "amdsmi counter, through Zeus", DEVICE)


def find_apple(*parts: str, scope: str) -> Maybe[ZeusCounter]:
    """A counter over these parts of an Apple chip, as Zeus names them: ``gpu_mj``, ``dram_mj``."""
    if (problem := _not_installed("An Apple chip")) is not None:
        return problem
    try:
        with _quiet():
            from zeus.device.soc.apple import AppleSilicon, apple_silicon_is_available

            if not apple_silicon_is_available():
                return Missing("Zeus reads it with zeus-apple-silicon: pip install that too")
            chip = AppleSilicon()

            def read() -> float:
                found = chip.get_total_energy_consumption()
                return float(sum(getattr(found, part) or 0 for part in parts))

            if read() <= 0.0 and all(part not in chip.get_available_metrics() for part in parts):
                return Missing("this Apple chip does not count it")
    except Exception as error:
        return _failed(error)
    return ZeusCounter(read, "Apple counter, through Zeus", scope)


def find_daemon_rapl() -> Maybe[ZeusCounter]:
    """The host's RAPL counters as the Zeus daemon reads them, where the environment names one."""
    if not any(os.environ.get(name) for name in DAEMON_VARIABLES):
        return Missing("no Zeus daemon is named by ZEUSD_SOCK_PATH or ZEUSD_HOST_PORT")
    if (problem := _not_installed("The Zeus daemon")) is not None:
        return problem
    try:
        with _quiet():
            from zeus.device.cpu import get_cpus

            cpus = get_cpus()

            def read() -> float:
                found = [cpus.get_total_energy_consumption(index) for index in range(len(cpus))]
                return float(sum(each.cpu_mj + (each.dram_mj or 0.0) for each in found))

            read()
    except Exception as error:
        return _failed(error)
    return ZeusCounter(read, "RAPL, through the Zeus daemon", HOST)


def _not_installed(what: str) -> Missing | None:
    if importlib.util.find_spec("zeus") is not None:
        return None
    return Missing(f"{what} is read through Zeus, which is not installed: {INSTALL}")


def _failed(error: Exception) -> Missing:
    words = " ".join(str(error).split()) or type(error).__name__
    return Missing(f"Zeus cannot read it: {words}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Whatever Zeus and the libraries below it print, log or warn about while they start stays
    here: a command may be writing JSON."""
    log = logging.getLogger("zeus")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
