"""A workload from a ``Trainer`` of transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from probes.adapters.adapter import Adapter, check_function
from probes.adapters.data import WorstCase
from probes.errors import InputError


def from_trainer(
    make: Callable[[dict[str, Any]], Any],
    space: Mapping[str, Any],
    *,
    worst_case: WorstCase = None,
    evaluate: bool = True,
    data_files: Sequence[str | Path] = (),
) -> TrainerWorkload:
    """The workload that trains as ``make(config)`` would, a ``transformers.Trainer``.

    Its model, loss (``compute_loss``), optimizer, data set, collator and loading processes are
    taken as they are, its batch size is searched. ``bf16``, ``fp16``, ``tf32``,
    ``gradient_checkpointing``, ``torch_compile`` and ``gradient_accumulation_steps`` of its
    ``TrainingArguments`` become fixed levers, unless ``space`` names those. ``evaluate``: also
    probe the loss without gradients. ``worst_case`` says how large a sample is, or names samples
    by their index; ``data_files`` are files that results depend on.

    Example::

        workload = from_trainer(
            lambda config: Trainer(model=net(config["layers"]), args=arguments, train_dataset=data),
            space={"layers": [2, 4, 8]},
        )
    """
    return TrainerWorkload(
        make, space, worst_case=worst_case, evaluate=evaluate, data_files=data_files
    )


class TrainerWorkload(Adapter):
    """See ``from_trainer``."""

    def __init__(
        self,
        make: Callable[[dict[str, Any]], Any],
        space: Mapping[str, Any],
        *,
        evaluate: bool,
        **data: Any,
    ) -> None:
        super().__init__(space, **data)
        check_function("make", make, "a transformers.Trainer")
        from transformers import Trainer  # now: what is imported later counts as memory

        self._make = make
        self._class = Trainer
        if evaluate:
            self.evaluate = self.loss

    def build(self, config: dict[str, Any]) -> Any:
        trainer = self._make(config)
        if not isinstance(trainer, self._class):
            raise InputError(
                f"make(config) returned a {type(trainer).__name__}; it must return a "
                "transformers.Trainer."
            )
        for name in ("deepspeed", "fsdp"):
            if getattr(trainer.args, name, None):
                raise InputError(
                    f"TrainingArguments({name}=…): a probe trains on one device, which says "
                    "nothing about a model that is spread over several. Leave it out of what "
                    "make(config) returns, for the size that one device holds."
                )
        return trainer

    def loader(self, built: Any) -> Any:
        return built.get_train_dataloader()

    def model(self, config: dict[str, Any]) -> torch.nn.Module:
        model: torch.nn.Module = self.fresh(config).model
        return model

    def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        inputs = dict(batch) if isinstance(batch, Mapping) else batch  # it takes labels out
        loss: torch.Tensor = self.first().compute_loss(model, inputs)
        return loss

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The one that the Trainer was given, or makes of ``optim`` and what goes with it; it clips
        gradients before each step as the Trainer does."""
        trainer = self.first()
        made: torch.optim.Optimizer = trainer.create_optimizer()
        most = trainer.args.max_grad_norm
        if most is not None and most > 0:

            def clip(*_: Any) -> None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), most)

            made.register_step_pre_hook(clip)
        return made

    def levers(self, built: Any) -> dict[str, Any]:
        args = built.args
        levers: dict[str, Any] = {}
        if args.bf16 or args.fp16:
            levers["precision"] = "bf16" if args.bf16 else "fp16"
        elif args.tf32 is not None:
            levers["precision"] = "tf32" if args.tf32 else "fp32"
        if args.gradient_checkpointing:
            levers["gradient_checkpointing"] = True
        if args.torch_compile:
            levers["compile"] = True
        if args.gradient_accumulation_steps > 1:
            levers["accumulation"] = args.gradient_accumulation_steps
        return levers

    def remarks(self, built: Any) -> list[str]:
        if getattr(built.args, "neftune_noise_alpha", None):
            return ["The noise of neftune_noise_alpha is left out; it changes no memory."]
        return []
