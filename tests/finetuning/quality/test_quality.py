"""What is learnt and computed, asked of a worker."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.errors import InputError
from probes.job import WorkloadRef
from probes.prober import Prober

LOSS = "finetuning.quality.training:held_out_loss"
ERROR = "finetuning.quality.outputs:output_error"
TOKENS = "finetuning.quality.tokens:tokens_per_sample"
TINY = {"layers": 1, "hidden_size": 32, "seq_length": 32, "lora_rank": 8}
SAMPLE = {"model": "small-llama", "data": "sample", "device": "cpu", "search": "packing"}


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(sys.executable) as found:
        yield found


def ask(
    prober: Prober,
    function: str,
    spec: str,
    config: dict[str, Any],
    options: dict[str, Any] | None = None,
    **arguments: Any,
) -> dict[str, Any]:
    return prober.call(
        function,
        {
            "workload": {"spec": spec, "options": options or {}},
            "config": config,
            "device": "cpu",
            "batch_size": 2,
            "steps": 8,
            "seed": 0,
            **arguments,
        },
    )


def transformer_loss(prober: Prober, **asked: Any) -> float:
    config = {"layers": 1, "width": 32, **asked.pop("config", {})}
    found = ask(prober, LOSS, "transformer", config, {"length": 8}, **asked)
    return float(found["loss"])


class TestLoss:
    def test_the_same_seed_trains_to_the_same_loss(self, prober: Prober) -> None:
        first, second, other = (transformer_loss(prober, seed=seed) for seed in (0, 0, 1))

        assert first == second
        assert first != other

    def test_it_falls_with_training(self, prober: Prober) -> None:
        before, after = (transformer_loss(prober, steps=steps) for steps in (1, 60))

        assert after < before

    def test_a_lever_is_applied(self, prober: Prober) -> None:
        plain, bf16, recomputed = (
            transformer_loss(prober, config=config)
            for config in ({}, {"precision": "bf16"}, {"gradient_checkpointing": True})
        )

        assert plain != bf16 == pytest.approx(plain, rel=0.02)
        assert recomputed == pytest.approx(plain, rel=1e-5)

    def test_a_training_that_diverges_has_no_loss(self, prober: Prober) -> None:
        spec = f"{Path(__file__).with_name('diverging.py')}:Diverging"

        assert math.isnan(ask(prober, LOSS, spec, {"width": 4})["loss"])

    def test_an_unknown_option_is_named(self, prober: Prober) -> None:
        with pytest.raises(InputError, match="colour"):
            ask(prober, LOSS, "transformer", {"layers": 1, "width": 32}, {"colour": "red"})


class TestMerges:
    @pytest.fixture(autouse=True, scope="class")
    def imported_once(self, prober: Prober) -> None:
        """Later calls start with the libraries imported."""
        prober.describe(WorkloadRef("causal-lm"))

    def test_into_float_weights_changes_nothing(self, prober: Prober) -> None:
        found = ask(prober, ERROR, "causal-lm", {**TINY, "strategy": "lora"})

        assert 0 <= found["error"] < 1e-4

    def test_into_four_bits_rounds(self, prober: Prober) -> None:
        found = ask(prober, ERROR, "causal-lm", {**TINY, "strategy": "qlora"})

        assert found["error"] > 0.01

    def test_without_adapters_there_is_nothing_to_merge(self, prober: Prober) -> None:
        with pytest.raises(InputError, match="adapters"):
            ask(prober, ERROR, "causal-lm", {**TINY, "strategy": "full"})


class TestTokens:
    def test_packed_rows_teach_more(self, prober: Prober) -> None:
        apart, packed = (
            ask(prober, TOKENS, "sft", {"max_length": 64, "packing": packing}, SAMPLE)["tokens"]
            for packing in (False, True)
        )

        assert 0 < apart < packed <= 64

    def test_batches_without_labels_have_no_tokens(self, prober: Prober) -> None:
        with pytest.raises(InputError, match="labels"):
            ask(prober, TOKENS, "transformer", {"layers": 1, "width": 32})
