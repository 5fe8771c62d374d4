"""A workload in one call, out of what you already train with.

Each function takes yours that builds for a config, and the search space. What it returns is a
workload: ``tonnage tune path/to/file.py:workload``. Runs in the user's interpreter: Python 3.10
syntax; transformers and Lightning are imported by the adapter that needs them.
"""

from probes.adapters.dataloader import from_dataloader
from probes.adapters.lightning import from_lightning
from probes.adapters.trainer import from_trainer
from probes.adapters.trl import from_trl

__all__ = ["from_dataloader", "from_lightning", "from_trainer", "from_trl"]
