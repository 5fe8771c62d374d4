"""A user's SFTTrainer as a workload: its rows, its step, its clipping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finetuning.models.small import make_small_model
from probes.adapters import from_trl
from probes.adapters.trl import longest_first, token_columns

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


def test_a_pair_of_answers_is_as_long_as_its_prompt_and_the_longer_one() -> None:
    """A batch is padded to that; two answers of middle length have more tokens together."""
    from datasets import Dataset

    pairs = [{"prompt_ids": [1], "chosen_ids": [2] * 30, "rejected_ids": [3] * 30}] * 12_000
    pairs[11_111] = {"prompt_ids": [1, 1], "chosen_ids": [2] * 50, "rejected_ids": [3]}
    pairs[17] = {"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3] * 40}
    assert longest_first(Dataset.from_list(pairs))[:3] == [11_111, 17, 0]
    shuffled = Dataset.from_list(pairs).select([5, 11_111, 17])
    assert longest_first(shuffled) == [1, 2, 0]
    rewarded = Dataset.from_list([{"chosen_ids": [1] * 3, "rejected_ids": [1] * n} for n in (2, 4)])
    assert longest_first(rewarded) == [1, 0]


def test_other_data_sets_have_no_columns_of_tokens() -> None:
    from datasets import Dataset

    named = Dataset.from_list([{"image_ids": "a", "prompt": "b"}])
    assert token_columns(named) == token_columns([1, 2]) == []
    assert token_columns(named.to_iterable_dataset()) == []


def test_the_first_batch_of_a_dpo_trainer_is_padded_to_the_longest_pair(tmp_path: Path) -> None:
    folder = make_small_model(tmp_path / "m", TEXTS, hidden_size=32)

    def make(config: dict[str, Any]) -> Any:
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl import DPOConfig, DPOTrainer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.unk_token
        pair = {"prompt": "one ", "chosen": "two three " * 6, "rejected": "three two " * 6}
        pairs = [dict(pair) for _ in range(40)]
        pairs[29] = {**pair, "chosen": "two three " * 9, "rejected": "two"}
        arguments = DPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, bf16=False, report_to=[]
        )
        return DPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(folder),
            ref_model=AutoModelForCausalLM.from_pretrained(folder),
            args=arguments,
            train_dataset=Dataset.from_list(pairs),
            processing_class=tokenizer,
        )

    workload = from_trl(make, {"layers": [1]})
    batches = workload.batches({"layers": 1}, 8)
    first, others = next(batches), [next(batches) for _ in range(8)]
    longest = max(batch["input_ids"].shape[1] for batch in others)
    assert first["input_ids"].shape[1] == longest > min(b["input_ids"].shape[1] for b in others)


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
