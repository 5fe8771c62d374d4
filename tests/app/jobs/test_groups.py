"""Jobs that run on several devices: which they get, when, and what they wait for."""

from __future__ import annotations

import pytest

from app.jobs import queue, repository, runner_repository
from app.jobs.group_lease import holds, joined
from app.jobs.waiting import waits_for
from app.machine.asked_devices import name_of, names_group, words_of
from app.studies import service
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState
from probes.errors import InputError
from tests.app.jobs.conftest import offers, request

PAIR = ("cuda:0", "cuda:1")


def runner(database, *devices: str, id: str = "run_1"):
    with database.write() as session:
        runner_repository.add(session, id, this_process(), this_place(), offers(*devices))
        return runner_repository.locked(session, id)


def submitted(database, **changes):
    with database.write() as session:
        from app.jobs.records import JobKind

        asked = request(**changes)
        row = repository.add(session, f"st_{asked.key}", asked, JobKind.STUDY)
        return repository.record(row)


def claimed(database, record, **changes):
    with database.write() as session:
        found = queue.claim(session, record, **changes)
    return None if found is None else (found[0].id, found[1].device)


@pytest.mark.parametrize(
    ("device", "devices", "name"),
    [
        ("cuda:0-1", None, "cuda:0-1"),
        (None, 2, "*2"),
        ("CPU", 2, "cpu*2"),
        (None, ["cuda:0", "cuda:1"], "cuda:0,1"),
        (None, ["cpu", "cpu"], "cpu*2"),
        (None, ["cuda:0", "xpu:0"], "cuda:0,xpu:0"),
        ("cuda:0", None, "cuda:0"),
        ("NVIDIA A100-SXM4, 80 GB", None, "nvidia a100-sxm4, 80 gb"),
        ("cuda:0", 1, "cuda:0"),
        (None, ["cuda:0"], "cuda:0"),
        (None, None, None),
    ],
)
def test_what_is_asked_for_has_one_name(device, devices, name):
    assert name_of(device, devices) == name
    assert names_group(name) is (name in ("cuda:0-1", "*2", "cpu*2", "cuda:0,1", "cuda:0,xpu:0"))


@pytest.mark.parametrize("devices", [{"device": "cuda:0-1"}, {"devices": 2}, {"devices": [*PAIR]}])
def test_a_group_is_taken_whole(database, devices):
    record = runner(database, *PAIR, "cpu")
    job = submitted(database, **devices)
    assert claimed(database, record) == (job.id, "cuda:0-1")
    alone = submitted(database, device="cuda:1", trials=1)
    assert claimed(database, record) is None
    assert waits_for(database, alone) == f"Its device is in use by {job.id}."


def test_it_waits_while_one_of_its_devices_is_in_use_and_says_so(database):
    record = runner(database, *PAIR)
    alone = submitted(database, device="cuda:1", trials=1)
    assert claimed(database, record) == (alone.id, "cuda:1")
    job = submitted(database, devices=2)
    assert claimed(database, record) is None
    assert waits_for(database, job) == (
        f"It needs 2 devices together, all at once; {alone.id} is using one of them."
    )
    with database.write() as session:
        queue.end(session, alone.id, "run_1", StudyState.FINISHED)
    assert claimed(database, record) == (job.id, "cuda:0-1")


def test_a_group_in_use_is_left_by_the_runner_that_has_it(database):
    record = runner(database, *PAIR)
    busy = [joined([f"here/{device}" for device in PAIR])]
    submitted(database, device="cuda:1")
    assert claimed(database, record, busy=busy) is None


def test_no_host_has_so_many(database):
    runner(database, *PAIR)
    job = submitted(database, device="cuda:0-3")
    assert waits_for(database, job).startswith("No runner has cuda:0-3; there are: cuda:0, cuda:1.")


def test_ranks_share_the_cpu(database):
    record = runner(database, "cuda:0", "cpu")
    job = submitted(database, device="cpu", devices=2)
    assert claimed(database, record) == (job.id, "cpu:0-1")


def test_the_lease_of_a_group_fits_into_its_column_and_holds_each_device():
    many = [f"cuda:{number:032x}" for number in range(16)]
    lease = joined(many)
    assert len(lease) <= 255
    assert all(holds(lease, one) for one in many)
    assert not holds(lease, "cuda:elsewhere")
    assert joined(["cpu", "cpu"]) == "cpu"


def test_names_are_told_in_words():
    assert words_of("cuda*4") == "4 devices of kind cuda together"
    assert words_of("cuda:0-1") == "cuda:0-1"


def test_parallel_training_of_a_single_device_is_refused(database):
    with pytest.raises(InputError, match="add --devices"):
        service.submit(database, request(pinned={"parallel": "fsdp"}))
    with pytest.raises(InputError, match="add --devices"):
        service.submit(database, request(levers=["parallel"], pinned={}))


def test_devices_that_can_train_together_are_listed(database, api):
    record = runner(database, *PAIR, "cpu")
    assert [group.label for group in record.offers.groups] == ["cuda:0-1"]
    (found,) = api.get("/v1/device-groups").json()
    assert (found["label"], found["devices"]) == ("cuda:0-1", [*PAIR])
    assert (found["link"], found["host"]) == (None, this_process().host)
