"""``tonnage tune --devices-class``: a study for each class of devices, then the fleet answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.cli.device_classes import LocalClass, emulated, named
from probes.errors import InputError
from tests.app.cli.conftest import Run
from tests.app.cli.test_tune import stored_probes

H200 = LocalClass("aaaa", "NVIDIA H200", ("cuda:0", "cuda:1"))
CPU = LocalClass("bbbb", "AMD EPYC", ("cpu",))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("all", [H200, CPU]),
        ("ALL", [H200, CPU]),
        ("cuda", [H200]),
        ("cuda:1", [H200]),
        ("nvidia h200", [H200]),
        ("bbbb", [CPU]),
    ],
)
def test_a_class_is_named_by_its_key_product_kind_or_device(wanted, found):
    assert named([H200, CPU], wanted) == found


def test_a_class_that_is_not_here_is_refused_with_those_that_are():
    with pytest.raises(InputError, match="aaaa: NVIDIA H200"):
        named([H200, CPU], "mps")


def test_each_memory_budget_is_a_class():
    found = emulated([CPU], "1GiB, 512MiB")
    assert [each.memory_budget for each in found] == ["1GiB", "512MiB"]
    assert emulated([H200, CPU], None) == [H200, CPU]
    with pytest.raises(InputError, match="once"):
        emulated([CPU], "1GiB,1GiB")


def test_one_study_per_class_and_the_fleet_answer(tonnage: Run, folder: Path) -> None:
    ran = tonnage(
        "tune", "train.py:Tiny", "--budget", "smoke_test", "--devices-class", "cpu",
        "--memory-budget", "256MiB,320MiB", "--set", "layers=1", "--set", "width=16", "--json",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    limits = [each["limit_bytes"] for each in document["recommendations"]]
    assert limits == [256 * 2**20, 320 * 2**20]
    answer = document["fleet_answer"]
    assert [each["basis"] for each in answer["classes"]] == ["measured", "measured"]
    assert answer["chosen"] in {each["class_id"] for each in answer["classes"]}
    assert document["not_measured"] == []
    probes = stored_probes(folder)

    again = tonnage("choose", "train.py:Tiny", "--budget", "smoke_test", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["chosen"] == answer["chosen"]
    assert stored_probes(folder) == probes


def test_it_chooses_the_devices_itself(tonnage: Run) -> None:
    ran = tonnage("tune", "train.py:Tiny", "--devices-class", "all", "--device", "cpu")
    assert ran.returncode == 2
    assert "--device" in ran.stderr
