"""The verdict of a gang from how its ranks ended. Pure."""

from __future__ import annotations

from typing import Any

from probes.group import Group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement, Purpose, StepTime, Verdict
from probes.ranks.verdict import Ended, of_gang

GROUP = Group(("cuda:0", "cuda:1"))
JOB = ProbeJob(WorkloadRef("w"), {"parallel": "ddp"}, 8, GROUP.label, CONFIRM_PLAN, group=GROUP)


def step_time(mean_s: float) -> StepTime:
    return StepTime(mean_s, mean_s, mean_s, mean_s, mean_s, mean_s, 24, 4, True, 0.0)


def ended(rank: int, verdict: Verdict = Verdict.STABLE, **given: Any) -> Ended:
    of_rank = {name: given.pop(name) for name in list(given) if name in Ended.__annotations__}
    base = {
        "workload": "w",
        "config": {},
        "batch_size": 8,
        "device": GROUP.devices[rank],
        "purpose": Purpose.CONFIRM,
        "verdict": verdict,
        "reason": f"reason of {rank}",
        "cap_bytes": 1000,
        "limit_bytes": 1050,
        "peak_bytes": 500,
        "steps": 28,
        "samples": 224,
        "phase": "done" if verdict is Verdict.STABLE else "train",
        "step_time": step_time(0.1),
    }
    measurement = Measurement(**{**base, **given})
    return Ended(rank, GROUP.devices[rank], measurement, **{"at_s": 1.0 + rank, **of_rank})


def test_ranks_that_pass_make_a_gang_that_passes() -> None:
    first = ended(0, peak_bytes=700, step_time=step_time(0.1), local_step_s=0.06)
    second = ended(1, peak_bytes=600, step_time=step_time(0.2), local_step_s=0.16)
    found = of_gang(JOB, [first, second])
    assert found.verdict is Verdict.STABLE
    assert (found.limiting_rank, found.peak_bytes) == (0, 700)
    assert found.step_time is not None
    assert found.step_time.mean_s == 0.2
    assert found.samples == 448
    assert found.communication_share is not None
    assert round(found.communication_share, 6) == 0.3


def test_the_fullest_device_limits_whatever_its_size() -> None:
    small = ended(0, peak_bytes=400, cap_bytes=410)
    assert of_gang(JOB, [small, ended(1, peak_bytes=900)]).limiting_rank == 0


def test_an_echo_is_never_the_verdict() -> None:
    echo = ended(0, Verdict.CRASH, peer_error="gone", at_s=0.5)
    found = of_gang(JOB, [echo, ended(1, Verdict.OOM)])
    assert (found.verdict, found.limiting_rank) == (Verdict.OOM, 1)
    assert found.ranks[0].verdict is None


def test_of_two_causes_the_earlier_one_counts() -> None:
    later = ended(0, Verdict.CRASH, at_s=3.0)
    found = of_gang(JOB, [later, ended(1, Verdict.OOM, at_s=2.0)])
    assert (found.verdict, found.limiting_rank) == (Verdict.OOM, 1)


def test_of_ranks_that_all_came_to_the_end_the_worst_counts() -> None:
    leak = ended(0, Verdict.LEAK, reached_end=True)
    over = ended(1, Verdict.OOM, reached_end=True, at_s=9.0)
    assert of_gang(JOB, [leak, over]).limiting_rank == 1


def test_a_loss_that_is_no_number_began_on_the_rank_where_it_came_first() -> None:
    first = ended(0, Verdict.NON_FINITE, non_finite_step=5)
    second = ended(1, Verdict.NON_FINITE, non_finite_step=4)
    assert of_gang(JOB, [first, second]).limiting_rank == 1


def silent(rank: int, **pulse: Any) -> Ended:
    return ended(rank, Verdict.TIMEOUT, is_silent=True, pulse={"phase": "train", **pulse})


def test_the_rank_that_works_holds_up_the_one_that_waits() -> None:
    waits = silent(0, at="forward", step=3, waits=True, where="train.py:5 in loss")
    works = silent(1, at="backward", step=3, waits=False, where="train.py:9 in backward")
    found = of_gang(JOB, [waits, works])
    assert (found.verdict, found.limiting_rank) == (Verdict.TIMEOUT, 1)
    assert "train.py:9" in found.reason


def test_of_ranks_that_both_work_the_one_behind_holds_up() -> None:
    ahead, behind = silent(0, at="data", step=4), silent(1, at="backward", step=3)
    assert of_gang(JOB, [ahead, behind]).limiting_rank == 1


def test_ranks_that_wait_in_different_places_disagree() -> None:
    first = silent(0, at="backward", step=3, waits=True)
    second = silent(1, at="forward", step=3, waits=True, call="barrier", where="train.py:7 in loss")
    found = of_gang(JOB, [first, second])
    assert found.limiting_rank == 1
    assert "barrier" in found.reason
    assert "train.py:7" in found.reason


def test_a_stopped_rank_is_not_called_hung() -> None:
    stopped = ended(1, Verdict.CRASH, is_stopped=True, called_off=True)
    waiting = ended(0, Verdict.CRASH, called_off=True)
    found = of_gang(JOB, [waiting, stopped])
    assert (found.verdict, found.limiting_rank) == (Verdict.TIMEOUT, 1)
    assert "stopped" in found.reason


def test_echoes_alone_mean_that_the_ranks_disagree() -> None:
    first = ended(0, Verdict.CRASH, peer_error="gone", at_s=1.0)
    second = ended(1, Verdict.CRASH, peer_error="mismatch", at_s=2.0)
    found = of_gang(JOB, [first, second])
    assert (found.verdict, found.limiting_rank) == (Verdict.CRASH, 1)
    assert "collective" in found.reason


def test_a_rank_without_a_verdict_is_no_rank_that_passed() -> None:
    lost = ended(1, called_off=True)
    found = of_gang(JOB, [ended(0), lost])
    assert (found.verdict, found.limiting_rank) == (Verdict.CRASH, 1)


def test_a_measurement_with_ranks_survives_json() -> None:
    found = of_gang(JOB, [ended(0), ended(1)])
    assert Measurement.from_dict(found.to_dict()) == found
