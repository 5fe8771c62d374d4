"""What a fine-tuning is told: one frozen dataclass per subject, every field with unit and range.

The defaults are those of the preset ``production_lora``. Everything that trains takes its values
from here; nothing else sets an optimizer, a scheduler or a precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from finetuning.settings import fields as field_rules
from finetuning.settings.fields import setting
from probes.errors import InputError

AUTO = "auto"
STRATEGIES = ("full", "lora", "qlora")
DTYPES = ("float32", "bfloat16", "float16")
SCHEDULERS = ("linear", "cosine", "polynomial", "constant", "constant_with_warmup")
OPTIMIZERS = (
    "adamw_torch",
    "adamw_torch_fused",
    "adamw_8bit",
    "paged_adamw_8bit",
    "adafactor",
    "sgd",
)
REPORTERS = ("trackio", "mlflow", "wandb", "tensorboard")
LARGE_EFFECTIVE_BATCH = 128
"""Beyond this a note is given: small models and data sets learn less from it."""


class _Checked:
    section: ClassVar[str] = ""
    """What stands before the name of a field where it is set: ``lora.``."""

    def __post_init__(self) -> None:
        field_rules.check(self, self.section)


@dataclass(frozen=True, kw_only=True)
class ModelSettings(_Checked):
    """Which model is trained, and how its weights are loaded."""

    section = "model."

    name: str = setting(about="Path of a model's folder, or its name in the local cache of the hub")
    dtype: str = setting(
        AUTO,
        "Of the weights when loaded; auto: bfloat16 where the device computes in it and the base "
        "weights are frozen, else float32",
        choices=(AUTO, *DTYPES),
    )
    attention: str = setting(
        AUTO,
        "Attention kernels; auto: the best that the architecture has",
        choices=(AUTO, "sdpa", "eager", "flash_attention_2"),
    )


@dataclass(frozen=True, kw_only=True)
class LoraSettings(_Checked):
    """Adapters, for the strategies ``lora`` and ``qlora``."""

    section = "lora."

    r: int = setting(16, "Rank", low=1, high=256)
    alpha: int = setting(32, "Scale: updates are multiplied by alpha / r", low=1, high=512)
    dropout: float = setting(0.1, "Share of an adapter's inputs that is dropped", low=0, high=0.5)
    target_modules: tuple[str, ...] = setting(
        (), "Layers to adapt; empty: every linear layer but the output head"
    )
    bias: str = setting("none", "Which biases are trained", choices=("none", "all", "lora_only"))
    rslora: bool = setting(False, "Scale by alpha / sqrt(r) instead of alpha / r")
    dora: bool = setting(False, "Train magnitude and direction apart (DoRA)")


@dataclass(frozen=True, kw_only=True)
class QuantizationSettings(_Checked):
    """Frozen base weights in 4 or 8 bits, for the strategy ``qlora``."""

    section = "quantization."

    bits: int = setting(4, "Bits per weight of the frozen base model", choices=(4, 8))
    quant_type: str = setting("nf4", "Kind of 4-bit numbers", choices=("nf4", "fp4"))
    double_quant: bool = setting(True, "Quantise the scales of 4-bit weights too")
    compute_dtype: str = setting(
        AUTO,
        "What 4-bit weights are multiplied in; auto: bfloat16 where the device has it",
        choices=(AUTO, *DTYPES),
    )

    def __post_init__(self) -> None:
        if self.bits not in (4, 8) or isinstance(self.bits, bool):
            raise InputError(f"{self.section}bits={self.bits!r}: use 4 or 8.")
        super().__post_init__()


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(_Checked):
    """The optimization. Batch sizes are per device."""

    section = "training."

    epochs: float = setting(3.0, "Passes over the training rows", above=0)
    max_steps: int = setting(
        -1, "Optimizer steps; -1: as many as the epochs have", unit="steps", low=-1
    )
    learning_rate: float = setting(2e-4, "Highest learning rate", low=1e-6, high=0.1)
    scheduler: str = setting("cosine", "Course of the learning rate", choices=SCHEDULERS)
    warmup_ratio: float = setting(
        0.1, "Share of the steps in which the learning rate rises", low=0, high=0.5
    )
    batch_size: int | str = setting(
        AUTO, "Rows per device and micro-batch; auto: the largest that is stable", low=1
    )
    effective_batch_size: int = setting(
        16, "Rows per optimizer step; accumulation is derived from it", unit="rows", low=1
    )
    eval_batch_size: int | str = setting(AUTO, "Rows per evaluation batch; auto: batch_size", low=1)
    max_length: int = setting(512, "Longer rows are truncated", unit="tokens", low=8)
    packing: bool = setting(False, "Put several rows into one sequence")
    gradient_checkpointing: bool = setting(False, "Compute activations twice to hold fewer")
    precision: str = setting(
        AUTO,
        "Of the arithmetic; auto: bf16 where the device has it, else fp32",
        choices=(AUTO, "fp32", "bf16", "fp16"),
    )
    optimizer: str = setting("adamw_torch", "Optimizer", choices=OPTIMIZERS)
    weight_decay: float = setting(0.01, "Decoupled weight decay", low=0, high=1)
    adam_beta1: float = setting(0.9, "Decay of Adam's mean", low=0, high=0.9999)
    adam_beta2: float = setting(0.999, "Decay of Adam's variance", low=0, high=0.99999)
    adam_epsilon: float = setting(1e-8, "Added to Adam's denominator", above=0, high=1e-2)
    max_grad_norm: float = setting(1.0, "Gradients are clipped to this norm; 0: never", low=0)
    seed: int = setting(42, "Of weights, shuffling and dropout", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("batch_size", "eval_batch_size"):
            value = getattr(self, name)
            if isinstance(value, str) and value != AUTO:
                raise InputError(
                    f"{self.section}{name}={value!r}: give a whole number of at least 1, or auto."
                )
        if self.max_steps == 0:
            raise InputError(
                "training.max_steps=0: give at least 1 step, or -1 for what the epochs have."
            )
        if self.batch_size != AUTO and int(self.batch_size) > self.effective_batch_size:
            raise InputError(
                f"training.batch_size={self.batch_size} is more than "
                f"training.effective_batch_size={self.effective_batch_size}. "
                "Raise the latter, or set batch_size=auto."
            )


@dataclass(frozen=True, kw_only=True)
class ReportingSettings(_Checked):
    """When the run looks at itself, and what it keeps."""

    section = "reporting."

    logging_steps: int = setting(50, "Log each this many", unit="steps", low=1)
    eval_steps: int = setting(250, "Evaluate each this many", unit="steps", low=1)
    save_steps: int = setting(500, "Save each this many", unit="steps", low=1)
    save_total_limit: int = setting(2, "Checkpoints that are kept beside the best", low=1)
    best_metric: str = setting("eval_loss", "Chooses the best checkpoint", choices=("eval_loss",))
    early_stopping_patience: int | None = setting(
        None, "Stop after this many evaluations without improvement; none: never", low=1
    )
    report_to: tuple[str, ...] = setting(
        (), "Trackers that also receive the metrics", choices=REPORTERS
    )


@dataclass(frozen=True, kw_only=True)
class DataSettings(_Checked):
    """Which rows are kept, and how they are divided."""

    section = "data."

    max_samples_per_source: int | None = setting(
        None, "At most this many rows of each source; none: all", unit="rows", low=1
    )
    balance: str = setting(
        "none",
        "none: as they are; down: every source as small as the smallest; repeat: every source as "
        "large as the largest, rows repeated",
        choices=("none", "down", "repeat"),
    )
    eval_share: float = setting(
        0.1, "Share of the groups kept for evaluation during training", low=0, high=0.5
    )
    test_share: float = setting(
        0.1, "Share of the groups kept for evaluation afterwards", low=0, high=0.5
    )
    min_completion_chars: int = setting(
        1, "Shorter completions are dropped", unit="characters", low=1
    )
    max_chars: int = setting(
        100_000, "Rows with longer prompt and completion are dropped", unit="characters", low=1
    )
    drop_duplicates: bool = setting(True, "Drop a row whose prompt and completion came before")


@dataclass(frozen=True, kw_only=True)
class FineTuningSettings(_Checked):
    """One fine-tuning run, entirely. Frozen; ``changed`` makes a copy."""

    model: ModelSettings
    preset: str | None = setting(None, "Preset that these settings began as")
    strategy: str = setting("lora", "What is trained", choices=STRATEGIES)
    lora: LoraSettings = field(default_factory=LoraSettings)
    quantization: QuantizationSettings = field(default_factory=QuantizationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    reporting: ReportingSettings = field(default_factory=ReportingSettings)
    data: DataSettings = field(default_factory=DataSettings)

    def __post_init__(self) -> None:
        super().__post_init__()
        training = self.training
        if training.precision in ("fp32", "bf16") and self.model.dtype == "float16":
            raise InputError(
                f"model.dtype=float16 with training.precision={training.precision}: weights in "
                "float16 are trained with precision fp16, or load them as float32."
            )
        if self.strategy == "full" and self.model.dtype == "float16":
            raise InputError(
                "strategy=full with model.dtype=float16: its gradients underflow. Load the weights "
                "as float32 and set training.precision=fp16."
            )
        if self.lora.dora and self.strategy == "qlora" and self.quantization.bits == 8:
            raise InputError("lora.dora works on 4-bit weights, not on 8-bit ones.")
        report = self.reporting
        if report.save_steps % report.eval_steps:
            raise InputError(
                f"reporting.save_steps={report.save_steps} must be a multiple of eval_steps="
                f"{report.eval_steps}, so that every checkpoint has an eval_loss to be chosen by."
            )

    def notes(self) -> list[str]:
        """What is legal but probably not meant."""
        notes = []
        if self.training.effective_batch_size > LARGE_EFFECTIVE_BATCH:
            notes.append(
                f"The effective batch size is {self.training.effective_batch_size}; more than "
                f"{LARGE_EFFECTIVE_BATCH} rows per step rarely help a fine-tuning."
            )
        return notes

    def changed(self, changes: Mapping[str, Any]) -> FineTuningSettings:
        """A copy with dotted names changed, as ``--set`` does: ``{"lora.r": 32}``."""
        copy: FineTuningSettings = field_rules.changed(self, changes)
        return copy

    def located(self) -> FineTuningSettings:
        """The same with an absolute path of the model, where its name is a folder as seen from the
        current one: what is recorded then holds in every folder."""
        folder = Path(self.model.name).expanduser()
        if not folder.is_dir():
            return self
        return replace(self, model=replace(self.model, name=str(folder.absolute())))

    def to_plain(self) -> dict[str, Any]:
        """Nested plain values, for JSON and YAML."""
        return field_rules.to_plain(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> FineTuningSettings:
        """Back from ``to_plain``. Raises ``InputError``, naming the nearest known key."""
        settings: FineTuningSettings = field_rules.from_plain(cls, plain)
        return settings
