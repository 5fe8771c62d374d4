"""The five presets: a name for a set of settings that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from finetuning.settings.model import FineTuningSettings, ModelSettings
from probes.errors import InputError
from probes.space import unknown_name


@dataclass(frozen=True)
class Preset:
    """What a preset is for, and what it sets beyond the defaults (dotted names)."""

    name: str
    about: str
    sets: Mapping[str, Any]

    def settings(self, model: str, changes: Mapping[str, Any] | None = None) -> FineTuningSettings:
        """The preset for a model, with ``changes`` on top. Raises ``InputError``."""
        plain = FineTuningSettings(model=ModelSettings(name=model), preset=self.name)
        return plain.changed({**self.sets, **(changes or {})})


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "quick_lora",
            "A first look within minutes: small adapters, one epoch.",
            {
                "lora.r": 8,
                "lora.alpha": 16,
                "training.epochs": 1.0,
                "training.effective_batch_size": 32,
            },
        ),
        Preset(
            "production_lora",
            "The usual choice: adapters of rank 16, three epochs.",
            {
                "lora.r": 16,
                "lora.alpha": 32,
                "lora.dropout": 0.1,
                "training.epochs": 3.0,
                "training.learning_rate": 2e-4,
                "training.effective_batch_size": 16,
            },
        ),
        Preset(
            "memory_efficient_qlora",
            "For a model that does not fit otherwise: 4-bit base weights, checkpointing.",
            {
                "strategy": "qlora",
                "lora.r": 32,
                "lora.alpha": 64,
                "training.epochs": 3.0,
                "training.effective_batch_size": 16,
                "training.gradient_checkpointing": True,
            },
        ),
        Preset(
            "research",
            "As production_lora, and measured often enough to see what happens.",
            {
                "lora.r": 16,
                "lora.alpha": 32,
                "training.epochs": 3.0,
                "training.effective_batch_size": 16,
                "reporting.logging_steps": 10,
                "reporting.eval_steps": 100,
                "reporting.save_steps": 200,
            },
        ),
        Preset(
            "full_small",
            "All weights of a small model, at a low learning rate.",
            {
                "strategy": "full",
                "training.epochs": 2.0,
                "training.learning_rate": 1e-5,
                "training.effective_batch_size": 8,
            },
        ),
    )
}
DEFAULT_PRESET = "production_lora"


def preset(name: str) -> Preset:
    """The preset of this name. Raises ``InputError`` that names the nearest one."""
    if name not in PRESETS:
        raise InputError(unknown_name("preset", name, PRESETS))
    return PRESETS[name]
