"""A workload from a bundle: found in its folder, and the same one on every host."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from probes.job import WorkloadRef
from probes.workloads.loading import load_workload

SOURCE = """
from pathlib import Path

class Net:
    def __init__(self, width=8): self.notes = [Path("config.txt").read_text()]
    @property
    def data_files(self): return FILES
    def space(self): return {}
    def model(self, config): ...
    def batches(self, config, batch_size): ...
    def loss(self, model, batch): ...
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the workload of a new folder, as another process would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def loaded(place: str, bundle: str = "a" * 64, files: str = "[]", **options):
        home = tmp_path / place
        (home / "pkg").mkdir(parents=True, exist_ok=True)
        (home / "config.txt").write_text("by the working directory")
        (home / "pkg" / "bundled_net.py").write_text(SOURCE.replace("FILES", files))
        sys.modules.pop("bundled_net", None)
        ref = WorkloadRef("pkg/bundled_net.py:Net", options, bundle=bundle, home=str(home))
        return load_workload(WorkloadRef(**ref.to_dict()))

    yield loaded
    sys.modules.pop("bundled_net", None)


def test_it_runs_in_its_folder_and_leaves_no_trace_there(load, tmp_path):
    assert load("one").workload.notes == ["by the working directory"]
    assert Path.cwd() == tmp_path / "one"
    assert not list(tmp_path.rglob("__pycache__"))


def test_its_hash_is_that_of_the_bundle_and_options_wherever_it_lies(load):
    found = {load(place, files='["config.txt"]').source_hash for place in ("one", "two")}
    assert len(found) == 1
    assert all(each.startswith("bundle") and len(each) == 22 for each in found)
    others = {load("one", bundle="b" * 64).source_hash, load("one", width=9).source_hash}
    assert len(found | others) == 3


def test_a_data_file_outside_of_the_bundle_counts_by_size_and_time(load, tmp_path):
    data = tmp_path / "data.bin"
    hashes = []
    for size in (1, 2):
        data.write_bytes(b"x" * size)
        hashes.append(load("one", files=f"[{str(data)!r}]").source_hash)
    assert hashes[0] != hashes[1]
