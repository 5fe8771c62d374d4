"""The workload ``sft``: its batches are the worst that a run will meet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from finetuning.settings.files import write_settings
from finetuning.settings.presets import preset
from finetuning.workload import SFT


def workload(models: dict[str, Path], data: Path, tmp_path: Path, **training: object) -> SFT:
    file = tmp_path / "finetuning.yaml"
    changes = {f"training.{name}": value for name, value in training.items()}
    write_settings(preset("quick_lora").settings(str(models["llama"]), changes), file)
    return SFT(str(data), settings=str(file))


@pytest.mark.parametrize(("asked", "evaluated"), [("auto", 2), (6, 6), (100, 8)])
def test_the_evaluation_is_as_large_as_the_run_makes_it(
    asked: object,
    evaluated: int,
    models: dict[str, Path],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sft = workload(models, data, tmp_path, eval_batch_size=asked)
    model = sft.model({})
    batch = next(sft.batches({}, 2))
    seen: list[torch.Size] = []

    def loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(batch["input_ids"].shape)
        return torch.zeros(())

    monkeypatch.setattr(sft, "loss", loss)
    sft.evaluate(model, batch)
    lengths = [len(ids) for ids in sft.first().eval_dataset["input_ids"]]
    assert seen == [torch.Size((evaluated, max(lengths)))]


def test_without_rows_held_back_nothing_is_evaluated(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text((data / "train.jsonl").read_text())
    (folder / "eval.jsonl").write_text("")
    assert not hasattr(workload(models, folder, tmp_path), "evaluate")


def test_the_prior_is_refused_with_a_reason(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    assert "values" in workload(models, data, tmp_path).no_estimate


def test_further_dimensions_are_there_on_request_only(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    plain = workload(models, data, tmp_path)
    asked = SFT(
        str(data), settings=str(tmp_path / "finetuning.yaml"), search="dora,target_modules,packing"
    )

    assert {"dora", "target_modules", "packing"} & plain.space().keys() == set()
    assert asked.space()["dora"].options == (False, True)
    assert asked.space()["target_modules"].options == ("all-linear",)


def test_names_of_layers_are_settings(models: dict[str, Path], data: Path, tmp_path: Path) -> None:
    sft = workload(models, data, tmp_path)

    named = sft.settings_of({"target_modules": "q_proj, v_proj", "dora": True, "lora_alpha": 64})
    every = sft.settings_of({"target_modules": "all-linear"})

    assert named.lora.target_modules == ("q_proj", "v_proj")
    assert (named.lora.dora, named.lora.alpha) == (True, 64)
    assert every.lora.target_modules == ()


def test_without_data_and_model_there_is_a_sample() -> None:
    sft = SFT("sample", model="small-gpt2", device="cpu")
    batch = next(sft.batches({}, 2))

    assert batch["input_ids"].shape[0] == 2
    assert sft.data_files == []
