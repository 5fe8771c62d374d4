"""What the built-in pages claim, against what is measured here."""

from benchmarks.claims.run import run as main

__all__ = ["main"]
