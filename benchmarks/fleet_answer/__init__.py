"""The fleet answer against measuring everything, on fleets made from measured grids."""

from __future__ import annotations

from benchmarks.fleet_answer.run import main

__all__ = ["main"]
