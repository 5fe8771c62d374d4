"""Measures. Knows torch and the hardware; knows nothing of searching, storing or serving.

What a workload may import from here: ``Workload`` (defaults to inherit), and ``Int``, ``Float``
and ``Choice`` (dimensions with more to say than a list). None of them is required.
"""

from probes.space import Choice, Float, Int
from probes.workloads.interface import Workload

__all__ = ["Choice", "Float", "Int", "Workload"]
