"""Exports of recommendations for several devices that train as one, each read by its program."""

from __future__ import annotations

import json
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from app.recommendations.exports.export import FORMATS, Export, export
from app.recommendations.exports.ranks import Ranks
from probes.group import group_of
from probes.ranks import shards
from probes.ranks.shards import Shards
from tests.app import factories
from tests.app.recommendations.test_frameworks import FRAMEWORKS, HYDRA_VALUES

DDP = {"parallel": "ddp"}
FSDP = {"parallel": "fsdp"}
TP = {"parallel": "tp", "tensor_parallel": 2}


def exported(to: str, config: dict[str, Any], device: str = "cuda:0-3", **changes: Any) -> Export:
    given = {"accumulation": 4, "environment": {}, **changes}
    return export(factories.recommendation(config=config, device=device, **given), to)


def document(to: str, config: dict[str, Any], device: str = "cuda:0-3") -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(exported(to, config, device).text)
    return read


def said(to: str, config: dict[str, Any], device: str = "cuda:0-3") -> str:
    return " ".join(exported(to, config, device).unsaid)


# --- what every format does -------------------------------------------------------------------


@pytest.mark.parametrize("to", FRAMEWORKS)
@pytest.mark.parametrize(
    ("way", "lever"),
    [
        (DDP, {"ddp_bucket_mib": 50}),
        (DDP, {"ddp_bucket_view": True}),
        (DDP, {"ddp_static_graph": True}),
        (DDP, {"ddp_find_unused": True}),
        (FSDP, {"fsdp_reshard": False}),
        (FSDP, {"fsdp_dtype": "bf16"}),
        (FSDP, {"fsdp_offload": True}),
        (TP, {"fsdp_reshard": False}),
        (TP, {"fsdp_offload": True}),
        (TP, {"tensor_parallel": 4}),
        (DDP, FSDP),
        (FSDP, TP),
    ],
)
def test_every_lever_is_expressed_or_said(
    to: str, way: dict[str, Any], lever: dict[str, Any]
) -> None:
    without, with_it = exported(to, way), exported(to, {**way, **lever})
    body_differs = yaml.safe_load(with_it.text) != yaml.safe_load(without.text)
    assert body_differs or set(with_it.unsaid) != set(without.unsaid)


@pytest.mark.parametrize("to", FRAMEWORKS)
def test_levers_of_another_way_say_nothing(to: str) -> None:
    others = {"fsdp_reshard": False, "fsdp_dtype": "bf16", "fsdp_offload": True}
    assert exported(to, {**DDP, **others}) == exported(to, DDP)
    assert exported(to, {**FSDP, "ddp_bucket_mib": 50}) == exported(to, FSDP)


@pytest.mark.parametrize("to", FRAMEWORKS)
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_levers_of_ranks_say_nothing_of_a_single_device(to: str, device: str) -> None:
    ranks = {**TP, "ddp_bucket_mib": 50, "fsdp_offload": True}
    assert exported(to, {"layers": 4, **ranks}, device) == exported(to, {"layers": 4}, device)


@pytest.mark.parametrize("to", sorted(FORMATS))
@pytest.mark.parametrize("config", [{}, DDP, FSDP, TP])
@pytest.mark.parametrize("device", ["cpu:0-3", "cuda:0,2,4,6", "xpu:0-3"])
def test_every_format_says_how_many_train(to: str, config: dict[str, Any], device: str) -> None:
    made = exported(to, config, device)
    assert made.text.endswith("\n")
    assert "4" in made.text + " ".join(made.unsaid)
    if made.says_so and made.unsaid:
        assert all(sentence in made.text for sentence in made.unsaid)


# --- documents and launchers ------------------------------------------------------------------


@pytest.mark.parametrize(("to", "read"), [("json", json.loads), ("toml", tomllib.loads)])
def test_documents_tell_the_ranks_and_the_global_batch(to: str, read: Any) -> None:
    made = read(exported(to, {**TP, "layers": 4}).text)
    assert made["group"] == document("yaml", {**TP, "layers": 4})["group"]
    assert made["batch_size"] == 96
    group = made["group"]
    assert (group["world_size"], group["data_parallel"], group["tensor_parallel"]) == (4, 2, 2)
    assert (group["micro_batch_samples"], group["global_batch_size"]) == (2 * 96, 2 * 96 * 4)
    assert (group["parallel"], group["library"]) == ("tp", "nccl")
    assert [each["device"] for each in group["ranks"]] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]


def test_ranks_of_unequal_batches_are_counted_one_by_one() -> None:
    ranks = [{"rank": rank, "batch_size": size} for rank, size in enumerate((96, 32))]
    made = exported("yaml", DDP, "cuda:0-1", ranks=ranks)
    group = yaml.safe_load(made.text)["group"]
    assert [each["batch_size"] for each in group["ranks"]] == [96, 32]
    assert (group["micro_batch_samples"], group["global_batch_size"]) == (128, 512)
    assert "96, 32" in made.text


def test_the_group_agrees_with_what_was_measured() -> None:
    run = factories.gang_measurement(8, accumulation=3)
    made = exported(
        "yaml",
        run.config,
        run.device,
        batch_size=run.batch_size,
        accumulation=run.accumulation,
        ranks=run.to_dict()["ranks"],
    )
    group = yaml.safe_load(made.text)["group"]
    assert group["data_parallel"] == run.data_parallel
    assert group["micro_batch_samples"] == run.micro_batch_samples
    assert group["global_batch_size"] == run.effective_batch_size


@pytest.mark.parametrize("to", ["json", "yaml", "toml"])
def test_documents_of_a_single_device_have_no_group(to: str) -> None:
    assert "world_size" not in exported(to, {}, "cuda:0").text


def torchrun(*arguments: str) -> Any:
    from torch.distributed.run import get_args_parser

    return get_args_parser().parse_args([*arguments, "train.py"])


@pytest.mark.parametrize(
    ("device", "ranks"), [("cpu", "1"), ("cuda:3", "1"), ("cpu:0-1", "2"), ("cuda:0,2,3", "3")]
)
def test_torchrun_reads_its_arguments(device: str, ranks: str) -> None:
    read = torchrun(*shlex.split(exported("torchrun", {}, device).text))
    assert (read.nproc_per_node, read.standalone, read.training_script) == (ranks, True, "train.py")


def variables(config: dict[str, Any], device: str) -> dict[str, str]:
    lines = exported("env", config, device).text.splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_torchrun_reads_the_environment_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(DDP, "cuda:0-3").items():
        monkeypatch.setenv(name, value)
    assert torchrun("--standalone").nproc_per_node == "4"
    assert torchrun("--nproc-per-node", "2").nproc_per_node == "2"
    assert torchrun("--nnodes", "2", "--rdzv-endpoint", "host:1").standalone is False


def test_the_environment_file_tells_the_global_batch() -> None:
    read = variables(TP, "cuda:0-3")
    assert read["TONNAGE_BATCH_SIZE"] == "96"
    assert read["TONNAGE_WORLD_SIZE"] == "4"
    assert (read["TONNAGE_DATA_PARALLEL"], read["TONNAGE_TENSOR_PARALLEL"]) == ("2", "2")
    assert read["TONNAGE_GLOBAL_BATCH_SIZE"] == "768"
    assert not [name for name in variables({}, "cuda:0") if name.startswith("PET_")]


@pytest.mark.parametrize(
    ("device", "selection"),
    [
        ("cuda:0,2", {"CUDA_VISIBLE_DEVICES": "0,2"}),
        ("cuda:4-5", {"CUDA_VISIBLE_DEVICES": "4,5"}),
        ("xpu:1-2", {"ZE_AFFINITY_MASK": "1,2"}),
        ("cuda:0-1", {}),
        ("cpu:0-1", {}),
    ],
)
def test_devices_that_a_launcher_would_not_take_by_itself_are_selected(
    device: str, selection: dict[str, str]
) -> None:
    names = ("CUDA_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")
    found = variables(DDP, device)
    assert {name: found[name] for name in names if name in found} == selection
    for to in ("torchrun", "args", "hydra", "transformers"):
        for name, value in selection.items():
            assert f"{name}={value}" in said(to, DDP, device)


def test_hydra_and_args_still_carry_the_config_alone() -> None:
    assert exported("args", {"layers": 4, **DDP}).text == (
        "--batch-size 96 --accumulation 4 --layers 4 --parallel ddp\n"
    )
    many = shlex.split(exported("hydra", {**HYDRA_VALUES, **DDP}).text)
    assert len(many) == 2 + len(HYDRA_VALUES) + 1


# --- accelerate -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "config", "kind", "ranks"),
    [
        ("cuda:0-3", DDP, "MULTI_GPU", 4),
        ("cuda:0-3", {}, "MULTI_GPU", 4),
        ("cpu:0-1", DDP, "MULTI_CPU", 2),
        ("xpu:0-1", DDP, "MULTI_XPU", 2),
        ("cuda:0-3", FSDP, "FSDP", 4),
        ("cuda:0-3", TP, "FSDP", 4),
        ("cuda:0-1", TP, "MULTI_GPU", 2),
    ],
)
def test_accelerate_reads_the_kind_and_number_of_ranks(
    device: str, config: dict[str, Any], kind: str, ranks: int, tmp_path: Any
) -> None:
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file

    file = tmp_path / "accelerate.yaml"
    file.write_text(exported("accelerate", config, device).text)
    read = load_config_from_file(str(file))
    assert (read.distributed_type.value, read.num_processes) == (kind, ranks)
    assert read.use_cpu is device.startswith("cpu")
    assert read.gpu_ids is None


def launched(config: dict[str, Any], device: str, tmp_path: Any) -> dict[str, str]:
    """The environment that ``accelerate launch --config_file`` gives to every rank."""
    launch = pytest.importorskip("accelerate.commands.launch")
    from accelerate.utils.launch import prepare_multi_gpu_env

    file = tmp_path / "accelerate.yaml"
    file.write_text(exported("accelerate", config, device).text)
    given = launch.launch_command_parser().parse_args(
        ["--config_file", str(file), "--main_process_port", "0", "train.py"]
    )
    arguments, *_ = launch._validate_launch_command(given)
    environment: dict[str, str] = prepare_multi_gpu_env(arguments)
    assert arguments.nproc_per_node == str(arguments.num_processes)
    return environment


@pytest.mark.parametrize(
    ("levers", "reshard", "offload", "precision"),
    [
        ({}, True, "OffloadPolicy", "no"),
        ({"fsdp_reshard": False}, False, "OffloadPolicy", "no"),
        ({"fsdp_offload": True}, True, "CPUOffloadPolicy", "no"),
        ({"fsdp_dtype": "bf16"}, True, "OffloadPolicy", "bf16"),
        ({"precision": "bf16"}, True, "OffloadPolicy", "bf16"),
    ],
)
def test_accelerate_launch_shards_as_it_was_measured(
    levers: dict[str, Any],
    reshard: bool,
    offload: str,
    precision: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = launched({**FSDP, "gradient_checkpointing": True, **levers}, "cuda:0-3", tmp_path)
    assert given["ACCELERATE_USE_FSDP"] == "true"
    assert given["ACCELERATE_MIXED_PRECISION"] == precision
    for name, value in given.items():
        if name.startswith("FSDP_"):
            monkeypatch.setenv(name, value)
    from accelerate import FullyShardedDataParallelPlugin

    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is reshard
    assert type(plugin.cpu_offload).__name__ == offload
    assert plugin.state_dict_type.name == "SHARDED_STATE_DICT"
    assert plugin.auto_wrap_policy.__name__ == "transformer_auto_wrap_policy"
    assert plugin.activation_checkpointing is True


def divided(to: str, *notes: str, **levers: Any) -> Export:
    """An export of a measurement that says what FSDP was seen to shard."""
    run = factories.gang_measurement(96, notes=list(notes))
    evidence = {"highest_passing": run.to_dict(), "lowest_failing": None}
    return exported(to, {**FSDP, **levers}, evidence=evidence)


@pytest.mark.parametrize(
    ("to", "prefix"), [("accelerate", "fsdp_"), ("transformers", ""), ("axolotl", "")]
)
def test_the_blocks_that_were_sharded_are_named(to: str, prefix: str) -> None:
    made = yaml.safe_load(divided(to, shards.text_of(12, "GPTBlock")).text)["fsdp_config"]
    assert made[f"{prefix}auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert made[f"{prefix}transformer_layer_cls_to_wrap"] == "GPTBlock"
    whole = yaml.safe_load(divided(to, shards.text_of(0, "")).text)["fsdp_config"]
    assert whole[f"{prefix}auto_wrap_policy"] == "NO_WRAP"


def test_accelerate_shards_the_blocks_that_were_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.utils.fsdp_utils import fsdp2_prepare_auto_wrap_policy
    from torch import nn

    class GPTBlock(nn.Linear):
        pass

    model = nn.Sequential(GPTBlock(2, 2), nn.Linear(2, 2), GPTBlock(2, 2))
    keys = yaml.safe_load(divided("accelerate", shards.text_of(2, "GPTBlock")).text)["fsdp_config"]
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_AUTO_WRAP_POLICY", keys["fsdp_auto_wrap_policy"])
    monkeypatch.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", keys["fsdp_transformer_layer_cls_to_wrap"])
    is_wrapped = fsdp2_prepare_auto_wrap_policy(FullyShardedDataParallelPlugin(), model)
    assert [is_wrapped(module) for module in model] == [True, False, True]


def test_recomputation_without_blocks_is_left_to_code() -> None:
    """accelerate recomputes what its policy wraps, and fails where there is no policy."""
    made = divided("accelerate", shards.text_of(0, ""), gradient_checkpointing=True)
    assert "fsdp_activation_checkpointing" not in yaml.safe_load(made.text)["fsdp_config"]
    assert any("gradient_checkpointing=true" in sentence for sentence in made.unsaid)


@pytest.mark.parametrize("to", ["lightning", "accelerate"])
def test_what_the_workload_shards_itself_is_called_by_code(to: str) -> None:
    said = " ".join(divided(to, shards.BY_THE_WORKLOAD).unsaid)
    assert "parallelize(model, mesh)" in said
    assert "fully_shard" not in said


def test_the_policy_that_is_given_by_code_is_the_measured_one() -> None:
    accelerate = pytest.importorskip("accelerate")
    import torch
    from torch.distributed.fsdp import MixedPrecisionPolicy

    config = {**FSDP, "fsdp_dtype": "bf16", "precision": "bf16"}
    assert (
        "mixed_precision_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, "
        "reduce_dtype=torch.float32)" in said("accelerate", config)
    )
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    plugin = accelerate.FullyShardedDataParallelPlugin(
        fsdp_version=2, mixed_precision_policy=policy
    )
    plugin.set_mixed_precision("bf16")  # what mixed_precision in the file leads to
    assert plugin.mixed_precision_policy == policy


def test_accelerate_takes_teams_of_ranks_that_divide_the_layers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = launched(TP, "cuda:0-3", tmp_path)
    assert given["ACCELERATE_USE_PARALLELISM_CONFIG"] == "true"
    for name, value in given.items():
        if name.startswith("PARALLELISM_CONFIG_"):
            monkeypatch.setenv(name, value)
    from accelerate import ParallelismConfig

    read = ParallelismConfig()
    assert (read.tp_size, read.dp_shard_size, read.total_size) == (2, 2, 4)

    from accelerate.utils.other import get_model_tp_size
    from torch import nn

    assert "set model.tp_size = 2" in said("accelerate", TP)
    model = nn.Linear(2, 2)
    model.tp_size = 2  # accelerate refuses a model that does not say how it was divided
    assert get_model_tp_size(model) == read.tp_size


def test_accelerate_takes_the_devices_that_were_measured(tmp_path: Any) -> None:
    assert launched(DDP, "cuda:1,3", tmp_path)["CUDA_VISIBLE_DEVICES"] == "1,3"


def test_accelerate_gets_options_of_ddp_by_code() -> None:
    accelerate = pytest.importorskip("accelerate")
    call = "DistributedDataParallelKwargs(bucket_cap_mb=50, static_graph=True)"
    assert call in said("accelerate", {**DDP, "ddp_bucket_mib": 50, "ddp_static_graph": True})
    accelerate.DistributedDataParallelKwargs(bucket_cap_mb=50, static_graph=True)


def test_accelerate_on_the_cpu_is_started_by_torchrun() -> None:
    text = said("accelerate", {**DDP, "precision": "bf16"}, "cpu:0-1")
    assert (
        "ACCELERATE_USE_CPU=true ACCELERATE_MIXED_PRECISION=bf16 torchrun --nproc-per-node 2"
        in text
    )


# --- transformers -----------------------------------------------------------------------------


def arguments_of(config: dict[str, Any], tmp_path: Any) -> Any:
    transformers = pytest.importorskip("transformers")
    file = tmp_path / "arguments.yaml"
    file.write_text(exported("transformers", config, "cpu:0-1").text)
    parser = transformers.HfArgumentParser(transformers.TrainingArguments)
    (read,) = parser.parse_yaml_file(str(file))
    assert read.per_device_train_batch_size == 96
    assert read.gradient_accumulation_steps == 4
    return read


@pytest.mark.parametrize(
    ("levers", "expected"),
    [
        ({}, (False, None, None)),
        ({"ddp_find_unused": True}, (True, None, None)),
        ({"ddp_bucket_mib": 50}, (False, 50, None)),
        ({"ddp_static_graph": True}, (False, None, True)),
    ],
)
def test_training_arguments_of_ddp(
    levers: dict[str, Any], expected: tuple[Any, ...], tmp_path: Any
) -> None:
    """Trainer looks for unused parameters by default, which was not measured."""
    read = arguments_of({**DDP, **levers}, tmp_path)
    found = (read.ddp_find_unused_parameters, read.ddp_bucket_cap_mb, read.ddp_static_graph)
    assert found == expected
    assert not read.fsdp


@pytest.mark.parametrize(
    ("levers", "reshard", "offload", "bf16"),
    [
        ({}, True, False, False),
        ({"fsdp_reshard": False, "fsdp_offload": True}, False, True, False),
        ({"fsdp_dtype": "bf16"}, True, False, True),
        ({"fsdp_dtype": "fp32", "precision": "bf16"}, True, False, True),
    ],
)
def test_training_arguments_of_fsdp(
    levers: dict[str, Any],
    reshard: bool,
    offload: bool,
    bf16: bool,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")  # it is set by what is read
    read = arguments_of({**FSDP, **levers}, tmp_path)
    plugin = read.fsdp_plugin_args
    assert (plugin["fsdp_version"], plugin["reshard_after_forward"]) == (2, reshard)
    assert plugin.get("cpu_offload", False) is offload
    assert plugin["state_dict_type"] == "SHARDED_STATE_DICT"
    assert plugin["auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
    assert read.bf16 is bf16


@pytest.mark.parametrize("to", ["transformers", "transformers-json"])
def test_trainer_is_started_by_torchrun(to: str) -> None:
    text = said(to, DDP)
    assert "torchrun --nproc-per-node 4 --standalone" in text


# --- Lightning --------------------------------------------------------------------------------


def trainer_of(config: dict[str, Any], tmp_path: Any) -> Any:
    lightning = pytest.importorskip("lightning.pytorch")
    pytest.importorskip("jsonargparse")
    from lightning.pytorch.cli import LightningCLI

    class Data(lightning.LightningDataModule):
        def __init__(self, batch_size: int = 1) -> None:
            super().__init__()
            self.batch_size = batch_size

    file = tmp_path / "lightning.yaml"
    file.write_text(exported("lightning", config, "cpu:0-1").text)
    read = LightningCLI(
        lightning.LightningModule,
        Data,
        run=False,
        save_config_callback=None,
        args=["--config", str(file)],
    )
    assert read.datamodule.batch_size == 96
    assert read.trainer.accumulate_grad_batches == 4
    assert (read.trainer.num_devices, read.trainer.num_nodes, read.trainer.world_size) == (2, 1, 2)
    return read.trainer


@pytest.mark.parametrize(
    "levers",
    [
        {},
        {"ddp_bucket_mib": 50, "ddp_bucket_view": True},
        {"ddp_static_graph": True, "ddp_find_unused": False},
    ],
)
def test_lightning_trains_with_the_options_of_ddp(levers: dict[str, Any], tmp_path: Any) -> None:
    strategy = trainer_of({**DDP, **levers}, tmp_path).strategy
    assert type(strategy).__name__ == "DDPStrategy"
    given = {
        "ddp_bucket_mib": "bucket_cap_mb",
        "ddp_bucket_view": "gradient_as_bucket_view",
        "ddp_static_graph": "static_graph",
        "ddp_find_unused": "find_unused_parameters",
    }
    for lever, value in levers.items():
        assert strategy._ddp_kwargs[given[lever]] == value


@pytest.mark.parametrize(
    ("config", "data_parallel", "tensor_parallel"),
    [({**FSDP, "precision": "bf16"}, 2, 1), (TP, 1, 2)],
)
def test_lightning_makes_the_mesh_that_was_measured(
    config: dict[str, Any], data_parallel: int, tensor_parallel: int, tmp_path: Any
) -> None:
    strategy = trainer_of(config, tmp_path).strategy
    assert type(strategy).__name__ == "ModelParallelStrategy"
    assert strategy._data_parallel_size == data_parallel
    assert strategy._tensor_parallel_size == tensor_parallel


def test_lightning_is_told_how_blocks_are_sharded() -> None:
    text = said("lightning", {**FSDP, "fsdp_reshard": False, "fsdp_dtype": "bf16"})
    assert "configure_model()" in text
    assert (
        "fully_shard(block, mesh=self.device_mesh['data_parallel'], reshard_after_forward=False, "
        "mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32))"
        in text
    )


def test_lightning_takes_the_devices_that_were_measured() -> None:
    assert document("lightning", DDP)["trainer"]["devices"] == 4
    assert document("lightning", DDP, "cuda:0,2")["trainer"]["devices"] == [0, 2]


def test_what_a_command_does_is_left_to_it() -> None:
    trainer = document("lightning", {"layers": 4})["trainer"]
    assert (trainer["devices"], "strategy" in trainer) == (4, False)


# --- DeepSpeed and fine-tuning: compared with the keys of their sources -----------------------


@pytest.mark.parametrize(
    ("config", "zero"),
    [
        (DDP, {"stage": 0}),
        (FSDP, {"stage": 3}),
        ({**FSDP, "fsdp_reshard": False}, {"stage": 2}),
        (
            {**FSDP, "fsdp_offload": True},
            {
                "stage": 3,
                "offload_optimizer": {"device": "cpu"},
                "offload_param": {"device": "cpu"},
            },
        ),
        (
            {**FSDP, "fsdp_reshard": False, "fsdp_offload": True},
            {"stage": 2, "offload_optimizer": {"device": "cpu"}},  # parameters only in stage 3
        ),
    ],
)
def test_deepspeed_gets_the_nearest_stage_of_zero(
    config: dict[str, Any], zero: dict[str, Any]
) -> None:
    made = document("deepspeed", config)
    assert made["zero_optimization"] == zero
    micro, accumulation = (
        made["train_micro_batch_size_per_gpu"],
        made["gradient_accumulation_steps"],
    )
    assert (micro, accumulation) == (96, 4)
    assert made["train_batch_size"] == micro * accumulation * 4


def test_deepspeed_counts_ranks_that_draw_different_batches() -> None:
    assert document("deepspeed", TP)["train_batch_size"] == 96 * 4 * 2


def test_deepspeed_computes_in_the_precision_of_gathered_parameters() -> None:
    made = document("deepspeed", {**FSDP, "fsdp_dtype": "bf16"})
    assert made["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert "torch_autocast" not in document("deepspeed", {**FSDP, "fsdp_dtype": "fp32"})


def test_deepspeed_is_started_on_the_devices_that_were_measured() -> None:
    assert "--include localhost:0,2 " in said("deepspeed", DDP, "cuda:0,2")


def test_torchtune_gets_the_keys_of_its_distributed_recipes() -> None:
    made = document("torchtune", {**TP, "fsdp_reshard": False, "fsdp_offload": True})
    assert made["tensor_parallel_dim"] == 2
    assert (made["fsdp_reshard_after_forward"], made["fsdp_cpu_offload"]) == (False, True)
    lora = {**FSDP, "strategy": "lora", "lora_rank": 8}
    assert "lora_finetune_distributed" in said("torchtune", lora)


def test_axolotl_gets_its_keys_of_fsdp_and_ddp() -> None:
    made = document("axolotl", {**FSDP, "fsdp_dtype": "bf16"})
    assert (made["fsdp_version"], made["bf16"]) == (2, True)
    assert made["fsdp_config"] == {
        "reshard_after_forward": True,
        "offload_params": False,
        "state_dict_type": "SHARDED_STATE_DICT",
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    }
    ddp = document("axolotl", {**DDP, "ddp_bucket_mib": 50})
    assert (ddp["ddp_bucket_cap_mb"], ddp["ddp_find_unused_parameters"]) == (50, False)


def test_llama_factory_starts_as_many_ranks() -> None:
    assert "FORCE_TORCHRUN=1 NPROC_PER_NODE=4" in said("llama-factory", DDP)
    assert "--to accelerate" in said("llama-factory", FSDP)


def test_ranks_on_several_hosts_are_started_on_each() -> None:
    ranks = Ranks(group_of("cuda:0-1@2"), "ddp", 1, (8,) * 4, 1, Shards())
    assert ranks.torchrun.startswith("--nnodes 2 --nproc-per-node 2 --rdzv-backend c10d")
    assert (ranks.size, ranks.numbers, ranks.selection) == (4, [0, 1], {})
    assert ranks.global_batch_size == 32
