"""A user's file: training in a loop of its own, made a workload."""

from __future__ import annotations

from typing import Any

from texts import SPACE, TEXTS, Classifier, pad
from torch.utils.data import DataLoader

from probes.adapters import from_dataloader

workload = from_dataloader(
    DataLoader(TEXTS, batch_size=4, collate_fn=pad, num_workers=1),
    model=lambda config: Classifier(config["width"]),
    step=lambda model, batch: model(**batch)["loss"],
    space=SPACE,
)


def sized(count: int = 200) -> Any:
    """A function that makes a workload takes options."""
    return from_dataloader(
        DataLoader(TEXTS[:count], collate_fn=pad),
        model=lambda config: Classifier(config["width"]),
        step=lambda model, batch: model(**batch)["loss"],
        space=SPACE,
    )
