"""A model as it is before training: dtype, quantisation, adapters and padding as settings say.

The same function loads it for a probe and for the run, so that what is measured is what trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetuning.models import quantized
from finetuning.models.device import weights_dtype
from finetuning.models.tokenizers import first_words, load_tokenizer, set_padding
from finetuning.settings.files import read_settings
from finetuning.settings.model import AUTO, FineTuningSettings
from probes.errors import InputError
from probes.worker.channel import Channel
from probes.workloads.adapters import ALL_LINEAR, check_targets, linear_names


@dataclass(frozen=True)
class LoadedModel:
    """A model and what belongs to it, ready for a trainer."""

    model: Any
    tokenizer: Any
    adapter: Any
    """A peft config, or none where all weights are trained."""


def load(settings: FineTuningSettings, device: str) -> LoadedModel:
    """Load model and tokenizer for training on ``device`` (``cpu``, ``cuda:0``, …).

    Raises ``InputError`` for a model or layer names that cannot be used, and ``UnsupportedError``
    for what the device cannot do.
    """
    from transformers import AutoModelForCausalLM

    name = settings.model.name
    check_folder(name)
    tokenizer = load_tokenizer(name)
    wanted: dict[str, Any] = {"dtype": weights_dtype(settings, device)}
    if settings.model.attention != AUTO:
        wanted["attn_implementation"] = settings.model.attention
    if settings.strategy == "qlora":
        kept = read_past_adapters(read_config(name))
        wanted["quantization_config"] = quantized.quantization_config(settings, device, kept)
        wanted["device_map"] = {"": device}
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **wanted)
    except (OSError, ValueError) as error:
        raise InputError(f"model.name={name!r} cannot be loaded: {first_words(error)}.") from error
    check_config(settings, model.config)
    if set_padding(tokenizer, model.get_input_embeddings().weight.shape[0]):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.use_cache = False
    adapter = None
    if settings.strategy != "full":
        check_targets(model, targets(settings))
        adapter = lora_config(settings, model)
    if settings.strategy == "qlora":
        model = quantized.prepare(model, settings)
    return LoadedModel(model, tokenizer, adapter)


def lora_config(settings: FineTuningSettings, model: Any) -> Any:
    """The peft config of the adapters."""
    from peft import LoraConfig

    lora = settings.lora
    conv1d = any(type(module).__name__ == "Conv1D" for module in model.modules())
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets(settings)) or _every_linear(model),
        bias=lora.bias,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        fan_in_fan_out=conv1d and settings.strategy != "qlora",
    )


def targets(settings: FineTuningSettings) -> tuple[str, ...]:
    """Names of the layers to adapt; empty for every linear one."""
    named = settings.lora.target_modules
    return () if named == (ALL_LINEAR,) else named


def _every_linear(model: Any) -> Any:
    """What adapters go around unless names are given: every linear layer but the output head, and
    those whose weights are read past the layer."""
    kept = read_past_adapters(model.config)
    if not kept:
        return ALL_LINEAR
    return [name for name in linear_names(model) if name not in kept]


def read_past_adapters(config: Any) -> tuple[str, ...]:
    """Names of the layers whose weights the architecture reads itself instead of calling the layer.
    An adapter around one would never train, and its weights cannot be kept in 4 bits: those of
    Mamba's blocks that its scan needs."""
    state_space = any(name in config.model_type for name in ("mamba", "jamba", "zamba", "bamba"))
    return ("out_proj", "conv1d", "dt_proj") if state_space else ()


def check_config(settings: FineTuningSettings, config: Any = None) -> None:
    """Raise ``InputError`` for a model that is no causal language model, and where the rows may be
    longer than it can take.

    Args:
        config: the model's, where it is loaded; it is read otherwise.
    """
    if config is None:
        config = read_config(settings.model.name)
    _check_is_causal(settings.model.name, config)
    asked, most = settings.training.max_length, positions(config)
    if asked > most:
        raise InputError(
            f"training.max_length={asked}: {settings.model.name} takes {most} tokens at most. Use "
            f"--set training.max_length={most}, or less."
        )


def check_job(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """In a worker: ``check_config`` for the settings file in ``arguments["settings"]``."""
    settings = read_settings(Path(arguments["settings"]))
    check_folder(settings.model.name)
    check_config(settings)
    return {}


def _check_is_causal(name: str, config: Any) -> None:
    from transformers.models.auto import modeling_auto as auto

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        what = "is an encoder-decoder model"
    elif kind in auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        if kind not in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES or getattr(
            config, "is_decoder", False
        ):
            return
        what = "is an encoder: its attention sees the tokens that it should predict"
    elif getattr(config, "auto_map", None):
        return  # code of its own
    else:
        what = "has no causal language model in transformers"
    raise InputError(
        f"model.name={name!r}: {kind} {what}. Fine-tuning trains causal language models, such as "
        "Llama, Qwen or GPT-2."
    )


def positions(config: Any) -> int:
    """The longest sequence that a model with this config can take, in tokens."""
    config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if isinstance(value := getattr(config, name, None), int):
            return value
    return 1 << 30


def read_config(name: str) -> Any:
    """The config of a model. Raises ``InputError`` where there is none."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise InputError(f"model.name={name!r} cannot be loaded: {first_words(error)}.") from error


def check_folder(name: str) -> None:
    """Raise ``InputError`` for a path that is not a model's folder."""
    looks_like_path = name.startswith(("/", ".", "~")) or "\\" in name
    folder = Path(name).expanduser()
    if folder.is_file() or (looks_like_path and not folder.is_dir()):
        raise InputError(
            f"model.name={name!r} is {'a file' if folder.is_file() else 'not there'}. Give the "
            "folder that save_pretrained() wrote, or a name in the hub's local cache."
        )
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise InputError(
            f"model.name={name!r}: the folder has no config.json. Give the folder that "
            "save_pretrained() wrote."
        )
