"""What launchers say about the ranks that they started: which failed first, and how. Pure.

Recorded reports of torchrun, ``torch.multiprocessing.spawn`` and accelerate are in the tests.
Standard library only.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

SIGTERM = 15
"""By it launchers end the ranks that have not failed."""

_RANK_LINE = re.compile(r"^\s*\[(?:rank|default)(\d+)\]:(?: |$)?", re.IGNORECASE)
_TORCHRUN = re.compile(
    r"rank\s*: (?P<rank>\d+) \(local_rank: \d+\)\s+exitcode\s*: (?P<exitcode>-?\d+) \(pid: \d+\)"
)
_TORCHRUN_FAILED = re.compile(r"failed \(exitcode: (-?\d+)\) local_rank: (\d+) \(pid: \d+\)")
_ROOT_CAUSE = "Root Cause (first observed failure):"
_TORCHRUN_TRACEBACK = re.compile(r"^\s*traceback : (?=Traceback )", re.MULTILINE)
_SPAWN_RAISED = re.compile(r"^-- Process (\d+) terminated with the following error:$", re.MULTILINE)
_SPAWN_EXITED = re.compile(
    r"process (\d+) terminated with (?:signal (SIG\w+)|exit code (\d+))\s*$", re.MULTILINE
)
_LAUNCHERS_WORDS = re.compile(
    r"^.*(?:Sending process \d+ closing signal|failed \(exitcode: -?\d+\) local_rank: \d+"
    r"|Terminating process \d+ via signal).*$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class RankEnding:
    """How a rank ended, by its launcher."""

    rank: int
    exitcode: int
    """As ``subprocess`` gives it: minus the signal."""

    @property
    def is_ended_by_launcher(self) -> bool:
        return self.exitcode == -SIGTERM


def endings_in(text: str) -> list[RankEnding]:
    """The ranks that a launcher says have failed, the one first that it takes for the cause."""
    _, _, root = text.rpartition(_ROOT_CAUSE) if _ROOT_CAUSE in text else ("", "", "")
    found = [
        RankEnding(int(match["rank"]), int(match["exitcode"]))
        for part in (root, text)
        for match in _TORCHRUN.finditer(part)
    ]
    found += [RankEnding(int(m[2]), int(m[1])) for m in _TORCHRUN_FAILED.finditer(text)]
    for match in _SPAWN_EXITED.finditer(text):
        number = -_signal(match[2]) if match[2] else int(match[3])
        found.append(RankEnding(int(match[1]), number))
    first: dict[int, RankEnding] = {}
    for ending in found:
        first.setdefault(ending.rank, ending)
    return list(first.values())


def words_by_rank(text: str) -> dict[int | None, str]:
    """What each rank wrote, where its lines or the launcher say so, without the prefix; under
    ``None`` what is left, without the launcher's report."""
    lines: dict[int | None, list[str]] = {}
    for line in text.splitlines():
        match = _RANK_LINE.match(line)
        rank = int(match[1]) if match else None
        lines.setdefault(rank, []).append(line[match.end() :] if match else line)
    found = {rank: "\n".join(own) for rank, own in lines.items()}
    rest = found.pop(None, "")
    reported = _reported(rest)
    if cut := _LAUNCHERS_WORDS.search(rest):
        rest = rest[: cut.start()]
    for rank, words in reported.items():
        found[rank] = f"{found[rank]}\n{words}" if rank in found else words
    return {**found, None: rest}


def _reported(rest: str) -> dict[int, str]:
    """Tracebacks of ranks that a launcher repeats."""
    if match := _SPAWN_RAISED.search(rest):
        return {int(match[1]): rest[match.end() :]}
    _, _, root = rest.rpartition(_ROOT_CAUSE) if _ROOT_CAUSE in rest else ("", "", "")
    ending, start = _TORCHRUN.search(root), _TORCHRUN_TRACEBACK.search(root)
    if ending is None or start is None:
        return {}
    lines = root[start.end() :].splitlines()
    return {int(ending["rank"]): "\n".join(line.removeprefix("  ") for line in lines)}


def _signal(name: str) -> int:
    return int(getattr(signal, name, 0))
