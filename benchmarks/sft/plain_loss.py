"""The same fine-tuning with the loss of a plain model, as a workload for comparison."""

from __future__ import annotations

from typing import Any

import torch

from finetuning.workload import SFT


class PlainLoss(SFT):
    """``sft``, but the logits of the whole batch are computed at once: ``model(**batch).loss``.

    That is what somebody measures who writes the step down instead of asking the trainer for it.
    """

    def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        loss: torch.Tensor = model(**batch).loss
        return loss
