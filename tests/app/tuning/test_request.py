"""What a request becomes: space, scope and bounds of the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.machine.session import MeasuringSession
from app.machine.target import Target
from app.settings import load_settings
from app.tuning.request import StudyRequest
from app.tuning.tune import describe, study_spec
from optimizer.budgets import Objective
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError
from probes.formatting import GIB
from probes.job import WorkloadRef
from probes.space import Choice, Int, Space, dimension_to_dict

NO_TF32 = {"fp32": "", "tf32": "needs an NVIDIA GPU", "bf16": "", "fp16": ""}


def bench(
    tmp_path: Path, space: Space | None = None, effective: int | None = None
) -> MeasuringSession:
    space = space or {"layers": Int(1, 2)}
    target = Target(
        prober=cast(Any, None),
        facts=DeviceFacts("cpu", "cpu", "Fake", GIB, None, precisions=NO_TF32),
        telemetry=cast(Any, None),
        fingerprint=Fingerprint({}, {}),
        interpreter={},
        memory_budget_bytes=None,
    )
    return MeasuringSession(
        load_settings(environ={"TONNAGE_DATA_DIR": str(tmp_path)}),
        WorkloadRef("train.py:Net"),
        target,
        0.05,
        {
            "source_hash": "abc",
            "dataset_size": None,
            "space": {name: dimension_to_dict(d) for name, d in space.items()},
        },
        effective_batch_size=effective,
    )


def ask(**asked: Any) -> StudyRequest:
    return StudyRequest.trusted({"workload": "train.py:Net", "budget": "smoke_test", **asked})


def test_named_levers_are_searched_with_what_the_device_can_do(tmp_path: Path) -> None:
    spec = study_spec(bench(tmp_path), ask(levers=("precision", "gradient_checkpointing")))

    assert spec.space == {
        "layers": Int(1, 2),
        "precision": Choice(["fp32", "bf16", "fp16"], cost_grows=False),
        "gradient_checkpointing": Choice([False, True], cost_grows=False),
    }


def test_the_workloads_own_values_of_a_lever_and_pinned_ones_win(tmp_path: Path) -> None:
    own = {"precision": Choice(["bf16"], cost_grows=False)}
    levers = ("precision", "compile")

    spec = study_spec(bench(tmp_path, own), ask(levers=levers, pinned={"compile": True}))

    assert spec.space == {**own, "compile": Choice([True], cost_grows=False)}


def test_pinning_needs_no_listing_and_legal_values(tmp_path: Path) -> None:
    spec = study_spec(bench(tmp_path), ask(pinned={"optimizer_impl": "fused"}))
    assert spec.space["optimizer_impl"] == Choice(["fused"], cost_grows=False)

    with pytest.raises(InputError, match="use one of fp32, tf32, bf16, fp16"):
        study_spec(bench(tmp_path), ask(pinned={"precision": "fp8"}))


def test_results_under_another_effective_batch_are_never_mixed(tmp_path: Path) -> None:
    plain, one, other = (
        study_spec(bench(tmp_path, effective=effective), ask()) for effective in (None, 256, 512)
    )

    assert len({spec.scope.key for spec in (plain, one, other)}) == 3
    assert len({spec.key for spec in (plain, one, other)}) == 3
    assert one.scope.effective_batch_size == 256


def test_no_micro_batch_above_the_effective_batch_is_searched(tmp_path: Path) -> None:
    made = bench(tmp_path, effective=256)
    spec = study_spec(made, ask())

    assert spec.search["batch_cap"] == 256
    assert any("256 samples" in line for line in describe(spec, made, resumed=False))
    alone = describe(replace(spec, space={}), made, resumed=False)
    assert not any(", ." in line for line in alone)


@pytest.mark.parametrize("asked", [{"levers": ("accumulation",)}, {"pinned": {"accumulation": 4}}])
def test_an_effective_batch_and_an_accumulation_contradict_each_other(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="decides the accumulation"):
        study_spec(bench(tmp_path, effective=256), ask(**asked))


def test_a_stored_request_is_read_as_it_was_accepted_then(tmp_path: Path) -> None:
    stored = {"workload": "transformer", "trials": 10**9, "objective": "capacity", "dropped": 1}

    read = StudyRequest.trusted(stored)

    assert (read.workload, read.trials, read.budget) == ("transformer", 10**9, "prototyping")
    assert StudyRequest.trusted(read.to_dict()) == read
    spec = study_spec(bench(tmp_path), read)
    assert spec.budget.objective is Objective.CAPACITY


def test_the_same_question_has_the_key_that_the_last_release_stored() -> None:
    """Or a study that waits while Tonnage is upgraded would be queued a second time."""
    asked = {
        "workload": "transformer",
        "device": "cuda:0",
        "pinned": {"precision": "bf16"},
        "levers": ["compile"],
        "objective": "capacity",
        "sampler": "tpe",
        "trials": 8,
        "timeout_s": 60,
    }
    assert StudyRequest.checked(asked).key == "9c4cb338b2c5a6e8"
