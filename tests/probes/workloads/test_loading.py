"""Workload files that do something else than define a workload."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.errors import InputError
from probes.job import WorkloadRef
from probes.workloads.loading import load_workload


@pytest.mark.parametrize(("name", "code"), [("a", ""), ("b", "0"), ("c", "'no data'")])
def test_a_file_that_exits_when_it_is_imported_is_told_so(
    tmp_path: Path, name: str, code: str
) -> None:
    file = tmp_path / f"exits_{name}.py"
    file.write_text(f"import sys\nsys.exit({code})\n")
    with pytest.raises(InputError, match="__main__"):
        load_workload(WorkloadRef(f"{file}:Net", {}))
