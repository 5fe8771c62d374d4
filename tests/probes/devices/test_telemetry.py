"""Telemetry: every value is there or says why not, and what spoils a measurement taints it."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from probes.devices.base import DeviceFacts
from probes.devices.host import hash_uuid
from probes.devices.machine import CpuUse, Machine, other_cores
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing, Reading
from probes.devices.telemetry import Telemetry, foreign_load, foreign_memory, neighbours
from probes.formatting import GIB, MIB

UUID = "GPU-6fa3d1b2-0000-1111-2222-333344445555"


class FakeNvml:
    """A driver with two devices, ours the second. Any call can be made to fail."""

    NVMLError = pynvml.NVMLError

    def __init__(self, **fails: Exception) -> None:
        self.fails = fails
        self.throttle = 0
        self.processes: list[Any] = []
        self.values: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetPowerUsage": 350_000,
            "nvmlDeviceGetTotalEnergyConsumption": 12_000_000,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=3 * GIB),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=0),
            "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetMigMode": [0, 0],
            "nvmlDeviceGetEccMode": [1, 1],
            "nvmlDeviceGetRemappedRows": (0, 0, False, False),
            "nvmlSystemGetDriverVersion": b"550.54.15",
            "nvmlDeviceGetMaxMigDeviceCount": 0,
        }

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            if name in self.fails:
                raise self.fails[name]
            if name == "nvmlDeviceGetHandleByIndex":
                return arguments[0]
            if name == "nvmlDeviceGetUUID":
                return UUID if arguments[0] == 1 else "GPU-another"
            if name == "nvmlDeviceGetCurrentClocksEventReasons":
                return self.throttle
            if name == "nvmlDeviceGetComputeRunningProcesses":
                return self.processes
            return self.values[name]

        return call


class QuietMachine(Machine):
    """A host on which nobody else does anything, unless told."""

    def __init__(self) -> None:
        super().__init__()
        self.swap = [0, 0]
        self.uses = [CpuUse(0.0, 0.0, 0.0), CpuUse(10.0, 10.0, 10.0)]

    @property
    def cores(self) -> int:
        return 2

    def read(self) -> dict[str, Any]:
        return {
            "host_available_bytes": GIB,
            "swap_used_bytes": self.swap.pop(0),
            "cpu_load_percent": 50.0,
        }

    def cpu_use(self, pids: list[int]) -> CpuUse:
        return self.uses.pop(0)

    def family(self, pids: list[int]) -> set[int]:
        return set(pids)


def gpu_facts() -> DeviceFacts:
    return DeviceFacts("cuda:0", "cuda", "Fake", GIB, None, identity={"uuid": hash_uuid(UUID)})


def cpu_facts() -> DeviceFacts:
    return DeviceFacts("cpu", "cpu", "Fake", GIB, None)


def watch(facts: DeviceFacts, machine: QuietMachine, nvml: FakeNvml | None = None) -> Any:
    telemetry = Telemetry(facts, machine=machine, nvml=nvml)
    telemetry.begin(worker_pid=4242)
    return telemetry.end()


def found(nvml: FakeNvml) -> NvmlDevice:
    device = NvmlDevice.find(hash_uuid(UUID), nvml)
    assert isinstance(device, NvmlDevice)
    return device


# --- NVML


def test_a_reading_is_in_the_units_its_names_say() -> None:
    reading = found(FakeNvml()).read()

    assert reading["power_w"] == 350.0
    assert reading["energy_j"] == 12_000.0
    assert reading["sm_clock_mhz"] == 1980
    assert reading["memory_used_bytes"] == 3 * GIB


def test_a_device_is_matched_by_uuid_not_by_index() -> None:
    assert found(FakeNvml())._handle == 1
    assert isinstance(NvmlDevice.find(hash_uuid("GPU-elsewhere"), FakeNvml()), Missing)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (pynvml.NVML_ERROR_NOT_SUPPORTED, "does not report it"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "administrators"),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "too old"),
        (pynvml.NVML_ERROR_GPU_IS_LOST, "fallen off the bus"),
        (pynvml.NVML_ERROR_UNKNOWN, "NVML"),
    ],
)
@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("nvmlDeviceGetPowerUsage", "power_w"),
        ("nvmlDeviceGetMemoryInfo", "memory_used_bytes"),
        ("nvmlDeviceGetUtilizationRates", "utilisation_percent"),
        ("nvmlDeviceGetComputeRunningProcesses", "process_bytes"),
    ],
)
def test_one_failing_call_leaves_the_others_and_says_why(
    error: int, words: str, call: str, field: str
) -> None:
    reading = found(FakeNvml(**{call: pynvml.NVMLError(error)})).read()

    assert words in reading[field].reason
    assert reading["temperature_c"] == 61


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "no driver is installed"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "not loaded"),
    ],
)
def test_without_a_driver_every_value_says_so(error: int, words: str) -> None:
    nvml = FakeNvml(nvmlInit=pynvml.NVMLError(error))

    reading = Telemetry(gpu_facts(), machine=QuietMachine(), nvml=nvml).read()

    assert isinstance(reading.power_w, Missing)
    assert words in reading.power_w.reason
    assert reading.host_available_bytes == GIB


def test_an_older_driver_names_throttling_otherwise() -> None:
    nvml = FakeNvml(
        nvmlDeviceGetCurrentClocksEventReasons=pynvml.NVMLError(
            pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        )
    )
    nvml.values["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x40

    assert found(nvml).read()["throttle_reasons"] == ["hardware thermal slowdown"]


def test_idle_and_application_clocks_are_no_throttling() -> None:
    nvml = FakeNvml()
    nvml.throttle = 0x1 | 0x2

    assert found(nvml).read()["throttle_reasons"] == []


def test_without_a_uuid_no_device_is_guessed() -> None:
    facts = DeviceFacts("cuda:0", "cuda", "Fake", GIB, None, identity={"uuid": {"missing": "old"}})

    reading = Telemetry(facts, machine=QuietMachine(), nvml=FakeNvml()).read()

    assert isinstance(reading.power_w, Missing)
    assert "UUID" in reading.power_w.reason


# --- windows


def test_a_quiet_window_has_no_taint() -> None:
    window = watch(gpu_facts(), QuietMachine(), FakeNvml())

    assert (window.taints, window.notes) == ([], [])
    assert window.mean_power_w == 350.0
    assert window.energy_j == 0.0
    assert window.samples >= 2


@pytest.mark.parametrize("bit", [0x8, 0x20, 0x40, 0x80])
def test_heat_and_hardware_brakes_taint(bit: int) -> None:
    nvml = FakeNvml()
    nvml.throttle = bit

    (taint,) = watch(gpu_facts(), QuietMachine(), nvml).taints

    assert "slowed down" in taint
    assert "61 °C" in taint


def test_running_at_the_power_limit_is_noted_only() -> None:
    nvml = FakeNvml()
    nvml.throttle = 0x4

    window = watch(gpu_facts(), QuietMachine(), nvml)

    assert window.taints == []
    assert "power limit" in window.notes[0]
    assert window.throttle_reasons == ["software power cap"]


def test_other_programs_on_the_cores_taint_a_cpu_measurement() -> None:
    machine = QuietMachine()
    machine.uses = [CpuUse(0.0, 0.0, 0.0), CpuUse(10.0, 20.0, 6.0)]

    window = watch(cpu_facts(), machine)

    assert window.taints == ["other processes used 1.4 of 2 cores"]


def test_the_same_on_a_gpu_is_noted() -> None:
    machine = QuietMachine()
    machine.uses = [CpuUse(0.0, 0.0, 0.0), CpuUse(10.0, 20.0, 6.0)]

    window = watch(gpu_facts(), machine, FakeNvml())

    assert window.taints == []
    assert window.notes == ["other processes used 1.4 of 2 cores"]


def test_growing_swap_taints() -> None:
    machine = QuietMachine()
    machine.swap = [0, 100 * MIB]

    assert watch(cpu_facts(), machine).taints == ["swap in use grew by 100 MiB during the probe"]


def test_a_window_is_json() -> None:
    data = json.loads(json.dumps(watch(cpu_facts(), QuietMachine()).to_dict()))

    assert data["before"]["power_w"] == {"missing": "nothing reads it on this kind of device"}
    assert data["swap_growth_bytes"] == 0


# --- who else is on the device


def reading(processes: dict[int, int], busy: float = 0.0) -> Reading:
    return Reading(process_bytes=processes, utilisation_percent=busy)


def test_our_own_worker_is_not_foreign() -> None:
    assert foreign_memory([reading({}), reading({4242: 9 * GIB})], {4242}) == []


def test_the_worker_seen_under_the_hosts_process_id_is_not_foreign() -> None:
    assert foreign_memory([reading({}), reading({99: 9 * GIB})], {4242}) == []


def test_a_neighbour_that_takes_more_memory_taints() -> None:
    readings = [reading({7: GIB}), reading({7: 3 * GIB, 4242: GIB})]

    assert foreign_memory(readings, {4242}) == [
        "process 7 allocated another 2.00 GiB on the device"
    ]


def test_a_neighbour_that_had_it_back_before_the_end_taints_too() -> None:
    readings = [reading({7: GIB}), reading({7: 3 * GIB, 4242: GIB}), reading({7: GIB, 4242: GIB})]

    assert foreign_memory(readings, {4242}) == [
        "process 7 allocated another 2.00 GiB on the device"
    ]


def test_a_neighbour_that_sits_still_is_noted_only() -> None:
    before = reading({7: GIB, 8: MIB})

    assert foreign_memory([before, reading({7: GIB, 8: MIB, 4242: GIB})], {4242}) == []
    assert neighbours(before, {4242}) == ["process 7 held 1.00 GiB of the device"]


def test_a_busy_neighbour_taints() -> None:
    (taint,) = foreign_load(reading({7: GIB}, busy=80.0), {4242})

    assert "80 % busy" in taint


@pytest.mark.parametrize("worker", [4242, 99])
def test_a_newcomer_beside_the_worker_taints(worker: int) -> None:
    readings = [reading({}), reading({8: GIB, worker: GIB}), reading({worker: GIB})]

    assert foreign_memory(readings, {4242}) == [
        "another process started to use the device during the probe"
    ]


def test_no_process_list_no_claim() -> None:
    assert foreign_memory([Reading(), Reading()], {4242}) == []
    assert foreign_load(Reading(utilisation_percent=90.0), {4242}) == []


def test_only_taints_that_took_memory_touch_memory() -> None:
    nvml = FakeNvml()
    nvml.throttle = 0x40
    nvml.processes = [SimpleNamespace(pid=7, usedGpuMemory=GIB)]
    telemetry = Telemetry(gpu_facts(), machine=QuietMachine(), nvml=nvml)
    telemetry.begin(worker_pid=4242)
    nvml.processes = [SimpleNamespace(pid=7, usedGpuMemory=2 * GIB)]

    window = telemetry.end()

    assert len(window.taints) == 2
    assert window.memory_taints == ["process 7 allocated another 1.00 GiB on the device"]
    assert window.to_dict()["memory_taints"] == window.memory_taints


# --- waiting for quiet


def quiet_after(busy_windows: int) -> QuietMachine:
    """A machine on which somebody else uses both cores for so many windows of a second."""
    machine = QuietMachine()
    machine.uses = []
    for window in range(30):
        others_s = 2.0 if window < busy_windows else 0.0
        machine.uses += [CpuUse(0.0, 0.0, 0.0), CpuUse(1.0, others_s, 0.0)]
    return machine


@pytest.mark.parametrize(("busy_windows", "waited_s"), [(0, 1.0), (3, 4.0), (99, 10.0)])
def test_a_busy_machine_is_given_a_bounded_time_to_calm_down(
    busy_windows: int, waited_s: float
) -> None:
    slept: list[float] = []
    telemetry = Telemetry(cpu_facts(), machine=quiet_after(busy_windows), sleep=slept.append)

    assert telemetry.wait_for_quiet(10.0) == waited_s
    assert sum(slept) == waited_s


def test_a_hot_or_busy_accelerator_is_waited_for_and_an_unknown_one_is_not() -> None:
    nvml = FakeNvml()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        nvml.throttle = 0x40 if len(slept) < 3 else 0x4

    machine = quiet_after(99)
    nvml.throttle = 0x40
    assert Telemetry(gpu_facts(), machine=machine, nvml=nvml, sleep=sleep).wait_for_quiet(10) == 3

    nvml.values["nvmlDeviceGetUtilizationRates"] = SimpleNamespace(gpu=90)
    busy = Telemetry(gpu_facts(), machine=machine, nvml=nvml, sleep=slept.append)
    assert busy.wait_for_quiet(5) == 5

    unknown = DeviceFacts("xpu:0", "xpu", "Fake", GIB, None)
    assert Telemetry(unknown, machine=machine, sleep=slept.append).wait_for_quiet(10) == 1


# --- the host


def test_the_share_of_others_is_what_is_not_ours() -> None:
    assert other_cores(CpuUse(0, 100, 50), CpuUse(2, 104, 52)) == 1.0


def test_a_short_window_says_nothing_about_shares() -> None:
    assert isinstance(other_cores(CpuUse(0, 0, 0), CpuUse(0.1, 1, 0)), Missing)


def test_without_psutil_values_are_missing_and_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psutil", None)
    machine = Machine()

    assert "pip install psutil" in machine.read()["swap_used_bytes"].reason
    assert isinstance(machine.cpu_use([1]), Missing)
    assert machine.family([1]) == {1}


def test_the_real_host_is_read() -> None:
    machine = Machine()

    assert machine.read()["host_available_bytes"] > 0
    assert isinstance(machine.cpu_use([1]), CpuUse)
    assert machine.cores >= 1
