"""A user's SFTTrainer as a workload: its rows, its step, its clipping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finetuning.models.small import make_small_model
from probes.adapters import from_trl

TEXTS = ["one two three " * count for count in (3, 9, 1, 30, 4, 2, 7, 5)]


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = make_small_model(tmp_path_factory.mktemp("m") / "m", TEXTS, hidden_size=32)

    def make(config: dict[str, Any]) -> Any:
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import SFTConfig, SFTTrainer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.unk_token
        arguments = SFTConfig(
            output_dir=str(folder / "out"),
            max_length=config["max_length"],
            max_grad_norm=0.01,
            learning_rate=1.0,
            optim="sgd",
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            report_to=[],
        )
        return SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder),
            args=arguments,
            train_dataset=Dataset.from_list([{"text": text} for text in TEXTS]),
            processing_class=tokenizer,
        )

    return from_trl(make, {"max_length": [32, 64]})


def test_the_first_batch_holds_the_longest_row_as_it_is_cut(workload: Any, tmp_path: Path) -> None:
    config = {"max_length": 64}
    workload.fresh(config)
    batches = workload.batches(config, 2)
    assert next(batches)["input_ids"].shape[1] >= max(
        next(batches)["input_ids"].shape[1] for _ in range(8)
    )


def test_a_step_moves_the_weights_no_further_than_the_clipped_gradient(workload: Any) -> None:
    config = {"max_length": 64}
    model = workload.model(config)
    optimizer = workload.optimizer(model)
    before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
    workload.loss(model, next(workload.batches(config, 2))).backward()
    optimizer.step()
    after = torch.cat([p.detach().flatten() for p in model.parameters()])
    assert 0 < float((after - before).norm()) <= 0.0101


def test_it_is_evaluated_by_the_trainers_own_loss(workload: Any) -> None:
    config = {"max_length": 32}
    model = workload.model(config).eval()
    with torch.no_grad():
        loss = workload.evaluate(model, next(workload.batches(config, 2)))
    assert float(loss) > 0
