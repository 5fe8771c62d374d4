"""Maximum batch searches side by side: Tonnage, its peers, and the truth.

Everybody searches the same workloads under the same hard limit: the budget less 5 %. The truth is
scanned in fresh processes. Each answer is then trained for 100 steps in a fresh process.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] = ()) -> None:
    from benchmarks.max_batch.run import run  # not for the peers' processes

    run(arguments)
