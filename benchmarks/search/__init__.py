"""How much device time a search of configurations costs: measured grids, replayed by every method.

Measure a grid once with ``python -m benchmarks search --measure visnet``; replaying needs no torch.
"""

from benchmarks.search.run import main

__all__ = ["main"]
