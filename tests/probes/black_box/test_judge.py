"""What is said about a run that has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.black_box.command import command_of, reference
from probes.black_box.judge import judge
from probes.black_box.observed import Observed, RankSeen
from probes.black_box.watch import StepWatch
from probes.devices.base import MemoryCap
from probes.errors import MeasurementError
from probes.job import BRACKET_PLAN, ProbeJob
from probes.measurement import Measurement, Verdict


def late(folder: Path, *, has_stepped: bool = True, **seen: object) -> Measurement:
    """A run that was ended for being late, of a command that has made steps before or not."""
    (folder / "train.py").write_text("")
    workload = reference("train.py", {"command": f"python {folder}/train.py -b {{batch_size}}"})
    job = ProbeJob(workload, {}, 190, "cpu", BRACKET_PLAN, 2**29, 0.05)
    cap = MemoryCap(2**29, 2**29, 0, enforced=True)
    watch = StepWatch(job.plan, cap)
    ranks = [RankSeen("cpu", cap, watch)]
    observed = Observed("python train.py -b 190", {}, ranks, why="timeout", late="late")
    for name, value in seen.items():
        setattr(observed, name, value)
    return judge(job, command_of(workload), observed, has_stepped=has_stepped)


@pytest.mark.parametrize("was_printing", [False, True])
def test_a_command_that_prints_rarely_is_told_to_print_more_often(
    tmp_path: Path, was_printing: bool
) -> None:
    measurement = late(tmp_path, steps_per_sign=200, was_printing=was_printing)
    assert measurement.verdict is Verdict.TIMEOUT
    assert "every 200 steps" in measurement.hint
    assert "print more often" in measurement.hint


def test_a_command_that_prints_each_step_and_falls_silent_may_need_a_longer_time_out(
    tmp_path: Path,
) -> None:
    assert "probe.step_timeout_s" in late(tmp_path).hint


def test_a_command_that_still_prints_is_never_told_to_raise_a_time_out(tmp_path: Path) -> None:
    hint = late(tmp_path, was_printing=True, steps_from="Steps: from lines like `it 1`.").hint
    assert "It still printed" in hint
    assert "it 1" in hint
    assert "timeout_s" not in hint


def test_a_command_that_has_printed_nothing_may_still_have_been_loading(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"(?s)nothing at all.*startup_timeout_s.*print a"):
        late(tmp_path, has_stepped=False)
    with pytest.raises(MeasurementError) as raised:
        late(tmp_path, has_stepped=False, stdout_tail="loading 12 files")
    assert "timeout_s" not in str(raised.value)


def test_a_command_that_wants_cuda_is_not_told_to_install_another_torch(tmp_path: Path) -> None:
    said = (
        "Traceback (most recent call last):\n"
        '  File "train.py", line 3, in <module>\n'
        "AssertionError: Torch not compiled with CUDA enabled\n"
    )
    measurement = late(tmp_path, why="ended", returncode=1, stderr_tail=said)
    assert measurement.verdict is Verdict.UNSUPPORTED
    assert "CPU" in measurement.hint and "nstall" not in measurement.hint


def test_one_that_shows_no_step_is_not_called_a_short_data_set_where_it_prints_rarely(
    tmp_path: Path,
) -> None:
    measurement = late(tmp_path, why="ended", late="", returncode=0, steps_per_sign=10)
    assert (measurement.phase, measurement.steps) == ("data", 0)
    assert "10 steps apart" in measurement.reason and "data set" not in measurement.reason
    assert "more often" in measurement.hint


def test_memory_that_is_taken_before_a_step_is_said_to_be_that(tmp_path: Path) -> None:
    cap = MemoryCap(2**29, 2**29, 0, enforced=True)
    full = [RankSeen("cpu", cap, StepWatch(BRACKET_PLAN, cap), peak_bytes=2**29 + 2**23)]
    measurement = late(tmp_path, why="over", late="", ranks=full)
    assert measurement.verdict is Verdict.OOM
    assert measurement.reason.startswith("Before a step")
