"""What was seen of a run of a command, from outside; what it means is said in ``judge``."""

from __future__ import annotations

from dataclasses import dataclass, field

from probes.black_box.background import Left
from probes.black_box.watch import StepWatch
from probes.devices.base import MemoryCap


@dataclass
class RankSeen:
    """What was seen of one rank, from outside."""

    device: str
    cap: MemoryCap
    watch: StepWatch
    peak_bytes: int = 0
    swap_bytes: int = 0


@dataclass
class Observed:
    """What was seen of a run, from outside."""

    shown: str
    """The command as a person would type it."""
    environ: dict[str, str]
    ranks: list[RankSeen]
    """One where the command trains on a single device."""
    log: str = ""
    """The log file or folder that was read, if any."""
    why: str = ""
    """How the watching ended: ``done``, ``over`` (the cap), ``ended`` (by itself), ``timeout``,
    ``caught`` (memory was refused, and it went on), ``alone`` (a rank ended, and the others did
    not), ``ranks`` (their number is wrong)."""
    caught: str = ""
    """The line in which it says that memory was refused, where it did not end with an error."""
    ranks_found: int = 1
    """The most ranks that lived at the same time."""
    lost: list[int] = field(default_factory=list)
    """Ranks whose process had ended."""
    steps_from: str = ""
    """What the steps were read from, where that was found in the output, in one sentence."""
    step_pattern: str = ""
    """A pattern for ``--step`` that takes the same lines."""
    was_printing: bool = False
    """With a time-out: output still came."""
    not_understood: str = ""
    """What was printed and what to add, where no step was recognised in the output."""
    steps_per_sign: int = 1
    """Steps from one line to the next, in this run or in earlier ones."""
    is_evaluating: bool = False
    """It ended in an evaluation, or at the end of an epoch."""
    steps_ahead: int | None = None
    """Steps to the end of the epoch, where that is known."""
    late: str = ""
    """With a time-out: what it was, in words."""
    left: Left | None = None
    """What still ran after it had ended with status 0."""
    cgroup_oom_kills: int = 0
    returncode: int | None = None
    stdout_tail: str = ""
    stderr_tail: str = ""
    notes: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)
    """Names of what is new in the command's folder."""

    @property
    def watch(self) -> StepWatch:
        """Rank 0's: its steps are those of the command."""
        return self.ranks[0].watch
