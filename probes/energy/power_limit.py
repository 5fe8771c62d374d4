"""Change the power limit of an NVIDIA device for a while. It is given back whatever happens.

Three hold it: this object, when its ``with`` block ends; a guardian process, when this process is
killed; and a record on disk, for the next start where both were killed. The record is written
before anything is changed, and removed after the limit has been read back.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.lease import default_folder
from probes.devices.nvml import NO_UUID, NvmlDevice
from probes.devices.reading import Maybe, Missing
from probes.energy import power_record
from probes.energy.power_record import NotRestoredError, PowerRecord
from probes.errors import InputError, MeasurementError

GUARD = Path(__file__).with_name("limit_guard.py")
READY_S = 20.0


def give_back_left_over(
    devices: Sequence[DeviceFacts], folder: Path | None = None, nvml: Any = None
) -> list[str]:
    """Give back the power limits that killed processes left behind on these devices, and what there
    is to say about it. Call it while holding their lease. Costs a look at the file system; never
    raises."""
    told = []
    for facts in devices:
        uuid = facts.identity.get("uuid")
        if facts.kind == "cuda" and isinstance(uuid, str):
            try:
                text = power_record.restore_left_over(uuid, folder or default_folder(), nvml)
            except (NotRestoredError, OSError) as error:
                text = str(error)
            if text:
                told.append(f"{facts.device}: {text}")
    return told


class PowerLimit:
    """The power limit of one device. Use it as a context manager, and hold the device's lease.

    ``nvml`` is the binding: a module's name, or a file that stands in for it. Entering raises
    ``MeasurementError`` where the device has no limit that this user may set.
    """

    def __init__(
        self, facts: DeviceFacts, folder: Path | None = None, nvml: str = power_record.PYNVML
    ) -> None:
        self._facts = facts
        self._folder = folder or default_folder()
        self._source = nvml
        self._record: PowerRecord | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self.usual_w = self.least_w = self.most_w = 0.0
        """The limit before ours, and what it can be. Watts; known once it is entered."""

    def __enter__(self) -> PowerLimit:
        self._device = self._find()
        uuid = str(self._facts.identity["uuid"])
        self._file = power_record.record_file(uuid, self._folder)
        try:
            power_record.restore_left_over(uuid, self._folder, self._nvml)
        except NotRestoredError as error:
            raise MeasurementError(str(error)) from None
        usual_mw: int = self._known(self._device.power_limit_mw)
        least_mw, most_mw = self._known(self._device.power_limit_range_mw)
        self.least_w, self.most_w = least_mw / 1000, most_mw / 1000
        self.usual_w = usual_mw / 1000
        self._check_permission(usual_mw)
        self._record = PowerRecord.of(uuid, usual_mw)
        try:
            power_record.write(self._record, self._file)
            self._start_guardian(self._record)
        except BaseException:
            self._give_back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._give_back()

    def check(self, limit_w: float) -> None:
        """Raises ``InputError`` for a limit that the device does not have."""
        if not self.least_w <= limit_w <= self.most_w:
            raise InputError(
                f"{self._facts.device} takes a power limit from {self.least_w:g} to "
                f"{self.most_w:g} W, not {limit_w:g} W."
            )

    def set(self, limit_w: float) -> None:
        """Raises ``InputError`` for a limit that the device does not have, ``MeasurementError``
        where the driver refuses it."""
        self.check(limit_w)
        wanted_mw = round(limit_w * 1000)
        if (refused := self._device.set_power_limit_mw(wanted_mw)) is not None:
            raise MeasurementError(self._refusal(refused))
        now_mw = self._known(self._device.power_limit_mw)
        if abs(now_mw - wanted_mw) > 1000:
            raise MeasurementError(
                f"The driver set a power limit of {now_mw / 1000:g} W instead of {limit_w:g} W."
            )

    def require(self) -> None:
        """Raises ``MeasurementError`` where the device has no limit that Tonnage can set. Needs no
        lease and changes nothing."""
        self._find()

    def _find(self) -> NvmlDevice:
        device = self._facts.device
        if self._facts.kind != "cuda":
            raise MeasurementError(
                f"{device} has no power limit that Tonnage can set: only NVIDIA devices have one."
            )
        try:
            self._nvml = power_record.load_nvml(self._source)
        except ImportError:
            raise MeasurementError("nvidia-ml-py is not installed.") from None
        uuid = self._facts.identity.get("uuid")
        found: Maybe[NvmlDevice] = NO_UUID
        if isinstance(uuid, str):
            found = NvmlDevice.find(uuid, self._nvml)
        if isinstance(found, Missing):
            raise MeasurementError(f"The power limit of {device} cannot be read: {found.reason}.")
        return found

    def _known(self, value: Any) -> Any:
        if isinstance(value, Missing):
            raise MeasurementError(
                f"The power limit of {self._facts.device} cannot be read: {value.reason}."
            )
        return value

    def _check_permission(self, usual_mw: int) -> None:
        """Set it to what it is: that changes nothing, and is refused like any other change."""
        if (refused := self._device.set_power_limit_mw(usual_mw)) is not None:
            raise MeasurementError(self._refusal(refused))

    def _refusal(self, refused: Missing) -> str:
        return (
            f"The power limit of {self._facts.device} cannot be changed: {refused.reason}. It "
            "takes an administrator: run this command as root, on a host and not in a container."
        )

    def _start_guardian(self, record: PowerRecord) -> None:
        lifeline_read, self._lifeline = os.pipe()
        status_read, status_write = os.pipe()
        passed = (lifeline_read, status_write)
        command = [sys.executable, "-I", str(GUARD), *map(str, passed)]
        command += [str(self._file), record.token, self._source]
        try:
            self._guardian = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=passed,
                start_new_session=True,
            )
        finally:
            for fd in passed:
                os.close(fd)
        try:
            ready = select.select([status_read], [], [], READY_S)[0]
            if not ready or os.read(status_read, 16) != b"ready\n":
                raise MeasurementError("The guardian of the power limit could not be started.")
        finally:
            os.close(status_read)

    def _give_back(self) -> None:
        record, self._record = self._record, None
        try:
            if record is not None:
                power_record.restore(record, self._nvml)
                self._file.unlink(missing_ok=True)
        except NotRestoredError as error:
            raise MeasurementError(str(error)) from None
        finally:
            self._end_guardian()

    def _end_guardian(self) -> None:
        """It does what we could not, if there is anything left to do."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        if self._guardian is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guardian.wait(power_record.GUARDIAN_S)
            self._guardian = None
