"""What was taken as the step, in words for people and as a pattern to keep."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from probes.black_box.discovery import uncounted
from probes.black_box.discovery.counter import CounterGrowth
from probes.black_box.discovery.shape import DURATION, NUMBER
from probes.black_box.discovery.text import BAR, FILE, TIME
from probes.black_box.discovery.track import Track
from probes.black_box.discovery.vocabulary import Kind

SHOWN_CHARACTERS = 100
_DRAWN = re.compile(r"([^\w\s])\1{7,}")
_DETAILS = re.compile(f"[{TIME}{FILE}]")


_UNKNOWN = (
    "How many steps there are from one line to the next is not known, and each line is taken for "
    "one: if there are several, a step takes less time than is said here."
)

OF_ROLLOUTS = (
    "Training on rollouts makes several optimizer steps from one such number to the next, and they "
    "are taken for one: the step time is that of a rollout and of the training on it."
)

RARE_STEPS = 100
"""From this many steps per line on, most of a probe is spent waiting for lines."""


@dataclass(frozen=True)
class CounterChoice:
    """The counter that counts optimizer steps."""

    example: str
    """A line of the output."""
    kind: Kind
    stride: int
    """Steps from one such line to the next, as a rule."""
    samples_per_step: int
    """What the number is divided by: the batch size where it counts samples, otherwise 1."""
    pattern: str
    """A regular expression for ``--step``, with the groups ``step`` (or ``samples``, ``epoch``) and
    ``loss``."""
    is_bar: bool = False
    steps_per_epoch: int = 1
    """How many steps a line per epoch stands for, where the size of the data set is known."""
    rival: str = ""
    """What else it could be, and how to say so; empty where there is no doubt."""

    @classmethod
    def of_lines(cls, example: str, pattern: str) -> CounterChoice:
        """For lines that hold no counter, each of which is one step."""
        return cls(example, Kind.STEP, 1, 1, pattern)

    @classmethod
    def of_fractions(cls, example: str, stride: int, in_all: int) -> CounterChoice:
        """For lines that tell how much of an epoch of ``in_all`` steps has passed."""
        pattern = uncounted.FRACTION_PATTERN
        return cls(example, Kind.OTHER, stride, 1, pattern, steps_per_epoch=in_all)

    @classmethod
    def of_loss_lines(cls, example: str, *, is_in_doubt: bool = False) -> CounterChoice:
        """For lines with a loss and without a counter. ``is_in_doubt``: there may be several steps
        from one to the next, as something that grows beside the loss tells."""
        choice = cls.of_lines(example, uncounted.pattern_of(example))
        return replace(choice, rival=_UNKNOWN) if is_in_doubt else choice

    @property
    def are_steps_epochs(self) -> bool:
        """Whether an epoch counts as a step because nobody knows how many it has."""
        return self.kind is Kind.EPOCH and self.steps_per_epoch <= 1

    @property
    def description(self) -> str:
        """One sentence for people."""
        if self.are_steps_epochs:
            rhythm = (
                "one line per epoch, which counts as one step (if an epoch has several, say how "
                "many samples it has: --option dataset_size=N; or let the program print a line "
                "after each step)"
            )
        elif self.kind is Kind.EPOCH:
            rhythm = f"one line per epoch of {self.steps_per_epoch:,} steps"
        elif self.kind is Kind.OTHER:
            rhythm = (
                f"which tell fractions of an epoch of {self.steps_per_epoch:,} steps, one line "
                f"every {self.stride:,} steps"
            )
        elif self.samples_per_step > 1:
            rhythm = f"which count samples, {self.samples_per_step:,} per step"
        elif self.is_bar:
            rhythm = "a progress bar"
        elif self.stride > 1:
            rhythm = f"one line every {self.stride:,} steps"
            if self.stride >= RARE_STEPS:
                rhythm += " (probes are quicker if the program prints more often)"
        else:
            rhythm = "one line per step"
        words = f"Steps: from lines like `{shortened(self.example)}`, {rhythm}"
        return f"{words}. {self.rival}" if self.rival else f"{words}."


def choice_of(
    track: Track,
    batch_size: int | None,
    dataset_size: int | None,
    counts_samples: bool | None = None,
    lengths: Collection[int] = (),
) -> CounterChoice:
    """The choice that a candidate stands for. ``counts_samples``: whether its number counts
    samples, where that is known already; ``lengths``: what other numbers count up to."""
    if counts_samples is None:
        per, is_certain = samples_per_step(track, batch_size, dataset_size, lengths)
    else:
        per, is_certain = ((batch_size or 1) if counts_samples else 1), True
    pattern = pattern_of(track, per)
    rival = ""
    if not is_certain:
        other = pattern_of(track, 1 if per > 1 else 2)
        now, then = ("samples", "steps") if per > 1 else ("steps", "samples")
        rival = f"The number may also count {then} instead of {now}; if so, give --step '{other}'."
    return CounterChoice(
        example=track.example,
        kind=track.kind,
        stride=max(1, track.growth.stride // per),
        samples_per_step=per,
        pattern=pattern,
        is_bar=track.slot.is_bar,
        rival=rival,
    )


def samples_per_step(
    track: Track,
    batch_size: int | None,
    dataset_size: int | None,
    lengths: Collection[int] = (),
) -> tuple[int, bool]:
    """By what to divide the number so that it counts steps; whether that is certain.

    ``[640/60000]`` counts samples, ``[10/938]`` counts batches, and nothing beside the numbers
    says so; bars and a ``Batch`` before the numbers say little. Samples are told by their moves,
    which are multiples of the batch size.
    """
    if not batch_size or batch_size == 1:
        return 1, True
    if track.kind is Kind.SAMPLE:
        return batch_size, True
    total, growth = track.slot.total, track.growth
    if track.kind is Kind.BARE and growth.are_multiples_of(batch_size):
        return (1, True) if growth.stride != batch_size else (batch_size, False)
    if not total or not growth.are_multiples_of(batch_size):
        return 1, True
    if track.kind is not Kind.FRACTION and not track.slot.is_bar and not track.has_percent:
        return 1, True
    if dataset_size == total:
        return batch_size, True
    for length in filter(None, (dataset_size, *lengths)):
        if total in (length // batch_size, -(-length // batch_size)):
            return 1, True
    if track.slot.is_bar or track.kind is not Kind.FRACTION:
        return batch_size, False
    if not _is_round(growth.stride) or 0 < growth.first == batch_size < growth.stride:
        return batch_size, True
    return (batch_size if track.has_percent else 1), False


def step_number(growth: CounterGrowth, per: int, restarts: int, value: int, progress: int) -> int:
    """The number of a step since the start of training, across epochs."""
    if per == 1:
        return growth.first + progress
    if growth.total:
        return restarts * -(-growth.total // per) + -(-value // per)
    return -(-(growth.first + progress) // per)


def _is_round(number: int) -> bool:
    """Whether people choose such a number for how often to print."""
    while number % 10 == 0:
        number //= 10
    return number in (1, 2, 5, 25)


def pattern_of(track: Track, per: int) -> str:
    """A regular expression that finds the number in the lines of this candidate."""
    group = "samples" if per > 1 else "epoch" if track.kind is Kind.EPOCH else "step"
    if track.is_row:
        before = len(NUMBER.findall(track.lead))
        gap, cell = r"[\s,;|│┃]", r"[-+.:\dnaifemhs%/_]+"
        number = rf"(?P<{group}>\d+)" + (r"(?:\.0*)?" if track.is_decimal else "")
        return rf"^{gap}*(?:[-+.\d]\S*?{gap}+){{{before}}}{number}(?:{gap}+{cell})+{gap}*$"
    lead = track.lead
    cut = _DETAILS.split(lead)[-1]
    if not re.search("[A-Za-z%]", cut):
        cut = lead
    anchored = cut == lead and not track.rank and not track.slot.prefix.endswith(",")
    parts: list[str] = []
    at = 0
    for match in NUMBER.finditer(cut):
        parts += [_literal(cut[at : match.start()]), r"[-+.\d]\S*?"]
        unit = DURATION.match(cut, match.end())  # whose unit may change
        at = unit.end() if unit else match.end()
    parts.append(_literal(cut[at:]))
    pattern = "".join(parts)
    pattern = (r"^\s*" if anchored else "") + pattern.removeprefix(r"\s*")
    pattern += rf"(?P<{group}>{_digits(track)})"
    if track.slot.total:
        pattern += r"\s*(?:/|of)\s*\d+"
    name = re.escape(track.slot.name)
    if name and not re.search(name, track.lead) and re.search(rf"\d\s*{name}", track.example):
        pattern += rf"\s*{name}"
    if track.is_alone:
        pattern += r"\s*$"
    elif track.kind is Kind.BARE and track.is_table:
        pattern += r"(?:[^\w.]+[-+]?[.\d]\S*)+\s*$"
    if track.loss_name:
        pattern += rf"(?:.*?\b{re.escape(track.loss_name)}\W{{0,6}}(?P<loss>[-+.\w]+))?"
    return pattern


def _digits(track: Track) -> str:
    """The number in a pattern, with commas where its first line has them: ``1,000``."""
    written = f"{track.slot.value:,}"
    return r"\d[\d,]*\d" if "," in written and written in track.example else r"\d+"


def _literal(text: str) -> str:
    found = r"\s*".join(re.escape(word) for word in re.split(r"\s+", text))
    for detail in (BAR, TIME, FILE):
        found = found.replace(detail, ".*?")
    return found


def shortened(line: str) -> str:
    """A line to show, without the length of bars that are drawn in it."""
    line = " ".join(_DRAWN.sub(r"\1\1\1\1", line).split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
