"""What is read out of the configurations that training frameworks use."""

from __future__ import annotations

import json

import pytest

from app.checks.config_file import read_file, read_text
from app.recommendations.exports.export import FORMATS, export
from probes.errors import InputError
from tests.app import factories

ARGUMENTS = {
    "output_dir": "out",
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 64,
    "gradient_accumulation_steps": 4,
    "bf16": True,
    "gradient_checkpointing": True,
    "torch_compile": False,
}
FILES = {
    "arguments.json": json.dumps(ARGUMENTS),
    "arguments.yaml": "per_device_train_batch_size: 16\ngradient_accumulation_steps: 4\n"
    "bf16: true\ngradient_checkpointing: true\ntorch_compile: false\n",
    "llama_factory.yml": "per_device_train_batch_size: 16\ngradient_accumulation_steps: 4\n"
    "bf16: true\ngradient_checkpointing: true\ncompile: false\n",
    "axolotl.yml": "micro_batch_size: 16\ngradient_accumulation_steps: 4\nbf16: true\n"
    "gradient_checkpointing: true\ntorch_compile: false\n",
    "torchtune.yaml": "batch_size: 16\ngradient_accumulation_steps: 4\ndtype: bf16\n"
    "enable_activation_checkpointing: true\ncompile: false\n",
    "ds.json": json.dumps(
        {
            "train_batch_size": 128,
            "train_micro_batch_size_per_gpu": 16,
            "gradient_accumulation_steps": 4,
            "bf16": {"enabled": True},
            "gradient_checkpointing": True,
            "compile": False,
        }
    ),
    "hydra.yaml": "trainer:\n  accumulate_grad_batches: 4\n  precision: bf16-mixed\n"
    "train:\n  batch_size: 16\n  compile: false\nval:\n  batch_size: 8\n"
    "model:\n  gradient_checkpointing: true\n",
    "plain.toml": 'precision = "bf16"\n[train]\nbatch_size = 16\naccumulation = 4\n'
    "gradient_checkpointing = true\ncompile = false\n",
    "run.env": "TONNAGE_BATCH_SIZE=16\nexport TONNAGE_ACCUMULATION=4 # four\n"
    "TONNAGE_PRECISION=bf16\nTONNAGE_GRADIENT_CHECKPOINTING=true\nTONNAGE_COMPILE=false\n",
    "overrides.txt": "train.batch_size=16\n++trainer.accumulate_grad_batches=4\n"
    "trainer.precision=bf16-mixed\nmodel.gradient_checkpointing=true\nmodel.compile=false\n",
    "options.txt": "--batch-size 16 --accumulation=4 --precision bf16 --gradient-checkpointing "
    "--no-compile\n",
}


@pytest.mark.parametrize("name", FILES)
def test_every_form_says_the_same(name, tmp_path):
    file = tmp_path / name
    file.write_text(FILES[name])
    written = read_file(file)
    assert (written.batch_size, written.accumulation) == (16, 4)
    assert written.levers == {
        "precision": "bf16",
        "gradient_checkpointing": True,
        "compile": False,
    }


def test_other_values_may_be_dimensions():
    written = read_text("model:\n  layers: 4\n  hidden-size: 256\nbatch_size: 8\n", "a.yaml")
    assert written.offered["layers"] == 4


def test_accelerate_says_a_precision_and_no_batch():
    written = read_text("mixed_precision: fp16\nnum_processes: 1\n", "accelerate.yaml")
    assert written.ranks is None
    assert read_text("num_processes: 4\n", "accelerate.yaml").ranks == 4
    assert written.batch_size is None
    assert written.levers == {"precision": "fp16"}


SUFFIXES = {
    "json": "json", "transformers-json": "json", "deepspeed": "json", "toml": "toml",
    "env": "env", "args": "txt", "hydra": "txt",
}  # fmt: skip
"""The others are YAML."""
WITHOUT_AN_ID = ("args", "hydra", "transformers-json")
"""Forms that have no place for it."""


@pytest.mark.parametrize(
    "form", sorted(FORMATS.keys() - {"torchrun"})
)  # which says nothing of training
@pytest.mark.parametrize(
    ("device", "parallel"),
    [("cpu", {}), ("cuda:0-3", {"parallel": "ddp"}), ("cuda:0-3", {"parallel": "fsdp"})],
)
def test_every_export_is_read_back(form, device, parallel):
    identity = "rec_1k0rr48nvttvb71401qp"
    config = {"layers": 4, "precision": "bf16", "compile": False, **parallel}
    made = factories.recommendation(identity, config, accumulation=2, device=device)
    text = export(made, form).text
    written = read_text(text, f"file.{SUFFIXES.get(form, 'yaml')}")
    assert written.recommendation_id == (None if form in WITHOUT_AN_ID else identity)
    assert written.levers["precision"] == "bf16"
    assert (written.batch_size, written.accumulation) == (96, 2)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '{"batch_size": ', "not valid JSON"),
        ("a.yaml", "a: [1", "not valid YAML"),
        ("a.toml", "= 3", "not valid TOML"),
        ("a.env", "hello there", "line 1"),
        ("a.json", '{"train_micro_batch_size_per_gpu": "auto"}', "'auto', not a whole number"),
        ("a.json", '{"batch_size": true}', "not a whole number"),
        ("a.json", '{"batch_size": 0}', "must be 1 or more"),
        ("a.json", '{"batch_size": 8.5}', "not a whole number"),
        ("a.json", '{"a": {"batch_size": 8}, "b": {"batch_size": 9}}', "--key batch_size=a.batch"),
    ],
)
def test_what_cannot_be_read_says_where(name, text, words):
    with pytest.raises(InputError, match=r"."):
        read_text(text, name)
    with pytest.raises(InputError) as caught:
        read_text(text, name)
    assert words in str(caught.value)


def test_a_key_says_where_the_value_stands():
    text = '{"data": {"loader": {"bs": 12}}, "optim": {"every": 3}}'
    keys = {"batch_size": "data.loader.bs", "accumulation": "optim.every"}
    written = read_text(text, "a.json", keys)
    assert (written.batch_size, written.accumulation) == (12, 3)
    with pytest.raises(InputError, match="Did you mean"):
        read_text(text, "a.json", {"batch_size": "data.loader.b"})


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_file(tmp_path / "missing.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_file(tmp_path / "binary.json")
