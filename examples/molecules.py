"""ViSNet on the molecules of the G2 set, with a space of 16 models from small to large.

The built-in workload ``visnet`` does the training; only the space is chosen here.
"""

from __future__ import annotations

from probes.workloads.visnet import ViSNet


class Molecules(ViSNet):
    """Needs the ``molecules`` extra."""

    def space(self):
        return {"layers": [1, 2, 4, 8], "hidden_channels": [64, 128, 256, 512]}
