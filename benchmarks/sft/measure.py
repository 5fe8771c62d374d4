"""Fit a case and train it as a user would: in workers of its own, within the budget."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.sft.cases import Case, make_model, make_rows
from benchmarks.sft.records import Plain, Training
from finetuning import FineTuning
from finetuning.fit import Measurer
from finetuning.measuring import LocalMeasurer, workload
from finetuning.run import Outcome
from finetuning.run_folder import RunState, read_json
from probes.job import WorkloadRef
from probes.prober import Prober

MIB = 2**20
PLAIN = f"{Path(__file__).with_name('plain_loss.py')}:PlainLoss"


@dataclass
class Bench:
    """Where models, rows and runs of the benchmark are, and the prober that all cases share."""

    folder: Path
    prober: Prober
    _described: bool = False

    def train(self, case: Case) -> Training:
        """Fit the case, train it, and resume it where the case says that it is stopped."""
        began_s = time.monotonic()
        fitted_s: list[float] = []

        def watch(event: Mapping[str, Any]) -> None:
            if event.get("phase") == RunState.TRAINING.value:
                fitted_s.append(time.monotonic() - began_s)
            if event.get("loss") is not None and event.get("step") == case.stops_at:
                run.request_stop()

        run = replace(self._run(case), on_event=watch)
        outcome = run.run()
        peaks = [(outcome.facts or {}).get("peak_bytes") or 0]
        if outcome.state is RunState.STOPPED:
            run = FineTuning.resume(run.output)
            outcome = run.run()
            peaks.append((outcome.facts or {}).get("peak_bytes") or 0)
        found = record(case, outcome, read_json(run.folder.fit) or {})
        shutil.rmtree(run.output)
        return replace(
            found,
            peak_bytes=max(peaks) or None,
            fit_s=round(fitted_s[0], 1) if fitted_s else 0.0,
            wall_s=round(time.monotonic() - began_s, 1),
        )

    def plain(self, case: Case) -> Plain:
        """The largest micro-batch of the case with a plain model's loss, in the same budget."""
        run = replace(self._run(case), until="prepared")
        run.run()
        rows = sum(1 for _ in (run.folder.data / "train.jsonl").open())
        usual = workload(run.folder.settings, run.folder.path, run.device)
        with Prober(sys.executable) as prober:
            reference = WorkloadRef(PLAIN, usual.options)
            prober.describe(reference)
            limit_bytes = run.memory_budget_bytes
            found = LocalMeasurer(
                prober, reference, run.device, rows, limit_bytes=limit_bytes
            ).find(run.settings)
        shutil.rmtree(run.output)
        passed = found.highest_passing
        return Plain(
            case.identity, found.max_batch, found.reason, passed.peak_bytes if passed else None
        )

    def _run(self, case: Case) -> FineTuning:
        output = self.folder / "runs" / case.identity.replace("/", "-")
        shutil.rmtree(output, ignore_errors=True)
        return FineTuning(
            settings=case.settings(make_model(self.folder, case.family, case.shape)),
            data={"made": str(make_rows(self.folder, case.rows, case.shape))},
            output=output,
            memory_budget_bytes=case.budget_mib * MIB,
            open_measurer=self._measurer,
        )

    @contextlib.contextmanager
    def _measurer(self, run: FineTuning, rows: int) -> Iterator[Measurer]:
        """That of a run, with the prober that has the libraries imported already."""
        reference = workload(run.folder.settings, run.folder.path, run.device)
        if not self._described:
            self.prober.describe(reference)
            self._described = True
        yield LocalMeasurer(
            self.prober, reference, run.device, rows, limit_bytes=run.memory_budget_bytes
        )


def record(case: Case, outcome: Outcome, fit: Mapping[str, Any]) -> Training:
    """What is kept of a run: its fit beside what its training reported."""
    facts = outcome.facts or {}
    batches = fit.get("batches") or {}
    return Training(
        case=case.identity,
        fits=bool(fit.get("fits")),
        reason=outcome.reason,
        state=outcome.state.value,
        verdict=facts.get("failed", {}).get("verdict", ""),
        micro_batch=batches.get("micro_batch"),
        accumulation=batches.get("accumulation"),
        changed=list(fit.get("changed", [])),
        predicted_peak_bytes=fit.get("peak_bytes"),
        predicted_step_s=(fit.get("step_s") or {}).get("mean"),
        step_s=facts.get("step_s"),
        steps=facts.get("step", 0),
        resumed_from_step=facts.get("resumed_from_step"),
        probes=fit.get("probes", 0),
    )
