"""NVIDIA devices through CUDA, and AMD devices through ROCm, which torch also calls ``cuda``.

Memory beyond the device's own cannot be seen from here: on Windows and WSL the driver may move
allocations to system memory instead of failing. A cap below what is free avoids that, and a jump
of the time per sample betrays it; ``spilled_bytes`` stays 0.
"""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from probes.devices import host
from probes.devices.base import NO_TF32, DeviceFacts, missing
from probes.devices.caching import CachingBackend, hashed_uuid, optional

_READ_BY_NVML = missing("torch does not know it; NVML reads it in the parent process")


_NO_UUID = "this torch does not report the device's UUID (2.4 and later do)"


class CudaBackend(CachingBackend):
    """One device of ``torch.cuda``. ``kind`` is ``rocm`` where torch was built with HIP."""

    kind = "cuda"

    def __init__(self, device: str) -> None:
        import torch

        super().__init__(device)
        if torch.version.hip:
            self.kind = "rocm"

    @classmethod
    def devices(cls) -> list[str]:
        import torch

        if not torch.cuda.is_available():
            return []
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]

    @classmethod
    def unavailable_reason(cls) -> str:
        import torch

        if torch.cuda.is_available():
            return ""
        if torch.version.cuda is None and torch.version.hip is None:
            return (
                f"this torch ({torch.__version__}) was built without CUDA and ROCm: install one "
                "of its GPU builds, see https://pytorch.org/get-started/locally"
            )
        return (
            "torch has CUDA or ROCm support but sees no device: check that the driver is loaded "
            "(nvidia-smi or rocm-smi), that CUDA_VISIBLE_DEVICES is not empty, and that the "
            "container was started with its GPUs"
        )

    @property
    def module(self) -> ModuleType:
        import torch

        return torch.cuda

    def free_bytes(self) -> int | None:
        free, total = self.module.mem_get_info(self.index)
        if getattr(self._properties(), "is_integrated", 0):
            # Shared memory: the driver counts the page cache as used, the kernel does not.
            available = host.available_ram_bytes()
            free = free if available is None else available
        return min(int(free), int(total), self.total_bytes())

    def enforce(self, fraction: float) -> str:
        self.module.set_per_process_memory_fraction(fraction, self.index)
        if os.environ.get("PYTORCH_NO_CUDA_MEMORY_CACHING") not in (None, "", "0"):
            return (
                "PYTORCH_NO_CUDA_MEMORY_CACHING is set: without torch's allocator nothing "
                "enforces the memory limit; unset it"
            )
        return ""

    def facts(self) -> DeviceFacts:
        """Facts from the device's properties; free memory only once a context exists, because
        asking for it would create one (hundreds of MiB)."""
        import torch

        properties = self._properties()
        rocm = bool(torch.version.hip)
        architecture = (
            getattr(properties, "gcnArchName", "")
            if rocm
            else f"{properties.major}.{properties.minor}"
        )
        total = self.total_bytes()
        return DeviceFacts(
            device=self.device,
            kind=self.kind,
            name=properties.name,
            total_bytes=total,
            free_bytes=self.free_bytes() if self._initialised else None,
            identity={
                "vendor": "AMD" if rocm else "NVIDIA",
                "uuid": hashed_uuid(properties, _NO_UUID),
                "pci": _pci_address(properties),
                "driver": missing("torch does not know it on ROCm") if rocm else _READ_BY_NVML,
                "runtime": torch.version.hip if rocm else torch.version.cuda,
                "torch": torch.__version__,
                "cudnn": _cudnn_version(),
            },
            device_class={
                "name": properties.name,
                "architecture": architecture,
                "multiprocessors": properties.multi_processor_count,
                "total_bytes": total,
                "l2_bytes": optional(properties, "L2_cache_size"),
                "integrated": bool(getattr(properties, "is_integrated", 0)),
            },
            environment={
                **host.host_environment(),
                "devices": torch.cuda.device_count(),
                "nccl": _nccl_version(),
                "matmul_precision": torch.get_float32_matmul_precision(),
                "cudnn_tf32": bool(torch.backends.cudnn.allow_tf32),
                "cudnn_benchmark": bool(torch.backends.cudnn.benchmark),
                "deterministic": torch.are_deterministic_algorithms_enabled(),
                "allocator": torch.cuda.get_allocator_backend(),
            },
            notes=_notes(properties),
            precisions=self.precisions(),
        )

    def precisions(self) -> dict[str, str]:
        """By compute capability: torch's own checks may allocate on the device, and count what is
        emulated as supported."""
        if self.kind == "rocm":
            return {"fp32": "", "tf32": NO_TF32, "bf16": "", "fp16": ""}
        properties = self._properties()
        no_bf16 = no_tf32 = ""
        if properties.major < 8:
            here = f"{properties.name} has compute capability {properties.major}.{properties.minor}"
            no_tf32 = f"{here}, and TF32 needs 8.0 or more; use fp16 or fp32."
            no_bf16 = f"{here}, and bfloat16 needs 8.0 or more; use fp16 or fp32."
        return {"fp32": "", "tf32": no_tf32, "bf16": no_bf16, "fp16": ""}


def _pci_address(properties: Any) -> Any:
    bus = getattr(properties, "pci_bus_id", None)
    if bus is None:
        return missing("this torch does not report the PCI address")
    domain = getattr(properties, "pci_domain_id", 0)
    device = getattr(properties, "pci_device_id", 0)
    return f"{domain:04x}:{bus:02x}:{device:02x}"


def _cudnn_version() -> Any:
    import torch

    version: Any = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return missing("torch was built without cuDNN or MIOpen") if version is None else version


def _nccl_version() -> Any:
    """Of the library that the ranks of a group talk through; RCCL on ROCm."""
    import torch

    try:
        version = torch.cuda.nccl.version()  # type: ignore[no-untyped-call]
    except (AttributeError, ImportError):
        return missing("torch was built without NCCL")
    return ".".join(map(str, version)) if isinstance(version, tuple) else str(version)


def _notes(properties: Any) -> list[str]:
    notes = []
    if getattr(properties, "is_integrated", 0):
        notes.append("the device shares the machine's memory: other programs compete for it")
    if host.host_environment()["wsl"]:
        notes.append(
            "under WSL the driver can move allocations to system memory instead of failing: "
            "keep the headroom above 0"
        )
    return notes
