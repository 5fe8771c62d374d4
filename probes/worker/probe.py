"""One probe, from building the model to the verdict. Reads top to bottom.

The order is the argument for the verdict: worst-case batch first and again once the optimizer
state exists, then evaluation and checkpoint while gradients are alive, then mixed batches until
timing and memory have settled. The worst case is repeated on the memory that mixed batches have
fragmented: after the warm-up of a confirmation, and at the end.
"""

from __future__ import annotations

import gc
import itertools
import os
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from probes.classify import Classified, classify
from probes.devices import backend_for
from probes.devices.base import Backend, MemoryCap
from probes.devices.environment import allocator_settings
from probes.devices.signatures import NO_DRIVER, NOT_BUILT_FOR_IT
from probes.errors import TonnageError
from probes.formatting import size_text
from probes.job import WORST_CASE_STEPS, ProbeJob, StepPlan
from probes.levers import UnsupportedError, compilation
from probes.measurement import CONTRACT, NEAR_CAP, Measurement, Purpose, Verdict
from probes.ranks import parallel, team
from probes.ranks.pulse import Pulse
from probes.ranks.signs import peer_error
from probes.timing import is_steady
from probes.worker.channel import Channel
from probes.worker.evidence import Judgement, RunEvidence
from probes.worker.lasting import is_over, next_end, should_last
from probes.worker.outcome import outcome
from probes.worker.rank import Rank
from probes.worker.returned import WrongLossError
from probes.worker.training import DataEndedError, Training, batch_bytes
from probes.workloads.loading import load_workload


def run_probe(job: ProbeJob, channel: Channel) -> dict[str, Any]:
    """Run the job and return its measurement as plain data.

    Never raises for what a probe is meant to find out: everything that goes wrong becomes a
    verdict. ``TonnageError`` (the job itself is wrong) does pass through.
    """
    run = _Run(job, channel)
    failure: Classified | None = None
    trace_text = from_a_peer = ""
    try:
        verdict, reason, hint = run.until_verdict()
    except UnsupportedError as error:
        verdict, reason, hint = Verdict.UNSUPPORTED, str(error), ""
    except TonnageError as error:
        if run.phase in ("import", "start", "join"):
            raise  # wrong for every config and batch size: not a measurement
        verdict, reason, hint = Verdict.CRASH, str(error), ""
        if isinstance(error, DataEndedError):
            run.phase = "data"
        if isinstance(error, WrongLossError):
            run.phase = CONTRACT
    except Exception as error:
        near_cap = run.is_near_cap()
        if job.group is not None:
            from_a_peer = peer_error(str(error), [cls.__name__ for cls in type(error).__mro__])
        run.lift_cap()  # to classify and report takes memory too
        failure, trace_text = _as_text(error, run.phase, job, near_cap)
    if failure is not None:
        # Outside ``except``: the exception and the tensors its frames held are gone by now.
        run.training = None
        gc.collect()
        verdict, reason, hint = run.leaked(failure) or (
            failure.verdict,
            failure.reason + run.in_use(failure),
            failure.hint,
        )
        sys.stderr.write(trace_text)
    measurement = run.measurement(verdict, reason, hint)
    if failure is not None:
        measurement = replace(measurement, requested_bytes=failure.requested_bytes)
    found = measurement.to_dict()
    if run.training is not None:
        found["batch_bytes"] = batch_bytes(run.training.worst)
    if job.group is not None:
        found["of_rank"] = run.rank.told(
            run.evidence, run.backend if run.cap else None, from_a_peer, run.reached_end
        )
    return found


def _as_text(error: Exception, phase: str, job: ProbeJob, near_cap: bool) -> tuple[Classified, str]:
    """Verdict and traceback as text: a kept exception would keep its frames' tensors alive."""
    import traceback

    classified = classify(error, batch_size=job.batch_size, near_cap=near_cap or None)
    where = f"While {_PHASE_WORDS.get(phase, phase)}: "
    hint = classified.hint
    if classified.verdict is Verdict.OOM and phase == "build":
        hint = (
            "Model and optimizer alone do not fit, whatever the batch: use a smaller config, a "
            "lower precision, or a larger memory budget."
        )
    wants_gpu = any(why in classified.reason for why in (NO_DRIVER, NOT_BUILT_FOR_IT))
    if wants_gpu and job.device == "cpu":
        hint = "Leave out .cuda() and device='cuda': the probe moves the model and its batches."
    text = "".join(traceback.format_exception(error))
    return replace(classified, reason=where + classified.reason, hint=hint), text[-6000:]


_PHASE_WORDS = {
    "import": "importing the workload",
    "start": "starting the device",
    "join": "waiting for the other ranks to start",
    "build": "building model and optimizer",
    "train": "training",
    "evaluate": "evaluating",
    "checkpoint": "writing a checkpoint",
    "compare": "training without exchanging gradients",
}


class _Run:
    """One probe under way."""

    def __init__(self, job: ProbeJob, channel: Channel) -> None:
        self.job = job
        self.channel = channel
        self.phase = "import"
        self.backend: Backend | None = None
        self.cap: MemoryCap | None = None
        self.training: Training | None = None
        self.evidence = RunEvidence()
        self.parameters: int | None = None
        self.notes: list[str] = []
        self.spilled_before = 0
        self.rank = Rank()
        self.peak_before: int | None = None
        """The peak when the measuring of memory ended, where something ran after it."""
        self.reached_end = False

    def enter(self, phase: str, step: int = 0, of: int = 0, **details: Any) -> None:
        self.phase = phase
        if self.training is not None and phase != "train":
            self.training.at = phase
        self.channel.progress(phase, step, of, **details)

    def is_near_cap(self) -> bool:
        """Whether most of the memory cap was in use: an ambiguous failure then means memory."""
        if self.backend is None or self.cap is None:
            return False
        return self.backend.peak_bytes() >= NEAR_CAP * self.cap.cap_bytes

    def leaked(self, failure: Classified) -> Judgement | None:
        """The verdict where a leak is why memory ran out; else ``None``."""
        if self.backend is None or self.cap is None or self.phase != "train":
            return None
        if failure.verdict is not Verdict.OOM or self.job.plan.purpose is not Purpose.CONFIRM:
            return None
        peak_bytes = self.backend.peak_bytes()
        return self.evidence.leaked(self.cap, peak_bytes, failure.requested_bytes)

    def in_use(self, failure: Classified) -> str:
        """How full the device was when an allocation failed, in words."""
        if self.backend is None or self.cap is None or failure.requested_bytes is None:
            return ""
        peak = size_text(self.backend.peak_bytes())
        return f" with at most {peak} of {size_text(self.cap.cap_bytes)} in use before."

    def lift_cap(self) -> None:
        if self.backend is not None and self.cap is not None:
            self.backend.lift_cap()

    def until_verdict(self) -> Judgement:
        job, plan, evidence = self.job, self.job.plan, self.evidence
        workload, backend = self.loaded()
        cap = self.cap = backend.apply_cap(job.limit_bytes, job.headroom)
        self.notes.extend(cap.notes)
        self.spilled_before = backend.spilled_bytes()

        self.enter("build")
        training = self.training = Training(workload, job, backend, team=self.rank.team)
        self.parameters = training.parameter_count()
        self.notes.extend(training.notes)

        backend.reset_phase_peak()
        self.steps(WORST_CASE_STEPS)
        evidence.saw_phase("train", backend.phase_peak_bytes())
        evidence.static_bytes = backend.held_bytes()
        if (found := evidence.non_finite()) is not None:
            return found
        if plan.phases:
            self.other_phases(training, backend)
        self.warm_up(plan)
        if (found := evidence.non_finite()) is not None:
            return found
        if plan.purpose is Purpose.CONFIRM:  # what fails here fails before the many steps
            self.repeat_worst_case(training)
        self.measure(plan, backend, cap)
        if (found := evidence.non_finite()) is not None:
            return found
        self.repeat_worst_case(training)
        evidence.saw_phase("train", backend.phase_peak_bytes())
        judgement = evidence.judge(
            plan.purpose,
            cap,
            backend.peak_bytes(),
            spilled_bytes=backend.spilled_bytes() - self.spilled_before,
            allocator_retries=backend.counters().retries,
        )
        self.reached_end = True
        # Together, as a rank that leaves early would look like one that died.
        is_well = not self.rank.team.any(judgement[0] is not Verdict.STABLE)
        if is_well and self.rank.team.size > 1 and plan.purpose is Purpose.CONFIRM:
            self.compare(training, backend)
        return judgement

    def loaded(self) -> tuple[Any, Backend]:
        """The workload, and the device ready to train, with the other ranks where there are any."""
        job = self.job
        self.enter("import")
        torch.manual_seed(job.seed)
        if job.group is None:
            workload = load_workload(job.workload).workload
            return workload, self.started(job)
        # A workload may ask for its rank as soon as it is imported, as under torchrun.
        parallel.check(job.config, job.group, job.accumulation)
        team.preload(job.group)
        backend = self.started(job)
        # Before the cap: what the library for it maps and starts is there in any training, and on
        # a GPU is taken off the cap as the context is.
        self.enter("join")
        self.rank.join(job, job.group, backend, Pulse(self.channel.send, self.whereabouts))
        self.enter("import")
        return load_workload(job.workload).workload, backend

    def started(self, job: ProbeJob) -> Backend:
        """The device, ready to train."""
        self.enter("start")
        backend = self.backend = backend_for(job.device)
        backend.initialise()
        if job.config.get("compile"):
            compilation.preload()
        return backend

    def whereabouts(self) -> dict[str, Any]:
        """Where this run is, for the rank's signs of life."""
        at = self.training.at if self.training is not None else self.phase
        return {"phase": self.phase, "at": at, "step": self.evidence.attempted}

    def compare(self, training: Training, backend: Backend) -> None:
        """Steps without any exchange between ranks, after everything about memory has been seen."""
        if not training.spread.measures_communication:
            return
        self.peak_before = backend.peak_bytes()
        self.enter("compare")
        self.rank.step_without_exchange(training, backend)

    def steps(self, count: int, *, measured: bool = True) -> None:
        """Run ``count`` optimizer steps; the device is waited for once, at the end."""
        assert self.training is not None and self.backend is not None
        backend, training, evidence = self.backend, self.training, self.evidence
        expected = self.job.plan.warmup_steps + self.job.plan.measure_steps
        before = len(evidence.step_s)
        marks = [backend.mark()]
        data_s: list[float] = []
        held_bytes: list[int] = []
        losses: list[torch.Tensor] = []
        for _ in range(count):
            at, of = before + len(losses), max(before + count, expected)
            evidence.attempted += 1
            # Said at every micro-batch: a long step must not look like one that hangs.
            waited_s, loss = training.step(partial(self.enter, "train", at, of))
            marks.append(backend.mark())
            data_s.append(waited_s)
            losses.append(loss)
            held_bytes.append(backend.held_bytes())
        backend.synchronize()
        durations = [backend.elapsed_s(a, b) for a, b in itertools.pairwise(marks)]
        evidence.losses.extend(float(loss) for loss in losses)
        peak_bytes = backend.peak_bytes()
        if measured:
            evidence.step_s.extend(durations)
            evidence.data_s.extend(data_s)
            evidence.held_bytes.extend(held_bytes)
            evidence.peaks.append((len(evidence.step_s), peak_bytes))
        self.channel.progress(
            "train",
            len(evidence.step_s),
            max(len(evidence.step_s), expected),
            always=True,
            step_s=durations[-1] if durations else None,
            cap_bytes=self.cap.cap_bytes if self.cap is not None else None,
            peak_bytes=peak_bytes,
        )

    def repeat_worst_case(self, training: Training) -> None:
        """The worst case on the memory that mixed batches have fragmented."""
        training.replay_worst_case()
        self.steps(WORST_CASE_STEPS, measured=False)

    def other_phases(self, training: Training, backend: Backend) -> None:
        """Evaluation and checkpoint, as they happen in real training: gradients still alive."""
        if training.can_evaluate:
            self.enter("evaluate")
            backend.reset_phase_peak()
            training.evaluate()
            backend.synchronize()
            self.evidence.saw_phase("evaluate", backend.phase_peak_bytes())
        self.enter("checkpoint")
        backend.reset_phase_peak()
        training.checkpoint()
        self.evidence.saw_phase("checkpoint", backend.phase_peak_bytes())
        self.enter("train")
        backend.reset_phase_peak()

    def warm_up(self, plan: StepPlan) -> None:
        step_s = self.evidence.step_s
        self.steps(max(0, plan.warmup_steps - len(step_s)))
        while len(step_s) < plan.max_warmup_steps and self.rank.team.any(not is_steady(step_s)):
            self.steps(min(3, plan.max_warmup_steps - len(step_s)))
        self.evidence.end_warm_up()

    def measure(self, plan: StepPlan, backend: Backend, cap: MemoryCap) -> None:
        """Steps until the time is precise and nothing about memory is open, or the plan ends."""
        evidence = self.evidence
        began_s = time.monotonic()
        window = max(2, plan.measure_steps // 4)
        self.say_measured()
        while True:
            self.steps(min(window, next_end(plan, evidence.measured) - evidence.measured))
            self.say_measured()
            if evidence.non_finite():
                return
            spent_s = time.monotonic() - began_s
            if not self.rank.team.any(self.wants_more(plan, cap, backend.peak_bytes(), spent_s)):
                return

    def say_measured(self) -> None:
        """How many steps have been measured by now, for the parent, which reads the sensors. The
        monotonic clock is the same in all processes of a host."""
        steps = self.evidence.measured
        self.channel.send({"event": "measured", "steps": steps, "at_s": time.monotonic()})

    def wants_more(self, plan: StepPlan, cap: MemoryCap, peak_bytes: int, spent_s: float) -> bool:
        """Whether more measured steps would tell something, after ``spent_s`` seconds of them."""
        evidence = self.evidence
        if is_over(evidence, plan, cap, peak_bytes, spent_s):
            return False
        if evidence.measured < plan.measure_steps:
            return True
        if not evidence.is_enough(plan, cap, peak_bytes, spent_s):
            return True
        return plan.purpose is Purpose.CONFIRM and should_last(evidence, cap, peak_bytes)

    def measurement(self, verdict: Verdict, reason: str, hint: str) -> Measurement:
        return outcome(
            self.job,
            self.evidence,
            self.cap,
            self.peak_before or (self.backend.peak_bytes() if self.backend and self.cap else None),
            (verdict, reason, hint),
            phase=self.phase,
            parameters=self.parameters,
            notes=self.notes,
            environment=_environment(),
        )


def _environment() -> dict[str, Any]:
    """What must be the same where the recommendation is used."""
    return {
        "torch": torch.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "threads": torch.get_num_threads(),
        "allocator": allocator_settings(dict(os.environ)),
    }
