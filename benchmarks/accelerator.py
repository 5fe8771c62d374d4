"""``python -m benchmarks.accelerator``: what a backend does on real hardware, as a dated report.

Runs on a bare box: torch, psutil and nvidia-ml-py are all it needs. For each accelerator it runs
the self-checks of ``doctor``, a max-batch search against exhaustive truth near the edge, the same
search by the peers that are installed there, a comparison of the predicted with a really run cycle,
its energy, and what the knowledge pages claim against what is measured. Then all accelerators train
as one, or one is a gang by itself. Ends with status 3 where there is none.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.energy_check import energy_check, power_limit_check
from benchmarks.gang_check import gang_check
from benchmarks.max_batch.peers import METHODS
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.errors import InputError, TonnageError
from probes.interpreter import resolve_python
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Measurement, Purpose
from probes.prober import Prober
from probes.self_check import DEVICE_CHECKS

GIB = 2**30
EMULATED_BYTES = 4 * GIB
"""The search runs in an emulated small device, so that the truth can be scanned in minutes."""
CONFIG = {"layers": 4, "width": 512}
CYCLE_STEPS = 400
PEER_S = 240
CLAIM_S, CLAIMS_S = 60.0, 240.0
"""Time for the claims about one change, and for all of them."""
ROOT = Path(__file__).resolve().parents[1]
SLOWEST_SAMPLE = 1.5
BEYOND_PERCENT = (1, 2, 3, 5, 8)
TRUTH_STEPS = 8


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.accelerator", description=__doc__)
    parser.add_argument("--python", help="interpreter that trains (default: the active one)")
    parser.add_argument("--output", type=Path, help="folder for the dated JSON report")
    parser.add_argument(
        "--device", help="check this device even if it is the CPU (to try the check itself)"
    )
    parser.add_argument(
        "--change-power-limit",
        action="store_true",
        help="lower the power limit for a moment, as root, to see that it is given back",
    )
    asked = parser.parse_args(arguments)
    try:
        prober = Prober(resolve_python(asked.python))
        found = prober.devices()
    except TonnageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    known = [DeviceFacts(**facts) for facts in found["devices"]]
    chosen = [f for f in known if f.kind != "cpu" or asked.device == "cpu"]
    chosen = [f for f in chosen if asked.device in (None, f.device)]
    if not chosen:
        print("There is no accelerator here to check:", file=sys.stderr)
        for kind, reason in found["unavailable"].items():
            print(f"  {kind}: {reason}", file=sys.stderr)
        return 3
    report = {
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "interpreter": found["interpreter"],
        "devices": [check_device(prober, facts, asked.change_power_limit) for facts in chosen],
        "together": check_named("together", [("ranks", lambda: gang_check(prober, chosen))]),
    }
    text = json.dumps(report, indent=2, default=str)
    print(text)
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        name = f"accelerator-{chosen[0].kind}-{datetime.now(timezone.utc):%Y-%m-%d}.json"
        (asked.output / name).write_text(text + "\n")
        print(f"Written to {asked.output / name}", file=sys.stderr)
    together = all(entry["ok"] for entry in report["together"])
    return 0 if together and all(device["ok"] for device in report["devices"]) else 1


def check_device(
    prober: Prober, facts: DeviceFacts, change_power_limit: bool = False
) -> dict[str, Any]:
    """Every check on one device; a check that fails does not stop the others."""
    telemetry = Telemetry(facts)
    named: list[tuple[str, Callable[[], Any]]] = [
        (name, partial(check, prober, facts.device)) for name, check in DEVICE_CHECKS.items()
    ]
    named.append(("max batch against truth", lambda: max_batch_check(prober, facts, telemetry)))
    named.append(("max batch by peers", lambda: peers_check(prober, facts)))
    named.append(("cycle time against a real cycle", lambda: cycle_check(prober, facts, telemetry)))
    job = _job(facts, 32, CONFIRM_PLAN)
    named.append(("energy", lambda: energy_check(prober, telemetry, job)))
    if change_power_limit:
        named.append(("power limit", lambda: power_limit_check(facts)))
    named.append(("fine-tuning against its fitted step", lambda: finetuning_check(prober, facts)))
    named.append(("claims of the knowledge pages", lambda: claims_check(prober, facts)))
    checks = check_named(facts.device, named)
    return {
        "device": facts.device,
        "name": facts.name,
        "total_bytes": facts.total_bytes,
        "fingerprint": build_fingerprint(facts, telemetry).to_dict(),
        "state": telemetry.read().to_dict(),
        "checks": checks,
        "ok": all(entry["ok"] for entry in checks),
    }


def check_named(where: str, named: list[tuple[str, Callable[[], Any]]]) -> list[dict[str, Any]]:
    """What each check found, or why it failed."""
    checks: list[dict[str, Any]] = []
    for name, check in named:
        print(f"{where}: {name} ...", file=sys.stderr, flush=True)
        began_s = time.monotonic()
        try:
            entry = {"name": name, "ok": True, "found": check()}
        except (TonnageError, AssertionError) as error:
            entry = {"name": name, "ok": False, "found": str(error)}
        checks.append({**entry, "wall_s": round(time.monotonic() - began_s, 1)})
    return checks


def _job(facts: DeviceFacts, batch_size: int, plan: StepPlan) -> ProbeJob:
    limit = min(EMULATED_BYTES, facts.total_bytes // 2)
    workload = WorkloadRef("transformer", {"length": 128})
    return ProbeJob(workload, dict(CONFIG), batch_size, facts.device, plan, limit_bytes=limit)


def max_batch_check(prober: Prober, facts: DeviceFacts, telemetry: Telemetry) -> dict[str, Any]:
    """The search's answer, and the true edge by bisection with fresh processes around it."""
    spent: list[Measurement] = []

    def probe(ask: Ask) -> Measurement:
        plan = CONFIRM_PLAN if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
        measurement = prober.probe(_job(facts, ask.batch_size, plan), telemetry)
        spent.append(measurement)
        return measurement

    bounds = Bounds(slowest_sample=SLOWEST_SAMPLE)
    prior = prober.estimate(_job(facts, 1, BRACKET_PLAN), bounds.ceiling)
    answer = run_search(MaxBatchSearch(bounds, prior=prior), probe)
    if answer.max_batch is None:
        raise AssertionError(f"no batch found: {answer.reason}")
    truth = _true_edge(prober, facts, answer.max_batch)
    run = answer.highest_passing
    assert run is not None
    return {
        "found": answer.max_batch,
        "true": truth,
        "found_over_true": answer.max_batch / truth,
        "binding": answer.binding,
        "prior": prior.to_dict(),
        "curve": [vars(point) for point in answer.curve],
        "probes": answer.probes,
        "samples": answer.samples,
        "seconds": round(sum(m.wall_s for m in spent), 1),
        "peak_bytes": run.peak_bytes,
        "cap_bytes": run.cap_bytes,
        "overhead_bytes": run.overhead_bytes,
        "tainted": run.tainted,
    }


def _true_edge(prober: Prober, facts: DeviceFacts, around: int) -> int:
    """Largest batch that survives a few steps: bisection from far outside the answer, then a look
    beyond the first failure, because pass and fail need not be monotone."""
    plan = replace(BRACKET_PLAN, measure_steps=TRUTH_STEPS, max_measure_steps=TRUTH_STEPS)

    def passes(batch_size: int) -> bool:
        return prober.probe(_job(facts, batch_size, plan)).passed

    low, high = max(1, around // 2), around * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    beyond = [low + max(1, low * percent // 100) for percent in BEYOND_PERCENT]
    return max([low, *(batch for batch in beyond if passes(batch))])


def peers_check(prober: Prober, facts: DeviceFacts) -> dict[str, Any]:
    """The same search by others, each in a process of its own under the same cap. One that is not
    installed or fails says so; that is not our failure."""
    job = _job(facts, 1, BRACKET_PLAN)
    cap_bytes = int((job.limit_bytes or 0) * (1 - job.headroom))
    found = {}
    for method in METHODS:
        command = [prober.python, "-m", "benchmarks.max_batch.peers", method]
        command += ["--workload", job.workload.spec, "--options", json.dumps(job.workload.options)]
        command += ["--config", json.dumps(job.config), "--device", facts.device]
        command += ["--cap-bytes", str(cap_bytes)]
        began_s = time.monotonic()
        try:
            ran = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=PEER_S, check=False
            )
            lines, last_words = ran.stdout.splitlines(), ran.stderr.strip().splitlines()[-1:]
        except subprocess.TimeoutExpired:
            lines, last_words = [], [f"not done after {PEER_S} s"]
        answer = json.loads(lines[-1]) if lines else {"error": " ".join(last_words)}
        found[method] = {**answer, "seconds": round(time.monotonic() - began_s, 1)}
    return found


def cycle_check(prober: Prober, facts: DeviceFacts, telemetry: Telemetry) -> dict[str, Any]:
    """Cycle time said by a confirmation run, against really running the cycle."""
    said = prober.probe(_job(facts, 32, CONFIRM_PLAN), telemetry)
    whole = replace(CONFIRM_PLAN, measure_steps=CYCLE_STEPS, max_measure_steps=CYCLE_STEPS)
    ran = prober.probe(_job(facts, 32, whole), telemetry)
    if said.step_time is None or ran.step_time is None:
        raise AssertionError(f"{said.verdict}: {said.reason}; {ran.verdict}: {ran.reason}")
    measured_s = sum(ran.trace.step_s[-ran.step_time.steps :])
    predicted_s = said.step_time.mean_s * ran.step_time.steps
    return {
        "steps": ran.step_time.steps,
        "predicted_s": predicted_s,
        "low_s": said.step_time.low_s * ran.step_time.steps,
        "high_s": said.step_time.high_s * ran.step_time.steps,
        "measured_s": measured_s,
        "error": predicted_s / measured_s - 1,
        "converged": said.step_time.converged,
        "tainted": [*said.tainted, *ran.tainted],
    }


def finetuning_check(prober: Prober, facts: DeviceFacts) -> dict[str, Any]:
    """Presets fitted to the device and trained for a few steps: predicted and measured peak.

    Skipped where the interpreter lacks what fine-tuning needs, saying so.
    """
    from finetuning import FineTuning, presets
    from finetuning.models.small import make_small_model
    from finetuning.run_folder import RunState

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        words = ["one", "two", "three", "four", "five"]
        texts = [" ".join(words[: 1 + n % 5] * (1 + n % 40)) for n in range(400)]
        rows = [{"prompt": f"Say {n}: ", "completion": text} for n, text in enumerate(texts)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        try:
            model = make_small_model(folder / "model", texts, layers=8, hidden_size=512)
            for name in ("quick_lora", "memory_efficient_qlora", "full_small"):
                changes = {"training.max_steps": 20, "training.max_length": 256}
                run = FineTuning(
                    settings=presets[name].settings(str(model), changes),
                    data={"words": str(folder / "rows.jsonl")},
                    output=folder / name,
                    device=facts.device,
                    memory_budget_bytes=min(EMULATED_BYTES, facts.total_bytes // 2),
                    python=prober.python,
                )
                outcome = run.run()
                reported = dict(outcome.facts or {})
                assert outcome.state is RunState.DONE, f"{name}: {outcome.reason}"
                predicted, measured = reported["predicted_peak_bytes"], reported["peak_bytes"]
                found[name] = {
                    "peak_bytes": measured,
                    "predicted_peak_bytes": predicted,
                    "step_s": reported["step_s"],
                    "predicted_step_s": reported["predicted_step_s"],
                }
                assert measured <= 1.02 * predicted, f"{name}: {found[name]}"
        except (InputError, ImportError) as error:
            return {"skipped": str(error)}
    return found


def claims_check(prober: Prober, facts: DeviceFacts) -> dict[str, Any]:
    """What the built-in pages claim, measured on the first workload of each: what is told in
    ``CLAIMS_S`` seconds. That a claim is refuted is a finding, not a failure."""
    from benchmarks.claims.bench import Here
    from benchmarks.claims.cases import built_in_claims, cases
    from benchmarks.claims.report import measured_text
    from benchmarks.claims.run import answers
    from optimizer.ablation import AblationLimits
    from optimizer.ablation.defaults import default_budget_bytes

    here = Here.of(prober, facts, default_budget_bytes(facts.kind, facts.total_bytes))
    limits = AblationLimits(max_pairs=6, max_seeds=4, budget_s=CLAIM_S, train_steps=30)
    chosen = list(cases(built_in_claims(), facts.kind, workloads=1))
    found = []
    deadline_s = time.monotonic() + CLAIMS_S
    for case, evidence in answers(here, chosen, limits, seed=0):
        shown = f"{evidence.verdict}: {measured_text(evidence)}"
        print(f"  {case.identity}: {shown}", file=sys.stderr, flush=True)
        found.append(evidence.to_dict())
        if time.monotonic() > deadline_s:
            break
    told = [one for one in found if one["change"] is not None]
    assert told, f"none of {len(found)} claims could be measured: {found[:1]}"
    return {
        "claims": len(chosen),
        "answered": len(found),
        "measured": len(told),
        "evidence": found,
    }


if __name__ == "__main__":
    sys.exit(main())
