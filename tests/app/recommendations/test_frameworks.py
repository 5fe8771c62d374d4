"""Exports for training frameworks, each read by the framework itself where it can be installed.

DeepSpeed, torchtune, Axolotl and LLaMA-Factory cannot be had beside the torch that is tested with
(source to compile, older torch, gigabytes), so their keys are compared with what their own sources
of the versions named in ``fine_tuning`` and ``deepspeed`` define.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import yaml

from app.recommendations.exports.export import FORMATS, Export, export
from probes.errors import InputError
from tests.app import factories

LEVERS = {
    "precision": "bf16",
    "gradient_checkpointing": True,
    "compile": True,
    "optimizer_impl": "fused",
}
LANGUAGE = {
    "layers": 4,
    "hidden_size": 256,
    "seq_length": 512,
    "packing": True,
    "strategy": "qlora",
    "lora_rank": 16,
    **LEVERS,
}
FRAMEWORKS = (
    "transformers",
    "transformers-json",
    "accelerate",
    "deepspeed",
    "lightning",
    "torchtune",
    "axolotl",
    "llama-factory",
)


def exported(to: str, config: dict[str, Any], **changes: Any) -> Export:
    given = {"device": "cuda:0", "accumulation": 4, "environment": {}, **changes}
    return export(factories.recommendation(config=config, **given), to)


def document(to: str, config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return yaml.safe_load(exported(to, config, **changes).text)  # JSON is YAML too


def language_model(to: str, **changes: Any) -> dict[str, Any]:
    given = {"workload": "causal-lm", **changes}
    return document(to, LANGUAGE, **given)


# --- nothing is dropped -----------------------------------------------------------------------


@pytest.mark.parametrize("to", FRAMEWORKS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precision", "fp32"),
        ("precision", "tf32"),
        ("precision", "bf16"),
        ("precision", "fp16"),
        ("gradient_checkpointing", True),
        ("compile", True),
        ("optimizer_impl", "fused"),
        ("optimizer_impl", "foreach"),
        ("optimizer_impl", "forloop"),
        ("channels_last", True),
        ("strategy", "lora"),
        ("lora_rank", 8),
        ("seq_length", 512),
        ("layers", 4),
    ],
)
def test_every_value_is_expressed_or_said(to: str, name: str, value: Any) -> None:
    """In a key of the file, or in a sentence about what the file does not say."""
    without, with_it = exported(to, {}), exported(to, {name: value})
    body_differs = yaml.safe_load(with_it.text) != yaml.safe_load(without.text)
    assert body_differs or set(with_it.unsaid) - set(without.unsaid)


@pytest.mark.parametrize("to", FRAMEWORKS)
def test_batch_and_accumulation_are_expressed_or_said(to: str) -> None:
    made = exported(to, {}, batch_size=77, accumulation=13)
    said = made.text + " ".join(made.unsaid)
    assert "77" in said
    assert "13" in said


@pytest.mark.parametrize("to", FRAMEWORKS)
def test_what_is_unsaid_is_in_the_file_where_it_can_be(to: str) -> None:
    made = exported(to, LANGUAGE, environment={"allocator": {"MALLOC_ARENA_MAX": "1"}})
    assert any("MALLOC_ARENA_MAX=1" in sentence for sentence in made.unsaid)
    if made.says_so:
        assert all(sentence in made.text for sentence in made.unsaid)
        assert "Tonnage recommendation rec_1" in made.text
    else:
        assert to == "transformers-json"


def test_a_comment_stays_one_whatever_a_value_holds() -> None:
    text = exported("axolotl", {"name": "a\nmicro_batch_size: 1"}).text
    assert yaml.safe_load(text)["micro_batch_size"] == 96


# --- Hugging Face -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"bf16": False, "fp16": False, "torch_compile": False}),
        ({"precision": "fp32"}, {"bf16": False, "fp16": False, "tf32": False}),
        (
            LEVERS,
            {
                "bf16": True,
                "activation_checkpointing": True,
                "torch_compile": True,
                "optim": "adamw_torch_fused",
            },
        ),
        ({"optimizer_impl": "forloop"}, {"optim": "adamw_torch"}),
        ({"precision": "fp16"}, {"fp16": True, "bf16": False}),
    ],
)
@pytest.mark.parametrize("to", ["transformers", "transformers-json"])
def test_transformers_reads_its_training_arguments(
    to: str, config: dict[str, Any], expected: dict[str, Any], tmp_path: Any
) -> None:
    transformers = pytest.importorskip("transformers")
    file = tmp_path / "arguments"
    file.write_text(exported(to, config, device="cpu").text)
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    read = parser.parse_json_file if to.endswith("json") else parser.parse_yaml_file
    (arguments,) = read(str(file))
    assert arguments.per_device_train_batch_size == 96
    assert arguments.gradient_accumulation_steps == 4
    assert arguments.use_cpu
    if "optim" in expected:
        assert arguments.optim.value == expected["optim"]
    for name in expected.keys() - {"optim"}:
        assert getattr(arguments, name) == expected[name]


def test_tf32_has_its_own_argument() -> None:
    keys = document("transformers", {"precision": "tf32"})  # loads only where there is a GPU
    assert (keys["tf32"], keys["bf16"], keys["fp16"]) == (True, False, False)


def test_training_arguments_say_how_to_make_the_adapters() -> None:
    (sentence,) = [s for s in exported("transformers", LANGUAGE).unsaid if "peft" in s]
    assert "r=16, lora_alpha=32" in sentence
    assert "4 bits" in sentence


@pytest.mark.parametrize(
    ("config", "mixed_precision"),
    [({}, "no"), ({"precision": "tf32"}, "no"), (LEVERS, "bf16"), ({"precision": "fp16"}, "fp16")],
)
def test_accelerate_reads_its_config(
    config: dict[str, Any], mixed_precision: str, tmp_path: Any
) -> None:
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    file = tmp_path / "accelerate.yaml"
    file.write_text(exported("accelerate", config, device="cpu").text)
    read = load_config_from_file(str(file))  # refuses a key that it does not know
    assert (read.mixed_precision, read.use_cpu, read.num_processes) == (mixed_precision, True, 1)
    assert bool(read.dynamo_config) == bool(config.get("compile"))


# --- Lightning and Hydra ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "precision"),
    [({}, "32-true"), (LEVERS, "bf16-mixed"), ({"precision": "tf32"}, "32-true")],
)
def test_lightning_reads_its_arguments(
    config: dict[str, Any], precision: str, tmp_path: Any
) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    pytest.importorskip("jsonargparse")
    from lightning.pytorch.cli import LightningCLI

    class Net(lightning.LightningModule):
        def __init__(self, layers: int = 1, width: int = 8) -> None:
            super().__init__()
            self.layers, self.width = layers, width

    class Data(lightning.LightningDataModule):
        def __init__(self, batch_size: int = 1) -> None:
            super().__init__()
            self.batch_size = batch_size

    file = tmp_path / "lightning.yaml"
    file.write_text(exported("lightning", {**config, "layers": 3, "width": 64}, device="cpu").text)
    read = LightningCLI(
        Net, Data, run=False, save_config_callback=None, args=["--config", str(file)]
    )
    assert (read.model.layers, read.model.width) == (3, 64)
    assert read.datamodule.batch_size == 96
    assert read.trainer.accumulate_grad_batches == 4
    assert read.trainer.precision == precision
    assert read.trainer.num_devices == 1


HYDRA_VALUES = {
    "layers": 4,
    "ratio": 1e-05,
    "negative": -3,
    "compile": True,
    "nothing": None,
    "precision": "bf16",
    "path": "/a/b-c.pdb",
    "words": "two words",
    "quotes": 'it\'s "so" ${much} $(id) [a,b] {c: d} = # \\',
    "backslash_quote": "a\\'b\\\\",
    "number": "1e3",
    "boolean": "True",
    "null": "null",
    "empty": "",
    "unicode": "Größe 🚢",
}


def test_hydra_reads_every_value_back(tmp_path: Any) -> None:
    hydra = pytest.importorskip("hydra")
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"batch_size": 1, "accumulation": 1, **dict.fromkeys(HYDRA_VALUES, "old")})
    )
    overrides = shlex.split(exported("hydra", HYDRA_VALUES).text)
    with hydra.initialize_config_dir(str(tmp_path), version_base=None):
        read = hydra.compose("config", overrides=overrides)
    from omegaconf import OmegaConf

    expected = {"batch_size": 96, "accumulation": 4, **HYDRA_VALUES}
    assert OmegaConf.to_container(read, resolve=False) == expected


def test_hydra_refuses_a_name_it_cannot_override() -> None:
    with pytest.raises(InputError, match="'a b'"):
        exported("hydra", {"a b": 1})


# --- compared with the keys of their sources --------------------------------------------------


def test_deepspeed_trains_as_it_was_measured() -> None:
    made = document("deepspeed", LEVERS)
    assert made["train_micro_batch_size_per_gpu"] == 96
    assert made["gradient_accumulation_steps"] == 4
    assert made["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert made["bf16"] == made["fp16"] == {"enabled": False}
    assert "torch_autocast" not in document("deepspeed", {"precision": "fp32"})
    # Top level: keys of deepspeed 0.19.8; ``tonnage`` is one that it does not read.
    assert made.keys() - {"tonnage"} <= {
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "zero_optimization",
        "torch_autocast",
        "bf16",
        "fp16",
    }
    assert any("engine.compile()" in sentence for sentence in made["tonnage"]["unsaid"])


def test_deepspeed_json_is_strict_json() -> None:
    assert json.loads(exported("deepspeed", LANGUAGE).text)["zero_optimization"] == {"stage": 0}


def test_torchtune_gets_recipe_keys() -> None:
    assert language_model("torchtune") == {
        "batch_size": 96,
        "gradient_accumulation_steps": 4,
        "device": "cuda",
        "dtype": "bf16",
        "enable_activation_checkpointing": True,
        "compile": True,
        "optimizer": {"fused": True, "foreach": False},
        "model": {"lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.1},
        "tokenizer": {"max_seq_len": 512},
        "dataset": {"packed": True},
    }


def test_axolotl_gets_its_keys() -> None:
    options = {"rslora": True, "target_modules": "q_proj, v_proj", "lora_dropout": 0.0}
    valid = {"fingerprint": "f" * 16, "workload_options": options}
    assert language_model("axolotl", valid=valid) == {
        "micro_batch_size": 96,
        "gradient_accumulation_steps": 4,
        "bf16": True,
        "fp16": False,
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "torch_compile": True,
        "optimizer": "adamw_torch_fused",
        "adapter": "qlora",
        "load_in_4bit": True,
        "lora_target_modules": ["q_proj", "v_proj"],
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.0,
        "peft_use_rslora": True,
        "sequence_len": 512,
        "sample_packing": True,
    }


def test_llama_factory_gets_its_keys_and_those_of_training_arguments() -> None:
    made = language_model("llama-factory")
    own = {
        "disable_gradient_checkpointing": False,
        "use_reentrant_gc": False,
        "finetuning_type": "lora",
        "quantization_bit": 4,
        "quantization_type": "nf4",
        "double_quantization": True,
        "lora_target": "all",
        "lora_rank": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.1,
        "cutoff_len": 512,
        "packing": True,
    }
    assert {name: made[name] for name in own} == own
    transformers = pytest.importorskip("transformers")
    known = {field.name for field in fields(transformers.TrainingArguments)}
    assert made.keys() - own.keys() <= known


@pytest.mark.parametrize("to", ["axolotl", "llama-factory", "torchtune"])
def test_what_they_do_by_default_is_switched_off_where_it_was_not_measured(to: str) -> None:
    made = document(to, {"strategy": "full", "lora_rank": 8})
    checkpointing = {
        "axolotl": ("gradient_checkpointing", False),
        "llama-factory": ("disable_gradient_checkpointing", True),
        "torchtune": ("enable_activation_checkpointing", False),
    }
    name, off = checkpointing[to]
    assert made[name] is off
    assert not [key for key in made if "lora_r" in key or key == "adapter"]


OF_LEVERS = re.compile("precision|bf16|fp16|checkpointing|compile|zero|dtype")


@pytest.mark.parametrize("to", ["accelerate", "torchtune", "axolotl", "llama-factory",
                                "transformers", "lightning", "deepspeed"])  # fmt: skip
def test_what_a_command_sets_by_itself_is_left_to_it(to: str) -> None:
    command = {"fingerprint": "f" * 16, "workload_options": {"command": "python train.py"}}
    export = exported(to, {}, workload="command:train.py", valid=command)
    keys = json.loads(export.text) if to == "deepspeed" else yaml.safe_load(export.text)
    assert not [key for key in flat(keys) if OF_LEVERS.search(key)]
    assert any("precision" in each for each in export.unsaid)
    bf16 = exported(to, {"precision": "bf16"}, workload="command:train.py", valid=command)
    assert "bf16" in bf16.text


def flat(document: dict[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        yield key
        if isinstance(value, dict):
            yield from flat(value)


def test_the_route_and_the_registry_name_the_same_formats() -> None:
    from typing import get_args

    from app.recommendations.routes import ExportFormat

    assert get_args(ExportFormat) == tuple(FORMATS)
    assert set(FRAMEWORKS) < set(FORMATS)
    assert all(callable(each.make) for each in FORMATS.values())
