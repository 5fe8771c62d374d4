"""The same workload on two ranks, one of them with half of the other's memory, by everybody.

Everybody has the same limits per rank (the budget less the headroom, enforced by the kernel) and
the allocator settings of our own workers. No peer can be told of a budget, so its script limits
each rank by itself, after a short training that has loaded whatever is loaded late.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.false_safe.real import HEADROOM
from benchmarks.max_batch.truth import SCAN_PLAN
from benchmarks.ranks.accuracy import CLOSE_ENOUGH, lasting_plan, scan_edge
from benchmarks.ranks.cases import CASES, MIB, Case
from benchmarks.ranks.leftovers import MARK, end_marked
from benchmarks.ranks.records import Record, WorkFile
from probes.devices.environment import worker_environment
from probes.group import Group
from probes.measurement import Purpose
from probes.prober import Prober

SCRIPTS = Path(__file__).with_name("peer_scripts")
VARIABLE = "TONNAGE_BENCHMARK_PEER"
HUNG_S = 90.0
OURS_S = 900.0
"""For a search of ours, which is no matter of seconds on a busy machine."""
ERRORS = ("Error", "Exception", "not support")
STEPS = 12
"""Of each trial of a peer."""
LASTING_PLAN = replace(lasting_plan(100), purpose=Purpose.BRACKET)
"""Whether memory lasts; no judgement about growth is asked for."""
START = 1024
RANKS = 2
CASE = next(case for case in CASES if case.name == "transformer")
BUDGETS_MIB = {"one rank short": (128, 64), "equal ranks": (64, 64)}
PACKAGES = ("accelerate", "lightning")


@dataclass(frozen=True)
class Peer:
    name: str
    command: tuple[str, ...]


_ACCELERATE = str(SCRIPTS / "accelerate_ddp.py")
_LAUNCH = (
    sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(RANKS),
    "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
    "--num_cpu_threads_per_process", "1", "--main_process_port", "0",
)  # fmt: skip
_TORCHRUN = (
    sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(RANKS),
    "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
)  # fmt: skip
PEERS = (
    Peer("accelerate launch", (*_LAUNCH, _ACCELERATE)),
    Peer("accelerate under torchrun", (*_TORCHRUN, _ACCELERATE)),
    Peer("accelerate under torchrun, prepared once", (*_TORCHRUN, _ACCELERATE, "once")),
    Peer("lightning", (sys.executable, str(SCRIPTS / "lightning_ddp.py"))),
)


def run(work: WorkFile) -> None:
    """Truth, ours and every peer, for each pair of budgets, as far as they are not known."""
    for name, budgets in BUDGETS_MIB.items():
        if work.get("peers truth", name) is None:
            print(f"{name}: {work.add('peers truth', name, truth(CASE, budgets))}", flush=True)
        if work.get("peers", f"{name}: tonnage") is None:
            _keep(work, f"{name}: tonnage", ours(CASE, budgets), budgets)
        for peer in PEERS:
            identity = f"{name}: {peer.name}"
            if work.get("peers", identity) is None:
                _keep(work, identity, theirs(peer, CASE, budgets), budgets)


def _keep(work: WorkFile, identity: str, record: Record, budgets: Sequence[int]) -> None:
    """With whether the answer lasts, where there is one for all ranks."""
    found = set(record["found"])
    if len(found) == 1 and None not in found:
        record["lasts"] = lasts(CASE, budgets, found.pop())
    work.add("peers", identity, record)
    said = record["message"].splitlines()[-1:] or [""]
    print(f"{identity}: {record['outcome']}, found {record['found']}, {said[0][:200]}", flush=True)


def caps(budgets_mib: Sequence[int]) -> list[int]:
    return [int(mib * MIB * (1 - HEADROOM)) for mib in budgets_mib]


def lasts(case: Case, budgets_mib: Sequence[int], batch_size: int) -> bool:
    """Whether a gang trains with it for 100 steps within the whole budgets: what a process takes
    differs from run to run, and the headroom is there for that."""
    job = _job(case, budgets_mib, batch_size, LASTING_PLAN)
    whole = Group(job.group.devices, limits=tuple(mib * MIB for mib in budgets_mib))
    with Prober(sys.executable) as prober:
        return prober.probe(replace(job, group=whole)).passed


def truth(case: Case, budgets_mib: Sequence[int]) -> Record:
    """The largest batch per rank that lasts on both."""
    with Prober(sys.executable) as prober:
        edge = scan_edge(
            lambda b: prober.probe(_job(case, budgets_mib, b, SCAN_PLAN)).passed, START // 4
        )
        largest = edge
        while not prober.probe(_job(case, budgets_mib, largest, LASTING_PLAN)).passed:
            largest = largest - max(1, largest // 200)
    return {"largest": largest, "passes_shortly": edge}


def _job(case: Case, budgets_mib: Sequence[int], batch_size: int, plan: Any) -> Any:
    job = case.job(batch_size, plan, ranks=RANKS, headroom=0.0)
    return replace(job, group=Group(("cpu",) * RANKS, limits=tuple(caps(budgets_mib))))


def ours(case: Case, budgets_mib: Sequence[int]) -> Record:
    """``tonnage max-batch``, as a user calls it, with nothing remembered from before."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "max-batch", case.spec]
    command += ["--device", "cpu", "--devices", str(RANKS), "--headroom", str(HEADROOM), "--json"]
    command += ["--memory-budget", ",".join(f"{mib}MiB" for mib in budgets_mib)]
    for name, value in case.config.items():
        command += ["--set", f"{name}={value}"]
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "TONNAGE_DATA_DIR": home, "XDG_CONFIG_HOME": home}
        ran = _run(command, environ, OURS_S, Path(home))
    answer: dict[str, Any] = json.loads(ran.stdout) if ran.stdout.strip() else {}
    found = answer.get("max_batch")
    return {
        "outcome": "hung" if ran.returncode is None else ("answer" if found else "crashed"),
        "found": [found] * RANKS,
        "samples": answer.get("samples_processed"),
        "wall_s": ran.wall_s,
        "probes": answer.get("probes"),
        "message": str(answer.get("reason") or ran.stderr[-1500:]),
    }


def theirs(peer: Peer, case: Case, budgets_mib: Sequence[int]) -> Record:
    """A peer's own search."""
    with tempfile.TemporaryDirectory() as folder:
        asked = {
            "spec": case.spec,
            "config": dict(case.config),
            "caps_bytes": caps(budgets_mib),
            "start": START,
            "steps": STEPS,
            "folder": folder,
        }
        environ = {**os.environ, **worker_environment("cpu"), VARIABLE: json.dumps(asked)}
        environ |= {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(SCRIPTS)}
        ran = _run(peer.command, environ, HUNG_S, Path(folder))
        said = [_said(Path(folder, f"rank-{rank}.json")) for rank in range(RANKS)]
    found = [each.get("found") for each in said]
    ranks = max(each.get("ranks", 0) for each in said)
    samples = sum(each.get("samples", 0) for each in said)
    return {
        "outcome": outcome(ran.returncode, found, samples, ranks),
        "found": found,
        "samples": samples,
        "samples_by_rank": [each.get("samples", 0) for each in said],
        "wall_s": ran.wall_s,
        "message": message(ran.stderr),
    }


def outcome(
    returncode: int | None, found: Sequence[int | None], samples: int, ranks: int = RANKS
) -> str:
    """``hung``, ``refused`` (it trained nothing), ``one process`` (it did not start the others),
    ``crashed`` or ``answer``."""
    if returncode is None:
        return "hung"
    if ranks == 1:
        return "one process"
    if None not in found:
        return "answer"
    return "crashed" if samples else "refused"


def message(stderr: str) -> str:
    """The lines of an output that say what went wrong."""
    lines = [text.strip() for text in stderr.splitlines() if text.strip()]
    errors = [text for text in lines if any(sign in text for sign in ERRORS)]
    return "\n".join(dict.fromkeys(errors or lines[-5:]))[:2000]


@dataclass(frozen=True)
class _Ran:
    returncode: int | None
    """``None`` where it was given up."""
    stdout: str
    stderr: str
    wall_s: float


def _run(
    command: Sequence[str], environ: Mapping[str, str], timeout_s: float, folder: Path
) -> _Ran:
    began_s = time.monotonic()
    mark = f"{os.getpid()}-{time.time_ns()}"
    process = subprocess.Popen(
        command,
        env={**environ, MARK: mark},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    returncode: int | None = None
    try:
        stdout, stderr = process.communicate(timeout=timeout_s)
        returncode = process.returncode
    except subprocess.TimeoutExpired:
        end_marked(mark)
        stdout, stderr = process.communicate()
    finally:
        end_marked(mark)  # torchrun's ranks are in sessions of their own
    return _Ran(returncode, stdout, stderr, round(time.monotonic() - began_s, 1))


def _said(file: Path) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(file.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return answer


def summary(work: WorkFile) -> dict[str, Any]:
    """What each did, and whether it was right."""
    rows = {}
    for identity, record in work.of("peers").items():
        true = (work.get("peers truth", identity.partition(":")[0]) or {}).get("largest")
        rows[identity] = {**record, "true": true, "right": is_right(record, true)}
    return rows


def is_right(record: Record, true: int | None) -> bool | None:
    """The same batch for all ranks, close to the largest, and one that lasts. ``None`` where the
    largest has not been measured."""
    found = set(record["found"])
    if len(found) != 1 or None in found:
        return False
    if true is None:
        return None
    return bool(record.get("lasts")) and min(found) >= CLOSE_ENOUGH * true
