"""The numbers Tonnage starts from. Plain data: every one can be changed in ``tonnage.toml``."""

from __future__ import annotations

from typing import Any

BUDGETS: dict[str, dict[str, Any]] = {
    "smoke_test": {"target_min": None, "flexibility_min": 0.0, "trials": 4, "throughput_loss": 0.0},
    "prototyping": {"target_min": 20.0, "flexibility_min": 20.0, "trials": 20},
    "validation": {"target_min": 90.0, "flexibility_min": 20.0, "trials": 20},
    "production": {
        "target_min": None,
        "flexibility_min": 0.0,
        "trials": 40,
        "objective": "capacity",
    },
}
"""Cycle-time windows in minutes, and how many configurations a study measures at most."""


def _visnet_tier(min_gib: float, **budgets: tuple[list[int], list[int]]) -> dict[str, Any]:
    spaces = {
        budget: {"layers": layers, "hidden_channels": channels}
        for budget, (layers, channels) in budgets.items()
    }
    return {"min_gib": min_gib, "spaces": spaces}


VISNET_TIERS: list[dict[str, Any]] = [
    _visnet_tier(
        16.0,
        production=([10, 9, 8, 7, 6, 5], [320, 256, 192, 128, 96]),
        validation=([7, 6, 5, 4], [192, 128, 96]),
        prototyping=([5, 4, 3], [96, 64, 48]),
        smoke_test=([2, 1], [32, 24, 16]),
    ),
    _visnet_tier(
        12.0,
        production=([8, 7, 6, 5, 4, 3], [256, 192, 128, 96, 64]),
        validation=([6, 5, 4, 3], [128, 96, 64]),
        prototyping=([4, 3, 2], [64, 48, 32]),
        smoke_test=([2, 1], [32, 24, 16]),
    ),
    _visnet_tier(
        8.0,
        production=([6, 5, 4], [96, 64, 48]),
        validation=([4, 3, 2], [64, 48, 32]),
        prototyping=([3, 2, 1], [32, 24, 16]),
        smoke_test=([1], [16, 8]),
    ),
    _visnet_tier(
        6.0,
        production=([4, 3, 2], [48, 32, 24]),
        validation=([3, 2], [32, 24, 16]),
        prototyping=([2, 1], [16, 8]),
        smoke_test=([1], [8]),
    ),
    _visnet_tier(
        0.0,
        production=([3, 2], [32, 24]),
        validation=([2, 1], [24, 16]),
        prototyping=([1], [16, 8]),
        smoke_test=([1], [8]),
    ),
]
"""ViSNet's search spaces, from the largest memory tier down. The first that fits applies."""

VISNET_SCALING: list[dict[str, float]] = [
    {"min_gib": 24.0, "factor": 1.5},
    {"min_gib": 16.0, "factor": 1.0},
    {"min_gib": 12.0, "factor": 1.1},
    {"min_gib": 0.0, "factor": 1.0},
]
"""What layers and channels of the tier are multiplied with, by memory."""

VISNET_ROUNDING: dict[str, int] = {"hidden_channels": 8}
"""Channels must divide by the number of attention heads."""

PARAMETER_CAPS: list[dict[str, int | None]] = [
    {"max_samples": 1_000, "max_parameters": 250_000},
    {"max_samples": 10_000, "max_parameters": 750_000},
    {"max_samples": 25_000, "max_parameters": 1_000_000},
    {"max_samples": None, "max_parameters": 2_000_000},
]
"""A model much larger than its data only learns it by heart: a cap by dataset size."""


def _language_tier(
    min_gib: float, seq_length: int, **budgets: tuple[list[int], list[int]]
) -> dict[str, Any]:
    """Models, and one way of training them: others are compared on request."""
    way: dict[str, list[Any]] = {
        "seq_length": [seq_length],
        "packing": [True],
        "strategy": ["full"],
        "lora_rank": [16],
    }
    spaces = {
        budget: {"layers": layers, "hidden_size": sizes, **way}
        for budget, (layers, sizes) in budgets.items()
    }
    return {"min_gib": min_gib, "spaces": spaces}


CAUSAL_LM_TIERS: list[dict[str, Any]] = [
    _language_tier(
        40.0,
        512,
        production=([24, 16, 12], [1536, 1024, 768]),
        validation=([12, 8], [1024, 768]),
        prototyping=([8, 4], [768, 512]),
        smoke_test=([2], [256, 128]),
    ),
    _language_tier(
        16.0,
        512,
        production=([16, 12, 8], [1024, 768, 512]),
        validation=([12, 8], [768, 512]),
        prototyping=([8, 4], [512, 256]),
        smoke_test=([2], [256, 128]),
    ),
    _language_tier(
        8.0,
        512,
        production=([12, 8], [768, 512, 256]),
        validation=([8, 4], [512, 256]),
        prototyping=([4, 2], [512, 256]),
        smoke_test=([2], [128]),
    ),
    _language_tier(
        0.0,
        256,
        production=([8, 4], [512, 256, 128]),
        validation=([4, 2], [256]),
        prototyping=([4, 2], [256, 128]),
        smoke_test=([2], [128]),
    ),
]
"""Search spaces of language models: 16 bytes per parameter in float32, and activations."""

WORKLOADS: dict[str, dict[str, Any]] = {
    "visnet": {
        "tiers": VISNET_TIERS,
        "scaling": VISNET_SCALING,
        "parameter_caps": PARAMETER_CAPS,
        "rounding": VISNET_ROUNDING,
    },
    "causal-lm": {"tiers": CAUSAL_LM_TIERS},
}
