from __future__ import annotations

from app.tuning import service as studies
from app.workloads import service
from probes.space import Choice, Int, dimension_to_dict
from tests.app import factories
from tests.app.contents import workloads

SPACE = {"layers": Int(1, 12), "width": Choice([64, 128])}


def test_a_workload_is_one_row_per_state_of_its_source(database):
    for source_hash in ("one", "two", "one"):
        service.register(database, "train.py:Net", source_hash, SPACE, options={"data": "a.pdb"})
    assert [w.source_hash for w in workloads(database)] == ["one", "two"]
    newest = workloads(database)[0]
    assert newest.options == {"data": "a.pdb"}
    assert newest.space == {name: dimension_to_dict(d) for name, d in SPACE.items()}


def test_a_study_does_not_narrow_what_was_registered(database):
    spec = factories.spec()
    service.register(database, spec.scope.workload, spec.scope.workload_hash, SPACE)
    studies.open_study(database, spec)
    (workload,) = workloads(database)
    assert set(workload.space) == {"layers", "width"}
