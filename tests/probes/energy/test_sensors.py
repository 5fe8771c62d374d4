"""Which sensor tells the energy of a device, and the reason where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pynvml
import pytest

from probes.devices.base import DeviceFacts
from probes.devices.reading import Missing
from probes.energy import rapl, zeus_sensors
from probes.energy.counter import SensorError
from probes.energy.nvml_sensors import NvmlCounter, NvmlPower, find_nvidia
from probes.energy.rapl import RaplCounter, find_rapl
from probes.energy.sensors import device_counter, host_counter
from probes.formatting import GIB
from tests.probes.energy.scripted import Clock, Power, RaplTree, ScriptedNvml, cpu, gpu

PACKAGE = Power([(0.0, 40.0), (1.0, 120.0)])
MEMORY = Power([(0.0, 5.0)])


def server(root: Path, clock: Clock, **how) -> RaplTree:
    """Two packages with memory; cores, psys and the memory-mapped copy must not be counted."""
    tree = RaplTree(root, clock, **how)
    tree.zone("intel-rapl:0", "package-0", PACKAGE, starts_at_uj=1_000_000)
    tree.zone("intel-rapl:0:0", "core", Power([(0.0, 30.0)]))
    tree.zone("intel-rapl:0:1", "dram", MEMORY)
    tree.zone("intel-rapl:1", "package-1", PACKAGE)
    tree.zone("intel-rapl:1:1", "dram", MEMORY)
    tree.zone("intel-rapl:2", "psys", Power([(0.0, 500.0)]))
    return tree.zone("intel-rapl-mmio:0", "package-0", PACKAGE)


class TestRapl:
    def test_packages_and_memory_add_up(self, tmp_path):
        clock = Clock()
        server(tmp_path, clock)
        counter = find_rapl(tmp_path)
        assert isinstance(counter, RaplCounter)
        assert counter.source == "RAPL, packages and memory"
        before = counter.read_j()
        clock.until(3.0)
        truth = 2 * (PACKAGE.joules(0.0, 3.0) + MEMORY.joules(0.0, 3.0))
        assert counter.read_j() - before == pytest.approx(truth, abs=1e-5)

    def test_a_counter_that_wraps_around_goes_on(self, tmp_path):
        clock = Clock()
        server(tmp_path, clock, wraps_at_uj=50_000_000)  # every 0.4 s or so
        counter = find_rapl(tmp_path)
        assert isinstance(counter, RaplCounter)
        before = counter.read_j()
        for tenth in range(1, 51):
            clock.until(tenth / 10)
            now = counter.read_j()
        truth = 2 * (PACKAGE.joules(0.0, 5.0) + MEMORY.joules(0.0, 5.0))
        assert now - before == pytest.approx(truth, rel=0.001)

    def test_without_memory_counters_the_source_says_so(self, tmp_path):
        RaplTree(tmp_path, Clock()).zone("intel-rapl:0", "package-0", PACKAGE)
        counter = find_rapl(tmp_path)
        assert isinstance(counter, RaplCounter)
        assert counter.source == "RAPL, packages"

    def test_a_machine_without_counters_says_where_they_would_be(self, tmp_path):
        assert find_rapl(tmp_path / "nowhere") is rapl.NO_RAPL
        assert "/sys/class/powercap" in rapl.NO_RAPL.reason

    def test_without_permission_the_reason_has_the_command_that_gives_it(
        self, tmp_path, monkeypatch
    ):
        server(tmp_path, Clock())
        _forbid(monkeypatch)
        for name in zeus_sensors.DAEMON_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        found = device_counter(cpu(), powercap=tmp_path)
        assert isinstance(found, Missing)
        assert "chmod" in found.reason
        assert "energy_uj" in found.reason

    def test_a_counter_that_vanishes_is_an_error_of_the_sensor(self, tmp_path):
        server(tmp_path, Clock())
        counter = find_rapl(tmp_path)
        assert isinstance(counter, RaplCounter)
        (tmp_path / "intel-rapl:0" / "energy_uj").unlink()
        with pytest.raises(SensorError, match="RAPL"):
            counter.read_j()


def _forbid(monkeypatch) -> None:
    """Root may read every file: the tests must not depend on who runs them."""
    read = Path.read_text

    def forbidden(path: Path, *more, **named) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return read(path, *more, **named)

    monkeypatch.setattr(Path, "read_text", forbidden)


class TestNvidia:
    def test_the_device_is_found_by_its_uuid_and_not_by_its_place(self):
        clock = Clock()
        nvml = ScriptedNvml(clock, Power([(0.0, 100.0)]), Power([(0.0, 400.0)]))
        counter = device_counter(gpu(1), nvml)
        assert isinstance(counter, NvmlCounter)
        clock.until(2.0)
        assert counter.read_j() == pytest.approx(800.0)

    def test_without_a_counter_the_power_is_integrated(self):
        clock = Clock()
        power = Power([(0.0, 100.0), (1.0, 300.0)])
        old = {"nvmlDeviceGetTotalEnergyConsumption": pynvml.NVMLError_NotSupported()}
        nvml = ScriptedNvml(clock, power, **old)
        counter = find_nvidia(gpu().identity["uuid"], nvml)
        assert isinstance(counter, NvmlPower)
        counter = NvmlPower(counter._device, clock)
        before = counter.read_j()
        for n in range(1, 61):
            clock.until(n * 0.05)
            now = counter.read_j()
        assert now - before == pytest.approx(power.joules(0.0, 3.0), rel=0.01)

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (pynvml.NVMLError_NotSupported(), "does not report"),
            (pynvml.NVMLError_NoPermission(), "administrators"),
        ],
    )
    def test_a_device_that_tells_neither_gives_the_reason(self, error, words):
        silent = dict.fromkeys(
            ("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"), error
        )
        found = device_counter(gpu(), ScriptedNvml(Clock(), Power([(0.0, 1.0)]), **silent))
        assert isinstance(found, Missing)
        assert words in found.reason

    def test_without_a_driver_the_reason_names_it(self):
        nvml = ScriptedNvml(Clock(), nvmlInit=pynvml.NVMLError_LibraryNotFound())
        found = device_counter(gpu(), nvml)
        assert isinstance(found, Missing)
        assert "driver" in found.reason


class TestHost:
    def test_the_cpu_is_its_own_device(self, tmp_path):
        server(tmp_path, Clock())
        assert isinstance(host_counter(gpu(), tmp_path), RaplCounter)
        assert isinstance(host_counter(cpu(), tmp_path), Missing)

    def test_an_intel_gpu_has_no_sensor_here(self):
        found = device_counter(DeviceFacts("xpu:0", "xpu", "Arc", GIB, None))
        assert isinstance(found, Missing)


class TestZeus:
    """Stand-ins for hardware that is not here: they check the wiring only."""

    def test_without_it_the_reason_is_how_to_install_it(self, monkeypatch):
        monkeypatch.setattr(zeus_sensors.importlib.util, "find_spec", lambda name: None)
        found = device_counter(DeviceFacts("cuda:0", "rocm", "MI300X", GIB, None))
        assert isinstance(found, Missing)
        assert "pip install 'tonnage[energy]'" in found.reason

    def test_an_amd_device_is_read_by_its_index(self, monkeypatch):
        class Device:
            def __init__(self, mj: int) -> None:
                self.mj = mj

            def supports_get_total_energy_consumption(self) -> bool:
                return True

            def get_total_energy_consumption(self) -> int:
                return self.mj

        amd = ModuleType("zeus.device.gpu.amd")
        devices = SimpleNamespace(gpus=[Device(1000), Device(42_500)])
        amd.AMDGPUs = lambda: devices  # type: ignore[attr-defined]
        amd.amdsmi_is_available = lambda: True  # type: ignore[attr-defined]
        _install(monkeypatch, "zeus.device.gpu.amd", amd)
        counter = device_counter(DeviceFacts("cuda:1", "rocm", "MI300X", GIB, None))
        assert not isinstance(counter, Missing)
        assert counter.read_j() == 42.5

    def test_an_apple_chip_has_a_counter_per_part(self, monkeypatch):
        read = SimpleNamespace(gpu_mj=7000, gpu_sram_mj=None, cpu_total_mj=9000, dram_mj=500)

        class Chip:
            def get_total_energy_consumption(self) -> SimpleNamespace:
                return read

            def get_available_metrics(self) -> set[str]:
                return {"gpu_mj", "cpu_total_mj", "dram_mj"}

        apple = ModuleType("zeus.device.soc.apple")
        apple.AppleSilicon = Chip  # type: ignore[attr-defined]
        apple.apple_silicon_is_available = lambda: True  # type: ignore[attr-defined]
        _install(monkeypatch, "zeus.device.soc.apple", apple)
        monkeypatch.setattr(sys, "platform", "darwin")
        facts = DeviceFacts("mps", "mps", "M4", GIB, None)
        device, host = device_counter(facts), host_counter(facts)
        assert not isinstance(device, Missing)
        assert not isinstance(host, Missing)
        assert (device.read_j(), host.read_j()) == (7.0, 9.5)

    def test_where_its_daemon_may_read_what_this_user_may_not_it_is_asked(
        self, tmp_path, monkeypatch
    ):
        server(tmp_path, Clock())
        _forbid(monkeypatch)
        monkeypatch.setenv("ZEUSD_SOCK_PATH", "/var/run/zeusd.sock")

        class Cpus:
            def __len__(self) -> int:
                return 2

            def get_total_energy_consumption(self, index: int) -> SimpleNamespace:
                return SimpleNamespace(cpu_mj=1000.0 * (index + 1), dram_mj=None)

        cpus = ModuleType("zeus.device.cpu")
        cpus.get_cpus = Cpus  # type: ignore[attr-defined]
        _install(monkeypatch, "zeus.device.cpu", cpus)
        counter = device_counter(cpu(), powercap=tmp_path)
        assert not isinstance(counter, Missing)
        assert counter.read_j() == 3.0

    def test_what_it_prints_does_not_reach_the_user(self, monkeypatch, capsys, caplog):
        amd = ModuleType("zeus.device.gpu.amd")

        def loud() -> bool:
            print("amdsmi: libamd_smi.so not found")
            print("and on stderr", file=sys.stderr)
            return False

        amd.AMDGPUs = None  # type: ignore[attr-defined]
        amd.amdsmi_is_available = loud  # type: ignore[attr-defined]
        _install(monkeypatch, "zeus.device.gpu.amd", amd)
        found = zeus_sensors.find_amd(0)
        assert isinstance(found, Missing)
        assert "amdsmi" in found.reason
        assert capsys.readouterr() == ("", "")


def _install(monkeypatch, name: str, module: ModuleType) -> None:
    """The module in place of Zeus's own, whether or not that is installed."""
    monkeypatch.setattr(zeus_sensors.importlib.util, "find_spec", lambda name: object())
    parts = name.split(".")
    for end in range(1, len(parts)):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(parts[end - 1]))
    monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.skipif(
    "zeus" not in sys.modules and not zeus_sensors.importlib.util.find_spec("zeus"),
    reason="needs the extra energy",
)
def test_the_zeus_that_is_installed_has_what_is_asked_of_it():
    from zeus.device.cpu import get_cpus
    from zeus.device.gpu.amd import AMDGPU, AMDGPUs, amdsmi_is_available
    from zeus.device.soc.apple import (
        AppleSilicon,
        AppleSiliconMeasurement,
        apple_silicon_is_available,
    )

    from probes.energy.sensors import APPLE_DEVICE, APPLE_HOST

    assert all(callable(f) for f in (get_cpus, amdsmi_is_available, apple_silicon_is_available))
    for method in ("supports_get_total_energy_consumption", "get_total_energy_consumption"):
        assert hasattr(AMDGPU, method)
    assert isinstance(AMDGPUs.gpus, property)
    assert {*APPLE_DEVICE, *APPLE_HOST} <= set(AppleSiliconMeasurement.__dataclass_fields__)
    assert hasattr(AppleSilicon, "get_available_metrics")


def test_one_line_says_which_sensors_there_are(monkeypatch, tmp_path):
    from probes.energy import sensors

    monkeypatch.setattr(sensors, "find_nvidia", lambda uuid, nvml: NvmlCounter(None))  # type: ignore[arg-type]
    monkeypatch.setattr(sensors, "find_rapl", lambda root: rapl.NO_RAPL)
    words = sensors.sensor_words(gpu())
    assert words.startswith("NVML counter; host: not available, because this machine shows no RAPL")
    assert "host:" not in sensors.sensor_words(cpu())
