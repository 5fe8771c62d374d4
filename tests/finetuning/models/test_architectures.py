"""Architectures of transformers as they come: loaded, adapted, and trained for a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from finetuning.data.job import prepare_job
from finetuning.models.loading import check_config, load
from finetuning.models.small import make_tokenizer
from finetuning.run_folder import RunFolder
from finetuning.settings.files import write_settings
from finetuning.settings.presets import preset
from finetuning.training.arguments import Batches
from finetuning.training.trainer import build_trainer
from probes.errors import InputError
from probes.levers import UnsupportedError
from probes.worker.channel import Channel
from tests.finetuning.conftest import rows, write_rows

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2": {},  # its tokenizer class adds a padding token beyond the embedding
    "gemma2": {"head_dim": 8},  # it has no fused attention
    "bloom": {"n_layer": 1, "n_head": 4},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "mamba": {"state_size": 8},  # not every linear layer can be adapted
    "mixtral": {"num_local_experts": 2},  # experts are one weight
    "gpt_neox": {},
    "falcon": {},  # its linear layers are a class of its own
}


def model_of(architecture: str, folder: Path) -> Path:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tokenizer([row["prompt"] + row["completion"] for row in rows(40, 0)], 320)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": None,
    }
    config = AutoConfig.for_model(architecture, **{**sizes, **ARCHITECTURES[architecture]})
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_of_adapters_and_of_all_weights(
    architecture: str, data: Path, tmp_path: Path
) -> None:
    folder = model_of(architecture, tmp_path / "model")
    for name in ("quick_lora", "full_small"):
        changes = {"max_steps": 2, "max_length": 64, "lora.dropout": 0.0}
        settings = preset(name).settings(str(folder), changes)
        trainer = build_trainer(settings, data, tmp_path / name, Batches(2, 1), "cpu")
        assert 0 < trainer.train().training_loss < 20
        assert trainer.processing_class.pad_token_id != trainer.processing_class.eos_token_id
        adapters = [p for n, p in trainer.model.named_parameters() if "lora_B" in n]
        assert bool(adapters) == (name == "quick_lora")
        assert all(p.abs().sum() > 0 for p in adapters), "an adapter that never trains"


def test_mamba_trains_with_base_weights_in_4_bits(data: Path, tmp_path: Path) -> None:
    folder = model_of("mamba", tmp_path / "model")
    changes = {"max_steps": 1, "max_length": 64, "lora.dropout": 0.0}
    settings = preset("memory_efficient_qlora").settings(str(folder), changes)
    trainer = build_trainer(settings, data, tmp_path / "out", Batches(2, 1), "cpu")
    assert 0 < trainer.train().training_loss < 20


@pytest.mark.parametrize(
    ("architecture", "words"), [("bert", "encoder"), ("t5", "decoder"), ("vit", "causal")]
)
def test_what_is_no_causal_language_model_is_refused(
    architecture: str, words: str, tmp_path: Path
) -> None:
    from transformers import AutoConfig

    AutoConfig.for_model(architecture).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=words):
        check_config(preset("quick_lora").settings(str(tmp_path), {}))


def test_every_linear_layer_may_be_asked_for_by_name(data: Path, tmp_path: Path) -> None:
    folder = model_of("gpt_neox", tmp_path / "model")
    changes = {"max_length": 64, "lora.target_modules": ["all-linear"]}
    settings = preset("quick_lora").settings(str(folder), changes)
    trainer = build_trainer(settings, data, tmp_path / "out", Batches(2, 1), "cpu")
    adapted = {n.partition(".lora_")[0] for n, _ in trainer.model.named_parameters() if "lora" in n}
    assert len(adapted) >= 4


def test_adapters_with_dropout_around_experts_are_refused_with_the_setting_to_change(
    data: Path, tmp_path: Path
) -> None:
    folder = model_of("mixtral", tmp_path / "model")
    settings = preset("quick_lora").settings(str(folder), {"max_length": 64})
    with pytest.raises(InputError, match=r"lora\.dropout=0"):
        build_trainer(settings, data, tmp_path / "out", Batches(2, 1), "cpu")


def prepared(
    architecture: str, preset_name: str, tmp_path: Path, template: str = "", **changes: Any
) -> Any:
    folder = model_of(architecture, tmp_path / "model")
    if template:
        (folder / "chat_template.jinja").write_text(template)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir(parents=True)
    settings = preset(preset_name).settings(str(folder), {"training.max_length": 64, **changes})
    write_settings(settings, run.settings)
    sources = {"a": [str(write_rows(tmp_path / "rows.jsonl", 30, seed=1))]}
    with Path("/dev/null").open("wb") as nowhere:
        arguments = {"output": str(run.path), "sources": sources}
        return prepare_job(arguments, Channel(nowhere.fileno()))


def test_adapters_that_cannot_be_are_refused_before_rows_are_prepared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lora\.dropout=0"):
        prepared("mixtral", "quick_lora", tmp_path)
    assert not RunFolder(tmp_path / "run").has_rows
    with pytest.raises(InputError, match="no linear layer named q_prj"):
        prepared("gpt_neox", "quick_lora", tmp_path / "b", **{"lora.target_modules": ["q_prj"]})


def test_experts_that_stay_out_of_four_bits_are_told(tmp_path: Path) -> None:
    told = prepared("mixtral", "memory_efficient_qlora", tmp_path, **{"lora.dropout": 0.0})
    assert any("of the weights of mixtral in 4 bits" in note for note in told["notes"])
    assert prepared("gpt_neox", "memory_efficient_qlora", tmp_path / "b")["notes"] == []


def test_four_bits_for_layers_that_bitsandbytes_passes_over_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the layers of falcon"):
        prepared("falcon", "memory_efficient_qlora", tmp_path)
    settings = preset("memory_efficient_qlora").settings(str(tmp_path / "model"))
    with pytest.raises(UnsupportedError, match="none of the layers of falcon"):
        load(settings, "cpu")


def test_a_chat_template_that_is_not_applied_is_told(tmp_path: Path) -> None:
    template = "{% for one in messages %}{{ one['content'] }}{% endfor %}"
    told = prepared("gpt_neox", "quick_lora", tmp_path, template)
    assert ["chat template" in note for note in told["notes"]] == [True]
