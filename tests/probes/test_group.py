<<<<<<< HEAD
"""The names of devices that train as one."""
=======
"""Which devices train together, and how they are named."""
>>>>>>> 305614d (A gang of workers: one per rank, a referee in the parent, and the worst rank's verdict)

from __future__ import annotations

import pytest

from probes.errors import InputError
<<<<<<< HEAD
from probes.group import Group, group_of, is_group, parse_group

OFFERED = ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cpu"]


class TestLabel:
    @pytest.mark.parametrize(
        ("devices", "label"),
        [
            (("cpu",) * 2, "cpu:0-1"),
            (("cpu",) * 12, "cpu:0-11"),
            (("cuda:0", "cuda:1", "cuda:2", "cuda:3"), "cuda:0-3"),
            (("cuda:4", "cuda:5"), "cuda:4-5"),
            (("cuda:0", "cuda:2"), "cuda:0,2"),
            (("cuda:1", "cuda:0"), "cuda:1,0"),
            (("xpu:0", "xpu:1", "xpu:3"), "xpu:0,1,3"),
        ],
    )
    def test_it_names_the_group_and_is_read_back(self, devices: tuple[str, ...], label: str):
        assert Group(devices).label == label
        assert is_group(label)
        assert group_of(label) == Group(devices)

    @pytest.mark.parametrize("device", ["cpu", "mps", "cuda:0", "cuda:11", "xpu:1"])
    def test_a_single_device_is_a_group_of_one(self, device: str):
        assert not is_group(device)
        assert group_of(device) == Group((device,))
        assert group_of(Group((device,)).label) == Group((device,))

    @pytest.mark.parametrize("text", ["", "4", "all", "cuda:", "cuda:0-", "cuda:3-0", "cuda:0,,1"])
    def test_what_names_no_device_is_refused(self, text: str):
        with pytest.raises(InputError):
            group_of(text)

    def test_kind_and_library_follow_from_the_label(self):
        assert [group_of(label).kind for label in ("cpu:0-1", "cuda:0,2")] == ["cpu", "cuda"]
        assert [group_of(label).library for label in ("cpu:0-1", "cuda:0,2", "xpu:0-1")] == [
            "gloo",
            "nccl",
            "xccl",
        ]


class TestDataParallel:
    @pytest.mark.parametrize(("teams", "draws"), [(1, 4), (2, 2), (4, 1)])
    def test_ranks_that_share_layers_draw_one_batch(self, teams: int, draws: int):
        assert group_of("cuda:0-3").data_parallel({"tensor_parallel": teams}) == draws

    def test_without_tensor_parallel_every_rank_draws_its_own(self):
        assert group_of("cpu:0-2").data_parallel({"parallel": "ddp"}) == 3


class TestDevices:
    @pytest.mark.parametrize(
        ("text", "device", "label"),
        [
            ("2", None, "cuda:0-1"),
            ("2", "cpu", "cpu:0-1"),
            ("all", None, "cuda:0-3"),
            ("cuda:0,cuda:2", None, "cuda:0,2"),
            ("cuda:1-3", None, "cuda:1-3"),
            ("cpu,cpu,cpu", None, "cpu:0-2"),
        ],
    )
    def test_what_the_option_names(self, text: str, device: str | None, label: str):
        assert parse_group(text, OFFERED, device).label == label

    @pytest.mark.parametrize(
        ("text", "device"),
        [
            ("5", None),
            ("0", None),
            ("65", "cpu"),
            ("all", "cpu"),
            ("cuda:0,cpu", None),
            ("cuda:0,cuda:0", None),
            ("cuda:7", None),
            ("cuda:0-99", None),
        ],
    )
    def test_what_cannot_train_together_is_refused(self, text: str, device: str | None):
        with pytest.raises(InputError):
            parse_group(text, OFFERED, device)


class TestValuesOfEachRank:
    def test_one_value_for_each_rank(self):
        with pytest.raises(InputError):
            Group(("cpu", "cpu"), batch_sizes=(4,))
        with pytest.raises(InputError):
            Group(("cpu", "cpu"), limits=(1, 2, 3))

    def test_it_travels_as_json(self):
        group = Group(("cuda:0", "cuda:1"), batch_sizes=(8, 4), limits=(None, 2**30))
        assert Group.from_dict(group.to_dict()) == group
        assert Group.from_dict(Group(("cpu",) * 2).to_dict()) == Group(("cpu",) * 2)
=======
from probes.group import Group, is_group, parse_group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef

GPUS = ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cpu"]


@pytest.mark.parametrize(
    ("text", "device", "devices", "label"),
    [
        ("2", None, ("cuda:0", "cuda:1"), "cuda:0-1"),
        ("all", None, ("cuda:0", "cuda:1", "cuda:2", "cuda:3"), "cuda:0-3"),
        ("cuda:0,cuda:2", None, ("cuda:0", "cuda:2"), "cuda:0,2"),
        ("cuda:1-2", None, ("cuda:1", "cuda:2"), "cuda:1-2"),
        ("cuda:0,2-3", None, ("cuda:0", "cuda:2", "cuda:3"), "cuda:0,2,3"),
        ("cuda:3", None, ("cuda:3",), "cuda:3"),
        ("4", "cpu", ("cpu",) * 4, "cpu:0-3"),
        ("cpu:0-1", None, ("cpu", "cpu"), "cpu:0-1"),
        ("cpu,cpu", None, ("cpu", "cpu"), "cpu:0-1"),
    ],
)
def test_a_group_is_named_in_several_ways(
    text: str, device: str | None, devices: tuple[str, ...], label: str
) -> None:
    group = parse_group(text, GPUS, device)
    assert group.devices == devices
    assert group.label == label
    assert parse_group(label, GPUS).devices == devices


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("5", "4"),
        ("0", "0"),
        ("cuda:0,cuda:0", "twice"),
        ("cuda:0,cpu", "kinds"),
        ("cuda:7", "cuda:7"),
        ("xpu:0-1", "xpu:0"),
        ("cuda:3-1", "range"),
        ("two", "two"),
        ("", "--devices"),
        (",", "--devices"),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_the_reason(text: str, fact: str) -> None:
    with pytest.raises(InputError, match=fact):
        parse_group(text, GPUS)


def test_all_of_a_cpu_is_no_number() -> None:
    with pytest.raises(InputError, match="how many"):
        parse_group("all", ["cpu"])


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cuda:0-1", True), ("cuda:0,2", True), ("cpu:0-1", True), ("cuda:0", False), ("cpu", False)],
)
def test_a_label_is_told_from_a_device(device: str, expected: bool) -> None:
    assert is_group(device) is expected


def test_a_group_survives_json() -> None:
    group = Group(("cuda:0", "cuda:1"), batch_sizes=(3, 5), limits=(None, 2**30))
    assert Group.from_dict(group.to_dict()) == group


def test_values_of_ranks_must_be_one_for_each() -> None:
    with pytest.raises(InputError, match="2 ranks"):
        Group(("cpu", "cpu"), batch_sizes=(1, 2, 3))


def job(batch_size: int, effective: int | None, **config: int) -> ProbeJob:
    group = Group(("cuda:0", "cuda:1", "cuda:2", "cuda:3"))
    return ProbeJob(
        WorkloadRef("w"),
        dict(config),
        batch_size,
        group.label,
        CONFIRM_PLAN,
        effective_batch_size=effective,
        group=group,
    )


def test_samples_per_step_are_those_of_all_ranks() -> None:
    assert job(8, 256).accumulation == 8
    assert job(8, 250).accumulation == 8
    assert job(64, 256).accumulation == 1
    with pytest.raises(InputError, match="64"):
        job(65, 256)


def test_ranks_that_share_layers_draw_the_same_batches() -> None:
    shared = job(8, 256, tensor_parallel=2)
    assert shared.data_parallel == 2
    assert shared.accumulation == 16


def test_a_job_of_a_gang_survives_json() -> None:
    asked = job(8, 256)
    assert ProbeJob.from_dict(asked.to_dict()) == asked
>>>>>>> 305614d (A gang of workers: one per rank, a referee in the parent, and the worst rank's verdict)
