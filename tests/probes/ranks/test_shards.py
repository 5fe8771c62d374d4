"""What is kept of how FSDP divided a model."""

from __future__ import annotations

import pytest

from probes.ranks import shards
from probes.ranks.shards import Shards, shards_of


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        ([], Shards()),
        (["The allocator was retried."], Shards()),
        ([shards.text_of(12, "Block")], Shards(block="Block")),
        (["other", shards.text_of(1, "GPT2Block")], Shards(block="GPT2Block")),
        ([shards.text_of(0, "")], Shards(as_one=True)),
        ([shards.BY_THE_WORKLOAD], Shards(by_the_workload=True)),
        (
            [shards.BY_THE_WORKLOAD, shards.text_of(2, "B")],
            Shards(block="B", by_the_workload=True),
        ),
    ],
)
def test_notes_are_read_back(notes: list[str], expected: Shards) -> None:
    assert shards_of(notes) == expected
