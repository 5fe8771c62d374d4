"""The same model as a workload and as a command: same maximum batch, at what price?

Each case is searched both ways by ``tonnage max-batch``, with nothing remembered from before. The
command is ``train.py``, which knows nothing of Tonnage. Goals: the batches are equal or within the
headroom of each other, and the command takes at most 1.5 times as long.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    from benchmarks.black_box.run import run

    run(arguments)
