"""Commands that are really run: a script that needs nothing but the standard library."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from probes import ignored
from probes.black_box import run, step_reader
from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import SECOND_RUN, CommandProber
from probes.errors import InputError, MeasurementError
from probes.expected_step import expected_step
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts
from tests.processes import is_gone

SCRIPT = Path(__file__).with_name("script.py")
MIB = 2**20
CONFIRM = replace(CONFIRM_PLAN, measure_budget_s=0.2, half_width=0.5, max_measure_steps=40)
SLOW_LEAK = replace(CONFIRM, measure_budget_s=5.0, max_measure_steps=150)
PATIENT = Timeouts(startup_s=20.0, step_s=20.0, probe_s=60.0)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the budget is enforced on Linux"
)


def no_torch(job: ProbeJob) -> Footprint:
    limit = job.limit_bytes or 2**30
    return Footprint(limit, 0, 0, 2**34, torch="none", python="3")


def prober(timeouts: Timeouts = PATIENT) -> CommandProber:
    return CommandProber(sys.executable, timeouts, no_torch)


def job(
    rest: str = "",
    batch_size: int = 8,
    plan: StepPlan = BRACKET_PLAN,
    limit_mib: int = 128,
    **options,
) -> ProbeJob:
    command = f"{sys.executable} {SCRIPT} --batch-size {{batch_size}} {rest}".strip()
    workload = reference("script.py", {"command": command, **options})
    return ProbeJob(workload, {}, batch_size, "cpu", plan, limit_mib * MIB, 0.0)


def probe(rest: str = "", **given) -> Measurement:
    return prober().probe(job(rest, **given))


def test_memory_is_what_the_batch_takes_and_the_interpreter_not_much() -> None:
    small, large = probe(batch_size=10), probe(batch_size=60)
    assert small.passed and large.passed, (small.reason, large.reason)
    assert small.peak_bytes and large.peak_bytes
    assert large.peak_bytes - small.peak_bytes == pytest.approx(50 * MIB, abs=2 * MIB)
    assert small.peak_bytes < 30 * MIB
    assert large.step_time is not None and large.step_time.low_s <= large.step_time.mean_s
    assert large.environment["command"].endswith("script.py --batch-size 60")


def test_a_confirmation_passes_and_says_on_what_it_rests() -> None:
    m = probe(plan=CONFIRM)
    assert m.verdict is Verdict.STABLE, m.reason
    assert m.steps >= 28 and len(m.trace.step_s) == len(m.trace.held_bytes) == m.steps - 1
    assert m.growth is not None and m.phase == "done" and m.samples == 8 * m.steps


def test_the_kernel_refuses_what_goes_beyond_the_budget() -> None:
    grows = job("--mode leaks", batch_size=40, limit_mib=100)
    m = prober().probe(replace(grows, plan=replace(CONFIRM, max_measure_steps=200)))
    assert m.verdict in (Verdict.OOM, Verdict.LEAK)
    assert m.cap_bytes is not None and m.peak_bytes is not None
    assert m.peak_bytes <= m.cap_bytes + MIB


def test_the_first_step_beyond_the_budget_is_out_of_memory_too() -> None:
    m = probe(batch_size=300)
    assert m.verdict is Verdict.OOM, m.reason
    assert "than the cap" in m.reason or "memory" in m.reason


def test_a_leak_says_how_much_per_step() -> None:
    # Steps of 22 ms: of shorter ones a busy machine prints several before memory is looked at.
    slower = "--mode leaks --sample-mib 0.1"
    m = probe(slower, plan=CONFIRM, batch_size=200, limit_mib=512)
    assert m.verdict is Verdict.LEAK, m.reason
    assert m.growth is not None
    assert m.growth.low > 0
    assert MIB / 3 < m.growth.bytes_per_step < 3 * MIB


def test_a_small_leak_is_one_that_a_second_run_shows_too() -> None:
    told: list[str] = []
    small = job("--mode leaks --leak-kib 40", plan=SLOW_LEAK, batch_size=20, limit_mib=512)
    m = prober().probe(small, on_progress=lambda said: told.append(str(said.get("about", ""))))
    assert m.verdict is Verdict.LEAK, (m.reason, m.notes)
    assert told.count(SECOND_RUN) == 1
    assert m.steps > 4 * 100


def test_a_growth_of_one_run_only_is_a_note(tmp_path: Path) -> None:
    once = f"--leaks-once {tmp_path / 'ran'} --leak-kib 40"
    m = probe(once, plan=SLOW_LEAK, batch_size=20, limit_mib=512)
    assert m.verdict is Verdict.STABLE, m.reason
    assert m.growth is not None and m.growth.bytes_per_step < 4096
    assert any("KiB per step" in note and "second run" in note for note in m.notes), m.notes


def test_a_growth_that_ends_after_some_hundred_steps_is_no_leak() -> None:
    told: list[str] = []
    levels_off = job(
        "--mode leaks --leak-kib 40 --leak-steps 200", plan=SLOW_LEAK, batch_size=20, limit_mib=512
    )
    m = prober().probe(levels_off, on_progress=lambda said: told.append(str(said.get("about", ""))))
    assert m.verdict is Verdict.STABLE, m.reason
    assert told.count(SECOND_RUN) == 1


def test_a_growth_in_doubt_that_would_soon_fill_the_memory_is_looked_at_for_longer() -> None:
    told: list[str] = []
    in_pages = job(
        "--mode leaks --leak-kib 2048 --leak-every 25",
        plan=replace(SLOW_LEAK, max_measure_steps=100, measure_budget_s=0.3),
        batch_size=20,
        limit_mib=44,
    )
    m = prober().probe(in_pages, on_progress=lambda said: told.append(str(said.get("about", ""))))
    assert m.verdict in (Verdict.LEAK, Verdict.OOM), m.reason
    assert told.count(SECOND_RUN) == 1


def test_what_the_first_run_leaves_in_the_way_of_all_others_is_said_at_once(tmp_path: Path) -> None:
    inside = {"cwd": str(tmp_path)}
    one = prober()
    assert one.probe(job("--out left", **inside)).passed
    with pytest.raises(InputError, match="left") as told:
        one.probe(job("--out left", batch_size=16, **inside))
    assert "FileExistsError" in str(told.value) and "{run_dir}" in str(told.value)


def test_epochs_that_count_as_steps_are_said_to_be_that() -> None:
    rest = "--line 'Epoch %(step)d | loss %(loss)s'"
    assert any("dataset_size" in note for note in probe(rest).notes)
    known = probe(rest, dataset_size=80)
    assert not any("dataset_size" in note for note in known.notes)


def test_a_crash_is_quoted() -> None:
    m = probe("--mode crashes")
    assert (m.verdict, m.phase) == (Verdict.CRASH, "start")
    assert "ValueError: labels are missing" in m.reason and "by itself" in m.hint


def test_a_kill_from_outside_is_not_taken_for_memory() -> None:
    m = probe("--mode killed")
    assert m.verdict is Verdict.CRASH and "SIGKILL" in m.reason


def test_a_loss_that_is_not_a_number_ends_it() -> None:
    m = probe("--mode diverges", step=r"step (?P<step>\d+) loss (?P<loss>\S+)")
    assert m.verdict is Verdict.NON_FINITE


def test_a_loss_that_is_not_a_number_is_found_without_a_pattern() -> None:
    assert probe("--mode diverges").verdict is Verdict.NON_FINITE
    other = probe("--mode diverges --line 'it %(step)d | train_loss=%(loss)s'")
    assert other.verdict is Verdict.NON_FINITE


def test_steps_are_found_told_once_and_kept_with_the_measurement() -> None:
    told: list[dict[str, object]] = []
    rest = "--evaluates-every 20 --line 'iter %(step)d: loss %(loss)s, time 2.00ms, mfu 1.00%%'"
    m = prober().probe(job(rest), on_progress=told.append)
    assert m.passed, m.reason
    notes = [message["note"] for message in told if "note" in message]
    assert len(notes) == 1
    assert "`iter 1: loss" in str(notes[0])
    assert m.environment["steps_from"].startswith("Steps: from lines like `iter 1: loss")
    assert re.search(m.environment["step_pattern"], "iter 7: loss 0.3")["step"] == "7"  # type: ignore[index]


def test_a_pattern_wins_over_what_is_found() -> None:
    m = probe(step=r"loss (?P<loss>\S+)")
    assert m.passed, m.reason
    assert "steps_from" not in m.environment


def test_output_that_is_not_understood_is_shown_soon_and_no_time_out_is_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_reader, "UNDERSTOOD_WITHIN_S", 0.2)
    told: list[dict[str, object]] = []
    unknown = job("--line 'part %(step)d of the work is done'")
    with pytest.raises(MeasurementError) as failure:
        prober(Timeouts(startup_s=0.8, step_s=0.2, probe_s=60.0)).probe(
            unknown, on_progress=told.append
        )
    (note,) = [str(message["note"]) for message in told if "note" in message]
    for text in (note, str(failure.value)):
        assert "of the work is done" in text
        assert "--step" in text
        assert "timeout_s" not in text
        assert "silent" not in text


def test_a_hang_is_a_time_out_and_names_the_step() -> None:
    m = prober(Timeouts(startup_s=20.0, step_s=0.3, probe_s=60.0)).probe(
        job("--mode hangs", plan=CONFIRM)
    )
    assert m.verdict is Verdict.TIMEOUT and "in step 5" in m.reason


def test_a_hang_in_the_first_step_is_not_waited_for_as_long_where_smaller_batches_were_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "PRINTS_WITHIN_S", 0.2)
    patient = prober(Timeouts(startup_s=600.0, step_s=3.0, probe_s=900.0))
    small, large = job("--mode hangs-above-16"), job("--mode hangs-above-16", batch_size=32)
    passed = patient.probe(small)
    hung = patient.probe(replace(large, expected_step=expected_step([passed], 32)))
    assert passed.passed and hung.verdict is Verdict.TIMEOUT
    assert "without a step" in hung.reason and "at batch 8" in hung.reason
    assert "probe.step_timeout_s" in hung.hint


def test_a_command_that_never_makes_a_step_is_an_error_with_its_last_words() -> None:
    with pytest.raises(MeasurementError, match=r"(?s)no step was recognised.*training\.\.\."):
        prober(Timeouts(startup_s=5.0, step_s=1.0, probe_s=60.0)).probe(job("--mode silent"))


@pytest.fixture
def memory_alone_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests need not sit still: times are compared in ``test_command``."""
    monkeypatch.setattr(ignored, "SAME_TIME", math.inf)


@pytest.mark.usefixtures("memory_alone_tells")
def test_a_data_set_that_is_smaller_than_the_batch_is_not_taken_for_a_batch() -> None:
    commands, rest = prober(), "--mode few-samples"
    assert commands.probe(job(rest, batch_size=4)).passed
    assert commands.probe(job(rest, batch_size=64)).passed
    m = commands.probe(job(rest, batch_size=1024))
    assert m.passed
    assert m.epoch_samples == 64
    assert "64 samples" in m.epoch_samples_from and "dataset_size" in m.epoch_samples_from


def test_one_that_ends_without_a_step_too() -> None:
    with pytest.raises(InputError, match="ended with status 0, and no step"):
        probe("--steps 0")


def test_one_that_ends_early_says_that_the_data_set_is_too_small() -> None:
    m = probe("--steps 5", plan=CONFIRM)
    assert (m.verdict, m.phase) == (Verdict.CRASH, "data")
    assert "after 5 steps" in m.reason and "shorter" in m.reason and "{steps}" in m.hint


def test_a_training_that_ends_by_itself_with_nearly_enough_steps_has_passed() -> None:
    m = probe("--steps 22", plan=CONFIRM)
    assert (m.verdict, m.steps) == (Verdict.STABLE, 22)
    assert any("ended by itself after 22 steps" in note for note in m.notes)


def test_one_that_takes_the_steps_it_is_told_to_is_enough() -> None:
    assert probe("--steps {steps}", plan=CONFIRM).passed


@pytest.mark.usefixtures("memory_alone_tells")
def test_a_command_that_ignores_the_batch_is_an_error() -> None:
    commands = prober()
    assert commands.probe(job("--mode ignores", batch_size=8)).passed
    with pytest.raises(InputError, match=r"does not use {batch_size}"):
        commands.probe(job("--mode ignores", batch_size=4096))


def test_a_program_that_cannot_be_run() -> None:
    with pytest.raises(InputError, match="no program 'no-such-program'"):
        prober().probe(
            ProbeJob(
                reference("x", {"command": "no-such-program {batch_size}"}),
                {}, 8, "cpu", BRACKET_PLAN, 128 * MIB,
            )
        )  # fmt: skip
    with pytest.raises(InputError, match="shell cannot run"):
        prober().probe(
            ProbeJob(
                reference("x", {"command": "no-such-program {batch_size}", "shell": True}),
                {}, 8, "cpu", BRACKET_PLAN, 128 * MIB,
            )
        )  # fmt: skip


def test_steps_from_a_log_in_the_folder_of_the_probe() -> None:
    m = probe("--log {run_dir}/log.jsonl", log="{run_dir}/log.jsonl")
    assert m.passed and m.first_loss is not None and m.last_loss is not None
    assert not list(Path("/tmp").glob("tonnage-run-*/log.jsonl"))


def test_steps_from_a_log_of_text() -> None:
    m = probe("--log {run_dir}/train.log", log="{run_dir}/train.log")
    assert m.passed and m.last_loss is not None
    assert "step 1 loss" in m.environment["steps_from"]


def test_an_empty_log_is_named_as_it_was_read() -> None:
    with pytest.raises(InputError, match=r"(?s)in the log /.*/other\.log\..*No line was written"):
        probe("--steps 5 --log {run_dir}/train.log", log="{run_dir}/other.log")


def test_a_hostile_value_stays_one_argument(tmp_path: Path) -> None:
    hostile = f"'; touch {tmp_path}/made; echo $(id) `id` \""
    for shell in (False, True):
        wanted = job("--note {note}", space={"note": [hostile]}, shell=shell)
        m = prober().probe(replace(wanted, config={"note": hostile}))
        assert m.passed, m.reason
        assert hostile in m.stdout_tail
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="must be one of those"):
        prober().probe(replace(wanted, config={"note": "another"}))


def _others(stdout: str) -> list[int]:
    return [int(line.split()[1]) for line in stdout.splitlines() if line.startswith("started ")]


def test_what_the_command_started_ends_with_it() -> None:
    m = probe("--mode starts-others")
    assert m.passed
    others = _others(m.stdout_tail)
    assert len(others) == 2 and all(is_gone(pid) for pid in others)


def test_a_kill_of_tonnage_leaves_nothing_behind(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.probes.black_box.test_command_probe import *\n"
        "from probes.processes.launch import GuardedProcess\n"
        f"p = GuardedProcess([sys.executable, {str(SCRIPT)!r}, '--batch-size', '4', '--mode',"
        " 'starts-others'], cwd=Path('.'), environ=dict(os.environ, PYTHONUNBUFFERED='1'))\n"
        "print(p.guardian_pid, flush=True)\n"
        "while True:\n"
        "    for piece in p.wait(1.0): print(piece.data.decode(), end='', flush=True)\n"
    )
    root = Path(__file__).parents[3]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root, env=environ
    )
    assert parent.stdout is not None
    guardian = int(parent.stdout.readline())
    lines = [parent.stdout.readline() for _ in range(3)]
    others = [*_others("".join(lines)), *_family(guardian)]
    assert len(others) >= 4
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline_s = time.monotonic() + 10
    while not all(is_gone(pid) for pid in others) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert all(is_gone(pid) for pid in others)


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@pytest.mark.parametrize(
    "launcher",
    [
        "torch.distributed.run --standalone --nproc-per-node 2",
        "accelerate.commands.launch --cpu --num_processes 1",
    ],
)
def test_a_launcher_and_its_ranks_are_measured_and_ended(launcher: str) -> None:
    command = f"{sys.executable} -m {launcher} {SCRIPT} --mode starts-others"
    workload = reference("script.py", {"command": f"{command} --batch-size {{batch_size}}"})
    patient = Timeouts(startup_s=240.0, step_s=60.0, probe_s=300.0)
    wanted = ProbeJob(workload, {}, 8, "cpu", BRACKET_PLAN, 8 * 2**30, 0.0)
    m = prober(patient).probe(wanted)
    assert m.passed, m.reason
    assert m.environment["steps_from"].startswith("Steps: from lines like `step 1 loss")
    others = _others(m.stdout_tail)
    assert all(is_gone(pid) for pid in others)
