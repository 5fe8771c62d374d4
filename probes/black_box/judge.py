"""What a run of a command means: its measurement, or an error where it shows that the command
cannot be measured at all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from probes.black_box.command import Command
from probes.black_box.discovery.choice import shortened
from probes.black_box.ending import classify_ending, is_in_evaluation, last_lines
from probes.black_box.observed import Observed, RankSeen
from probes.black_box.ranks.failure import RankFailure, classify_ranks, lost_rank, raised_failure
from probes.black_box.run import RANK_GRACE_S
from probes.black_box.steps import advice
from probes.classify import requested_bytes
from probes.devices.signatures import NO_DRIVER, NOT_BUILT_FOR_IT, SMALLER
from probes.errors import InputError, MeasurementError
from probes.formatting import plural
from probes.job import ProbeJob
from probes.measurement import NEAR_CAP, UNSEEN, Measurement, Purpose, Verdict
from probes.processes.launch import TAIL_BYTES
from probes.ranks.verdict import Ended, of_gang
from probes.worker.evidence import Judgement
from probes.worker.outcome import outcome

ASKS_FOR_AN_ACCELERATOR = (
    "The command asks for an accelerator, and is measured on the CPU: give it the option that lets "
    "it train there."
)
RARE_STEPS = 10
"""Where lines come so rarely, a command may be late because it prints rarely."""


def judge(job: ProbeJob, command: Command, seen: Observed, *, has_stepped: bool) -> Measurement:
    """The measurement. ``has_stepped``: an earlier run of this command has made steps, so that one
    without any is a finding and no mistake.

    Raises ``InputError`` and ``MeasurementError`` for a command that never makes a step, and for
    one that trains with another number of ranks than was asked for.
    """
    watch, attempted = seen.watch, seen.watch.evidence.attempted
    if attempted and (told := is_in_evaluation(seen.stderr_tail)) is not None:
        seen.is_evaluating = told
    never = attempted == 0 and not has_stepped
    is_failed = seen.why == "ended" and seen.returncode != 0
    if seen.why in ("timeout", "alone") and (failure := _unfinished(job, seen)) is not None:
        return _of_failure(job, seen, failure)
    if job.group is not None and attempted and not is_failed:
        _check_ranks(job, seen)
    if seen.caught and not is_failed and seen.why not in ("over", "ranks"):
        return _caught(job, seen)
    if seen.why == "timeout":
        if never:
            raise MeasurementError(_no_step(f"It was {seen.late}", command, seen))
        return _measurement(
            job,
            seen,
            (
                Verdict.TIMEOUT,
                f"It was {seen.late}, and was ended.",
                _late_hint(command, seen),
            ),
        )
    if is_failed:
        return _failed(job, command, seen)
    _check_background(seen, never=never)
    is_short = seen.why in ("ended", "alone") and not watch.has_enough
    if is_short and not _is_whole_training(seen):
        if never:
            raise InputError(_no_step("It ended with status 0", command, seen))
        return _measurement(job, seen, _too_short(job, seen), phase="data")
    if found := watch.evidence.non_finite():
        return _measurement(job, seen, found)
    judgements = [_judged(job, seen, rank) for rank in seen.ranks]
    measurement = _of_ranks(job, seen, judgements)
    if measurement.passed and is_short:
        note = (
            f"the script ended by itself after {attempted} steps, its training done; how memory "
            "develops in a longer one was not seen"
        )
        measurement = replace(measurement, notes=[*measurement.notes, note])
    if measurement.passed and (note := _unseen(job, command, seen)):
        measurement = replace(measurement, notes=[*measurement.notes, note])
    return measurement


def _check_background(seen: Observed, *, never: bool) -> None:
    """Raises ``InputError`` for a command that ended while its training went on."""
    left = seen.left
    if left is None or not (never or left.has_torch):
        return
    raise InputError(
        "It ended with status 0, and what it had started in the background was still running: "
        f"{shortened(left.command)}\nCommand: {seen.shown}\nTonnage measures a command until it "
        "ends. Let it train in the foreground: without &, nohup or an option such as --daemon."
    )


def _caught(job: ProbeJob, seen: Observed) -> Measurement:
    """Memory was refused, and the command went on with less than it was asked for, or ended as if
    nothing had happened."""
    reason = (
        "Memory was refused, and the command did not end: it seems to skip such a batch, or to "
        f"make it smaller. It said: {shortened(seen.caught)}"
    )
    measurement = _measurement(job, seen, (Verdict.OOM, reason, SMALLER))
    return replace(measurement, requested_bytes=requested_bytes(seen.caught))


def _is_whole_training(seen: Observed) -> bool:
    """Whether every rank trained to its own end, in fewer steps than the plan wants and yet in
    enough of them."""
    if seen.why != "ended" or seen.returncode != 0:
        return False
    return all(rank.watch.accept_whole_training() for rank in seen.ranks)


def _judged(job: ProbeJob, seen: Observed, rank: RankSeen) -> Judgement:
    """What the memory of a rank shows that went on to the end."""
    verdict, reason, hint = rank.watch.evidence.judge(
        job.plan.purpose,
        rank.cap,
        rank.peak_bytes,
        spilled_bytes=rank.swap_bytes,
        allocator_retries=0,
    )
    if seen.why != "over" or verdict is Verdict.STABLE:
        return verdict, reason, hint
    if seen.watch.evidence.attempted == 0:
        reason = f"Before a step was seen: {reason}"
    elif seen.is_evaluating:
        steps = seen.watch.evidence.attempted
        reason = f"After {steps} steps, in an evaluation or at the end of an epoch: {reason}"
    return verdict, reason, hint


def not_known(measurement: Measurement, failed: Measurement, *, has_evaluated: bool) -> Measurement:
    """A confirmation, after another batch has failed in an evaluation: without an evaluation it
    proves nothing."""
    if not measurement.passed or has_evaluated or measurement.purpose is not Purpose.CONFIRM:
        return measurement
    return replace(
        measurement,
        verdict=Verdict.TIMEOUT,
        reason=(
            f"It did not come to the evaluation in which batch {failed.batch_size} failed "
            f"({failed.verdict}) after {failed.steps} steps."
        ),
        hint="Let the script evaluate sooner, or raise probe.measure_budget_s.",
        phase=UNSEEN,
    )


def _unseen(job: ProbeJob, command: Command, seen: Observed) -> str:
    """That a confirmation saw no evaluation, and what to do; empty where it saw one."""
    steps, ahead = seen.watch.evidence.attempted, seen.steps_ahead
    is_trained = seen.why == "ended" and "steps" not in command.names
    if job.plan.purpose is not Purpose.CONFIRM or seen.watch.has_evaluated or is_trained:
        return ""
    if seen.is_evaluating:
        how = f"an evaluation or the end of an epoch came after {steps} steps and took too long"
    elif ahead:
        how = f"{steps} steps were run, and the next end of an epoch is {ahead:,} steps away"
    else:
        how = f"none came in {steps} steps"
    return (
        f"no evaluation or end of an epoch was seen, where memory may be higher: {how}. If the "
        "script evaluates, let it do so sooner (an option such as --eval_interval 20, or less "
        "data per epoch), or raise probe.measure_budget_s"
    )


def _late_hint(command: Command, seen: Observed) -> str:
    """What to do about a time-out. No time-out is too short for output that is not understood."""
    if seen.not_understood:
        return seen.not_understood
    if seen.steps_per_sign >= RARE_STEPS:
        return (
            "If it was working, it prints too rarely: one line every "
            f"{seen.steps_per_sign:,} steps, and with large batches an epoch may have fewer. Let "
            "it print more often (such as --log-interval 5)."
        )
    if not seen.was_printing or command.log:
        return "If it was working, raise probe.step_timeout_s or probe.startup_timeout_s."
    source = seen.steps_from or f"Steps: from lines that match {command.step}."
    return f"It still printed. {source} If other lines are its steps, describe them with --step."


def _failed(job: ProbeJob, command: Command, seen: Observed) -> Measurement:
    attempted, stdout, stderr = seen.watch.evidence.attempted, seen.stdout_tail, seen.stderr_tail
    if command.shell and seen.returncode in (126, 127) and not attempted:
        words = last_lines(stdout, stderr)
        raise InputError(f"The shell cannot run the command: {seen.shown}\n{words}")
    near_cap = _near_cap(seen)
    if job.group is None:
        classified = classify_ending(
            seen.returncode or -1,
            stdout,
            stderr,
            batch_size=job.batch_size,
            near_cap=near_cap[0],
            cgroup_oom_kills=seen.cgroup_oom_kills,
        )
        return _of_failure(job, seen, RankFailure(classified, 0))
    failure = classify_ranks(
        seen.returncode or -1,
        stdout,
        stderr,
        batch_size=job.batch_size,
        near_cap=near_cap,
        cgroup_oom_kills=seen.cgroup_oom_kills,
    )
    return _of_failure(job, seen, failure)


def _unfinished(job: ProbeJob, seen: Observed) -> RankFailure | None:
    """Why a command with several ranks did not go on, although it did not end either: one of them
    failed, and the others waited for it. ``None`` where that is not known."""
    if job.group is None:
        return None
    raised = raised_failure(
        seen.stdout_tail,
        seen.stderr_tail,
        batch_size=job.batch_size,
        near_cap=_near_cap(seen),
    )
    if raised is not None or seen.why != "alone" or seen.watch.has_enough:
        return raised
    rank = seen.lost[0]
    is_full = _near_cap(seen)[rank] if rank < len(seen.ranks) else False
    return lost_rank(rank, RANK_GRACE_S, near_cap=is_full, cgroup_oom_kills=seen.cgroup_oom_kills)


def _near_cap(seen: Observed) -> list[bool]:
    return [rank.peak_bytes >= NEAR_CAP * rank.cap.cap_bytes for rank in seen.ranks]


def _of_failure(job: ProbeJob, seen: Observed, failure: RankFailure) -> Measurement:
    classified, attempted = failure.classified, seen.watch.evidence.attempted
    where = "While training: " if attempted else "Before the first step: "
    if job.device == "cpu" and any(a in classified.reason for a in (NO_DRIVER, NOT_BUILT_FOR_IT)):
        classified = replace(classified, hint=ASKS_FOR_AN_ACCELERATOR)
    if seen.is_evaluating:
        where = f"After {attempted} steps, in an evaluation or at the end of an epoch: "
    judgement = (classified.verdict, where + classified.reason, classified.hint)
    if failure.rank is None or failure.rank >= len(seen.ranks):
        measurement = _measurement(job, seen, judgement)
    else:
        judgements: list[Judgement | None] = [None] * len(seen.ranks)
        judgements[failure.rank] = judgement
        measurement = _of_ranks(job, seen, judgements)
    tainted = [*measurement.tainted, *([classified.disturbed] if classified.disturbed else [])]
    return replace(measurement, requested_bytes=classified.requested_bytes, tainted=tainted)


def _check_ranks(job: ProbeJob, seen: Observed) -> None:
    """Raises ``InputError`` unless as many ranks train as there are devices."""
    found, wanted = max(1, seen.ranks_found), len(seen.ranks)
    if found == wanted:
        return
    asked = f"{wanted} ranks were asked for ({job.device})"
    if found == 1:
        what = f"Only one process of the command trains, and {asked}."
    else:
        what = f"The command trains with {found} ranks, and {asked}."
    raise InputError(
        f"{what}\nCommand: {seen.shown}\nLet it start one process per device, for example with "
        "torchrun --nproc-per-node {ranks} train.py …; {ranks} stands for the number of devices. "
        "To measure it on a single device, leave out --devices."
    )


def _too_short(job: ProbeJob, seen: Observed) -> Judgement:
    steps, least = seen.watch.evidence.attempted, seen.watch.least_steps
    if steps == 0 and seen.steps_per_sign > 1:
        return (
            Verdict.CRASH,
            "It ended by itself before any step was seen: its lines are up to "
            f"{seen.steps_per_sign} steps apart, and with batches of {job.batch_size} it seems to "
            "make fewer.",
            "Let it print more often (such as --log-interval 1), or give it more data.",
        )
    return (
        Verdict.CRASH,
        f"It ended by itself after {plural(steps, 'step')}; a {job.plan.purpose} probe needs "
        f"{least} at least: the data set seems to be shorter than that many batches of "
        f"{job.batch_size}.",
        "Let it train for longer (more epochs, a larger --max-steps: {steps} stands for what a "
        "probe takes at most), or give it more data; Tonnage ends it when it has seen enough.",
    )


def _no_step(how: str, command: Command, seen: Observed) -> str:
    where = f"the log {seen.log}" if command.log else "its output"
    if command.step and not command.log:
        where += f", by the pattern {command.step}"
    return (
        f"{how}, and no step was recognised in {where}.\nCommand: {seen.shown}\n"
        f"{last_lines(seen.stdout_tail, seen.stderr_tail)}\n"
        f"{seen.not_understood or _no_step_hint(command, seen)}"
    )


def _no_step_hint(command: Command, seen: Observed) -> str:
    """What to do about a command without a step whose output was not explained yet. One that has
    said nothing may still be loading."""
    if command.log:
        return (
            "No line was written there. Name the file that the program writes while it trains; "
            "{run_dir} stands for a folder that each run gets."
        )
    printed = seen.stdout_tail + seen.stderr_tail
    hint = advice(printed)
    if seen.why != "timeout" or printed.strip():
        return hint
    return (
        "If it was still loading (libraries, data, a busy machine), raise "
        f"probe.startup_timeout_s. If it was training: {hint[0].lower()}{hint[1:]} If it writes "
        "its steps to a file, name that: --option log=FILE."
    )


def _measurement(
    job: ProbeJob, seen: Observed, judgement: Judgement, phase: str = ""
) -> Measurement:
    """The measurement of a run whose end is not the doing of one rank among several."""
    if job.group is None:
        return _of_ranks(job, seen, [judgement], phase)
    # The numbers are those of the fullest rank; the reason is nobody's.
    fullest = max(seen.ranks, key=lambda rank: rank.peak_bytes / rank.cap.cap_bytes)
    judgements = [judgement if rank is fullest else None for rank in seen.ranks]
    measurement = _of_ranks(job, seen, judgements, phase)
    ranks = [replace(each, verdict=None, reason="") for each in measurement.ranks]
    return replace(measurement, reason=judgement[1], ranks=ranks, limiting_rank=None)


def _of_ranks(
    job: ProbeJob, seen: Observed, judgements: Sequence[Judgement | None], phase: str = ""
) -> Measurement:
    """The measurement, given the judgement of each rank: ``None`` for one that was ended because
    of another."""
    measured = [
        _of_rank(job, seen, rank, judgement or (Verdict.CRASH, "", ""), phase)
        for rank, judgement in zip(seen.ranks, judgements, strict=True)
    ]
    if job.group is None:
        return measured[0]
    return of_gang(
        job,
        [
            Ended(number, rank.device, measurement, 0.0, called_off=judgement is None)
            for number, (rank, measurement, judgement) in enumerate(
                zip(seen.ranks, measured, judgements, strict=True)
            )
        ],
    )


def _of_rank(
    job: ProbeJob, seen: Observed, rank: RankSeen, judgement: Judgement, phase: str
) -> Measurement:
    trained = "evaluate" if seen.is_evaluating else "train"
    return outcome(
        job,
        rank.watch.evidence,
        rank.cap,
        rank.peak_bytes,
        judgement,
        phase=phase or (trained if rank.watch.evidence.attempted else "start"),
        notes=seen.notes,
        stdout_tail=seen.stdout_tail[-TAIL_BYTES:],
        stderr_tail=seen.stderr_tail[-TAIL_BYTES:],
    )
