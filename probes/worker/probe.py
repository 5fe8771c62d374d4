"""One probe, from building the model to the verdict. Reads top to bottom.

The order is the argument for the verdict: worst-case batch first and again once the optimizer
state exists, then evaluation and checkpoint while gradients are alive, then mixed batches until
timing and memory have settled, then the worst case once more on the now fragmented memory.
"""

from __future__ import annotations

import gc
import itertools
import math
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from probes.classify import Classified, classify
from probes.devices import backend_for
from probes.devices.base import Backend, MemoryCap
from probes.devices.environment import allocator_settings
from probes.errors import TonnageError
from probes.job import Plan, ProbeJob
from probes.levers import UnsupportedError
from probes.measurement import NEAR_CAP, Growth, Measurement, Purpose, StepTime, Trace, Verdict
from probes.stability import (
    has_settled,
    held_growth,
    is_leak,
    may_still_leak,
    peak_ahead,
    still_creeps,
)
from probes.timing import is_precise, is_steady, summarise
from probes.worker.training import DataEndedError, Training
from probes.workloads.loading import load_workload

if TYPE_CHECKING:
    from probes.worker.serve import Channel

SPILL_TOLERANCE_BYTES = 4 * 2**20


def run_probe(job: ProbeJob, channel: Channel) -> dict[str, Any]:
    """Run the job and return its measurement as plain data.

    Never raises for what a probe is meant to find out: everything that goes wrong becomes a
    verdict. ``TonnageError`` (the job itself is wrong) does pass through.
    """
    run = _Run(job, channel)
    failure: Classified | None = None
    trace_text = ""
    try:
        verdict, reason, hint = run.until_verdict()
    except UnsupportedError as error:
        verdict, reason, hint = Verdict.UNSUPPORTED, str(error), ""
    except TonnageError as error:
        if run.phase in ("import", "start"):
            raise  # wrong for every config and batch size: not a measurement
        verdict, reason, hint = Verdict.CRASH, str(error), ""
        if isinstance(error, DataEndedError):
            run.phase = "data"
    except Exception as error:
        near_cap = run.is_near_cap()
        run.lift_cap()  # to classify and report takes memory too
        failure, trace_text = _as_text(error, run.phase, job.batch_size, near_cap)
    if failure is not None:
        # Outside ``except``: the exception and the tensors its frames held are gone by now.
        run.training = None
        gc.collect()
        verdict, reason, hint = failure.verdict, failure.reason + run.in_use(failure), failure.hint
        sys.stderr.write(trace_text)
    measurement = run.measurement(verdict, reason, hint)
    if failure is not None:
        measurement = replace(measurement, requested_bytes=failure.requested_bytes)
    return measurement.to_dict()


def _as_text(
    error: Exception, phase: str, batch_size: int, near_cap: bool
) -> tuple[Classified, str]:
    """Verdict and traceback as text: a kept exception would keep its frames' tensors alive."""
    import traceback

    classified = classify(error, batch_size=batch_size, near_cap=near_cap or None)
    where = f"While {_PHASE_WORDS.get(phase, phase)}: "
    hint = classified.hint
    if classified.verdict is Verdict.OOM and phase == "build":
        hint = (
            "Model and optimizer alone do not fit, whatever the batch: use a smaller config, a "
            "lower precision, or a larger memory budget."
        )
    text = "".join(traceback.format_exception(error))
    return replace(classified, reason=where + classified.reason, hint=hint), text[-6000:]


_PHASE_WORDS = {
    "import": "importing the workload",
    "start": "starting the device",
    "build": "building model and optimizer",
    "train": "training",
    "evaluate": "evaluating",
    "checkpoint": "writing a checkpoint",
}


class _Run:
    """The state of one probe, so that whatever was learned survives a failure."""

    def __init__(self, job: ProbeJob, channel: Channel) -> None:
        self.job = job
        self.channel = channel
        self.phase = "import"
        self.backend: Backend | None = None
        self.cap: MemoryCap | None = None
        self.training: Training | None = None
        self.step_s: list[float] = []
        self.data_s: list[float] = []
        self.held_bytes: list[int] = []
        self.peaks: list[tuple[int, int]] = []
        self.losses: list[float] = []
        self.phase_peaks: dict[str, int] = {}
        self.static_bytes: int | None = None
        self.warmup_steps = 0
        self.steady = False
        self.parameters: int | None = None
        self.notes: list[str] = []
        self.spilled_before = 0

    def enter(self, phase: str, step: int = 0, of: int = 0, **details: Any) -> None:
        self.phase = phase
        self.channel.progress(phase, step, of, **details)

    def is_near_cap(self) -> bool:
        """Whether most of the memory cap was in use: an ambiguous failure then means memory."""
        if self.backend is None or self.cap is None:
            return False
        return self.backend.peak_bytes() >= NEAR_CAP * self.cap.cap_bytes

    def in_use(self, failure: Classified) -> str:
        """How full the device was when an allocation failed, in words."""
        if self.backend is None or self.cap is None or failure.requested_bytes is None:
            return ""
        peak = _mib(self.backend.peak_bytes())
        return f" with at most {peak} of {_mib(self.cap.cap_bytes)} in use before."

    def lift_cap(self) -> None:
        if self.backend is not None and self.cap is not None:
            self.backend.lift_cap()

    def until_verdict(self) -> tuple[Verdict, str, str]:
        job, plan = self.job, self.job.plan
        self.enter("import")
        torch.manual_seed(job.seed)
        workload = load_workload(job.workload).workload

        self.enter("start")
        backend = self.backend = backend_for(job.device)
        backend.initialise()
        self.cap = backend.apply_cap(job.limit_bytes, job.headroom)
        self.notes.extend(self.cap.notes)
        self.spilled_before = backend.spilled_bytes()

        self.enter("build")
        training = self.training = Training(workload, job, backend)
        self.parameters = training.parameter_count()

        backend.reset_phase_peak()
        self.steps(training.worst_case_steps())
        self.phase_peaks["train"] = backend.phase_peak_bytes()
        self.static_bytes = backend.held_bytes()
        if (found := self.check_losses()) is not None:
            return found
        if plan.phases:
            self.other_phases(training, backend)
        self.warm_up(plan)
        if (found := self.check_losses()) is not None:
            return found
        self.measure(plan)
        if (found := self.check_losses()) is not None:
            return found
        if plan.purpose is Purpose.CONFIRM:
            training.replay_worst_case()
            self.steps(training.worst_case_steps(), measured=False)
        return self.judge()

    def steps(self, count: int, *, measured: bool = True) -> None:
        """Run ``count`` optimizer steps; the device is waited for once, at the end."""
        assert self.training is not None and self.backend is not None
        backend, training = self.backend, self.training
        total = len(self.step_s) + count
        marks = [backend.mark()]
        data_s: list[float] = []
        losses: list[torch.Tensor] = []
        for _ in range(count):
            self.enter("train", len(self.step_s) + len(losses), max(total, self._expected()))
            waited_s, loss = training.step()
            marks.append(backend.mark())
            data_s.append(waited_s)
            losses.append(loss)
            self.held_bytes.append(backend.held_bytes())
        backend.synchronize()
        durations = [backend.elapsed_s(a, b) for a, b in itertools.pairwise(marks)]
        self.losses.extend(float(loss) for loss in losses)
        if measured:
            self.step_s.extend(durations)
            self.data_s.extend(data_s)
            self.peaks.append((len(self.step_s), backend.peak_bytes()))
        else:
            del self.held_bytes[-count:]
        self.channel.progress(
            "train",
            len(self.step_s),
            self._expected(),
            always=True,
            step_s=durations[-1] if durations else None,
            cap_bytes=self._cap_bytes(),
            peak_bytes=backend.peak_bytes(),
        )

    def _expected(self) -> int:
        return self.job.plan.warmup_steps + self.job.plan.measure_steps

    def other_phases(self, training: Training, backend: Backend) -> None:
        """Evaluation and checkpoint, as they happen in real training: gradients still alive."""
        if training.can_evaluate:
            self.enter("evaluate")
            backend.reset_phase_peak()
            training.evaluate()
            backend.synchronize()
            self.phase_peaks["evaluate"] = backend.phase_peak_bytes()
        self.enter("checkpoint")
        backend.reset_phase_peak()
        training.checkpoint()
        self.phase_peaks["checkpoint"] = backend.phase_peak_bytes()
        self.enter("train")

    def warm_up(self, plan: Plan) -> None:
        self.steps(max(0, plan.warmup_steps - len(self.step_s)))
        while not is_steady(self.step_s) and len(self.step_s) < plan.max_warmup_steps:
            self.steps(min(3, plan.max_warmup_steps - len(self.step_s)))
        self.steady = is_steady(self.step_s)
        self.warmup_steps = len(self.step_s)

    def measure(self, plan: Plan) -> None:
        """Steps until the time is precise and nothing about memory is open, or the plan ends."""
        began_s = time.monotonic()
        window = max(2, plan.measure_steps // 4)
        while True:
            self.steps(min(window, plan.max_measure_steps - self.measured))
            if self.measured >= plan.max_measure_steps or not all(map(math.isfinite, self.losses)):
                return
            if self.measured < plan.measure_steps:
                continue
            settled = self.has_settled()
            if settled and is_precise(self.step_s[self.warmup_steps :], plan.half_width):
                return
            if settled and time.monotonic() - began_s > plan.measure_budget_s:
                return
            if is_leak(self.growth()):
                return

    @property
    def measured(self) -> int:
        return len(self.step_s) - self.warmup_steps

    def _cap_bytes(self) -> int | None:
        return self.cap.cap_bytes if self.cap is not None else None

    def growth(self) -> Growth:
        assert self.backend is not None
        held = self.held_bytes[self.warmup_steps :]
        return held_growth(held, self._cap_bytes(), self.backend.peak_bytes())

    def has_settled(self) -> bool:
        """Whether more steps would tell nothing new about memory."""
        assert self.backend is not None and self.cap is not None
        cap_bytes, peak = self.cap.cap_bytes, self.backend.peak_bytes()
        room_bytes = max(0, self.cap.limit_bytes - peak)
        return (
            has_settled(self.held_bytes[self.warmup_steps :], cap_bytes)
            and not still_creeps(self.peak_at_half(), peak, cap_bytes)
            and not may_still_leak(self.growth(), room_bytes)
        )

    def peak_at_half(self) -> int:
        """The high-water mark when half of the measured steps had been run, in bytes."""
        half = self.warmup_steps + self.measured / 2
        return max((peak for step, peak in self.peaks if step <= half), default=0)

    def check_losses(self) -> tuple[Verdict, str, str] | None:
        for step, loss in enumerate(self.losses):
            if not math.isfinite(loss):
                return (
                    Verdict.NON_FINITE,
                    f"The loss was {loss} at step {step + 1} (first loss {self.losses[0]:.4g}).",
                    "Lower the learning rate, clip gradients, or use bf16 or fp32 instead of fp16.",
                )
        return None

    def judge(self) -> tuple[Verdict, str, str]:
        """The verdict of a run that reached its end."""
        assert self.backend is not None and self.cap is not None
        peak, cap = self.backend.peak_bytes(), self.cap
        spilled = self.backend.spilled_bytes() - self.spilled_before
        if spilled > SPILL_TOLERANCE_BYTES:
            return (
                Verdict.SPILL,
                f"{_mib(spilled)} of this run went to swap while it trained.",
                "Use a smaller batch or memory budget, or free memory on this machine.",
            )
        if peak > cap.cap_bytes:
            return (
                Verdict.OOM,
                f"It used {_mib(peak)}, {_mib(peak - cap.cap_bytes)} more than the cap.",
                "",
            )
        counters = self.backend.counters()
        if counters.retries:
            return (
                Verdict.OOM,
                f"The allocator had to flush its cache {counters.retries} times to go on: "
                "there is no headroom left at this batch size.",
                "",
            )
        if self.job.plan.purpose is not Purpose.CONFIRM:
            return self._stable()
        ahead = peak_ahead(self.peak_at_half(), peak)
        if still_creeps(self.peak_at_half(), peak, cap.cap_bytes) and ahead > cap.cap_bytes:
            return (
                Verdict.OOM,
                f"The peak still rises: {_mib(peak - self.peak_at_half())} over the last "
                f"{self.measured // 2} steps, to {_mib(peak)}. A longer run would exceed the cap.",
                "Batches of varying size fragment the allocator's memory: use a smaller batch, pad "
                "to fewer different sizes, or set expandable segments on CUDA.",
            )
        growth = self.growth()
        if is_leak(growth):
            return (
                Verdict.LEAK,
                f"Static {_mib(self.static_bytes or 0)}, grows {_mib(growth.bytes_per_step)}/step, "
                f"out of memory near step {growth.dies_at_step}.",
                "Something keeps tensors alive between steps: look for `total_loss += loss` (use "
                "loss.item()), lists of outputs, or caches on the model.",
            )
        return self._stable()

    def _stable(self) -> tuple[Verdict, str, str]:
        return (
            Verdict.STABLE,
            f"{len(self.losses)} steps within {_mib(self._cap_bytes() or 0)}.",
            "",
        )

    def measurement(self, verdict: Verdict, reason: str, hint: str) -> Measurement:
        job, backend, cap = self.job, self.backend, self.cap
        measured = self.step_s[self.warmup_steps :] if self.warmup_steps else []
        timing: StepTime | None = None
        if measured:
            timing = summarise(
                measured,
                self.data_s[self.warmup_steps :],
                warmup_steps=self.warmup_steps,
                steady=self.steady,
                half_width=job.plan.half_width,
            )
        peak = backend.peak_bytes() if backend is not None and cap is not None else None
        confirmed = job.plan.purpose is Purpose.CONFIRM and len(measured) > 2
        steps = len(self.losses)
        return Measurement(
            workload=job.workload.spec,
            config=job.config,
            batch_size=job.batch_size,
            device=job.device,
            purpose=job.plan.purpose,
            verdict=verdict,
            reason=reason,
            hint=hint,
            limit_bytes=cap.limit_bytes if cap else job.limit_bytes,
            headroom=job.headroom,
            cap_bytes=cap.cap_bytes if cap else None,
            overhead_bytes=cap.overhead_bytes if cap else 0,
            peak_bytes=peak,
            static_bytes=self.static_bytes,
            phase_peak_bytes=self.phase_peaks,
            step_time=timing,
            growth=self.growth() if confirmed and cap else None,
            trace=Trace(
                [round(s, 7) for s in self.step_s],
                self.held_bytes[: len(self.step_s)],
            ),
            steps=steps,
            samples=steps * job.batch_size * job.accumulation,
            accumulation=job.accumulation,
            parameters=self.parameters,
            first_loss=_finite(self.losses[0]) if self.losses else None,
            last_loss=_finite(self.losses[-1]) if self.losses else None,
            notes=self.notes,
            environment=_environment(),
            phase=self.phase if verdict is not Verdict.STABLE else "done",
        )


def _environment() -> dict[str, Any]:
    """What must be the same where the recommendation is used."""
    import os

    return {
        "torch": torch.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "threads": torch.get_num_threads(),
        "allocator": allocator_settings(dict(os.environ)),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f} MiB"
