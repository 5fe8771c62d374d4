"""Exports of a command: what its script does on its own is not known, and no file may claim it."""

from __future__ import annotations

import shlex
import tomllib
from typing import Any

import pytest
import yaml

from app.recommendations.exports.export import Export, export
from app.runs.values import fill
from app.workloads.again import run_line
from optimizer.records import Recommendation
from tests.app import factories

TEMPLATE = "python train.py --batch_size {batch_size} out={run_dir}"
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
WHAT_A_SCRIPT_DECIDES = {
    "mixed_precision",
    "bf16",
    "fp16",
    "tf32",
    "dtype",
    "precision",
    "gradient_checkpointing",
    "disable_gradient_checkpointing",
    "enable_activation_checkpointing",
    "compile",
    "torch_compile",
    "zero_optimization",
    "gradient_accumulation_steps",
    "accumulate_grad_batches",
}


def of_command(template: str = TEMPLATE, **changes: Any) -> Recommendation:
    valid = {
        "fingerprint": "f" * 16,
        "workload_hash": "abc123",
        "workload_options": {"command": template, "space": {}, "cwd": "/work"},
    }
    shown = template.format(batch_size=96, run_dir="/tmp/gone", accumulation=1, precision="bf16")
    given = {
        "workload": "command:train.py",
        "config": {},
        "environment": {"torch": "2.13.0", "allocator": {}, "command": shown},
        "valid": valid,
    }
    return factories.recommendation(**{**given, **changes})


def keys_of(made: Export) -> set[str]:
    document = yaml.safe_load(made.text)
    return set(document) | set(document.get("trainer", {}))


@pytest.mark.parametrize("to", FRAMEWORKS)
@pytest.mark.parametrize("name", ["command:train.py", "registered"])
def test_nothing_is_claimed_that_the_script_decides(to: str, name: str) -> None:
    made = export(of_command(workload=name), to)
    assert not keys_of(made) & WHAT_A_SCRIPT_DECIDES
    said = " ".join(made.unsaid)
    assert all(lever in said for lever in ("precision", "gradient_checkpointing", "accumulation"))
    assert TEMPLATE in said


@pytest.mark.parametrize("to", FRAMEWORKS)
def test_a_lever_that_the_command_has_a_place_for_is_known(to: str) -> None:
    template = f"{TEMPLATE} --precision {{precision}} --accumulate {{accumulation}}"
    config = {"precision": "bf16"}
    of_workload = export(factories.recommendation(config=config), to)
    made = export(of_command(template, config=config), to)
    tell = {"mixed_precision", "bf16", "fp16", "dtype", "precision", "torch_autocast"}
    tell |= {"gradient_accumulation_steps", "accumulate_grad_batches"}
    assert keys_of(made) & tell == keys_of(of_workload) & tell


@pytest.mark.parametrize("to", ["torchtune", "axolotl", "llama-factory", "accelerate", "deepspeed"])
def test_a_lever_that_a_workload_does_not_set_is_off(to: str) -> None:
    made = export(factories.recommendation(config={}), to)
    assert keys_of(made) & WHAT_A_SCRIPT_DECIDES


@pytest.mark.parametrize("to", ["yaml", "toml", "json"])
def test_the_command_names_no_folder_of_its_probe(to: str) -> None:
    text = export(of_command(), to).text
    read = tomllib.loads(text) if to == "toml" else yaml.safe_load(text)
    assert read["environment"]["command"] == "python train.py --batch_size 96 out={run_dir}"
    assert "command" not in yaml.safe_load(export(factories.recommendation(), "yaml").text)


def test_the_line_to_use_it_starts_the_command(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    options = {"command": TEMPLATE, "cwd": str(tmp_path)}
    words = shlex.split(run_line("rec_1", options))
    assert words[: words.index("--")] == ["tonnage", "run", "--recommendation", "rec_1"]
    filled = fill(words[words.index("--") + 1 :], {"batch_size": 96})
    assert filled == ["python", "train.py", "--batch_size", "96", "out=RUN_DIR"]
    assert run_line("rec_1", {**options, "cwd": "/a b"}).startswith("cd '/a b' && tonnage run ")


def test_accelerate_leaves_the_precision_to_the_command(tmp_path: Any) -> None:
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    file = tmp_path / "accelerate.yaml"
    file.write_text(export(of_command(), "accelerate").text)
    assert load_config_from_file(str(file)).mixed_precision is None
