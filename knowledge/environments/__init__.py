"""What an environment page requires, and whether a machine meets it.

Pure: the facts of the machine are given in.
"""

from knowledge.environments.judging import is_met, judge, judge_all
from knowledge.environments.model import (
    Answer,
    DeviceFact,
    Facts,
    Requirement,
    RequirementKind,
    Status,
)
from knowledge.environments.reading import requirements

__all__ = [
    "Answer",
    "DeviceFact",
    "Facts",
    "Requirement",
    "RequirementKind",
    "Status",
    "is_met",
    "judge",
    "judge_all",
    "requirements",
]
