"""The workload ``causal-lm``: its models, its strategies, its options and its training step."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probes.errors import InputError
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.levers import UnsupportedError, checkpointing
from probes.space import Choice, size
from probes.worker import estimate
from probes.workloads import adapters
from probes.workloads.causal_lm import CausalLM
from probes.workloads.language_model import FAMILIES
from probes.workloads.loading import describe, load_workload

pytest.importorskip("transformers", reason="needs the extra: pip install 'tonnage[llm]'")

TINY = {"layers": 2, "hidden_size": 32, "seq_length": 32, "packing": True}
FULL = {**TINY, "strategy": "full"}
LORA = {**TINY, "strategy": "lora", "lora_rank": 4}
QLORA = {**TINY, "strategy": "qlora", "lora_rank": 4}

needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="peft is not installed"
)
needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


def built(workload: CausalLM, config: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return workload.model(config).to("cpu").train()


def losses(workload: CausalLM, model: nn.Module, config: dict[str, Any], steps: int) -> list[float]:
    """Of so many optimizer steps on one batch."""
    batch = next(workload.batches(config, 4))
    optimizer = workload.optimizer(model)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = workload.loss(model, batch)
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return found


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def config_json(folder: Path, **values: Any) -> Path:
    small = {
        "model_type": "gpt_neox",
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "vocab_size": 300,
        "max_position_embeddings": 600,
    }
    file = folder / "config.json"
    file.write_text(json.dumps({**small, **values}))
    return file


# --- full training ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_a_batch_in_full(family: str) -> None:
    workload = CausalLM(model=family)
    model = built(workload, FULL)
    found = losses(workload, model, FULL, 12)
    assert found[-1] < 0.8 * found[0]
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_loss_is_the_cross_entropy_of_the_next_token() -> None:
    workload = CausalLM(model="gpt2")
    model = built(workload, FULL).eval()
    batch = next(workload.batches({**FULL, "packing": False}, 3))
    assert "attention_mask" in batch
    logits_BLV = model.network(  # type: ignore[operator]
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
    ).logits
    expected = nn.functional.cross_entropy(
        logits_BLV[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
    )
    evaluated = workload.evaluate(model, batch)
    torch.testing.assert_close(evaluated, expected)
    assert not evaluated.requires_grad


def test_padding_changes_neither_the_loss_nor_the_other_rows() -> None:
    workload = CausalLM()
    model = built(workload, FULL).eval()
    batch = next(workload.batches({**FULL, "packing": False}, 2))
    other = {**batch, "input_ids": batch["input_ids"].clone()}
    other["input_ids"][batch["attention_mask"] == 0] = 7
    torch.testing.assert_close(workload.evaluate(model, other), workload.evaluate(model, batch))


def test_a_step_saves_no_more_memory_than_on_the_first_batch() -> None:
    workload = CausalLM()
    config = {**FULL, "packing": False}
    model = built(workload, config)
    first, *others = (
        saved_bytes(workload, model, batch)
        for batch in itertools.islice(workload.batches(config, 4), 30)
    )
    assert max(others) <= first


def saved_bytes(workload: CausalLM, model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        assert workload.loss(model, batch).requires_grad
    return sum(storages.values())


@pytest.mark.parametrize("config", [FULL, pytest.param(LORA, marks=needs_peft)])
def test_checkpointing_saves_memory_and_changes_no_gradient(config: dict[str, Any]) -> None:
    workload = CausalLM(lora_dropout=0)
    batch = next(workload.batches(config, 4))

    def run(recompute: bool) -> tuple[int, dict[str, Tensor]]:
        model = built(workload, config)
        if recompute:
            checkpointing.enable(model)
        saved = saved_bytes(workload, model, batch)
        workload.loss(model, batch).backward()
        assert all(p.grad is not None for p in trainable(model).values())
        return saved, {n: p.grad for n, p in trainable(model).items() if p.grad is not None}

    plain_bytes, expected = run(False)
    saved, gradients = run(True)
    assert saved < plain_bytes
    torch.testing.assert_close(gradients, expected)


def test_weights_are_in_the_type_that_was_asked_for() -> None:
    model = built(CausalLM(dtype="bfloat16"), FULL)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


# --- adapters ---------------------------------------------------------------------------------


@needs_peft
@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_adapters_around_every_linear_layer_and_nothing_else(family: str) -> None:
    workload = CausalLM(model=family)
    model = built(workload, LORA)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    found = losses(workload, model, LORA, 12)
    assert found[-1] < found[0]
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == set(trainable(model))
    assert all(".lora_" in name for name in changed)
    layers = adapters.linear_names(workload.model(FULL).network)  # type: ignore[arg-type]
    assert all(any(f".{layer}.lora_A" in name for name in changed) for layer in layers)
    optimized = [p for g in workload.optimizer(model).param_groups for p in g["params"]]
    assert {id(p) for p in optimized} == {id(p) for p in trainable(model).values()}


@needs_peft
def test_the_rank_of_the_config_is_the_rank_of_the_adapters() -> None:
    workload = CausalLM(target_modules="q_proj,v_proj")
    adapted = trainable(workload.model({**LORA, "lora_rank": 8}))
    assert len(adapted) == 2 * 2 * 2
    assert all(8 in p.shape for p in adapted.values())
    assert all("q_proj" in name or "v_proj" in name for name in adapted)


@needs_peft
def test_rslora_scales_by_the_root_of_the_rank_and_dora_adds_magnitudes() -> None:
    plain: Any = CausalLM().model(LORA)
    scaled: Any = CausalLM(rslora=True).model(LORA)
    name = "q_proj"

    def scale(model: Any) -> float:
        layers = (m for n, m in model.named_modules() if n.endswith(name) and hasattr(m, "scaling"))
        return float(next(layers).scaling["default"])

    assert scale(plain) == 2 * LORA["lora_rank"] / LORA["lora_rank"]
    assert scale(scaled) == 2 * LORA["lora_rank"] / LORA["lora_rank"] ** 0.5
    magnitudes = [n for n in trainable(CausalLM(dora=True).model(LORA)) if "magnitude" in n]
    assert len(magnitudes) == 7 * TINY["layers"]


@pytest.mark.parametrize(
    ("family", "asked", "said"),
    [
        ("gpt2", "q_proj,c_attn", r"gpt2 has no linear layer named q_proj\. It has c_attn, c_proj"),
        ("llama", "c_attn", r"llama has no linear layer named c_attn\. It has q_proj, k_proj"),
        ("llama", "lm_head", "no linear layer named lm_head"),
    ],
)
def test_a_target_the_architecture_lacks_is_refused_with_what_it_has(
    family: str, asked: str, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        CausalLM(model=family, target_modules=asked)


def test_without_peft_lora_is_unsupported_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    workload = CausalLM()
    assert workload.model(FULL)
    with pytest.raises(UnsupportedError, match=r"needs peft.*pip install 'tonnage\[llm\]'"):
        workload.model(LORA)


@needs_peft
def test_without_bitsandbytes_qlora_is_unsupported_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UnsupportedError, match="pip install bitsandbytes"):
        CausalLM().model(QLORA)


class FourBitLibrary:
    """A bitsandbytes whose layer says, on the way to a device, that there is no kernel for it."""

    __version__ = "0.0"

    class nn:
        class Params4bit(nn.Parameter):
            def __new__(cls, data: Tensor, requires_grad: bool = False, **_: Any) -> Any:
                return torch.Tensor._make_subclass(cls, data, requires_grad)

            def to(self, *_: Any, **__: Any) -> Any:
                raise NotImplementedError("no 4-bit kernel")

        class Linear4bit(nn.Linear):
            def __init__(self, inputs: int, outputs: int, bias: bool, **_: Any) -> None:
                super().__init__(inputs, outputs, bias)


def test_a_device_that_cannot_train_in_4_bits_is_unsupported_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapters, "_bitsandbytes", FourBitLibrary)
    with pytest.raises(UnsupportedError, match=r"bitsandbytes 0\.0 .* on cpu .*no 4-bit kernel"):
        adapters.check_four_bits(torch.device("cpu"))


@needs_peft
@needs_bitsandbytes
@pytest.mark.parametrize("options", [{}, {"model": "gpt2"}, {"dora": True}])
def test_qlora_trains_adapters_around_4_bit_weights(options: dict[str, Any]) -> None:
    workload = CausalLM(**options)
    model = built(workload, QLORA)
    found = losses(workload, model, QLORA, 12)
    assert found[-1] < found[0]
    assert all(".lora_" in name for name in trainable(model))
    packed = [p for p in model.parameters() if type(p).__name__ == "Params4bit"]
    assert packed
    assert {p.dtype for p in packed} == {torch.uint8}


# --- the space and the configs ----------------------------------------------------------------


def test_the_space_is_finite_and_says_what_costs() -> None:
    space = CausalLM().space()
    assert size(space) == 1944
    grows = {name for name, dimension in space.items() if dimension.cost_grows}
    assert grows == {"layers", "hidden_size", "seq_length", "lora_rank"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 100}, "hidden_size=100: .* multiple of 16, such as 112"),
        ({"layers": 0}, "layers=0"),
        ({"layers": "two"}, "layers='two'"),
        ({"seq_length": 1}, "seq_length=1"),
        ({"strategy": "lorra"}, "Did you mean 'lora'"),
        pytest.param({"strategy": "lora", "lora_rank": 0}, "lora_rank=0", marks=needs_peft),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CausalLM().model({**FULL, **change})


@needs_peft
def test_capacity_counts_neither_adapters_nor_packed_bits() -> None:
    workload = CausalLM()
    parameters = sum(p.numel() for p in workload.model(FULL).parameters())
    assert [workload.capacity(c) for c in (FULL, LORA, QLORA)] == [parameters] * 3


def test_a_config_file_says_how_large_the_model_is(tmp_path: Path) -> None:
    workload = CausalLM(model=str(config_json(tmp_path)))
    space = workload.space()
    assert (space["layers"], space["hidden_size"]) == (Choice([3]), Choice([32]))
    assert space["seq_length"] == Choice([256, 512])
    config = {**FULL, "layers": 3}
    model: Any = built(workload, config)
    assert model.network.config.model_type == "gpt_neox"
    assert model.network.get_input_embeddings().weight.shape == (300, 32)
    assert torch.tensor(losses(workload, model, config, 2)).isfinite().all()
    with pytest.raises(InputError, match=r"layers=2: .* says 3"):
        workload.model(FULL)
    with pytest.raises(InputError, match=r"seq_length=601: .* 600 positions"):
        workload.model({**config, "seq_length": 601})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a transformers config"),
        ('{"hidden_size": 32}', "model_type"),
        ('{"model_type": "no_such_model"}', "no model_type 'no_such_model'"),
        ('{"model_type": "vit"}', "not a causal language model"),
    ],
)
def test_a_file_that_is_no_language_model_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=said):
        CausalLM(model=str(tmp_path))


def test_code_and_kernels_that_a_config_names_are_not_fetched(tmp_path: Path) -> None:
    elsewhere = {"AutoModelForCausalLM": "somebody/repository--modeling.Net"}
    file = config_json(tmp_path, auto_map=elsewhere, attn_implementation="somebody/kernels")
    model: Any = CausalLM(model=str(file)).model({**FULL, "layers": 3})
    assert type(model.network).__module__.startswith("transformers.models.gpt_neox")
    assert model.network.config._attn_implementation == "sdpa"


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"model": "meta-llama/Llama-3.2-1B"},
        {"model": 4},
        {"data": "no/such/folder"},
        {"data": ""},
        {"tokenizer": "no/such/tokenizer.json"},
        {"vocab_size": 100},
        {"vocab_size": "many"},
        {"dtype": "float8"},
        {"target_modules": ""},
        {"lora_dropout": 1},
        {"rslora": "yes"},
        {"dora": 1},
        {"seed": -1},
    ],
)
def test_an_unusable_option_is_named_in_the_error(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(InputError, match=f"^{name}="):
        CausalLM(**option)


def test_a_larger_vocabulary_widens_embedding_and_logits() -> None:
    model: Any = CausalLM(vocab_size=1000).model(FULL)
    assert model.network.get_input_embeddings().weight.shape == (1000, 32)
    assert model.network.get_output_embeddings().weight.shape == (1000, 32)


def test_the_sample_does_not_limit_the_batch_and_own_text_does(tmp_path: Path) -> None:
    assert CausalLM().dataset_size is None
    assert any("sample text" in note for note in CausalLM().notes)
    rows = [{"prompt": "Left or right? ", "completion": f"Move {n}."} for n in range(25)]
    (tmp_path / "moves.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "book.txt").write_text("word " * 1000)  # 5,001 tokens: five of up to 1,024
    workload = CausalLM(data=str(tmp_path))
    assert workload.dataset_size == 30
    assert any("there are 30 of up to 1024 tokens" in note for note in workload.notes)


def test_a_changed_text_or_config_is_another_workload(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    text = tmp_path / "data" / "book.txt"
    text.write_text("one two three")
    config = config_json(tmp_path)
    ref = WorkloadRef("causal-lm", {"data": str(tmp_path / "data"), "model": str(tmp_path)})

    def identity() -> str:
        return load_workload(ref).source_hash

    first = identity()
    assert identity() == first
    text.write_text("one two three four")
    second = identity()
    config_json(tmp_path, num_hidden_layers=12)
    assert len({first, second, identity()}) == 3
    assert config.is_file()


def test_a_batch_size_below_one_is_refused_before_the_first_batch() -> None:
    with pytest.raises(InputError, match="batch_size=0"):
        CausalLM().batches(FULL, 0)


# --- probes and the extra ---------------------------------------------------------------------


@pytest.fixture
def small_cap(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The estimate's cap, without limiting the process that runs the tests."""
    cap_bytes = 32 * 2**20
    monkeypatch.setattr(estimate, "_cap_bytes", lambda job: cap_bytes)
    yield cap_bytes


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"packing": False},
        pytest.param({"strategy": "lora", "lora_rank": 4}, marks=needs_peft),
        pytest.param(
            {"strategy": "lora", "lora_rank": 4, "gradient_checkpointing": True}, marks=needs_peft
        ),
    ],
)
def test_memory_is_estimated_without_running_a_step(
    change: dict[str, Any], small_cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimate, "MOST_SECONDS", 600.0)  # however busy the machine is
    job = ProbeJob(WorkloadRef("causal-lm"), {**FULL, **change}, 1, "cpu", BRACKET_PLAN)
    prior = estimate.estimate(job, ceiling=4096)
    assert not prior["reason"]
    peaks = dict(prior["points"])
    assert len(peaks) >= 3
    assert 0.9 * small_cap < max(peaks.values()) < 1.1 * small_cap


def test_tied_weights_are_estimated_once(
    tmp_path: Path, small_cap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimizer has one state for an embedding that is the output head too."""
    monkeypatch.setattr(estimate, "MOST_SECONDS", 600.0)

    def peak_bytes(tied: bool) -> int:
        config_json(tmp_path, tie_word_embeddings=tied, vocab_size=20_000)
        job = ProbeJob(
            WorkloadRef("causal-lm", {"model": str(tmp_path)}),
            {**FULL, "layers": 3},
            1,
            "cpu",
            BRACKET_PLAN,
        )
        return int(dict(estimate.estimate(job, ceiling=16)["points"])[4])

    embedding_bytes = 20_000 * 32 * 4
    saved = peak_bytes(tied=False) - peak_bytes(tied=True)
    assert saved >= 3 * embedding_bytes


def test_it_describes_itself_to_the_search() -> None:
    described = describe(load_workload(WorkloadRef("causal-lm")))
    assert set(described["space"]) == {*TINY, "strategy", "lora_rank"}
    assert described["evaluates"]
    json.dumps(described)


def test_a_missing_package_says_what_to_install_and_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tonnage\[llm\]'") as caught:
        CausalLM()
    assert caught.value.name == "transformers"
    assert sys.executable in str(caught.value)


def test_the_module_imports_without_the_extra() -> None:
    code = (
        "import sys\n"
        "for name in ('transformers', 'peft', 'tokenizers', 'bitsandbytes'):\n"
        "    sys.modules[name] = None\n"
        "import probes.workloads.causal_lm"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
