"""Lines to show to the person whose output is not understood."""

from __future__ import annotations

import re
from collections import Counter

from probes.black_box.discovery.choice import CounterChoice, shortened
from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.shape import NUMBER, OutputLine
from probes.black_box.discovery.vocabulary import Kind
from probes.black_box.steps import PRINT_STEPS

MOST_KEPT = 50
SHOWN = 5
_NOISE = re.compile(r"^\s*File \".*\", line \d+|\b\w*Warning: ")
"""A line of a traceback or a warning, whose numbers are places in source files."""
_SIZE = "many samples an epoch has (--option dataset_size=N)"
_SPEED = re.compile(r"^(?:SPS|FPS)\s*:", re.IGNORECASE)
"""A line with the speed of a training, as many such programs print it after each update."""
_TRACEBACK_FILE = re.compile(r"^\s*File \"")


class Examples:
    """Keeps the last line of each kind that holds numbers."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._last: list[str] = []
        """The last lines, with or without numbers."""
        self._is_source = False
        """The last line named a source file, so that the next one quotes it."""

    def __len__(self) -> int:
        return len(self._lines)

    def keep(self, line: OutputLine, raw: str) -> None:
        self._last = [*self._last[1 - SHOWN :], raw.strip()]
        is_source, self._is_source = self._is_source, bool(_TRACEBACK_FILE.match(raw))
        if is_source or _NOISE.search(raw) or not _is_readable(raw):
            return
        kind = line.slots[0].prefix if line.slots else _without_numbers(line.text)
        if (line.slots or kind) and (kind in self._lines or len(self) < MOST_KEPT):
            self._lines[kind] = raw.strip()
            self._counts[kind] += 1

    def with_loss(self) -> str:
        """The most frequent of them that tells a loss; empty without one."""
        for kind, _ in self._counts.most_common():
            if loss_in(self._lines[kind]):
                return self._lines[kind]
        return ""

    def explanation(
        self,
        lines: int,
        likely: CounterChoice | None,
        *,
        is_near: bool,
        is_starting: bool,
        are_epochs_fractions: bool,
        epoch_steps: int | None,
        of_environment: str = "",
    ) -> str:
        """What was seen in this many lines, what is the likeliest step, and what to add.

        ``is_near``: the likeliest is as good as certain, and more such lines will decide it.
        ``is_starting``: it is a progress bar at its start. ``are_epochs_fractions``: the lines tell
        epochs such as 0.25. ``epoch_steps``: the steps of an epoch, where known.
        ``of_environment``: a line that counts the steps of an environment.
        """
        words = f"{_count(lines)} printed"
        if likely is not None and is_near:
            return (
                f"{words}. Lines like `{shortened(likely.example)}` seem to count steps; one or "
                "two more of them will show it. To save the wait, add "
                f"--step '{likely.pattern}'."
            )
        if likely is not None and is_starting:
            words = (
                f"It may still be starting: `{shortened(likely.example)}` is a progress bar that "
                f"has just begun. It is taken for the steps when it has moved on. {words} so far."
            )
        else:
            neither = "it was not" if lines == 1 else "none of them was"
            words += f", and {neither} recognised as a step."
        kept, title = list(self._lines.values())[-SHOWN:], "Lines with numbers:"
        if not kept:
            kept, title = self._last, "The last of them:"
        shown = "".join(f"\n  {shortened(text)}" for text in kept)
        advice = _advice(likely, are_epochs_fractions, epoch_steps)
        if of_environment and likely is None:
            advice = self._about_environment(of_environment)
        if is_starting:
            advice = f"If it moves on and no step is found: {advice[:1].lower()}{advice[1:]}"
        return f"{words}\n{title}{shown}\n{advice}"

    def _about_environment(self, example: str) -> str:
        words = (
            f"Lines like `{shortened(example)}` count the steps of an environment. Memory is "
            "highest when the model is trained on them, and no line tells when that is. "
        )
        speed = next((text for text in self._lines.values() if _SPEED.match(text)), "")
        if not speed:
            return words + PRINT_STEPS
        name = speed[: speed.index(":") + 1]
        return (
            f"{words}If lines like `{shortened(speed)}` are printed after each update, add "
            f"--step '^{name}'. Otherwise print a line there, print(\"tonnage step\", flush=True)."
        )


def of_unfinished(text: str) -> str:
    """The explanation for output in which no line has ended."""
    advice = _advice(None, are_epochs_fractions=False, epoch_steps=None)
    return (
        f"Only the beginning of a line was printed: `{shortened(text)}`. Steps are read from whole "
        f"lines.\n{advice}"
    )


def _advice(
    likely: CounterChoice | None, are_epochs_fractions: bool, epoch_steps: int | None
) -> str:
    if likely is None:
        return PRINT_STEPS
    if are_epochs_fractions and "epoch" in likely.example.lower():
        return _about_fractions(likely, epoch_steps)
    if likely.kind is Kind.EPOCH:
        return _about_epochs(likely, epoch_steps)
    words = (
        f"The likeliest are lines like `{shortened(likely.example)}`. If they "
        f"count steps, add --step '{likely.pattern}'."
    )
    if likely.kind in (Kind.BARE, Kind.FRACTION) and "(?P<step>" in likely.pattern:
        size = "" if epoch_steps else f", and say how {_SIZE}"
        words += f" If they count epochs, write (?P<epoch> instead of (?P<step>{size}."
    return words


def _about_fractions(likely: CounterChoice, epoch_steps: int | None) -> str:
    words = f"Lines like `{shortened(likely.example)}` tell a fraction of an epoch and no step."
    if epoch_steps:
        return f"{words} {_of_known(epoch_steps)}"
    return (
        f"{words} Say how {_SIZE}, let the "
        "program print the step's number or its progress bar "
        "(transformers: --disable_tqdm False), or let it print such a line after each "
        f"step (transformers: --logging_steps 1) and add --step '{likely.pattern}'."
    )


def _about_epochs(likely: CounterChoice, epoch_steps: int | None) -> str:
    words = f"The likeliest are lines like `{shortened(likely.example)}`, which count epochs."
    if epoch_steps:
        return f"{words} {_of_known(epoch_steps)}"
    return f"{words} Say how {_SIZE}, or let the program print a line after each step."


def _of_known(epoch_steps: int) -> str:
    steps = "1 step" if epoch_steps == 1 else f"{epoch_steps:,} steps"
    return f"An epoch has {steps}; one or two more such lines will show it."


def _count(lines: int) -> str:
    return "1 line was" if lines == 1 else f"{lines:,} lines were"


def _without_numbers(text: str) -> str:
    """The line with its numbers replaced; empty without any."""
    kind = "".join(NUMBER.sub("#", text).split())
    return kind if "#" in kind else ""


def _is_readable(raw: str) -> bool:
    """Whether most of a line is text, and no drawing or what is left of binary data."""
    if raw.isascii() and raw.replace("\t", " ").isprintable():
        return True
    line = shortened(raw)
    return 2 * sum(c.isalpha() or (c.isascii() and c.isprintable()) for c in line) >= len(line)
