"""Collects the values of a recommendation that another program's file can express.

An export format takes the values that its target has keys for. Every value that remains is listed
in the export, so that nothing is dropped silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.recommendations.exports.command import (
    is_accumulation_known,
    is_of_command,
    left_to_the_script,
    template_of,
)
from app.recommendations.exports.contract import Export
from app.recommendations.exports.provenance import allocator_variables, comment, provenance
from app.recommendations.exports.ranks import (
    DDP_ARGUMENTS,
    FSDP_LEVERS,
    Sharding,
    ddp_call,
    ranks_of,
)
from app.recommendations.exports.settings import plain
from optimizer.records import Recommendation
from probes.levers import LEVERS, PARALLEL_LEVERS

CAUSAL_LM = "causal-lm"
ADAPTERS = ("lora", "qlora")
MODEL_ONLY = "They describe your model and data, which your own code builds"

IN_CODE: dict[str, Mapping[Any, str]] = {
    "precision": {
        "fp32": "set torch.backends.cudnn.allow_tf32 = False",
        "tf32": "set allow_tf32 = True in torch.backends.cuda.matmul and torch.backends.cudnn",
        "bf16": "run forward and loss under torch.autocast(…, dtype=torch.bfloat16)",
        "fp16": "run forward and loss under torch.autocast(…, dtype=torch.float16), with a "
        "torch.amp.GradScaler",
    },
    "gradient_checkpointing": {
        True: "call model.gradient_checkpointing_enable(), or wrap each block in "
        "torch.utils.checkpoint"
    },
    "compile": {True: "train torch.compile(model)"},
    "optimizer_impl": {
        "fused": "give your optimizer fused=True",
        "foreach": "give your optimizer foreach=True",
        "forloop": "give your optimizer foreach=False, fused=False",
    },
    "channels_last": {
        True: "call model.to(memory_format=torch.channels_last), and the same for the images"
    },
}
"""What a training script must do for a lever that its configuration file has no key for, by value.
Values that are not listed need no code."""


class Sheet:
    """The values of a recommendation, as one target expresses them."""

    def __init__(self, recommendation: Recommendation, target: str) -> None:
        self.recommendation = recommendation
        self.target = target
        self.left = dict(recommendation.config)
        self.left.pop("accumulation", None)  # a field of the recommendation itself
        self.unsaid: list[str] = []
        self.kind = recommendation.device.partition(":")[0]
        self.is_command = is_of_command(recommendation)
        self.accumulation = (
            recommendation.accumulation if is_accumulation_known(recommendation) else None
        )
        """Batches per optimizer step; ``None`` where the script of a command decides it."""
        self.ranks = ranks_of(recommendation)
        """The ranks, if several devices train as one."""
        self.selection = self.ranks.selection if self.ranks is not None else {}
        """The environment variable that selects the devices, until a format has a key for it."""
        silent = PARALLEL_LEVERS if self.ranks is None else self.ranks.levers_without_effect
        for name in silent:
            self.left.pop(name, None)

    def take(self, name: str) -> Any:
        """Take a value of the config that the target has a key for; ``None`` if the config does
        not contain it."""
        return self.left.pop(name, None)

    def take_switch(self, name: str) -> bool | None:
        """Take a lever that is on or off. One that the config does not set is off, but for a
        command, whose script may do what it likes: ``None``."""
        value = self.take(name)
        if value is None and self.is_command:
            return None
        return bool(value)

    def take_adapter(self) -> tuple[str | None, int | None]:
        """The strategy (``full``, ``lora`` or ``qlora``) and the rank of the adapters. Each is
        ``None`` if the config does not contain it."""
        strategy, rank = self.take("strategy"), self.take("lora_rank")
        if strategy is None and rank is not None:
            strategy = "lora"
        return strategy, rank if strategy in ADAPTERS else None

    @property
    def parallel_text(self) -> str:
        """The levers of training in parallel that are not taken yet, as the command line has
        them."""
        return _text({name: self.left[name] for name in PARALLEL_LEVERS if name in self.left})

    def take_parallel(self) -> str | None:
        """``ddp``, ``fsdp`` or ``tp``; ``None`` for a single device, and for a command."""
        self.take("tensor_parallel")
        way: str | None = self.take("parallel")
        return way

    def take_ddp(self) -> dict[str, Any]:
        """The arguments of torch's ``DistributedDataParallel`` that the config sets, under its
        names."""
        return {
            argument: self.left.pop(lever)
            for lever, argument in DDP_ARGUMENTS.items()
            if lever in self.left
        }

    def take_sharding(self) -> Sharding:
        """How FSDP2 shards, with its defaults for what the config does not set."""
        reshard, dtype, offload = (self.take(name) for name in FSDP_LEVERS)
        return Sharding(reshard is not False, dtype or "fp32", bool(offload))

    def adapter_by_code(self) -> None:
        """Note how adapters are made, for a target that has no keys for them."""
        strategy, rank = self.take_adapter()
        if strategy not in ADAPTERS:
            return
        size = f"r={rank}, lora_alpha={2 * rank}, " if rank else ""
        first = (
            "Load the model in 4 bits (BitsAndBytesConfig, nf4), and give"
            if (strategy == "qlora")
            else "Give"
        )
        self.cannot(
            f"strategy={strategy}: {self.target} has no keys for adapters. {first} it "
            f"peft.LoraConfig({size}target_modules='all-linear')."
        )

    def options(self) -> dict[str, Any]:
        """The fixed options of the workload if it is ``causal-lm``; otherwise empty."""
        given = self.recommendation.valid.get("workload_options") or {}
        return dict(given) if self.recommendation.workload == CAUSAL_LM else {}

    def by_code(self, name: str) -> None:
        """Note what the training script must do for a lever, if the config sets it and its value
        needs code."""
        value = self.take(name)
        todo = IN_CODE[name].get(value)
        if value in ("fp32", "tf32") and self.kind != "cuda":
            todo = None  # no other device has TF32
        if todo is not None:
            self.unsaid.append(f"{_text({name: value})}: {self.target} has no key for it; {todo}.")

    def parallel_by_code(self) -> None:
        """Note how the training script must spread its model over the ranks, as far as the target
        has no keys for it."""
        ranks, named = self.ranks, self.parallel_text
        if ranks is None or not named:
            return
        parallel = self.take_parallel()
        todo = []
        if parallel == "ddp":
            todo = [f"train {ddp_call(self.take_ddp())}"]
        if parallel == "tp":
            todo = [
                "divide the layers as the workload's parallelize(model, mesh) does, on a mesh of "
                f"dp={ranks.data_parallel} × tp={ranks.tensor_parallel}, and give the ranks of one "
                "team the same batches"
            ]
        if ranks.shards:
            mesh = "mesh['dp']" if parallel == "tp" else ""
            todo.append(f"call {ranks.fsdp_calls(self.take_sharding(), mesh)}")
        if todo:
            self.unsaid.append(f"{named}: {self.target} cannot express it; {'; then '.join(todo)}.")

    def cannot(self, sentence: str) -> None:
        """Add a sentence about something that the file cannot express, or only in part."""
        self.unsaid.append(sentence)

    def close(self) -> None:
        """Add a sentence about every value that was not taken, and about what is not known."""
        if unknown := left_to_the_script(self.recommendation):
            self.unsaid.insert(0, _of_the_script(unknown, template_of(self.recommendation)))
        self.parallel_by_code()
        for name in [name for name in self.left if name in LEVERS]:
            self.by_code(name)
        if self.left:
            self.unsaid.append(
                f"{self.target[0].upper()}{self.target[1:]} has no key for {_text(self.left)}. "
                f"{MODEL_ONLY}."
            )
            self.left.clear()
        variables = allocator_variables(self.recommendation) | self.selection
        if variables:
            text = " ".join(f"{name}={value}" for name, value in variables.items())
            self.unsaid.append(f"Set the environment variables that the measurement used: {text}")

    def yaml(self, document: Mapping[str, Any]) -> Export:
        """The document as YAML. A comment lists everything that it cannot express."""
        import yaml

        self.close()
        body = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
        head = comment([*provenance(self.recommendation), *self.unsaid])
        return Export(head + body, self.unsaid)

    def json(self, document: Mapping[str, Any], note_key: str | None = None) -> Export:
        """The document as JSON. What it cannot express is listed under ``note_key``, if the reading
        program tolerates such a key."""
        if note_key is None and self.ranks is not None:
            self.cannot(f"{self.ranks.meaning}.")
        self.close()
        noted = dict(document)
        if note_key is not None:
            noted[note_key] = {"from": provenance(self.recommendation), "unsaid": self.unsaid}
        text = json.dumps(noted, indent=2, ensure_ascii=False) + "\n"
        return Export(text, self.unsaid, says_so=note_key is not None)


def given(**keys: Any) -> dict[str, Any]:
    """The keys that have a value: without those that are ``None``."""
    return {key: value for key, value in keys.items() if value is not None}


def _of_the_script(names: list[str], template: str) -> str:
    what = f": {template}" if template else ""
    return (
        f"Left out, because the script of the command decides it: {', '.join(names)}. Add the keys "
        f"for what it does where a default differs. Measured was the command{what}"
    )


def _text(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={plain(value)}" for name, value in values.items())
