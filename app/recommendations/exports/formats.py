"""Which formats there are. Nothing heavy is imported before one is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Format:
    """A form in which a recommendation can be had."""

    reader: str
    """Who reads it, in a few words."""
    function: str
    """``module:function``, below this package."""

    def load(self) -> Callable[..., Any]:
        """The function from recommendation to ``Export``."""
        module, _, name = self.function.partition(":")
        made: Callable[..., Any] = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return made


FORMATS: dict[str, Format] = {
    "json": Format("the whole document", "documents:to_json"),
    "yaml": Format("config, batch size, environment", "documents:to_yaml"),
    "toml": Format("the same as TOML", "documents:to_toml"),
    "env": Format("KEY=value lines for shells and containers", "variables:to_env"),
    "args": Format("command-line options, as argparse takes them", "arguments:to_args"),
    "hydra": Format("overrides for Hydra's command line", "hydra:to_hydra"),
    "transformers": Format("TrainingArguments, YAML", "hugging_face:to_transformers"),
    "transformers-json": Format("TrainingArguments, JSON", "hugging_face:to_transformers_json"),
    "accelerate": Format("config file of accelerate launch", "hugging_face:to_accelerate"),
    "deepspeed": Format("DeepSpeed's JSON", "deepspeed:to_deepspeed"),
    "lightning": Format("LightningCLI's YAML", "lightning:to_lightning"),
    "torchtune": Format("keys of a torchtune recipe, YAML", "fine_tuning:to_torchtune"),
    "axolotl": Format("keys of an Axolotl config, YAML", "fine_tuning:to_axolotl"),
    "llama-factory": Format("keys of a LLaMA-Factory config, YAML", "fine_tuning:to_llama_factory"),
}
"""By the name that ``--to`` takes."""
