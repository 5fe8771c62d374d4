"""Lines to show to the person whose output is not understood."""

from __future__ import annotations

import re

from probes.black_box.discovery.choice import CounterChoice, shortened
from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.shape import OutputLine

MOST_KEPT = 50
SHOWN = 5
_FRACTION_OF_EPOCH = re.compile(r"\bepoch\W{0,6}\d+\.\d", re.IGNORECASE)


class Examples:
    """Keeps the last line of each kind that holds numbers."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def keep(self, line: OutputLine, raw: str) -> None:
        if line.slots and (line.slots[0].prefix in self._lines or len(self) < MOST_KEPT):
            self._lines[line.slots[0].prefix] = raw.strip()

    def with_loss(self) -> str:
        """The last of them that tells a loss; empty without one."""
        return next((text for text in reversed(self._lines.values()) if loss_in(text)), "")

    def explanation(self, lines: int, likely: CounterChoice | None) -> str:
        """What was seen in this many lines, what is the likeliest step, and what to add."""
        shown = [shortened(text) for text in list(self._lines.values())[-SHOWN:]]
        words = f"{lines:,} lines were printed, and none of them was recognised as a step."
        if shown:
            words += "\nLines with numbers:\n" + "\n".join(f"  {text}" for text in shown)
        if likely is not None and _FRACTION_OF_EPOCH.search(likely.example):
            return (
                f"{words}\nLines like `{shortened(likely.example)}` tell a fraction of an epoch "
                "and no step. Let the program print the step's number or its progress bar "
                "(transformers: --disable_tqdm False), or let it print such a line after each "
                f"step (transformers: --logging_steps 1) and add --step '{likely.pattern}'."
            )
        if likely is not None:
            return (
                f"{words}\nThe likeliest are lines like `{shortened(likely.example)}`. If they "
                f"count steps, add --step '{likely.pattern}'."
            )
        return (
            f'{words}\nPrint a line after each optimizer step, print("tonnage step", flush=True), '
            r"or say how the script's own lines look: --step 'iter (?P<step>\d+)'."
        )
