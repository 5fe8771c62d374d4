"""Why a command that trains on several devices failed, and which rank began it. Pure.

Where a rank dies, the others fail too, and say so louder: "Connection closed by peer". Such an echo
explains nothing. What counts is, in this order: an exception of a rank that stands by itself, an
exit status or signal in the launcher's report, and a rank that was at its memory cap while the
others lost their connection to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from probes.black_box.ending import classify_ending, classify_raised, exceptions_in
from probes.black_box.ranks.report import RankEnding, endings_in, words_by_rank
from probes.classify import Classified, classify_death
from probes.devices.signatures import SMALLER
from probes.formatting import first_line
from probes.measurement import Verdict
from probes.ranks.signs import GONE, peer_error

LAUNCHERS = {
    "ChildFailedError",
    "ProcessRaisedException",
    "ProcessExitedException",
    "CalledProcessError",
    "SignalException",
}
"""Exceptions that only say that a process which was started has failed."""
_BY_ITSELF = "Run the command by itself to see which rank ends first, and why."


@dataclass(frozen=True)
class RankFailure:
    """What a failure means, and whose it is."""

    classified: Classified
    rank: int | None
    """``None`` where nothing tells."""


@dataclass(frozen=True)
class _Raised:
    rank: int | None
    name: str
    message: str

    @property
    def is_echo(self) -> bool:
        return peer_error(self.message, [self.name]) == "gone"


def classify_ranks(
    returncode: int,
    stdout_tail: str,
    stderr_tail: str,
    *,
    batch_size: int,
    near_cap: Sequence[bool],
    cgroup_oom_kills: int,
) -> RankFailure:
    """Why a command with several ranks ended with a status other than 0. ``near_cap``: for each
    rank, whether it was close to its memory cap."""
    text = f"{stdout_tail}\n{stderr_tail}"
    endings, words = endings_in(text), words_by_rank(text)
    causes, echoes = _raised(words)
    root = _root(endings, echoes)
    if cgroup_oom_kills == 0:
        found = cause_of(causes, near_cap, batch_size, root)
        if found is not None:
            return found
    if root is not None:
        said = words_by_rank(stderr_tail)
        own = "" if root.rank in {echo.rank for echo in echoes} else said.get(root.rank, "")
        classified = classify_death(
            root.exitcode,
            f"{said[None]}\n{own}",
            near_cap=_is_near(near_cap, root.rank),
            cgroup_oom_kills=cgroup_oom_kills,
        )
        return RankFailure(_of_process(classified), root.rank)
    if echoes:
        return _silent_death(echoes, near_cap)
    classified = classify_ending(
        returncode,
        stdout_tail,
        stderr_tail,
        batch_size=batch_size,
        near_cap=any(near_cap),
        cgroup_oom_kills=cgroup_oom_kills,
    )
    return RankFailure(classified, None)


def raised_failure(
    stdout_tail: str, stderr_tail: str, *, batch_size: int, near_cap: Sequence[bool]
) -> RankFailure | None:
    """What a rank has raised, of a command that did not end: the others wait for this rank, or it
    cannot end itself. ``None`` where no rank is known to have raised anything."""
    text = f"{stdout_tail}\n{stderr_tail}"
    causes, _ = _raised(words_by_rank(text))
    found = cause_of(causes, near_cap, batch_size, None)
    if found is None or (found.rank is None and found.classified.verdict is Verdict.CRASH):
        return None
    return found


def lost_rank(rank: int, waited_s: float, *, near_cap: bool, cgroup_oom_kills: int) -> RankFailure:
    """A rank whose process has ended without a word, while the others went on waiting."""
    reason = f"its process ended, and the others made no step in the {waited_s:g} s after that"
    if near_cap or cgroup_oom_kills:
        return RankFailure(
            Classified(
                Verdict.OOM,
                f"{reason}; it was at the memory cap"
                if near_cap
                else f"{reason}; the kernel's out-of-memory killer was at work",
                SMALLER,
                ambiguous=not cgroup_oom_kills,
            ),
            rank,
        )
    return RankFailure(Classified(Verdict.CRASH, reason, _BY_ITSELF), rank)


def cause_of(
    causes: Sequence[_Raised],
    near_cap: Sequence[bool],
    batch_size: int,
    root: RankEnding | None,
) -> RankFailure | None:
    """The exception that explains the failure: one that is more than a crash, else any; that of the
    rank which the launcher takes for the ``root`` before others."""
    first: RankFailure | None = None
    for raised in sorted(causes, key=lambda each: root is not None and each.rank != root.rank):
        rank = raised.rank if raised.rank is not None or root is None else root.rank
        classified = classify_raised(
            raised.name, raised.message, batch_size=batch_size, near_cap=_is_near(near_cap, rank)
        )
        found = RankFailure(classified, rank)
        if classified.verdict is not Verdict.CRASH:
            return found
        first = first or found
    return first


def _raised(words: dict[int | None, str]) -> tuple[list[_Raised], list[_Raised]]:
    """Exceptions that stand by themselves, and those that say that another rank is gone. Those of
    which the rank is known come first."""
    found = [
        _Raised(rank, name, message)
        for rank in sorted(words, key=lambda rank: (rank is None, rank or 0))
        for name, message in exceptions_in(words[rank])
        if name not in LAUNCHERS
    ]
    return [r for r in found if not r.is_echo], [r for r in found if r.is_echo]


def _root(endings: Sequence[RankEnding], echoes: Sequence[_Raised]) -> RankEnding | None:
    """The ending that explains the others. The launcher may have noticed a rank first that only
    lost its connection."""
    echoing = {echo.rank for echo in echoes}
    own = [ending for ending in endings if not ending.is_ended_by_launcher]
    silent = [ending for ending in own if ending.rank not in echoing]
    by_signal = [ending for ending in silent if ending.exitcode < 0]
    return next(iter([*by_signal, *silent]), None) or (own[0] if own and not echoes else None)


def _silent_death(echoes: Sequence[_Raised], near_cap: Sequence[bool]) -> RankFailure:
    """Some ranks lost their connection, and nothing was said by the one that was lost."""
    echoing = {echo.rank for echo in echoes}
    silent = [rank for rank in range(len(near_cap)) if rank not in echoing]
    full = [rank for rank in silent if near_cap[rank]]
    message = echoes[0].message
    words = next((sign for sign in GONE if sign in message), first_line(message, longest=100))
    if full:
        return RankFailure(
            Classified(
                Verdict.OOM,
                f"its process ended at the memory cap, and the others lost the connection to it "
                f"({words})",
                SMALLER,
                ambiguous=True,
            ),
            full[0],
        )
    if len(silent) == 1:
        reason = f"its process ended without a word, and the others lost the connection ({words})"
        return RankFailure(Classified(Verdict.CRASH, reason, _BY_ITSELF), silent[0])
    reason = f"the connection between the ranks was lost, and no rank said why ({words})"
    return RankFailure(Classified(Verdict.CRASH, reason, _BY_ITSELF), None)


def _of_process(classified: Classified) -> Classified:
    """In words about the process of a rank instead of a worker of ours."""
    reason = classified.reason.replace("the worker", "its process")
    return replace(classified, reason=reason.replace(" before it could report", ""))


def _is_near(near_cap: Sequence[bool], rank: int | None) -> bool:
    return any(near_cap) if rank is None or rank >= len(near_cap) else near_cap[rank]
