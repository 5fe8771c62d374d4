"""How quick the pages are with very much behind them: a million measurements, 5,000 configs."""

from __future__ import annotations

from benchmarks.dashboard.run import main

__all__ = ["main"]
