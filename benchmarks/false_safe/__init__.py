"""Recommended, then failed: the false-safe rate of the max-batch search, which nobody publishes.

Scripted: searches on simulated devices that misbehave in one way each, driven by the real rules
(``scripted``). Real: searches on the CPU worker with small workloads (``real``). Every answer is
then trained with in a fresh process for ten times as many steps as confirmed it, with the headroom
returned to it. The goal is 0.
"""

from __future__ import annotations

from benchmarks.false_safe.run import main

__all__ = ["main"]
