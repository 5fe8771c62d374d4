"""LoRA adapters with peft, and the 4-bit base weights of QLoRA with bitsandbytes.

LoRA: Hu et al., arXiv 2106.09685; rsLoRA: Kalajdzievski, 2312.03732; DoRA: Liu et al., 2402.09353;
QLoRA: Dettmers et al., 2305.14314. Neither package is imported before it is needed. Runs in the
user's interpreter: Python 3.10 syntax.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from probes.errors import InputError
from probes.formatting import first_line
from probes.levers import UnsupportedError
from probes.workloads.extras import is_installed
from probes.workloads.language_model import EXTRA, LanguageModel

ALL_LINEAR = "all-linear"
"""Every linear layer but the output head: what QLoRA adapts, and the best of LoRA's choices."""

STRATEGIES = ("full", "lora", "qlora")


@dataclass(frozen=True)
class AdapterOptions:
    """What all adapters of a workload have in common."""

    targets: tuple[str, ...] = ()
    """Names of the layers to adapt; empty for every linear one."""
    dropout: float = 0.1
    rslora: bool = False
    dora: bool = False


def preload() -> None:
    """Import what adapters need, as far as it is there: what is imported later counts as memory."""
    for package in ("peft", "bitsandbytes"):
        if is_installed(package):
            EXTRA.require(package)


def check_targets(network: nn.Module, targets: tuple[str, ...]) -> None:
    """Raise ``InputError`` for a name that the architecture has no linear layer of.

    peft itself takes a list of which one name exists, and adapts less than was asked for.
    """
    known = linear_names(network)
    unknown = [name for name in targets if name not in known]
    if unknown:
        kind = getattr(getattr(network, "config", None), "model_type", type(network).__name__)
        raise InputError(
            f"target_modules={','.join(targets)!r}: {kind} has no linear layer named "
            f"{', '.join(unknown)}. It has {', '.join(known)}; or give {ALL_LINEAR!r}."
        )


def linear_names(network: nn.Module) -> list[str]:
    """Last names of the layers that an adapter can go around, in the order they are met."""
    return list(dict.fromkeys(name.rpartition(".")[2] for name, _ in _linear_layers(network)))


def add_adapters(
    network: nn.Module, strategy: str, rank: int, options: AdapterOptions
) -> nn.Module:
    """``network`` frozen, with trainable adapters of ``rank``; in 4 bits for ``qlora``.

    Alpha is twice the rank, which sets the scale of what is learnt and costs nothing. Raises
    ``UnsupportedError`` where a package is missing.
    """
    if not is_installed("peft"):
        raise UnsupportedError(f"strategy={strategy}: {EXTRA.sentence('peft')}")
    peft = EXTRA.require("peft")
    if strategy == "qlora":
        _in_four_bits(network)
        if options.dora:
            network.to("cpu")  # DoRA begins with the norms of the quantised weights
        network = peft.prepare_model_for_kbit_training(network, use_gradient_checkpointing=False)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=options.dropout,
        target_modules=list(options.targets) or ALL_LINEAR,
        use_rslora=options.rslora,
        use_dora=options.dora,
        fan_in_fan_out=any(not isinstance(one, nn.Linear) for _, one in _linear_layers(network)),
    )
    adapted: nn.Module = peft.get_peft_model(network, config)
    return adapted


class FourBitModel(LanguageModel):
    """A language model whose linear weights become 4-bit numbers when it goes to its device."""

    def to(self, *args: Any, **kwargs: Any) -> FourBitModel:
        """As ``nn.Module.to``. Raises ``UnsupportedError`` where 4 bits do not work."""
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is not None and device.type != "meta":
            check_four_bits(device)
        return super().to(*args, **kwargs)


def check_four_bits(device: torch.device) -> None:
    """Train one small 4-bit layer on ``device``. Raises ``UnsupportedError`` where it fails."""
    library = _bitsandbytes()
    try:
        layer = _four_bit_layer(library, nn.Linear(64, 64, bias=False)).to(device)
        x = torch.ones(2, 64, device=device, requires_grad=True)
        layer(x).sum().backward()
        works = x.grad is not None and bool(x.grad.isfinite().all())
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        # An absent kernel shows as any of NotImplementedError, AttributeError, RuntimeError, …
        text = f"{type(error).__name__}: {first_line(str(error))}"
        raise _no_four_bits(library, device, text) from error
    if not works:
        raise _no_four_bits(library, device, "a gradient is not finite")


def _in_four_bits(network: Any) -> None:
    """Put 4-bit layers in the place of linear ones. Their weights are quantised on the way to the
    device, as ``from_pretrained`` does it; until then they are what they were."""
    library = _bitsandbytes()
    for name, layer in list(_linear_layers(network)):
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, _four_bit_layer(library, layer))
    network.is_loaded_in_4bit = True  # how peft knows


def _four_bit_layer(library: Any, layer: nn.Module) -> nn.Module:
    """NF4 with double quantisation and bfloat16 arithmetic, as in the QLoRA paper."""
    weight: Any = layer.weight
    if not isinstance(layer, nn.Linear):
        weight = weight.T.contiguous()  # GPT-2's layers hold their weight transposed
    bias: Any = layer.bias
    with torch.device("meta"):
        four_bit: nn.Module = library.nn.Linear4bit(
            weight.shape[1],
            weight.shape[0],
            bias=bias is not None,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
        )
    four_bit.weight = library.nn.Params4bit(
        weight.data,
        requires_grad=False,
        compress_statistics=True,
        quant_type="nf4",
        module=four_bit,
    )
    if bias is not None:
        four_bit.bias = nn.Parameter(bias.data, requires_grad=False)
    return four_bit


def _linear_layers(network: Any) -> list[tuple[str, nn.Module]]:
    """Linear layers with their full names, the output head left out."""
    head = network.get_output_embeddings()
    return [
        (name, module)
        for name, module in network.named_modules()
        if module is not head
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
    ]


def _bitsandbytes() -> Any:
    if not is_installed("bitsandbytes"):
        raise UnsupportedError(
            f"strategy=qlora needs bitsandbytes, which {sys.executable} does not have: "
            f"{sys.executable} -m pip install bitsandbytes"
        )
    try:
        return EXTRA.require("bitsandbytes")
    except Exception as error:  # its native library may not load, in as many ways as systems
        text = f"{type(error).__name__}: {first_line(str(error))}"
        raise UnsupportedError(
            f"strategy=qlora: bitsandbytes cannot be loaded ({text})."
        ) from error


def _no_four_bits(library: Any, device: torch.device, why: str) -> UnsupportedError:
    return UnsupportedError(
        f"strategy=qlora: bitsandbytes {library.__version__} cannot train in 4 bits on "
        f"{device.type} ({why}). Use strategy=lora here."
    )
