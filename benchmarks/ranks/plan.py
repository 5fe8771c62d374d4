"""Which faults there are, what each must end in, and a random but repeatable choice of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from probes.measurement import Measurement, Verdict

SUDDEN = ("build", "data", "forward", "backward", "optimizer", "evaluate", "checkpoint")
"""Places where a rank may die or stop."""
PHASES = {"build": "build", "evaluate": "evaluate", "checkpoint": "checkpoint"}
"""Phase in which a fault at a place is reported; ``train`` for the others."""
LAST_STEP = 12
"""Every run comes this far."""
WAYS = ("ddp", "fsdp")


@dataclass(frozen=True)
class Kind:
    """One way to go wrong."""

    name: str
    fault: str
    """As the workload knows it."""
    places: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    """Which verdicts are right."""
    facts: Mapping[Verdict, str] = field(default_factory=dict)
    """What the reason must contain."""
    waits: bool = False
    """Whether it takes a time-out to be seen."""


def _memory(place: str) -> Kind:
    return Kind(f"out of memory, {place}", "memory", (place,), (Verdict.OOM,))


_CRASH, _TIMEOUT = Verdict.CRASH, Verdict.TIMEOUT

KINDS = (
    *map(_memory, ("build", "forward", "backward", "optimizer", "evaluate", "checkpoint")),
    Kind("leak", "leak", ("forward",), (Verdict.LEAK,)),
    Kind("hangs", "hang", SUDDEN[1:], (_TIMEOUT,), waits=True),
    Kind("aborts", "abort", SUDDEN, (_CRASH,), {_CRASH: "SIGABRT"}),
    Kind("SIGKILL", "kill", SUDDEN, (_CRASH,), {_CRASH: "SIGKILL"}),
    Kind("SIGSTOP", "stop", SUDDEN, (_TIMEOUT,), {_TIMEOUT: "stopped"}, waits=True),
    Kind("not a number", "not a number", ("forward",), (Verdict.NON_FINITE,)),
    Kind("exits", "exit", SUDDEN, (_CRASH,), {_CRASH: "status 0"}),
    Kind("raises", "raise", SUDDEN, (_CRASH,), {_CRASH: "labels"}),
    Kind("data end", "data end", ("data",), (_CRASH,), {_CRASH: "endless"}),
    Kind(
        "one more all_reduce", "one more all_reduce", ("forward",), (_CRASH, _TIMEOUT), waits=True
    ),
    Kind("one more barrier", "one more barrier", ("forward",), (_CRASH, _TIMEOUT), waits=True),
    Kind("orphan, SIGKILL", "orphan", SUDDEN, (_CRASH,), {_CRASH: "SIGKILL"}),
)
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True)
class Fault:
    """One fault of the campaign."""

    number: int
    kind: str
    ranks: int
    rank: int
    """The faulty one."""
    way: str
    place: str
    step: int

    @property
    def options(self) -> dict[str, object]:
        """For the workload."""
        fault = BY_NAME[self.kind].fault
        return {"kind": fault, "rank": self.rank, "place": self.place, "step": self.step}

    @property
    def identity(self) -> str:
        where = self.place + (f" of step {self.step}" if self.place not in PHASES else "")
        return (
            f"{self.number}: {self.kind} in {where}, rank {self.rank} of {self.ranks}, {self.way}"
        )


def faults(count: int, seed: int) -> list[Fault]:
    """All kinds in turn, everything else at random; the same for the same seed."""
    chance = random.Random(seed)
    found: list[Fault] = []
    while len(found) < count:
        for kind in chance.sample(KINDS, len(KINDS)):
            ranks = chance.choice((2, 2, 4))
            found.append(
                Fault(
                    number=len(found),
                    kind=kind.name,
                    ranks=ranks,
                    rank=chance.randrange(ranks),
                    way=chance.choice(WAYS),
                    place=chance.choice(kind.places),
                    step=chance.randint(1, LAST_STEP),
                )
            )
    return found[:count]


def wrong(fault: Fault, measurement: Measurement) -> list[str]:
    """What is wrong with the verdict on a fault, in words; empty where all is right."""
    kind = BY_NAME[fault.kind]
    verdict, reason = measurement.verdict, measurement.reason
    problems = []
    if verdict not in kind.verdicts:
        problems.append(f"verdict {verdict}: {reason[:300]}")
    if measurement.limiting_rank != fault.rank:
        problems.append(f"rank {measurement.limiting_rank}: {reason[:300]}")
    if (fact := kind.facts.get(verdict, "")) not in reason:
        problems.append(f"{fact!r} is not in the reason: {reason[:300]}")
    phase = PHASES.get(fault.place, "train")
    if verdict is Verdict.OOM and measurement.phase != phase:
        problems.append(f"phase {measurement.phase!r} instead of {phase!r}")
    if len(measurement.ranks) != fault.ranks:
        problems.append(f"{len(measurement.ranks)} ranks are reported")
    return problems
