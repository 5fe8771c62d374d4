"""Training through 4-bit weights has the gradients of the same weights in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finetuning.models.loading import load
from finetuning.models.quantized import keep_gradients_right
from finetuning.models.small import make_small_model
from finetuning.settings.presets import preset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = ["one two three four five six"] * 9
    return make_small_model(tmp_path_factory.mktemp("m") / "llama", texts, hidden_size=64)


def adapted(folder: Path) -> Any:
    from peft import get_peft_model

    changes = {"lora.dropout": 0.0, "training.gradient_checkpointing": False}
    settings = preset("memory_efficient_qlora").settings(str(folder), changes)
    loaded = load(settings, "cpu")
    model = get_peft_model(loaded.model, loaded.adapter)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, which hides what flows through A
            parameter.data.normal_(std=0.1)
    return model.float() if not _has_four_bits(model) else model


def _has_four_bits(model: Any) -> bool:
    return bool(four_bit_layers(model))


def four_bit_layers(model: Any) -> list[Any]:
    """bitsandbytes' own layers; peft's wrappers around them have the same class name."""
    import bitsandbytes as bnb

    return [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]


def in_float32(model: Any) -> Any:
    """The same model with its 4-bit layers replaced by what their weights stand for."""
    import copy

    import bitsandbytes as bnb

    twin = copy.deepcopy(model)
    for module in list(twin.modules()):
        for name, child in list(module.named_children()):
            if not isinstance(child, bnb.nn.Linear4bit):
                continue
            weight = bnb.functional.dequantize_4bit(child.weight.data, child.weight.quant_state)
            plain = torch.nn.Linear(child.in_features, child.out_features, bias=False)
            plain.weight = torch.nn.Parameter(weight.float(), requires_grad=False)
            setattr(module, name, plain)
    return twin


def gradients(model: Any) -> dict[str, torch.Tensor]:
    ids = torch.arange(2, 34).reshape(2, 16)
    model.zero_grad(set_to_none=True)
    model(input_ids=ids, labels=ids).loss.backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def relative_error(found: dict[str, torch.Tensor], true: dict[str, torch.Tensor]) -> float:
    assert found.keys() == true.keys() and found
    error = sum((found[n] - true[n]).square().sum() for n in true)
    return float((error / sum(g.square().sum() for g in true.values())).sqrt())


def test_gradients_are_those_of_the_dequantised_weights(folder: Path) -> None:
    model = adapted(folder)
    assert _has_four_bits(model)
    model.train()
    assert relative_error(gradients(model), gradients(in_float32(model).train())) < 1e-3


def test_gradients_stay_right_after_an_evaluation_and_a_generation(folder: Path) -> None:
    model = adapted(folder)
    true = gradients(in_float32(model).train())
    model.eval()
    with torch.no_grad():
        model(input_ids=torch.arange(2, 18).reshape(1, 16))
        model.generate(torch.arange(2, 8).reshape(1, 6), max_new_tokens=3, do_sample=False)
    model.train()
    assert relative_error(gradients(model), true) < 1e-3


def test_every_four_bit_layer_is_kept_from_packing_its_weights(folder: Path) -> None:
    model = adapted(folder)
    layers = four_bit_layers(model)
    assert layers
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)
    assert keep_gradients_right(model) == len(layers)
