"""What settings say reaches TRL's trainer, and the loss covers what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import PRESETS, preset
from finetuning.training.arguments import Batches
from finetuning.training.trainer import build_trainer
from probes.errors import InputError
from probes.levers import UnsupportedError


def trainer_of(settings: FineTuningSettings, data: Path, output: Path, micro_batch: int = 4) -> Any:
    return build_trainer(settings, data, output, Batches(micro_batch, 2), "cpu")


class TestArguments:
    def test_optimizer_schedule_and_clipping_reach_the_trainer(
        self, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        changes = {
            "learning_rate": 3e-3,
            "scheduler": "linear",
            "weight_decay": 0.02,
            "adam_beta1": 0.8,
            "adam_beta2": 0.95,
            "adam_epsilon": 1e-6,
            "max_grad_norm": 0.7,
            "warmup_ratio": 0.5,
            "epochs": 2.0,
            "seed": 7,
        }
        settings = preset("full_small").settings(str(models["llama"]), changes)
        trainer = trainer_of(settings, data, tmp_path)
        args = trainer.args
        trainer.create_optimizer()
        group = trainer.optimizer.param_groups[0]
        assert (group["lr"], group["betas"], group["eps"]) == (3e-3, (0.8, 0.95), 1e-6)
        assert {g["weight_decay"] for g in trainer.optimizer.param_groups} == {0.02, 0.0}
        assert args.max_grad_norm == 0.7
        assert args.lr_scheduler_type == "linear"
        assert args.warmup_steps == 5  # half of 2 epochs × 5 steps of 8 rows
        assert args.seed == 7
        assert args.report_to == []

    def test_a_run_shorter_than_its_intervals_is_still_evaluated_and_saved(
        self, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        settings = preset("quick_lora").settings(str(models["llama"]))
        args = trainer_of(settings, data, tmp_path).args
        assert args.eval_steps <= 5
        assert args.save_steps % args.eval_steps == 0

    @pytest.mark.parametrize("name", PRESETS)
    @pytest.mark.parametrize("family", ["llama", "gpt2"])
    def test_every_preset_trains_either_architecture(
        self, name: str, family: str, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        settings = preset(name).settings(str(models[family]), {"max_steps": 1})
        trainer = trainer_of(settings, data, tmp_path)
        trained = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
        trainer.train()
        changed = {
            n
            for n, p in trainer.model.named_parameters()
            if not torch.equal(p.detach(), trained[n])
        }
        learnt = {n for n, p in trainer.model.named_parameters() if p.requires_grad}
        assert changed <= learnt
        assert changed or trainer.args.warmup_steps  # the first warm-up step has a rate of zero
        assert (settings.strategy == "full") == (len(learnt) == len(trained))


def test_another_than_the_first_device_is_refused_with_the_way_to_make_it_the_first() -> None:
    from finetuning.training.trainer import _on_one_device

    with pytest.raises(UnsupportedError, match="CUDA_VISIBLE_DEVICES=1"):
        _on_one_device(None, "cuda:1")


class TestLabels:
    @pytest.mark.parametrize("family", ["llama", "gpt2"])
    def test_the_loss_covers_the_completion_and_its_end_only(
        self, family: str, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        trainer = trainer_of(preset("quick_lora").settings(str(models[family])), data, tmp_path)
        tokenizer = trainer.processing_class
        batch = next(iter(trainer.get_train_dataloader()))
        assert tokenizer.pad_token_id != tokenizer.eos_token_id
        for ids, labels in zip(batch["input_ids"], batch["labels"]):
            learnt = tokenizer.decode(labels[labels != -100])
            assert learnt.strip().startswith("Conclusion: The move is:")
            assert learnt.endswith(tokenizer.eos_token)
            assert "Sort" in tokenizer.decode(ids[labels == -100])


class TestModules:
    def test_names_that_the_architecture_lacks_are_refused_with_those_it_has(
        self, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        changes = {"lora.target_modules": ["q_proj", "v_proj"]}
        settings = preset("quick_lora").settings(str(models["gpt2"]), changes)
        with pytest.raises(InputError, match=r"q_proj.*c_attn"):
            trainer_of(settings, data, tmp_path)

    def test_rslora_and_dora_are_built(
        self, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        changes = {"lora.rslora": True, "lora.dora": True}
        settings = preset("quick_lora").settings(str(models["llama"]), changes)
        trainer = trainer_of(settings, data, tmp_path)
        config = trainer.model.peft_config["default"]
        assert config.use_rslora and config.use_dora

    def test_a_length_beyond_the_model_is_refused(
        self, models: dict[str, Path], data: Path, tmp_path: Path
    ) -> None:
        settings = preset("quick_lora").settings(str(models["llama"]), {"max_length": 4096})
        with pytest.raises(InputError, match="512"):
            trainer_of(settings, data, tmp_path)


@pytest.mark.parametrize("arithmetic", ["auto", "bf16"])
def test_adapters_on_4_bits_are_float32_unless_the_arithmetic_is_bf16(
    models: dict[str, Path], data: Path, tmp_path: Path, arithmetic: str
) -> None:
    """Elsewhere small updates are lost, and CPUs with AVX512-BF16 keep kernels for each length."""
    settings = preset("memory_efficient_qlora").settings(
        str(models["llama"]), {"training.precision": arithmetic}
    )
    trainer = trainer_of(settings, data, tmp_path)
    trained = {one.dtype for one in trainer.model.parameters() if one.requires_grad}
    assert trained == {torch.bfloat16 if arithmetic == "bf16" else torch.float32}


def test_trl_reads_the_same_training_from_a_file(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    import yaml
    from trl import ModelConfig, ScriptArguments, SFTConfig, TrlParser

    from finetuning.training.trl_form import trl_config

    settings = preset("memory_efficient_qlora").settings(str(models["llama"]))
    file = tmp_path / "trl.yaml"
    plain = {**trl_config(settings, str(data)), "use_cpu": True, "bf16": False}
    file.write_text(yaml.safe_dump(plain))
    parser = TrlParser((ScriptArguments, SFTConfig, ModelConfig))
    script, sft, model = parser.parse_args_and_config(["--config", str(file)])
    assert script.dataset_name == str(data)
    assert sft.gradient_accumulation_steps == settings.training.effective_batch_size
    assert sft.gradient_checkpointing
    assert (model.lora_r, model.load_in_4bit, model.use_peft) == (32, True, True)
