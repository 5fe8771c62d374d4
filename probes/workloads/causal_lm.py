"""The built-in workload ``causal-lm``: a transformers language model trained on text.

In full, or with LoRA or QLoRA adapters. Needs the ``llm`` extra in the interpreter that runs the
probe; this module imports without it, and nothing is downloaded.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from probes.errors import InputError
from probes.space import Choice, Space, unknown_name
from probes.workloads import adapters, language_model
from probes.workloads.adapters import ALL_LINEAR, STRATEGIES, AdapterOptions, FourBitModel
from probes.workloads.language_model import EXTRA, FAMILIES, LanguageModel
from probes.workloads.sequences import Batch, Corpus
from probes.workloads.text import SAMPLE, ByteTokenizer, FileTokenizer, Tokenizer, read

LAYERS = (2, 4, 8, 12, 16, 24)
HIDDEN_SIZES = (128, 256, 512, 768, 1024, 1536)
SEQ_LENGTHS = (256, 512, 1024)
LORA_RANKS = (8, 16, 64)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LEARNING_RATE = 2e-4
BYTES = "bytes"
MAX_SEED = 2**63 - 1


class CausalLM:
    """Learns to continue text.

    Options (``--option name=value``):

    - ``model``: a family (``llama``, ``gpt2``, ``qwen2``, ``mistral``), whose size the config
      says, or the path of a ``config.json`` or its folder, which says it itself.
    - ``data``: ``sample``, a ``.txt`` or ``.jsonl`` file, a folder or a pattern of such files. A
      row of ``prompt`` and ``completion`` is learnt from its completion only.
    - ``tokenizer``: ``bytes``, or the path of a ``tokenizer.json``. Default: the one beside
      ``model``, else bytes.
    - ``vocab_size``: rows of the embedding, where they are to be more than the tokenizer needs.
    - ``dtype``: of the weights, ``float32`` or ``bfloat16``. QLoRA has its own.
    - ``target_modules``: what adapters go around, ``all-linear`` or names such as
      ``q_proj,v_proj``; ``lora_dropout``, ``rslora`` and ``dora`` as in peft.
    - ``chunked_loss``: compute the loss in chunks of tokens, as TRL's trainer does, so that the
      logits of a whole batch never exist at once.
    - ``seed``: fixes the order of the batches. The weights come from torch's own seed.

    Raises ``InputError`` for an option or file that cannot be used and ``ModuleNotFoundError``
    when the extra is missing.
    """

    def __init__(
        self,
        model: str = "llama",
        data: str = SAMPLE,
        tokenizer: str | None = None,
        vocab_size: int | None = None,
        dtype: str = "float32",
        target_modules: str = ALL_LINEAR,
        lora_dropout: float = 0.1,
        rslora: bool = False,
        dora: bool = False,
        chunked_loss: bool = False,
        seed: int = 0,
    ) -> None:
        _check_text("model", model, "a family or the path of a config.json")
        _check_text("data", data, f"{SAMPLE!r} or the path of text files")
        _check_text("target_modules", target_modules, f"{ALL_LINEAR!r} or names of layers")
        if dtype not in DTYPES:
            raise InputError(f"dtype={dtype!r}: give {' or '.join(DTYPES)}.")
        if not _is_number(lora_dropout) or not 0 <= lora_dropout < 1:
            raise InputError(f"lora_dropout={lora_dropout!r}: give a number from 0 to below 1.")
        switches = {"rslora": rslora, "dora": dora, "chunked_loss": chunked_loss}
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise InputError(f"{name}={value!r}: give true or false.")
        if not _is_whole(seed) or not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed={seed!r}: give a whole number from 0 to {MAX_SEED}.")
        EXTRA.check_installed()
        adapters.preload()  # now: what is imported after the memory cap counts against it
        self.seed = seed
        self.chunked_loss = chunked_loss
        self.dtype = DTYPES[dtype]
        self.family = model
        self.config_file = None if model in FAMILIES else _config_file(model)
        self.tokenizer = _tokenizer(tokenizer, self.config_file)
        self.file_config: Any = None
        if self.config_file is not None:
            self.file_config = language_model.file_config(self.config_file)
        self.vocab_size = self._rows(vocab_size)
        self.adapters = AdapterOptions(_targets(target_modules), float(lora_dropout), rslora, dora)
        with torch.device("meta"):  # it also imports the architecture, some 100 MiB
            network = self._network({name: values[0] for name, values in self._sizes.items()})
        adapters.check_targets(network, self.adapters.targets)
        self._source = read(data)
        self._corpus = Corpus(self._source.documents, self.tokenizer)

    @property
    def dataset_size(self) -> int | None:
        """Sequences that the data makes unpacked, at the longest length of the space; extrapolated
        where only part of it was read. ``None`` for the sample, which is repeated."""
        source = self._source
        if source.total_bytes is None:
            return None
        longest = self._sizes["seq_length"][-1]
        count = len(self._corpus.sequences(longest, packing=False))
        return max(1, round(count * source.total_bytes / source.read_bytes))

    @property
    def data_files(self) -> list[Path]:
        """What results depend on besides the options: the text, the config, the tokenizer."""
        chosen = [self.config_file, getattr(self.tokenizer, "path", None)]
        return [*self._source.files, *(file for file in chosen if file is not None)]

    @property
    def notes(self) -> list[str]:
        """What a person should know about the data and the vocabulary."""
        notes = list(self._source.notes)
        if self._source.total_bytes is not None:
            longest = self._sizes["seq_length"][-1]
            notes.append(
                f"A sample is a sequence: unpacked, there are {self.dataset_size} of up to "
                f"{longest} tokens (the longest text has {int(self._corpus.length_D.max())}); "
                f"packed, they fill {len(self._corpus.sequences(longest, packing=True))}."
            )
        if self.vocab_size == ByteTokenizer.vocabulary:
            notes.append(
                f"Tokens are bytes, so the vocabulary has {self.vocab_size} entries. A usual one "
                "needs far more memory for its logits: give --option tokenizer=PATH, or its size "
                "with --option vocab_size=32000."
            )
        return notes

    def space(self) -> Space:
        """A model of a file has its own depth and width, and no sequence beyond its positions."""
        return {
            **{name: Choice(values) for name, values in self._sizes.items()},
            "packing": Choice([True, False]),
            "strategy": Choice(STRATEGIES),
            "lora_rank": Choice(LORA_RANKS),
        }

    @property
    def _sizes(self) -> dict[str, tuple[int, ...]]:
        if self.file_config is None:
            return {"layers": LAYERS, "hidden_size": HIDDEN_SIZES, "seq_length": SEQ_LENGTHS}
        own = {
            name: language_model.dimension(self.file_config, theirs) or 1
            for name, theirs in (("layers", "num_hidden_layers"), ("hidden_size", "hidden_size"))
        }
        most = self._most_positions or SEQ_LENGTHS[-1]
        lengths = tuple(length for length in SEQ_LENGTHS if length <= most) or (most,)
        return {**{name: (value,) for name, value in own.items()}, "seq_length": lengths}

    def model(self, config: Mapping[str, Any]) -> nn.Module:
        """The network, with its adapters unless ``strategy`` is ``full``.

        Raises ``InputError`` if it cannot be built, and ``UnsupportedError`` where a package is
        missing or 4 bits do not work.
        """
        strategy = config.get("strategy", "full")
        if strategy not in STRATEGIES:
            raise InputError(unknown_name("strategy", str(strategy), STRATEGIES))
        network = self._network(config, torch.bfloat16 if strategy == "qlora" else self.dtype)
        adapted = None
        if strategy != "full":
            rank = _dimension(config, "lora_rank", LORA_RANKS[1])
            adapted = adapters.add_adapters(network, strategy, rank, self.adapters)
        model = (FourBitModel if strategy == "qlora" else LanguageModel)(network, adapted)
        model.chunked = self.chunked_loss
        return model

    def capacity(self, config: Mapping[str, Any]) -> float:
        """Parameters of the network: neither adapters nor packing four bits make it abler."""
        with torch.device("meta"):
            return float(sum(p.numel() for p in self._network(config).parameters()))

    def batches(self, config: Mapping[str, Any], batch_size: int) -> Iterator[Batch]:
        """Endless CPU batches of ``batch_size`` sequences; the first needs the most memory."""
        if not _is_whole(batch_size) or batch_size < 1:
            raise InputError(f"batch_size={batch_size!r}: give a whole number of 1 or more.")
        packing = config.get("packing", True)
        if not isinstance(packing, bool):
            raise InputError(f"packing={packing!r}: give true or false.")
        sequences = self._corpus.sequences(self._seq_length(config), packing)
        return sequences.batches(batch_size, self.seed)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Mean cross entropy of the next token, over the tokens that are to be learnt."""
        loss: Tensor = model(batch)
        return loss

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """AdamW over what is trained: the adapters where there are some."""
        trained = [p for p in model.parameters() if p.requires_grad]
        return torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01)

    def evaluate(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss without gradients."""
        with torch.no_grad():
            return self.loss(model, batch)

    # -- the network -----------------------------------------------------------------------

    def _network(self, config: Mapping[str, Any], dtype: torch.dtype | None = None) -> nn.Module:
        layers, hidden_size = (_dimension(config, name) for name in ("layers", "hidden_size"))
        seq_length = self._seq_length(config)
        if self.file_config is None:
            made = language_model.family_config(
                self.family,
                layers=layers,
                hidden_size=hidden_size,
                seq_length=seq_length,
                vocab_size=self.vocab_size,
            )
        else:
            self._check_as_in_file(layers=layers, hidden_size=hidden_size)
            made = copy.deepcopy(self.file_config)
            made.get_text_config().vocab_size = self.vocab_size
        return language_model.build(made, dtype or self.dtype)

    def _check_as_in_file(self, **dimensions: int) -> None:
        for name, value in dimensions.items():
            (own,) = self._sizes[name]
            if value != own:
                raise InputError(
                    f"{name}={value}: {self.config_file} says {own}. Leave --set {name} out, or "
                    "change a copy of the file."
                )

    def _seq_length(self, config: Mapping[str, Any]) -> int:
        seq_length = _dimension(config, "seq_length")
        if seq_length < 2:
            raise InputError(f"seq_length={seq_length}: give 2 or more, a token and the next.")
        if self._most_positions is not None and seq_length > self._most_positions:
            raise InputError(
                f"seq_length={seq_length}: {self.config_file} has {self._most_positions} positions "
                "(max_position_embeddings)."
            )
        return seq_length

    @property
    def _most_positions(self) -> int | None:
        if self.file_config is None:
            return None
        return language_model.dimension(self.file_config, "max_position_embeddings")

    def _rows(self, given: int | None) -> int:
        """Rows of the embedding: as given, as the file says, or as the tokenizer needs."""
        if given is not None and (not _is_whole(given) or given < 1):
            raise InputError(f"vocab_size={given!r}: give a whole number, such as 32000.")
        needed, rows = self.tokenizer.vocabulary, given
        if rows is None and self.file_config is not None:
            rows = language_model.dimension(self.file_config, "vocab_size")
        if rows is not None and rows < needed:
            raise InputError(
                f"vocab_size={rows}: the tokenizer has {needed} tokens. Give "
                f"--option vocab_size={needed} or more, or the tokenizer that belongs to the model."
            )
        return needed if rows is None else rows


def _config_file(model: str) -> Path:
    path = Path(model).expanduser()
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"model={model!r}: it is not a family ({', '.join(FAMILIES)}) and there is no file "
            f"{path.absolute()}. Nothing is downloaded: give the path of a config.json or of the "
            "folder it is in."
        )
    return path


def _tokenizer(given: str | None, config_file: Path | None) -> Tokenizer:
    beside = config_file.with_name("tokenizer.json") if config_file is not None else None
    if given is None:
        return FileTokenizer(beside) if beside is not None and beside.is_file() else ByteTokenizer()
    _check_text("tokenizer", given, f"{BYTES!r} or the path of a tokenizer.json")
    if given == BYTES:
        return ByteTokenizer()
    path = Path(given).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"tokenizer={given!r}: there is no file {path.absolute()}. Give the path of a "
            f"tokenizer.json, or {BYTES!r}."
        )
    return FileTokenizer(path)


def _targets(target_modules: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in target_modules.split(",") if name.strip())
    return () if names == (ALL_LINEAR,) else names


def _check_text(name: str, value: Any, what: str) -> None:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name}={value!r}: give {what}.")


def _dimension(config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value: Any = config.get(name, default)
    if _is_number(value) and float(value).is_integer() and value >= 1:
        return int(value)
    raise InputError(f"{name}={value!r}: give a whole number of 1 or more, as in {name}=8.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
