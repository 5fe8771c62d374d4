"""Each rule, with pages that break it and the fact that its message states."""

from __future__ import annotations

from pathlib import Path

from knowledge import indexes
from knowledge.library import load
from knowledge.rules import check
from tests.knowledge import pages


def test_a_library_without_a_fault_has_no_finding(tmp_path: Path) -> None:
    folder = pages.write(tmp_path / "wiki")
    assert len(indexes.write(load(folder, builtin=False))) == 5
    assert check(load(folder, builtin=False)) == []
