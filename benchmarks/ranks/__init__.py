"""Several ranks that train as one, on this machine's CPU through gloo.

``faults``: random faults on one rank of 2 or 4, and what is left of them. ``accuracy``: the batch
that a search finds beside an exhaustive scan, and whether it lasts. ``peers``: what other tools do
where one of two ranks is short of memory. ``price``: what a gang of workers costs.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    from benchmarks.ranks.run import run

    run(arguments)
