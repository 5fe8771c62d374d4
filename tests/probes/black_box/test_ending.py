"""What a command's status and last words mean."""

from __future__ import annotations

import pytest

from probes.black_box.ending import (
    classify_ending,
    classify_raised,
    exceptions_in,
    is_in_evaluation,
    last_lines,
)
from probes.classify import Classified
from probes.measurement import Verdict

TRACE = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n    step()\n'
CPU_OOM = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't "
    "allocate memory: you tried to allocate 33554432 bytes. Error code 12 (Cannot allocate memory)"
)


def ending(
    returncode: int, stderr: str = "", *, stdout: str = "", near_cap: bool = False, kills: int = 0
) -> Classified:
    return classify_ending(
        returncode, stdout, stderr, batch_size=8, near_cap=near_cap, cgroup_oom_kills=kills
    )


@pytest.mark.parametrize(
    "last",
    [
        CPU_OOM,
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …",
        "torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 20.00 MiB",
        "MemoryError",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.63 MiB for an array",
        "RuntimeError: CUDA error: out of memory\nCUDA kernel errors might be asynchronously",
    ],
)
def test_out_of_memory_in_a_traceback(last: str) -> None:
    found = ending(1, TRACE + last + "\n")
    assert found.verdict is Verdict.OOM and found.hint


@pytest.mark.parametrize("near_cap", [True, False])
def test_onednn_cannot_say_that_it_was_memory_so_how_full_it_was_decides(near_cap: bool) -> None:
    said = f"{TRACE}RuntimeError: could not create a primitive\n"
    found = ending(1, said, near_cap=near_cap)
    assert found.verdict is Verdict.OOM
    assert found.ambiguous is not near_cap


def test_the_allocation_that_failed_is_known() -> None:
    assert ending(1, TRACE + CPU_OOM).requested_bytes == 33_554_432


def test_a_launchers_own_traceback_does_not_hide_that_of_the_training() -> None:
    launcher = (
        f"[rank0]: {TRACE.replace(chr(10), chr(10) + '[rank0]: ').rstrip('[rank0]: ')}"
        "[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.\n"
        f"{TRACE}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
    )
    assert ending(1, launcher).verdict is Verdict.OOM


def test_a_traceback_whose_beginning_was_cut_off() -> None:
    assert exceptions_in("    step()\nValueError: no labels\n") == [("ValueError", "no labels")]


def test_another_error_is_quoted_and_leads_to_the_command_itself() -> None:
    found = ending(1, TRACE + "KeyError: 'labels'\n")
    assert found.verdict is Verdict.CRASH and "KeyError: 'labels'" in found.reason
    assert "by itself" in found.hint


def test_a_module_that_is_missing_is_unsupported() -> None:
    found = ending(1, TRACE + "ModuleNotFoundError: No module named 'flash_attn'\n")
    assert found.verdict is Verdict.UNSUPPORTED and "flash_attn" in found.reason
    assert "--command" in found.hint and "--python" not in found.hint


def test_wrong_options_are_quoted() -> None:
    found = ending(2, "usage: train.py\ntrain.py: error: unrecognized arguments: --layers 4\n")
    assert found.verdict is Verdict.CRASH
    assert "status 2" in found.reason and "unrecognized arguments: --layers 4" in found.reason
    assert "worker" not in found.reason


def test_signals() -> None:
    assert ending(-9, kills=1).verdict is Verdict.OOM
    assert ending(-9).verdict is Verdict.CRASH
    assert ending(-11, near_cap=True).verdict is Verdict.OOM
    assert ending(-6, "terminate called after throwing: std::bad_alloc").verdict is Verdict.OOM


def test_last_lines_say_that_there_are_none() -> None:
    assert "nothing at all" in last_lines("", " \n")
    assert last_lines("a\n", "b\n") == "its last stdout:\na\nits last stderr:\nb"


@pytest.mark.parametrize(
    "said",
    [
        "stty: 'standard input': Inappropriate ioctl for device\n",
        "OSError: [Errno 25] Inappropriate ioctl for device\n",
    ],
)
def test_a_command_that_asks_for_a_terminal_is_not_told_to_run_by_itself(said: str) -> None:
    found = ending(1, f"{said}{TRACE}ValueError: not enough values to unpack (expected 2, got 0)\n")
    assert found.verdict is Verdict.CRASH
    assert "terminal" in found.hint
    assert "terminal" not in ending(1, f"{TRACE}ValueError: something else\n").hint


@pytest.mark.parametrize(
    ("frames", "in_evaluation"),
    [
        ('  File "main.py", line 9, in test\n    output = model(data)\n', True),
        ('  File "train.py", line 9, in validate_epoch\n    loss = f(x)\n', True),
        ('  File "train.py", line 9, in <module>\n    loss.backward()\n', False),
        ('  File "train.py", line 9, in main\n    optimizer.step()\n', False),
        ('  File "train.py", line 9, in <module>\n    output = model(data)\n', None),
    ],
)
def test_a_traceback_tells_whether_an_evaluation_failed(
    frames: str, in_evaluation: bool | None
) -> None:
    text = f"Traceback (most recent call last):\n{frames}RuntimeError: out of memory\n"
    assert is_in_evaluation(text) is in_evaluation


def test_an_output_without_a_traceback_does_not_tell() -> None:
    assert is_in_evaluation("evaluating\nKilled\n") is None


def test_a_command_that_asks_for_input_is_told_so() -> None:
    found = ending(1, f"{TRACE}EOFError: EOF when reading a line\n")
    assert "asks for input" in found.hint and "by itself" not in found.hint


def test_a_name_that_a_module_lacks_wants_another_version_and_no_other_interpreter() -> None:
    missing = classify_raised(
        "ImportError",
        "cannot import name 'v2' from 'torchvision.transforms' (/lib/torchvision/__init__.py)",
        batch_size=8,
        near_cap=False,
    )
    assert missing.verdict is Verdict.UNSUPPORTED
    assert "version of torchvision" in missing.hint
