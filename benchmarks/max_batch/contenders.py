"""Run one search by one method in a process of its own, and note what it found and spent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.max_batch.cases import HEADROOM, ROOT, Case
from benchmarks.max_batch.peers import METHODS
from benchmarks.max_batch.records import Search
from probes.devices.environment import worker_environment

OURS = "tonnage"
PEERS = tuple(METHODS)
COUNTER_VARIABLE = "TONNAGE_BENCHMARK_STEPS"
TIMEOUT_S = 900.0

SETTINGS = {"pinned": worker_environment("cpu", {}), "default": {}}
"""Allocator settings of a peer's process: those that Tonnage's workers have, and glibc's own."""


@dataclass(frozen=True)
class Steps:
    """Training steps that one process began at one batch size, in a row."""

    pid: int
    batch_size: int
    steps: int


@dataclass(frozen=True)
class _Ran:
    returncode: int | None
    """``None`` when it was given up."""
    stdout: str
    stderr: str
    wall_s: float
    counted: list[Steps]

    @property
    def death(self) -> str:
        """How it ended without an answer."""
        lines = [line for line in self.stderr.strip().splitlines() if line.strip()]
        last = f": {lines[-1][:300]}" if lines else ""
        if self.returncode is None:
            return f"no answer after {TIMEOUT_S:.0f} s"
        if self.returncode < 0:
            return f"{signal.Signals(-self.returncode).name}{last}"
        return f"status {self.returncode}{last}"


def run_ours(case: Case, python: str) -> Search:
    """``tonnage max-batch``, as a user calls it, with nothing remembered from before."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "max-batch", case.spec]
    for name, value in case.config.items():
        command += ["--set", f"{name}={value}"]
    command += ["--device", "cpu", "--memory-budget", f"{case.budget_mib}MiB"]
    command += ["--headroom", str(HEADROOM), "--python", python, "--json"]
    with tempfile.TemporaryDirectory() as home:
        ran = _run(command, {"TONNAGE_DATA_DIR": home, "XDG_CONFIG_HOME": home}, Path(home))
    answer = _last_json(ran.stdout, whole=True)
    if answer is None or answer.get("max_batch") is None:
        crash = str((answer or {}).get("reason") or ran.death)
        return _search(case, OURS, "own", ran, None, crash, {})
    details = {
        **_floor(answer, ran.counted),
        **{k: answer.get(k) for k in ("binding", "probes", "steps_run", "samples_processed")},
        "runs": answer.get("runs", []),
    }
    return _search(case, OURS, "own", ran, answer["max_batch"], "", details)


def _floor(answer: Mapping[str, Any], counted: list[Steps]) -> dict[str, int]:
    """Samples of the confirming run at the answer, and of one failing probe above it.

    A search that has the same evidence cannot do with fewer.
    """
    confirming, failing = (answer["evidence"][k] for k in ("highest_passing", "lowest_failing"))
    failing_samples = 0
    if failing is not None:
        begun = [c.steps for c in counted if c.batch_size == failing["batch_size"]]
        failing_samples = max(begun, default=0) * int(failing["batch_size"])
    confirming_samples = int(confirming["steps"]) * int(confirming["batch_size"])
    return {"confirming_samples": confirming_samples, "failing_samples": failing_samples}


def run_peer(case: Case, method: str, setting: str, python: str) -> Search:
    """A peer's own search, under the same hard limit."""
    command = [python, "-m", "benchmarks.max_batch.peers", method, "--workload", case.spec]
    command += ["--config", json.dumps(dict(case.config)), "--cap-bytes", str(case.cap_bytes)]
    ran = _run(command, SETTINGS[setting], ROOT)
    answer = _last_json(ran.stdout)
    if answer is None:
        return _search(case, method, setting, ran, None, ran.death, {})
    rehearsal_s = answer["rehearsal_s"]
    return _search(case, method, setting, ran, answer["found"], answer["error"], {}, rehearsal_s)


def _search(
    case: Case,
    method: str,
    setting: str,
    ran: _Ran,
    found: int | None,
    crash: str,
    details: dict[str, Any],
    rehearsal_s: float = 0.0,
) -> Search:
    trials: Counter[int] = Counter(c.batch_size for c in ran.counted)
    return Search(
        case=case.identity,
        method=method,
        setting=setting,
        found=found,
        steps=sum(c.steps for c in ran.counted),
        samples=sum(c.steps * c.batch_size for c in ran.counted),
        wall_s=round(ran.wall_s - rehearsal_s, 1),
        crash=crash,
        details={**details, "trials": [[batch, n] for batch, n in sorted(trials.items())]},
    )


def _run(command: list[str], environment: Mapping[str, str], folder: Path) -> _Ran:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MALLOC_") and name not in ("GLIBC_TUNABLES", "TONNAGE_DATA_DIR")
    }
    with tempfile.TemporaryDirectory() as counters:
        counter = Path(counters, "steps")
        environ |= {**environment, COUNTER_VARIABLE: str(counter)}
        began_s = time.monotonic()
        process = subprocess.Popen(
            command,
            env=environ,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        returncode: int | None = None
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_S)
            returncode = process.returncode
        except subprocess.TimeoutExpired:
            _end(process)
            stdout, stderr = process.communicate()
        finally:
            _end(process)  # also when we are interrupted: nothing may go on training
        wall_s = time.monotonic() - began_s
        return _Ran(returncode, stdout, stderr, wall_s, _counted(counter))


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _counted(counter: Path) -> list[Steps]:
    lines = counter.read_text().split("\n") if counter.exists() else []
    return [
        Steps(int(pid), int(batch), len(list(same)))
        for (pid, batch), same in groupby(line.split() for line in lines if line)
    ]


def _last_json(stdout: str, whole: bool = False) -> dict[str, Any] | None:
    text = stdout if whole else (stdout.strip().splitlines() or [""])[-1]
    try:
        answer = json.loads(text)
    except json.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None
