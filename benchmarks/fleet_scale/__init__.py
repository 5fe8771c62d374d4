"""How a fleet grows: two devices on one study, and 200 nodes on 2,000 studies."""

from benchmarks.fleet_scale.run import main

__all__ = ["main"]
