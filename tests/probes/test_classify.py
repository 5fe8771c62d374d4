"""Failures are told from their words. The corpus holds real messages, each with its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from probes.classify import classify, classify_death, classify_exception, silent_failure
from probes.doubt import KILLED
from probes.measurement import Verdict

CORPUS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "corpus" / "messages.json").read_text(encoding="utf-8")
)
RUNTIME_ERROR = ["RuntimeError", "Exception", "BaseException", "object"]


@pytest.mark.parametrize("entry", CORPUS, ids=[entry["name"] for entry in CORPUS])
def test_a_real_message_gets_its_verdict(entry: dict[str, Any]) -> None:
    found = classify_exception(entry["types"], entry["message"])

    assert found.verdict.value == entry["verdict"], found
    assert found.requested_bytes == entry["requested_bytes"]
    assert found.ambiguous == entry["ambiguous"]
    assert found.reason
    assert found.hint


def test_the_corpus_names_a_source_for_every_message() -> None:
    assert len(CORPUS) >= 30
    assert all(entry["source"] for entry in CORPUS)
    assert len({entry["name"] for entry in CORPUS}) == len(CORPUS)


def test_the_reason_quotes_the_line_that_says_what_happened() -> None:
    nccl = next(entry for entry in CORPUS if entry["name"] == "nccl")

    found = classify_exception(nccl["types"], nccl["message"])

    assert "Failed to CUDA calloc 6291456 bytes" in found.reason
    assert "\n" not in found.reason


def test_a_crash_keeps_the_exceptions_own_words() -> None:
    found = classify_exception(["ValueError", "Exception"], "width must be even, not 7")

    assert found.verdict is Verdict.CRASH
    assert found.reason == "ValueError: width must be even, not 7"


def test_a_missing_module_is_named_with_the_command_that_installs_it() -> None:
    found = classify_exception(["ModuleNotFoundError", "ImportError"], "No module named 'foo.bar'")

    assert found.verdict is Verdict.UNSUPPORTED
    assert "pip install foo" in found.hint
    assert "'foo.bar'" in found.reason


def test_a_name_that_a_module_lacks_is_named_with_the_module() -> None:
    message = "cannot import name 'NoSuchModel' from 'transformers' (/venv/transformers.py)"
    found = classify_exception(["ImportError"], message)
    assert found.verdict is Verdict.UNSUPPORTED
    assert "'NoSuchModel'" in found.reason and "transformers" in found.hint


def test_modules_that_import_each_other_are_no_matter_of_versions() -> None:
    message = (
        "cannot import name 'B' from partially initialized module 'cyc' (most likely due to a "
        "circular import) (cyc.py)"
    )
    found = classify_exception(["ImportError"], message)
    assert found.verdict is Verdict.CRASH
    assert "each other" in found.reason and "install" not in found.hint


def test_an_unclear_failure_near_the_cap_is_memory() -> None:
    found = classify_exception(RUNTIME_ERROR, "could not create a primitive", near_cap=True)

    assert (found.verdict, found.ambiguous) == (Verdict.OOM, False)


def test_an_unclear_failure_at_batch_one_is_lack_of_support() -> None:
    message = "GET was unable to find an engine to execute this computation"

    found = classify_exception(RUNTIME_ERROR, message, batch_size=1)

    assert found.verdict is Verdict.UNSUPPORTED
    assert "batch size 1" in found.hint


def test_a_clear_out_of_memory_at_batch_one_stays_one() -> None:
    message = "CUDA out of memory. Tried to allocate 2.00 GiB."

    assert classify_exception(RUNTIME_ERROR, message, batch_size=1).verdict is Verdict.OOM


def test_the_error_code_of_an_accelerator_error_counts_even_without_words() -> None:
    found = classify_exception(["AcceleratorError", *RUNTIME_ERROR], "", error_code=2)

    assert found.verdict is Verdict.OOM


def test_an_out_of_memory_that_a_workload_wrapped_is_still_found() -> None:
    try:
        try:
            raise RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            )
        except RuntimeError as inner:
            raise ValueError("step failed") from inner
    except ValueError as error:
        found = classify(error)

    assert (found.verdict, found.requested_bytes) == (Verdict.OOM, 8)


def test_an_exception_that_cannot_print_is_still_classified() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no words")

    found = classify(Mute())

    assert (found.verdict, found.reason) == (Verdict.CRASH, "Mute")


def test_a_long_message_is_cut() -> None:
    assert len(classify_exception(["ValueError"], "x" * 5000).reason) < 400


# --- deaths without a report


def test_a_kill_is_memory_only_when_the_kernel_says_so() -> None:
    by_kernel = classify_death(-9, "", near_cap=False, cgroup_oom_kills=1)
    by_somebody = classify_death(-9, "", near_cap=True, cgroup_oom_kills=0)

    assert by_kernel.verdict is Verdict.OOM
    assert by_somebody.verdict is Verdict.CRASH
    assert "SIGKILL" in by_somebody.reason
    assert by_somebody.disturbed == KILLED and not by_kernel.disturbed


@pytest.mark.parametrize("returncode", [-11, -6, -7, 139])
def test_a_native_crash_at_the_cap_is_memory(returncode: int) -> None:
    found = classify_death(returncode, "", near_cap=True, cgroup_oom_kills=0)

    assert (found.verdict, found.ambiguous) == (Verdict.OOM, True)


def test_a_segfault_far_from_the_cap_is_a_crash() -> None:
    found = classify_death(-11, "", near_cap=False, cgroup_oom_kills=0)

    assert found.verdict is Verdict.CRASH
    assert "SIGSEGV" in found.reason
    assert "faulthandler" in found.hint


def test_last_words_on_stderr_decide() -> None:
    stderr = (
        "terminate called after throwing an instance of 'std::bad_alloc'\n"
        "  what():  std::bad_alloc\n"
    )

    assert classify_death(-6, stderr, near_cap=False, cgroup_oom_kills=0).verdict is Verdict.OOM


def test_an_unexplained_abort_quotes_the_last_line() -> None:
    found = classify_death(
        -6, "noise\nfree(): invalid pointer\n", near_cap=False, cgroup_oom_kills=0
    )

    assert found.verdict is Verdict.CRASH
    assert "free(): invalid pointer" in found.reason


def test_a_bus_error_points_at_shared_memory() -> None:
    assert "--shm-size" in classify_death(-7, "", near_cap=False, cgroup_oom_kills=0).hint


@pytest.mark.parametrize("returncode", [0, 3])
def test_a_worker_that_was_made_to_exit_says_so(returncode: int) -> None:
    found = classify_death(returncode, "", near_cap=False, cgroup_oom_kills=0)

    assert found.verdict is Verdict.CRASH
    assert f"status {returncode}" in found.reason
    assert "sys.exit" in found.hint


def test_metal_dropping_work_is_noticed_without_an_exception() -> None:
    said = (
        "Error: command buffer exited with error status.\n\tThe Metal Performance Shaders "
        "operations encoded on it may not have completed.\n\tError:\n\t(null)\n\tInsufficient "
        "Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"
    )  # pytorch/pytorch#193571

    found = silent_failure(said)

    assert found is not None
    assert found.verdict is Verdict.OOM
    assert silent_failure("UserWarning: something else") is None
