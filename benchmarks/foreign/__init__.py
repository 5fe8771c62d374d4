"""Training scripts that know nothing of Tonnage, searched as they are.

Each script in ``scripts`` is in the style of a well-known one: several steps between two lines,
evaluations and checkpoints between them. ``tonnage max-batch --command`` gets no pattern and finds
the steps itself. The truth and plain bisection run the same commands in fresh processes, with the
steps described by hand. No script leaks, so every verdict ``leak`` is false.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    from benchmarks.foreign.run import run

    run(arguments)
