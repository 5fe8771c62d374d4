"""What FSDP shards, in words that are kept with a measurement and can be read back.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

BY_THE_WORKLOAD = "the workload's parallelize() spread the model"
AS_ONE = "FSDP shards the model as one: it has no repeated blocks"
_BLOCKS = "FSDP shards {count} × {block} one by one, and the rest as one"


@dataclass(frozen=True)
class Shards:
    """How a model was divided for FSDP."""

    block: str | None = None
    """Class of the blocks that were sharded one by one, the rest as one."""
    as_one: bool = False
    """Whether there were no such blocks."""
    by_the_workload: bool = False
    """Whether the workload's own ``parallelize(model, mesh)`` took part."""


def text_of(blocks: int, block: str) -> str:
    """For the notes of a measurement. ``block`` is the class that the model repeats."""
    return _BLOCKS.format(count=blocks, block=block) if blocks else AS_ONE


def shards_of(notes: Iterable[str]) -> Shards:
    """What the notes of a measurement say; nothing is known of one that did not shard."""
    pattern = re.escape(_BLOCKS).replace(r"\{count\}", r"\d+").replace(r"\{block\}", r"(\w+)")
    said = list(notes)
    matches = (re.fullmatch(pattern, note) for note in said)
    return Shards(
        block=next((match[1] for match in matches if match), None),
        as_one=AS_ONE in said,
        by_the_workload=BY_THE_WORKLOAD in said,
    )
