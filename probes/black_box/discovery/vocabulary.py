"""What the words beside a number say about what it counts."""

from __future__ import annotations

import re
from enum import Enum


class Kind(Enum):
    """What a number counts, as far as the words beside it tell."""

    STEP = "steps"
    ITERATION = "iterations"
    BATCH = "batches"
    MICRO = "micro-batches"
    FRACTION = "parts of a whole"
    SAMPLE = "samples"
    BARE = "a bare number"
    EPOCH = "epochs"
    OTHER = "something else"


_KINDS = {
    Kind.STEP: "step steps gstep globalstep update updates upd",
    Kind.ITERATION: "iter iters iteration iterations itr it its",
    Kind.BATCH: "batch batches minibatch minibatches ba batchidx",
    Kind.SAMPLE: "sample samples example examples image images img imgs sequence sequences seqs "
    "record records rows sentence sentences instance instances utterance utterances docs documents "
    "graphs molecules",
    Kind.EPOCH: "epoch epochs ep eps pass round rounds generation tick episode episodes",
}
KIND_OF_WORD = {word: kind for kind, words in _KINDS.items() for word in words.split()}

MICRO_WORDS = {"micro", "accum", "accumulation", "local", "substep", "forward"}
NOT_COUNTED = {"skipped", "nan", "per", "warmup", "max", "min", "remaining", "best", "last", "env"}
NUMBERING = {"no", "nr", "num", "number", "idx", "index", "count", "id", "current", "total"}
"""Words that may stand after the one that says what is counted: ``batch idx 12``."""

_PROGRESS = {
    "seen", "saw", "processed", "consumed", "trained", "on", "after", "done", "finished",
    "completed", "used",
}  # fmt: skip
"""Words before a number after which the word behind it says what is counted."""

_EVALUATION = re.compile(
    r"^(?:val|valid|validate|validation|validations|eval|evals|evaluate|evaluation|test|tests"
    r"|dev|cv|holdout|infer|inference|predict|prediction|predictions|sanity|fid|benchmark"
    r"|evaluating|validating|testing|inferring|predicting)\d*$|^(?:测试|验证|评估)$"
)
_PREPARATION = re.compile(
    r"^(?:download|downloaded|loaded|load|fetch|map|filter|tokenize|tokenized|cache|cached|shard"
    r"|shards|file|files|save|saved|checkpoint|checkpoints|ckpt|package|packages|layer|layers"
    r"|extract|generate|generated|preprocess|collect"
    r"|install|installed|compile|compiled|get|hit|pull|pulled|unpack|setup|upload|uploaded|weights"
    r"|param|params|parameters|warmup|tar|zip|safetensors|parquet|split|splits)$"
)
_GERUND = re.compile(r"^[a-z]{2,}ing$")
_TRAINING_GERUNDS = re.compile(
    r"^(?:pre|re)?(?:train|tun|finetun|optimi[sz]|fitt|learn|distill|unlearn)ing$"
    r"|^(?:logg|runn|start|begin|beginn|remain|us|dur|str|tim|follow|warn|s|elaps|progress)+ing$"
)
_WORDS = re.compile(r"[A-Za-z]+\d*|测试|验证|评估|训练")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_RETURNS = {"return", "returns", "reward", "rewards", "rew", "episodic"}
_TRAIN = re.compile(r"^(?:pre|fine)?(?:train|training|tuning|finetune|fit|optimization)$|^训练$")

FRACTION_OF_EPOCH = re.compile(r"\bepochs?\W{0,6}\d*\.\d*[1-9]", re.IGNORECASE)
"""An epoch that is no whole number: ``'epoch': '0.25'``."""

TIME_UNITS = {"s", "ms", "us", "sec", "secs", "seconds", "min", "mins", "h", "hours", "d", "m"}
SIZE_UNITS = {"b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "k", "g", "bytes", "mbs", "gbs"}
SAMPLE_RATES = {"ex", "exs", "seq", "pair", "pairs", "sent", "sents", "clip", "clips", "ims"}
STEP_RATES = {"", "it", "its", "step", "steps", "batch", "batches", "ba", "iter", "iters", "update"}


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; ``global_step``, ``globalStep`` are two each."""
    return [word.lower() for word in _WORDS.findall(_CAMEL.sub(" ", text))]


def tells_of_progress(name: str) -> bool:
    """Whether these words before a number say that something is done, and not what."""
    words = words_of(name)
    return bool(words) and words[-1] in _PROGRESS


def is_evaluation(words: list[str]) -> bool:
    return any(_EVALUATION.match(word) for word in words)


def is_preparation(words: list[str]) -> bool:
    """Whether the words before a number tell of work that is no training: ``Tokenizing``."""
    return any(
        _PREPARATION.match(word) or (_GERUND.match(word) and not _TRAINING_GERUNDS.match(word))
        for word in words
    )


def is_training(words: list[str]) -> bool:
    return any(_TRAIN.match(word) for word in words)


def is_about_episodes(words: list[str]) -> bool:
    """Whether a line tells what an agent got in its environment."""
    return not _RETURNS.isdisjoint(words)


def kind_of(name: str) -> Kind | None:
    """What a number with this name counts; ``None`` for a number without a name."""
    words = words_of(name)
    while len(words) > 1 and words[-1] in NUMBERING:
        words.pop()
    if not words:
        return None
    kind = KIND_OF_WORD.get(words[-1])
    if kind is None or (len(words) > 1 and not NOT_COUNTED.isdisjoint(words[:-1])):
        return Kind.OTHER
    if len(words) > 1 and not MICRO_WORDS.isdisjoint(words[:-1]):
        return Kind.MICRO
    return kind
