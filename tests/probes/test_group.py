"""The names of devices that train as one."""

from __future__ import annotations

import pytest

from probes.errors import InputError
from probes.group import Group, group_as_written, group_of, is_group, parse_group

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


class TestAsWritten:
    @pytest.mark.parametrize(
        ("text", "device", "label"),
        [
            ("2", None, "cpu:0-1"),
            ("3", "cuda", "cuda:0-2"),
            ("cuda:1,cuda:5", None, "cuda:1,5"),
            ("cpu:0-3", None, "cpu:0-3"),
        ],
    )
    def test_devices_need_not_be_here(self, text: str, device: str | None, label: str):
        assert group_as_written(text, device).label == label

    @pytest.mark.parametrize("text", ["all", "0", "many"])
    def test_a_number_that_only_the_machine_knows_is_refused(self, text: str):
        with pytest.raises(InputError, match="--devices"):
            group_as_written(text)
