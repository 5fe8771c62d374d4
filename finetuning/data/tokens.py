"""How long the prepared rows are in tokens, and what is lost at ``max_length``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finetuning.data.progress import Progress
from finetuning.data.summary import TokenLengths

COUNTED_ROWS = 20_000
"""Of each split. The files are shuffled, so their first rows are a random sample."""
BATCH_ROWS = 256


def token_lengths(
    paths: list[Path], tokenizer: Any, max_length: int, progress: Progress
) -> TokenLengths:
    """Lengths over the rows of several files; ``tokenizer`` is called with a list of texts, as
    tokenizers of transformers are."""
    lengths: list[int] = []
    answerless = 0
    for path in paths:
        for batch in _batches(path):
            prompts = tokenizer([row["prompt"] for row in batch])["input_ids"]
            whole = tokenizer([row["prompt"] + row["completion"] for row in batch])["input_ids"]
            lengths += [len(ids) + 1 for ids in whole]
            answerless += sum(len(ids) >= max_length for ids in prompts)
            progress.advance(len(batch))
    lengths.sort()
    return TokenLengths(
        tokenizer=tokenizer_name(tokenizer),
        rows=len(lengths),
        p50=percentile(lengths, 50),
        p95=percentile(lengths, 95),
        longest=lengths[-1],
        max_length=max_length,
        truncated=sum(length > max_length for length in lengths) / len(lengths),
        answerless=answerless / len(lengths),
    )


def tokenizer_name(tokenizer: Any) -> str:
    """What a tokenizer was loaded from, or its class."""
    return str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)


def percentile(values: list[int], percent: int) -> int:
    """The smallest of the sorted values that ``percent`` of them do not exceed (nearest rank)."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        rows = (json.loads(line) for line in itertools.islice(file, COUNTED_ROWS))
        while batch := list(itertools.islice(rows, BATCH_ROWS)):
            yield batch
