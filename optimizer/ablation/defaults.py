"""What a claim is measured on where nobody says: at least two workloads for each lever.

They are small enough that an experiment takes a minute or two on two processor cores; on an
accelerator they are larger, because there the smallest models measure the launching of kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optimizer.ablation.question import MERGE, At, Quantity, Question
from probes.job import WorkloadRef

MIB, GIB = 2**20, 2**30
CPU_BUDGET_BYTES = 256 * MIB
ACCELERATOR_BUDGET_BYTES = 4 * GIB


@dataclass(frozen=True)
class DefaultWorkload:
    """A workload with the config and batch at which a lever shows what it does."""

    name: str
    """Tells the workloads of a claim apart."""
    spec: str
    """A registered name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """What it calls a lever, where the name is another one."""

    @property
    def workload(self) -> WorkloadRef:
        return WorkloadRef(self.spec, dict(self.options))

    def ask(self, question: Question) -> Question:
        """The question on this workload. What the question itself sets is kept."""
        own = {**self.config, **self._renamed(question.config)}
        before, after = self._renamed(question.before), self._renamed(question.after)
        config = {name: value for name, value in own.items() if name not in after}
        return replace(
            question,
            workload=self.spec,
            options={**self.options, **question.options},
            before=before,
            after=after,
            config=config,
            batch_size=question.batch_size or self.batch_size,
        )

    def _renamed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {self.names.get(name, name): value for name, value in values.items()}


def default_workloads(question: Question, kind: str) -> list[DefaultWorkload]:
    """The workloads for a question on a kind of device. The one that the question names comes
    first; where that is none of ours, it is the only one."""
    found = _candidates(question, _sizes(question, kind))
    if question.workload and question.workload not in OURS:
        return [DefaultWorkload(question.workload, question.workload)]
    return sorted(found, key=lambda one: one.spec != question.workload)


def _sizes(question: Question, kind: str) -> Sizes:
    if kind != "cpu":
        return ACCELERATOR
    searched = question.at is At.EACH_MAXIMUM or question.quantity is Quantity.MAX_BATCH
    return NARROW if searched else CPU


def _candidates(question: Question, sizes: Sizes) -> list[DefaultWorkload]:
    named = {*question.before, *question.after, *question.config}
    changed = set(question.after)
    if "channels_last" in changed:
        return _convolutional(sizes)
    if "chunked_loss" in changed:  # logits are as wide as the vocabulary
        wide = sizes if sizes is ACCELERATOR else NARROW_AND_LONG
        both = [_causal(wide, family) for family in ("llama", "gpt2")]
        return [replace(one, options={**one.options, "vocab_size": WIDE}) for one in both]
    if named & SFT_ONLY:
        strategy = "full" if "optimizer" in changed else "lora"
        return [_fine_tuning(named, sizes, strategy, model) for model in MODELS]
    if "target_modules" in changed or MERGE in changed:  # layers are named as in Llama
        return [_causal(sizes, "llama", LORA), _fine_tuning(named, sizes, "lora")]
    if changed & ADAPTERS:
        return [_causal(sizes, family, LORA) for family in ("llama", "gpt2")]
    if "packing" in changed:  # which needs rows of many lengths
        return [_fine_tuning(named, sizes, "lora", model) for model in MODELS]
    return [_transformer(sizes), _causal(sizes, "llama")]


def default_budget_bytes(kind: str, total_bytes: int) -> int:
    """Memory budget within which maximum batches are compared: small enough for a search to take
    a minute."""
    usual = CPU_BUDGET_BYTES if kind == "cpu" else ACCELERATOR_BUDGET_BYTES
    return min(usual, total_bytes // 2)


# -- the workloads ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sizes:
    """How large the models are."""

    layers: int
    width: int
    length: int
    """Tokens of a sequence."""
    batch: int
    rows: int
    """Batch of a fine-tuning, whose models have a size of their own."""
    blocks: int
    """Of a network for images."""
    channels: int
    images: int
    """Batch of images."""


CPU = Sizes(layers=4, width=256, length=128, batch=4, rows=2, blocks=4, channels=32, images=16)
NARROW = replace(CPU, width=64)
"""Fills memory with less work, for searches of the maximum batch on a CPU."""
NARROW_AND_LONG = replace(NARROW, length=256, batch=2)
"""Two chunks of logits, which are most of its memory."""
ACCELERATOR = Sizes(
    layers=12, width=768, length=512, batch=16, rows=16, blocks=8, channels=128, images=128
)

ADAPTERS = frozenset({"strategy", "lora_rank", "lora_r", "rslora", "dora", "target_modules"})
LORA = {"strategy": "lora"}
WIDE = 16_384
"""Entries of a vocabulary that is large beside these models."""
OURS = ("transformer", "causal-lm", "convnet", "sft")
"""Workloads that are built in and that a page may name for a claim."""
SFT_ONLY = frozenset({"optimizer", "lora_alpha", "max_length", "bits"})
"""Settings of a fine-tuning that no other workload has."""


def _transformer(sizes: Sizes) -> DefaultWorkload:
    return DefaultWorkload(
        "transformer",
        "transformer",
        {"length": sizes.length},
        {"layers": sizes.layers, "width": sizes.width},
        sizes.batch,
    )


def _causal(sizes: Sizes, family: str, config: Mapping[str, Any] | None = None) -> DefaultWorkload:
    shape = {"layers": sizes.layers, "hidden_size": sizes.width, "seq_length": sizes.length}
    return DefaultWorkload(
        f"causal-lm ({family})",
        "causal-lm",
        {"model": family},
        {**shape, **(config or {})},
        sizes.batch,
        {"lora_r": "lora_rank"},
    )


def _fine_tuning(
    named: set[str], sizes: Sizes, strategy: str, model: str = "small-llama"
) -> DefaultWorkload:
    """``named`` are the dimensions that the question sets: ``sft`` has some only on request."""
    names = {"lora_rank": "lora_r"}
    searched = sorted({names.get(name, name) for name in named} & SFT_SEARCHED)
    options = {"model": model, "data": "sample", "search": ",".join(searched)}
    if sizes is not ACCELERATOR:
        options["device"] = "cpu"  # else it trains on the best device, wherever the probe runs
    config = {"max_length": sizes.length, "strategy": strategy}
    return DefaultWorkload(f"sft ({model})", "sft", options, config, sizes.rows, names)


MODELS = ("small-llama", "small-gpt2")
SFT_SEARCHED = frozenset(
    {
        "strategy",
        "lora_r",
        "max_length",
        "gradient_checkpointing",
        "optimizer",
        "packing",
        "rslora",
        "dora",
        "lora_alpha",
        "target_modules",
        "bits",
    }
)
"""What ``sft`` takes in its option ``search``."""


def _convolutional(sizes: Sizes) -> list[DefaultWorkload]:
    return [
        DefaultWorkload(
            f"convnet ({kind})",
            "convnet",
            {"kind": kind},
            {"blocks": sizes.blocks, "channels": sizes.channels},
            sizes.images,
        )
        for kind in ("residual", "separable")
    ]
