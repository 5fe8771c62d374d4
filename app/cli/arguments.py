"""Arguments of the commands that pipelines run each time (``check``, ``run``).

They are read by ``argparse``: typer builds its parameters with pydantic, which takes longer to
import than such a command may take. Typer's application knows them by name and hands them over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Ends with status 2 and the nearest known option, as the other commands do."""

    def __init__(self, name: str, description: str, **more: Any) -> None:
        super().__init__(
            prog=f"tonnage {name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **more,
        )

    def format_help(self) -> str:
        return super().format_help().replace("usage:", "Usage:", 1)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        known, unknown = self.parse_known_args(arguments)
        if unknown:
            from probes.space import unknown_name

            options = [
                o for action in self._actions for o in action.option_strings if o[:2] == "--"
            ]
            self.error(unknown_name("argument", unknown[0], options))
        return known

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        print(f"Try '{self.prog} --help' for help.\n\nError: {message}", file=sys.stderr)
        sys.exit(2)


def whole(text: str) -> int:
    """A number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return value


def number(text: str, low: float = 0.0, high: float = float("inf")) -> float:
    """A number in an interval."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        above = "" if high == float("inf") else f" and at most {high:g}"
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {low:g} or more{above}")
    return value


def scale(text: str) -> float:
    return number(text, 1e-6)


def headroom(text: str) -> float:
    return number(text, 0.0, 0.5)
