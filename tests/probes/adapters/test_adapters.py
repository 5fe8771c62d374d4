"""Workloads out of a Trainer, a Lightning module and a DataLoader, in real probes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from probes.adapters import from_dataloader, from_lightning, from_trainer
from probes.adapters.data import LoaderData
from probes.errors import InputError
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement, Verdict
from probes.prober import Prober
from probes.workloads.loading import describe, load_workload

pytestmark = pytest.mark.skipif(
    not (find_spec("transformers") and find_spec("lightning")),
    reason="transformers or lightning is not installed",
)
HERE = Path(__file__).parent
MIB = 2**20
ALL = ("with_trainer", "with_lightning", "with_loader")


def reference(file: str, name: str = "workload", **options: Any) -> WorkloadRef:
    return WorkloadRef(f"{HERE / file}.py:{name}", options)


def workload(file: str, name: str = "workload", **options: Any) -> Any:
    return load_workload(reference(file, name, **options)).workload


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(sys.executable) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test loads the files as a worker of its own would."""
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    yield
    for name in (*ALL, "texts"):
        sys.modules.pop(name, None)


# --- in real probes ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_probe_trains_it(prober: Prober, name: str) -> None:
    config = {"width": 8, "precision": "bf16", "gradient_checkpointing": False}
    plan = replace(CONFIRM_PLAN, measure_steps=12, max_measure_steps=24, measure_budget_s=0.0)
    job = ProbeJob(reference(name), config, 6, "cpu", plan, limit_bytes=1024 * MIB)

    measured: Measurement = prober.probe(job)

    assert measured.verdict is Verdict.STABLE, measured.reason
    assert measured.parameters == 64 * 8 + 8 * 2 + 2
    assert measured.first_loss is not None and measured.last_loss is not None
    assert measured.last_loss < measured.first_loss
    if name == "with_lightning":
        assert "validated (6, 60)" in measured.stdout_tail


def test_what_a_study_is_told(prober: Prober) -> None:
    described = prober.describe(reference("with_trainer"))
    assert described["dataset_size"] == 200
    fixed = {name: d["options"] for name, d in described["space"].items()}
    assert fixed == {"width": [8, 16], "precision": ["bf16"], "accumulation": [2]}
    (note,) = described["notes"]
    assert note == (
        "The worst case is a batch of the largest samples (the largest of all 200: 61 elements)."
    )


# --- what is taken over -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_first_batch_is_the_worst_and_every_batch_is_full(name: str) -> None:
    batches = workload(name).batches({"width": 8}, 7)
    shapes = [tuple(batch["tokens"].shape) for batch in islice(batches, 60)]
    assert shapes[0] == (7, 60)
    assert {rows for rows, _ in shapes} == {7}
    assert 1 <= sum(length == 60 for _, length in shapes[1:]) <= 3  # once per pass over the data


def test_the_trainers_optimizer_and_loss_are_used() -> None:
    made = workload("with_trainer")
    model = made.model({"width": 8})
    optimizer = made.optimizer(model)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0]["lr"] == 0.01
    batch = next(made.batches({"width": 8}, 3))
    torch.testing.assert_close(made.loss(model, batch), model(**batch)["loss"])


def test_what_the_space_says_wins_over_the_training_arguments() -> None:
    from with_trainer import make_trainer

    made = from_trainer(make_trainer, {"width": [8], "precision": ["fp32", "bf16"]})
    assert made.space()["precision"].options == ("fp32", "bf16")


def test_a_scheduler_may_ask_lightnings_trainer_how_long_it_trains() -> None:
    workload("with_lightning")
    from with_lightning import Data, Module

    class Cycle(Module):
        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters())
            steps = self.trainer.estimated_stepping_batches
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle}}

    class Asks(Module):
        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.trainer.callback_metrics["lr"])

        def training_step(self, batch: Any, index: int) -> Any:
            return super().training_step(batch, index) * self.trainer.world_size

    made = from_lightning(lambda config: (Cycle(8), Data()), {"width": [8]})
    model = made.model({"width": 8})
    assert isinstance(made.optimizer(model), torch.optim.AdamW)
    assert made.loss(model, next(made.batches({"width": 8}, 2))).requires_grad
    made = from_lightning(lambda config: (Asks(8), Data()), {"width": [8]})
    model = made.model({"width": 8})
    with pytest.raises(InputError, match="callback_metrics"):
        made.optimizer(model)
    with pytest.raises(InputError, match=r"training_step asks for self\.trainer"):
        made.loss(model, next(made.batches({"width": 8}, 2)))


def test_lightnings_optimizer_is_found_in_what_it_returns() -> None:
    made = workload("with_lightning")
    optimizer = made.optimizer(made.model({"width": 8}))
    assert isinstance(optimizer, torch.optim.SGD)


@pytest.mark.parametrize("count", [0, 2])
def test_no_optimizer_and_two_are_refused(count: int) -> None:
    from with_lightning import Data, Module

    class Odd(Module):
        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(count)] or None

    made = from_lightning(lambda config: (Odd(8), Data()), {"width": [8]})
    with pytest.raises(InputError, match=f"returned {count} optimizers"):
        made.optimizer(made.model({"width": 8}))


def test_a_transfer_hook_of_the_data_module_is_run() -> None:
    from with_lightning import Data, Module

    class Augmented(Data):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return {**batch, "tokens": batch["tokens"] * 0}

    made = from_lightning(lambda config: (Module(8), Augmented()), {"width": [8]})
    model = made.model({"width": 8})
    batch = next(made.batches({"width": 8}, 3))
    zeros = {**batch, "tokens": batch["tokens"] * 0}
    torch.testing.assert_close(made.loss(model, batch), model.net(**zeros)["loss"])


# --- errors -----------------------------------------------------------------------------------


def test_a_thing_instead_of_a_function_that_makes_it_is_an_error() -> None:
    with pytest.raises(InputError, match="make must be a function of the config"):
        from_trainer(nn.Linear, {})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"returned a Linear; it must return a transf"):
        from_trainer(lambda config: nn.Linear(1, 1), {}).space()
    with pytest.raises(InputError, match="must return two things"):
        from_lightning(lambda config: nn.Linear(1, 1), {}).space()
    with pytest.raises(InputError, match="training data is a list"):
        LoaderData([1])


def test_a_loader_that_makes_batches_by_itself_is_an_error() -> None:
    class ByTokens(torch.utils.data.Sampler[list[int]]):
        def __iter__(self) -> Iterator[list[int]]:
            yield [0, 1]

    for loader in (
        DataLoader([1, 2], batch_sampler=ByTokens()),
        DataLoader([1, 2], batch_size=None),
    ):
        with pytest.raises(InputError, match="makes its batches by itself"):
            LoaderData(loader)


def test_an_attribute_error_of_the_users_code_is_not_taken_for_a_missing_attribute() -> None:
    class Broken:
        def __len__(self) -> int:
            raise AttributeError("no such table")

        def __getitem__(self, index: int) -> int:
            return index

    made = from_dataloader(
        lambda config: DataLoader(Broken(), sampler=[0]),
        model=lambda config: nn.Linear(1, 1),
        step=lambda model, batch: model(batch),
        space={"width": [1]},
    )
    with pytest.raises(RuntimeError, match="no such table"):
        made.dataset_size  # noqa: B018


# --- streams, given worst cases ---------------------------------------------------------------


class Stream(IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[torch.Tensor]:
        for k in range(1000):
            yield torch.zeros(9 if k == 300 else 4)


def test_a_stream_is_drawn_from_its_beginning() -> None:
    data = LoaderData(DataLoader(Stream(), collate_fn=lambda samples: samples))
    batches = data.batches(600)
    first, second = next(batches), next(batches)
    assert [len(sample) for sample in first[:2]] == [9, 4]
    assert len(first) == len(second) == 600
    assert data.size is None
    assert "first 512 samples" in data.notes[0]


def test_the_worst_case_can_be_given() -> None:
    samples = [torch.full((1,), float(k)) for k in range(10)]
    loader = DataLoader(samples)
    by_index = LoaderData(loader, worst_case=[4])
    assert next(by_index.batches(3)).flatten().tolist() == [4, 0, 1]
    by_size = LoaderData(loader, worst_case=float)
    assert next(by_size.batches(3)).flatten().tolist() == [9, 8, 7]
    assert "size 9" in by_size.notes[0]


# --- what a reference may name ----------------------------------------------------------------


def test_a_function_takes_options_and_a_workload_does_not() -> None:
    assert (
        describe(load_workload(reference("with_loader", "sized", count=50)))["dataset_size"] == 50
    )
    sys.modules.pop("with_loader")
    with pytest.raises(InputError, match="is a workload already, so it takes no options"):
        workload("with_loader", count=50)


def test_one_that_is_none_and_one_that_is_not_named() -> None:
    with pytest.raises(InputError, match="SPACE is a dict, neither a class"):
        workload("with_loader", "SPACE")
    sys.modules.pop("with_loader")
    with pytest.raises(InputError, match=r"'worklod'.*Did you mean 'workload'"):
        workload("with_loader", "worklod")


def test_the_only_workload_of_a_file_need_not_be_named() -> None:
    loaded = load_workload(WorkloadRef(str(HERE / "with_loader.py")))
    assert loaded.workload.dataset_size == 200
