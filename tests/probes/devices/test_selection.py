"""Choosing a device by name, and finding what is here."""

from __future__ import annotations

import subprocess
import sys

import pytest

from probes import devices
from probes.devices.cpu import CpuBackend
from probes.devices.cuda import CudaBackend
from probes.errors import InputError, MeasurementError


def test_importing_the_devices_needs_neither_torch_nor_our_own_packages() -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'numpy', 'psutil', 'pynvml'): sys.modules[name] = None\n"
        "import probes.devices, probes.classify\n"
        "from probes.devices import base, caching, cpu, cuda, mps, xpu, host, environment\n"
        "assert probes.devices.detect() == []\n"
        "print(probes.devices.unavailable()['cuda'])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout


def test_the_cpu_is_always_among_the_devices() -> None:
    found = devices.detect()

    assert found[-1].device == "cpu"
    assert found[-1].total_bytes > 0
    assert isinstance(devices.backend_for("cpu"), CpuBackend)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:0:1", "tpu:0"])
def test_what_is_no_device_name_is_the_users_mistake(name: str) -> None:
    with pytest.raises(InputError, match="use cpu, cuda:0, mps or xpu:0"):
        devices.backend_for(name)


def test_a_device_that_is_not_here_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaBackend, "devices", classmethod(lambda cls: []))
    monkeypatch.setattr(CudaBackend, "unavailable_reason", classmethod(lambda cls: "No driver."))

    with pytest.raises(
        MeasurementError, match=r"no device 'cuda:0' here; available: .*cpu.*No driver"
    ):
        devices.backend_for("cuda:0")


def test_cuda_without_a_number_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CudaBackend, "devices", classmethod(lambda cls: ["cuda:0", "cuda:1"]))

    assert devices.backend_for("cuda").device == "cuda:0"
    assert devices.backend_for("CUDA:1").device == "cuda:1"
    with pytest.raises(MeasurementError, match="available: cuda:0, cuda:1"):
        devices.backend_for("cuda:2")


def test_a_broken_driver_does_not_hide_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cls: type[CudaBackend]) -> list[str]:
        raise RuntimeError("driver is upset\nsecond line")

    monkeypatch.setattr(CudaBackend, "devices", classmethod(broken))
    monkeypatch.setattr(CudaBackend, "unavailable_reason", classmethod(broken))

    found = devices.detect()

    assert found[-1].device == "cpu"
    assert "cuda was left out: RuntimeError: driver is upset" in found[0].notes
    assert devices.unavailable()["cuda"] == "RuntimeError: driver is upset"
