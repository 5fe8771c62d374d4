"""Which rank a failure began with, told from recorded outputs of launchers (``logs``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.black_box.ranks.failure import RankFailure, classify_ranks, raised_failure
from probes.black_box.ranks.report import endings_in, words_by_rank
from probes.measurement import Verdict

LOGS = Path(__file__).with_name("logs")
ECHO = (
    '[rank{rank}]: Traceback (most recent call last):\n[rank{rank}]:   File "t.py", line 1\n'
    "[rank{rank}]: RuntimeError: [pair.cc:553] Connection closed by peer [127.0.0.1]:1\n"
)
NCCL_ECHO = (
    '[rank{rank}]: Traceback (most recent call last):\n[rank{rank}]:   File "t.py", line 1\n'
    "[rank{rank}]: torch.distributed.DistBackendError: NCCL error: remote process exited\n"
)
CUDA_OOM = (
    '[rank{rank}]: Traceback (most recent call last):\n[rank{rank}]:   File "t.py", line 1\n'
    "[rank{rank}]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
)
EXITED = (
    "[0]:\n  time      : 2026-11-29_20:22:10\n  host      : localhost\n"
    "  rank      : {rank} (local_rank: {rank})\n  exitcode  : {exitcode} (pid: 12{rank}) \n"
)


def why(stderr: str, *, full: tuple[int, ...] = (), ranks: int = 2, kills: int = 0) -> RankFailure:
    near = [rank in full for rank in range(ranks)]
    return classify_ranks(1, "", stderr, batch_size=8, near_cap=near, cgroup_oom_kills=kills)


def log(name: str) -> str:
    return (LOGS / f"{name}.txt").read_text()


@pytest.mark.parametrize("launcher", ["torchrun", "spawn"])
@pytest.mark.parametrize(
    ("how", "verdict", "words"),
    [
        ("oom", Verdict.OOM, "400.00 GiB"),
        ("killed", Verdict.CRASH, "SIGKILL"),
        ("raises", Verdict.CRASH, "ValueError: labels are missing"),
        ("exits", Verdict.CRASH, "status 3"),
    ],
)
def test_the_rank_and_its_reason_are_found_in_what_the_launcher_left(
    launcher: str, how: str, verdict: Verdict, words: str
) -> None:
    failure = why(log(f"{launcher}-{how}"))
    assert (failure.rank, failure.classified.verdict) == (1, verdict)
    assert words in failure.classified.reason
    assert "peer" not in failure.classified.reason and "worker" not in failure.classified.reason


def test_the_report_of_torchrun_is_read() -> None:
    endings = endings_in(log("torchrun-killed"))
    assert [(ending.rank, ending.exitcode) for ending in endings] == [(1, -9), (0, -15)]
    assert [ending.is_ended_by_launcher for ending in endings] == [False, True]


def test_the_words_of_ranks_are_separated_from_each_other_and_from_the_launchers() -> None:
    words = words_by_rank(log("torchrun-raises"))
    assert "ValueError: labels are missing" in words[1] and "[rank1]" not in words[1]
    assert "Connection closed by peer" in words[0] and "ChildFailedError" not in words[None]


def test_tracebacks_of_two_ranks_that_are_mixed_line_by_line_are_read() -> None:
    lines = zip(ECHO.format(rank=0).splitlines(), CUDA_OOM.format(rank=1).splitlines(), strict=True)
    failure = why("\n".join(line for pair in lines for line in pair))
    assert (failure.rank, failure.classified.verdict) == (1, Verdict.OOM)


def test_out_of_memory_counts_although_another_rank_said_first_that_it_lost_the_connection() -> (
    None
):
    failure = why(ECHO.format(rank=0) + NCCL_ECHO.format(rank=2) + CUDA_OOM.format(rank=1), ranks=3)
    assert (failure.rank, failure.classified.verdict) == (1, Verdict.OOM)
    assert failure.classified.requested_bytes == 2 * 2**30


def test_a_rank_that_only_lost_its_connection_is_not_the_cause_although_torchrun_saw_it_first() -> (
    None
):
    report = (
        "Failures:\n" + EXITED.format(rank=1, exitcode=-9) + "Root Cause (first observed failure):"
        "\n" + EXITED.format(rank=0, exitcode=1)
    )
    failure = why(ECHO.format(rank=0) + report)
    assert failure.rank == 1 and "SIGKILL" in failure.classified.reason


@pytest.mark.parametrize(("kills", "verdict"), [(1, Verdict.OOM), (0, Verdict.CRASH)])
def test_a_rank_that_the_kernel_killed_for_its_memory(kills: int, verdict: Verdict) -> None:
    failure = why(log("torchrun-killed"), kills=kills)
    assert (failure.rank, failure.classified.verdict) == (1, verdict)


def test_the_steps_of_the_training_are_not_the_last_words_of_a_rank_that_was_killed() -> None:
    failure = classify_ranks(
        1, "step 11 loss 0.33\n", log("torchrun-killed"),
        batch_size=8, near_cap=[False, False], cgroup_oom_kills=0,
    )  # fmt: skip
    assert failure.rank == 1 and "step 11" not in failure.classified.reason


def test_an_abort_of_a_library_at_the_cap_is_out_of_memory() -> None:
    said = "terminate called after throwing an instance of 'std::bad_alloc'\n"
    report = "Root Cause (first observed failure):\n" + EXITED.format(rank=1, exitcode=-6)
    failure = why(said + ECHO.format(rank=0) + report, full=(1,))
    assert (failure.rank, failure.classified.verdict) == (1, Verdict.OOM)


def test_where_no_rank_says_why_the_full_one_is_taken() -> None:
    failure = why(ECHO.format(rank=0), full=(1,))
    assert (failure.rank, failure.classified.verdict) == (1, Verdict.OOM)
    assert failure.classified.ambiguous


def test_the_only_rank_that_says_nothing_is_the_one_that_ended() -> None:
    failure = why(ECHO.format(rank=0))
    assert (failure.rank, failure.classified.verdict) == (1, Verdict.CRASH)
    assert "(Connection closed by peer)" in failure.classified.reason


def test_where_nothing_tells_no_rank_is_named() -> None:
    failure = why(ECHO.format(rank=0), ranks=3)
    assert (failure.rank, failure.classified.verdict) == (None, Verdict.CRASH)
    assert why("train.py: error: unrecognized arguments: --layers\n").rank is None


def test_an_exception_before_the_ranks_met_is_that_of_the_one_in_the_report() -> None:
    said = "Traceback (most recent call last):\n  File \"t.py\", line 1\nKeyError: 'labels'\n"
    failure = why(said + log("torchrun-exits"))
    assert failure.rank == 1 and "KeyError" in failure.classified.reason


def test_a_traceback_that_is_only_in_the_report_of_torchrun() -> None:
    report = (
        "Root Cause (first observed failure):\n" + EXITED.format(rank=1, exitcode=1)
        + "  error_file: /tmp/error.json\n  traceback : Traceback (most recent call last):\n"
        '    File "t.py", line 3, in main\n      step()\n  ValueError: no labels\n  \n===\n'
    )  # fmt: skip
    failure = why(report)
    assert failure.rank == 1 and "ValueError: no labels" in failure.classified.reason


def test_a_rank_that_raised_and_did_not_end_explains_why_nothing_went_on() -> None:
    found = raised_failure("", CUDA_OOM.format(rank=1), batch_size=8, near_cap=[False, False])
    assert found is not None and (found.rank, found.classified.verdict) == (1, Verdict.OOM)
    handled = 'Traceback (most recent call last):\n  File "t.py"\nValueError: tried again\n'
    assert raised_failure("", handled, batch_size=8, near_cap=[False, False]) is None
    assert raised_failure("", "", batch_size=8, near_cap=[False, False]) is None
