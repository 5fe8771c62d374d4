"""Whether the step that ``sft`` measures is the step that trains, and whether what fits trains."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    from benchmarks.sft.run import run

    run(arguments)
