"""Printing: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from probes.errors import InputError
from probes.formatting import finite

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from probes.measurement import Measurement


def stdout() -> Console:
    return _console(sys.stdout)


def stderr() -> Console:
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    """Without emoji: in ``train.py:X: …``, ``:X:`` is part of a workload's name."""
    from rich.console import Console

    return Console(file=file, highlight=False, emoji=False, soft_wrap=not file.isatty())


def print_json(document: Any) -> None:
    """Exactly one JSON document on stdout. NaN and infinity are not JSON: they become null."""
    sys.stdout.write(json.dumps(finite(document), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def facts_table(rows: list[tuple[str, str]]) -> Table:
    """Two columns: names and values."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))  # no markup: reasons contain square brackets
    return table


def phase_name(phase: str, run: Measurement) -> str:
    """A phase of a run for people. Of a command, an evaluation cannot be told from whatever else
    the script does at the end of an epoch."""
    is_either = phase == "evaluate" and "command" in run.environment
    return "evaluation or end of an epoch" if is_either else phase


def write_file(path: Path, text: str) -> None:
    """Raises ``InputError`` if it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
