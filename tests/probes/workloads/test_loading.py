"""Workload files that do something else than define a workload."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.errors import InputError
from probes.job import WorkloadRef
from probes.workloads.loading import describe, load_workload


@pytest.mark.parametrize(("name", "code"), [("a", ""), ("b", "0"), ("c", "'no data'")])
def test_a_file_that_exits_when_it_is_imported_is_told_so(
    tmp_path: Path, name: str, code: str
) -> None:
    file = tmp_path / f"exits_{name}.py"
    file.write_text(f"import sys\nsys.exit({code})\n")
    with pytest.raises(InputError, match="__main__"):
        load_workload(WorkloadRef(f"{file}:Net", {}))


def test_the_batch_size_is_no_dimension(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text(
        "class W:\n"
        "    def space(self): return {'batch_size': [8, 16]}\n"
        "    def model(self, config): ...\n"
        "    def batches(self, config, batch_size): ...\n"
        "    def loss(self, model, batch): ...\n"
    )
    with pytest.raises(InputError, match="batch_size is not a dimension"):
        describe(load_workload(WorkloadRef(f"{file}:W")))
