"""The loss of ``causal-lm`` in chunks of tokens is the loss of the whole."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import torch
from torch import nn

from probes.levers import UnsupportedError
from probes.workloads import chunked_loss
from probes.workloads.causal_lm import CausalLM

pytest.importorskip("transformers", reason="needs the extra: pip install 'tonnage[llm]'")

TINY: dict[str, Any] = {"layers": 2, "hidden_size": 32, "seq_length": 32, "packing": False}
STRATEGIES = ["full"] + ["lora"] * (importlib.util.find_spec("peft") is not None)


def gradients(family: str, config: dict[str, Any], chunked: bool) -> tuple[float, list[Any]]:
    workload = CausalLM(model=family, chunked_loss=chunked, lora_dropout=0.0)
    torch.manual_seed(0)
    model: nn.Module = workload.model(config).eval()
    loss = workload.loss(model, next(workload.batches(config, 4)))
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), [p.grad for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_loss_and_gradients_are_those_of_the_whole(
    family: str, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunked_loss, "CHUNK_TOKENS", 10)  # the last chunk is a shorter one
    config = {**TINY, "strategy": strategy, "lora_rank": 4}

    whole_loss, whole = gradients(family, config, chunked=False)
    loss, parts = gradients(family, config, chunked=True)

    assert loss == pytest.approx(whole_loss, rel=1e-5)
    assert len(parts) == len(whole) > 0
    for part, expected in zip(parts, whole):
        torch.testing.assert_close(part, expected, rtol=1e-3, atol=1e-6)


def test_no_logits_of_the_whole_batch_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunked_loss, "CHUNK_TOKENS", 10)
    workload = CausalLM(chunked_loss=True)
    model: Any = workload.model({**TINY, "strategy": "full"})
    rows: list[int] = []
    head = model.network.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[0]))

    workload.loss(model, next(workload.batches(TINY, 4)))

    assert sum(rows) == 4 * 31
    assert max(rows) == 10


def test_an_architecture_that_changes_its_logits_is_unsupported() -> None:
    workload = CausalLM(chunked_loss=True)
    model: Any = workload.model({**TINY, "strategy": "full"})
    model.network.config.final_logit_softcapping = 30.0

    with pytest.raises(UnsupportedError, match="final_logit_softcapping"):
        workload.loss(model, next(workload.batches(TINY, 2)))
