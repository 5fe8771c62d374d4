"""What the service costs over the framework it is made with, and how it bears many at once.

Reads: ``GET /v1/recommendations/{id}`` beside a bare FastAPI route that sends the same bytes, in
turns, with more and more measurements stored. Writes: many clients that send measurements for a
while, each request with its own key; afterwards every acknowledged one is there, once.
"""

from __future__ import annotations

from benchmarks.service.run import main

__all__ = ["main"]
