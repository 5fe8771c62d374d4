"""What backends and libraries say when they fail, and what it means. A table, read in order.

The first rule that matches decides, so narrow texts stand before wide ones. Each text is a real
message: the corpus in ``tests/probes/corpus`` names its source. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from probes.measurement import Verdict

OOM, SHAPE = Verdict.OOM, Verdict.SHAPE_LIMIT
CRASH, UNSUPPORTED = Verdict.CRASH, Verdict.UNSUPPORTED

SMALLER = "Use a smaller batch, or checkpointing, lower precision or accumulation."
"""What to do where memory is short."""
NO_DRIVER = "the NVIDIA driver is missing or too old for this torch"
NOT_BUILT_FOR_IT = "this torch was built without support for the device"
_LIBRARY = (
    "The device was full when a library wanted its workspace: keep more headroom or use a smaller "
    "batch."
)
_SPLIT = "More memory will not help: split the batch (accumulation) or shorten the tensor."
_DEVICE = "Choose another device or precision for this config, or exclude it from the space."
_HEALTH = "The device or its driver is unhealthy, not too small: check dmesg for Xid, reboot it."


@dataclass(frozen=True)
class Signature:
    """A text that means something."""

    pattern: re.Pattern[str]
    verdict: Verdict
    meaning: str
    hint: str
    ambiguous: bool = False
    """It can also mean that the operation is not supported: batch 1 decides."""
    in_stderr: bool = False
    """It is also proof when it is the last thing a dead process wrote."""
    allocator: bool = False
    """torch's own allocator: the size it was asked for says all there is to say."""
    type_name: str = ""
    """Only for exceptions of this class, where the text alone says too little."""

    def matches(self, type_names: Sequence[str], message: str) -> bool:
        if self.type_name and self.type_name not in type_names:
            return False
        return self.pattern.search(message) is not None


def _rule(
    text: str,
    verdict: Verdict,
    meaning: str,
    hint: str,
    *,
    ambiguous: bool = False,
    in_stderr: bool = False,
    allocator: bool = False,
    type_name: str = "",
) -> Signature:
    pattern = re.compile(text, re.IGNORECASE)
    return Signature(pattern, verdict, meaning, hint, ambiguous, in_stderr, allocator, type_name)


SIGNATURES: tuple[Signature, ...] = (
    # --- memory: torch's allocators
    _rule(r"(CUDA|HIP|XPU|NPU|MLU) out of memory", OOM,
          "the device's memory cap was exceeded", SMALLER, in_stderr=True, allocator=True),
    _rule(r"MPS backend out of memory", OOM,
          "the GPU's memory cap was exceeded", SMALLER, in_stderr=True, allocator=True),
    _rule(r"Invalid buffer size: [\d.]+ ?[KMGT]?i?B", OOM,
          "Metal cannot make a buffer this large", SMALLER),
    _rule(r"DefaultCPUAllocator: (can't allocate|not enough) memory", OOM,
          "the CPU's memory cap was exceeded", SMALLER, in_stderr=True, allocator=True),
    # --- memory: outside torch's allocators
    _rule(r"(CUDA|HIP) (driver )?error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory",
          OOM, "the driver had no device memory left", SMALLER, in_stderr=True),
    _rule(r"Triton Error \[\w+\]: out of memory", OOM,
          "a compiled kernel found no device memory left", SMALLER),
    _rule(r"(CUBLAS|HIPBLAS|CUSOLVER|CUSPARSE|CUDNN|CUFFT|MIOPEN)_STATUS_ALLOC_?_?FAILED", OOM,
          "a GPU library could not allocate its workspace", _LIBRARY, in_stderr=True),
    _rule(r"(CUBLAS|CUDNN|MIOPEN)_STATUS_NOT_INITIALIZED|miopenStatusAllocFailed", OOM,
          "a GPU library could not start, which is what a full device looks like", _LIBRARY,
          ambiguous=True),
    _rule(r"Failed to CUDA (calloc|malloc)[\w ]* \d+ bytes", OOM,
          "NCCL could not allocate its buffers", _LIBRARY, in_stderr=True),
    _rule(r"!handles_\.at\(i\).*INTERNAL ASSERT FAILED", OOM,
          "an expandable segment could not grow", SMALLER),
    _rule(r"CUDA driver error: device not ready", OOM,
          "an expandable segment could not grow", SMALLER, ambiguous=True),
    _rule(r"NVML_SUCCESS == .*INTERNAL ASSERT FAILED", OOM,
          "the allocator failed and could not even ask the driver why (seen on Jetson)", SMALLER),
    _rule(r"UR_RESULT_ERROR_OUT_OF_(DEVICE|HOST)_MEMORY|backend failed with error: 39\b", OOM,
          "the XPU driver had no memory left", SMALLER, in_stderr=True),
    _rule(r"UR_RESULT_ERROR_OUT_OF_RESOURCES|(error: |returns: ?)40\b", OOM,
          "the XPU driver was out of resources, mostly memory", SMALLER,
          ambiguous=True, in_stderr=True),
    _rule(r"UR_RESULT_ERROR_DEVICE_LOST|backend failed with error: 20\b", OOM,
          "the XPU was lost, which is how it fails when its memory is overcommitted",
          "Keep well below the device's memory, and do not use this process again. If it happens "
          "at small batches too, restart the machine.", ambiguous=True, in_stderr=True),
    _rule(r"MODULE:PT_DEVMEM Allocation failed", OOM,
          "the HPU's memory was exceeded", SMALLER, in_stderr=True),
    _rule(r"std::bad_alloc", OOM,
          "a native library could not get memory", SMALLER, in_stderr=True),
    _rule(r"could not create a (primitive|memory)", OOM,
          "oneDNN could not create an operation, which is how it fails without memory", SMALLER,
          ambiguous=True),
    _rule(r"DataLoader worker .* (is )?killed by signal: Killed", OOM,
          "a data loader process was killed, usually for lack of host memory",
          "Use fewer data loader workers or a smaller prefetch_factor; host memory, not the "
          "device's, was short."),
    _rule(r"CUDNN_STATUS_NOT_SUPPORTED|unable to find an engine to execute|"
          r"CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|miopenStatusUnknownError", OOM,
          "cuDNN found no way to run this operation, often because its workspace does not fit",
          _LIBRARY, ambiguous=True),
    _rule(r"(Cannot allocate memory|not enough memory|ENOMEM)", OOM,
          "the operating system refused memory", SMALLER, in_stderr=True),
    _rule(r"can't start new thread", OOM,
          "a thread could not be started", "There was no memory for its stack, unless the limit of "
          "threads (ulimit -u) is reached. " + SMALLER),
    # --- shape: a kernel's limit, whatever the memory
    _rule(r"canUse32BitIndexMath|int32_t index|32-bit index", SHAPE,
          "a kernel indexes with 32 bits and the tensor has more elements", _SPLIT),
    _rule(r"more than INT_MAX elements|INT_MAX", SHAPE,
          "an operation takes at most 2**31 - 1 elements", _SPLIT),
    _rule(r"number of categories cannot exceed", SHAPE,
          "sampling takes at most 2**24 categories", _SPLIT),
    _rule(r"CUDA error: invalid configuration argument", SHAPE,
          "a kernel was asked for a larger grid than the device has (attention: batch times heads "
          "above 65535)", _SPLIT),
    _rule(r"MPSG(aph|raph) does not support tensor dims larger than INT_MAX|"
          r"MPSNDArray.*(> 2\*\*32|exceeds)|total bytes of NDArray > 2\*\*32", SHAPE,
          "Metal takes no tensor this large", _SPLIT, in_stderr=True),
    # --- this environment cannot
    _rule(r"no kernel image is available|invalid device function", UNSUPPORTED,
          "this torch has no code for this GPU",
          "Install a torch build that lists the GPU's architecture (torch.cuda.get_arch_list())."),
    _rule(r"Found no NVIDIA driver|driver on your system is too old|"
          r"CUDA driver version is insufficient|system has unsupported display driver", UNSUPPORTED,
          NO_DRIVER,
          "Update the driver, or install a torch built for an older CUDA."),
    _rule(r"Torch not compiled with (CUDA|XPU|MPS)|not linked with support for \w+ devices|"
          r"PyTorch is not linked with support", UNSUPPORTED,
          NOT_BUILT_FOR_IT,
          "Install the torch build for it, see https://pytorch.org/get-started/locally."),
    _rule(r"Failed to find C compiler|No C compiler|C\+\+ compile error|InvalidCxxCompiler|"
          r"No working C\+\+ compiler|^(InvalidCxxCompiler: )?Compiler: .* is not found|"
          r"Cannot find a working triton|Python\.h: No such file",
          UNSUPPORTED, "torch.compile has no working compiler here",
          "Install a C++ compiler and Python headers (apt install g++ python3-dev), or switch "
          "compile off."),
    _rule(r"too old to be supported by the triton GPU compiler", UNSUPPORTED,
          "torch.compile cannot make kernels for this GPU",
          "Triton needs compute capability 7.0: switch compile off for this GPU."),
    _rule(r"torch\.compile is not supported on|not yet supported for torch\.compile|"
          r"Dynamo is not supported on Python", UNSUPPORTED,
          "torch.compile does not work with this Python",
          "Train with a Python that this torch can compile for (see --python), or switch compile "
          "off."),
    _rule(r"out of resource: (shared memory|threads|registers)", UNSUPPORTED,
          "a compiled kernel needs more of the chip than this GPU has",
          "Switch compile off for this config, or use a smaller head or block size."),
    _rule(r"(BFloat16|bfloat16|Float8\w*|Half).* (is )?(not|only) supported|"
          r"not implemented for '\w+'|does not support (bfloat16|float8|fp16)", UNSUPPORTED,
          "the device has no such operation in this precision", _DEVICE),
    _rule(r"Cannot convert a MPS Tensor to float64|MPS framework doesn't support float64",
          UNSUPPORTED, "MPS has no float64",
          "Use float32: look for numpy arrays and Python floats that become double tensors."),
    _rule(r"not currently implemented for the \w+ device|Could not run 'aten::|"
          r"is not implemented for .*backend", UNSUPPORTED,
          "an operation does not exist on this device",
          "Choose another device; on MPS, PYTORCH_ENABLE_MPS_FALLBACK=1 runs it on the CPU."),
    _rule(r"No available kernel\. Aborting execution", UNSUPPORTED,
          "no attention kernel accepts these shapes in this precision", _DEVICE),
    # --- several ranks
    _rule(r"Expected to have finished reduction in the prior iteration", UNSUPPORTED,
          "some parameters of the model get no gradient, for which DDP waits",
          "Let it look for them (ddp_find_unused=true), freeze them, or leave them out of the "
          "model."),
    _rule(r"got mixed torch\.Tensor and DTensor", UNSUPPORTED,
          "whole tensors meet the shards of a parameter",
          "FSDP gathers parameters where a module is called. Let the loss call model(...) and not "
          "a part or a method of it, or give the workload a parallelize(model, mesh)."),
    # --- crashes that need their own advice
    _rule(r"device-side assert triggered", CRASH, "a kernel's assertion failed on the device",
          "Almost always an index out of range: a label above the number of classes, a token above "
          "the vocabulary. Run the batch on the CPU, where the error names the line.",
          in_stderr=True),
    _rule(r"uncorrectable (NVLink|ECC) error|ECC error", CRASH,
          "the device's memory is damaged", _HEALTH, in_stderr=True),
    _rule(r"illegal memory access|unspecified launch failure|misaligned address", CRASH,
          "a kernel went wrong on the device",
          "Not a memory limit. Re-run with CUDA_LAUNCH_BLOCKING=1 to find the operation.",
          in_stderr=True),
    _rule(r"(all CUDA-capable devices are busy or unavailable|GPU is lost|device.* is lost|"
          r"CUDA error: unknown error)", CRASH, "the device does not answer", _HEALTH,
          in_stderr=True),
    _rule(r"insufficient shared memory \(shm\)|unable to (open|write to|mmap).*shared memory|"
          r"killed by signal: Bus error", CRASH,
          "the data loader ran out of shared memory",
          "Start the container with --shm-size=8g or --ipc=host, or use fewer workers."),
    _rule(r"Too many open files|received 0 items of ancdata", CRASH,
          "the process ran out of file descriptors",
          "Raise the limit (ulimit -n 65536), or use "
          "torch.multiprocessing.set_sharing_strategy('file_system')."),
    _rule(r"Expected all tensors to be on the same device", CRASH,
          "the workload mixes devices",
          "Create tensors inside model and loss on the device of their inputs (x.new_zeros, "
          "device=x.device)."),
    _rule(r"mat1 and mat2 shapes cannot be multiplied|size mismatch, got|"
          r"Given groups=.* expected input", CRASH,
          "the model does not fit its input",
          "A dimension of the config and the data disagree: look at how the workload builds the "
          "model from it."),
)  # fmt: skip
