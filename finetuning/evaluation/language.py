"""The task ``language``: likelihood and answers on the held-out rows, and how fast they come.

Perplexity and loss are of the completion's tokens only, each counted once. BLEU is sacrebleu's, of
the whole corpus in the summary and of each sentence in the rows (for comparisons in pairs). ROUGE-L
is rouge-score's F-measure. A decision matches exactly where the texts after ``Conclusion:`` are the
same, or the whole answers where one of the two has no conclusion.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetuning.evaluation.memory import peak_memory
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow
from probes.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from finetuning.evaluation.generation import Answer, TrainedModel

NAME = "language"
OPTIONS = ("latency_rows", "max_new_tokens")
CONCLUSION = "Conclusion:"
LARGEST_LOSS = 700.0
"""In nats per token; beyond it the perplexity is no number that a computer holds."""

METRICS = (
    Metric(
        "perplexity",
        "nll_per_token",
        Direction.LOWER,
        "Of the completions' tokens, the stop token included",
        weight="tokens",
        exponential=True,
    ),
    Metric(
        "loss",
        "nll_per_token",
        Direction.LOWER,
        "Mean negative log-likelihood of the completions' tokens",
        unit="nats per token",
        weight="tokens",
    ),
    Metric("sentence_bleu", "bleu", Direction.HIGHER, "Mean BLEU of single answers, 0 to 100"),
    Metric("rouge_l", "rouge_l", Direction.HIGHER, "Mean F-measure of ROUGE-L, 0 to 1"),
    Metric("exact_match", "exact_match", Direction.HIGHER, "Share of answers with the decision"),
    Metric(
        "answer_ms",
        "answer_ms",
        Direction.LOWER,
        "Mean time of an answer that is generated alone",
        unit="ms",
    ),
    Metric(
        "tokens_per_s",
        "tokens_per_s",
        Direction.HIGHER,
        "Generated tokens per second, in batches",
        unit="tokens/s",
        weight="batch_share_s",
    ),
)


@dataclass(frozen=True)
class HeldOutRow:
    """A row of ``data/test.jsonl``: what is asked, and what should be answered."""

    name: str
    prompt: str
    completion: str
    source: str
    group: str


def read_held_out(path: Path) -> list[HeldOutRow]:
    """The rows of a test file, in an order that depends on their ids only.

    The order mixes sources and games, so the first rows are a fair sample: a larger limit contains
    the rows of a smaller one. Raises ``InputError`` where the file is missing, empty or broken.
    """
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                rows.append(_held_out(json.loads(line), number))
    except OSError as error:
        raise InputError(
            f"{path}, the rows that were held out, cannot be read: {error.strerror}. Put the file "
            "back, or train again with another --output."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}, line {number}: not a data row ({error!r}).") from error
    if not rows:
        raise InputError(f"{path} has no rows to evaluate. Raise data.test_share.")
    if len({row.name for row in rows}) < len(rows):
        raise InputError(f"{path}: some rows have the same id. Prepare the data again.")
    return sorted(rows, key=lambda row: hashlib.sha256(row.name.encode()).digest())


def _held_out(row: Mapping[str, Any], number: int) -> HeldOutRow:
    name = str(row.get("id", number))
    source = str(row.get("source", ""))
    group = str(row.get("group") or name)
    return HeldOutRow(name, str(row["prompt"]), str(row["completion"]), source, group)


def decision_of(text: str) -> str:
    """What an answer concludes with; the whole answer where it has no conclusion."""
    _, found, conclusion = text.rpartition(CONCLUSION)
    return conclusion.strip() if found else text.strip()


def same_decision(answer: str, reference: str) -> bool:
    """Whether two answers decide the same."""
    if CONCLUSION in answer and CONCLUSION in reference:
        return decision_of(answer) == decision_of(reference)
    return answer.strip() == reference.strip()


class LanguageTask:
    """Scores and answers held-out rows.

    ``latency_rows``: how many rows are answered one at a time, to measure the time of an answer;
    the others are answered in batches, to measure the throughput. ``max_new_tokens``: where
    an answer is cut off; by default 8 tokens after the length of the longest reference.
    """

    name = NAME
    metrics: Sequence[Metric] = METRICS

    def __init__(
        self,
        rows: Sequence[HeldOutRow],
        *,
        latency_rows: int = 20,
        max_new_tokens: int | None = None,
    ) -> None:
        for name, value in zip(OPTIONS, (latency_rows, max_new_tokens)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name}={value}: give a whole number, at least 1.")
        self.rows, self.latency_rows, self.max_new_tokens = rows, latency_rows, max_new_tokens

    def items(self) -> Sequence[HeldOutRow]:
        """The rows of the test file."""
        return self.rows

    def evaluate(
        self,
        model: TrainedModel,
        items: Sequence[HeldOutRow],
        done: frozenset[str] = frozenset(),
    ) -> Iterator[EvaluationRow]:
        """One row per item that is not in ``done``. Raises ``MeasurementError`` where the loss of
        the model is not finite."""
        timed = set(items[: min(self.latency_rows, math.ceil(len(items) / 2))])
        left = [item for item in items if item.name not in done]
        if not left:
            return
        limit = self.max_new_tokens or _longest(model, items) + 8
        model.answers([left[0].prompt], max_new_tokens=2)  # the first call also sets things up
        for item in [item for item in left if item in timed]:
            [answer], seconds = _answered(model, [item], limit)
            times = {"answer_ms": seconds * 1000}
            yield from self._scored(model, [item], [answer], times)
        others = [item for item in left if item not in timed]
        for first in range(0, len(others), model.batch_size):
            batch = others[first : first + model.batch_size]
            answers, seconds = _answered(model, batch, limit)
            share = seconds / len(batch)
            yield from self._scored(model, batch, answers, {"batch_share_s": share})

    def _scored(
        self,
        model: TrainedModel,
        items: Sequence[HeldOutRow],
        answers: Sequence[Answer],
        times: Mapping[str, float],
    ) -> Iterator[EvaluationRow]:
        scores = model.nll([(item.prompt, item.completion) for item in items])
        peak_bytes, _ = peak_memory(model.device)
        for item, answer, (nll, tokens) in zip(items, answers, scores):
            values = {
                **_likelihood(item, nll, tokens),
                **_likeness(answer.text, item.completion),
                "answer_tokens": float(answer.tokens),
                "cut_off": float(not answer.stopped),
                "peak_bytes": float(peak_bytes),
                **times,
            }
            if "batch_share_s" in times:
                values["tokens_per_s"] = answer.tokens / times["batch_share_s"]
            yield EvaluationRow(
                task=self.name,
                item=item.name,
                group=item.group,
                source=item.source,
                values=values,
                details={
                    "prompt": item.prompt,
                    "reference": item.completion,
                    "answer": answer.text,
                },
            )

    def summary(self, model: TrainedModel, rows: Sequence[EvaluationRow]) -> dict[str, Any]:
        """What is not a mean of rows: corpus BLEU, percentiles of time, peak memory."""
        from importlib.metadata import version

        sources = sorted({row.source for row in rows})
        per_source = {s: [row for row in rows if row.source == s] for s in sources}
        peak_of = peak_memory(model.device)[1]
        return {
            "corpus_bleu": _corpus_bleu(rows),
            "performance": _performance(rows, peak_of),
            "per_source": {
                source: {
                    "corpus_bleu": _corpus_bleu(of)["score"],
                    "performance": _performance(of, peak_of),
                }
                for source, of in per_source.items()
            },
            "signatures": {
                "bleu": _corpus_bleu(rows)["signature"],
                "sentence_bleu": _sentence_signature(),
                "rouge_l": f"rougeL|fmeasure|stemmer:no|version:{version('rouge-score')}",
            },
            "device": str(model.device),
            "dtype": str(model.model.dtype).removeprefix("torch."),
            "batch_size": model.batch_size,
        }


# -- one row ----------------------------------------------------------------------------------


def _answered(
    model: TrainedModel, items: Sequence[HeldOutRow], limit: int
) -> tuple[list[Answer], float]:
    begin = time.perf_counter()
    answers = model.answers([item.prompt for item in items], max_new_tokens=limit)
    return answers, time.perf_counter() - begin  # the texts are here: the device has finished


def _longest(model: TrainedModel, items: Sequence[HeldOutRow]) -> int:
    return max(len(model.tokenizer(text=item.completion)["input_ids"]) for item in items)


def _likelihood(item: HeldOutRow, nll: float, tokens: int) -> dict[str, float]:
    if not tokens:  # the prompt fills the context
        return {}
    if not (math.isfinite(nll) and nll / tokens < LARGEST_LOSS):
        raise MeasurementError(
            f"The loss of the model on row {item.name} is {nll / tokens:g} nats per token: its "
            "training diverged, or its dtype overflows. Train with a lower learning rate, or "
            "evaluate in float32."
        )
    return {"nll_per_token": nll / tokens, "tokens": float(tokens)}


def _likeness(answer: str, reference: str) -> dict[str, float]:
    return {
        "bleu": float(_sentence_bleu().sentence_score(answer, [reference]).score),
        "rouge_l": float(_rouge().score(reference, answer)["rougeL"].fmeasure),
        "exact_match": float(same_decision(answer, reference)),
    }


@lru_cache(maxsize=1)
def _sentence_bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # an answer may have fewer than four words


def _sentence_signature() -> str:
    bleu = _sentence_bleu()
    bleu.sentence_score("a", ["a"])  # it counts the references of a score before it says how
    return str(bleu.get_signature())


@lru_cache(maxsize=1)
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=False)


# -- all rows ---------------------------------------------------------------------------------


def _corpus_bleu(rows: Sequence[EvaluationRow]) -> dict[str, Any]:
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU()
    answers = [row.details["answer"] for row in rows]
    score = bleu.corpus_score(answers, [[row.details["reference"] for row in rows]]).score
    return {"score": float(score), "signature": str(bleu.get_signature()), "n": len(rows)}


def _performance(rows: Sequence[EvaluationRow], peak_of: str) -> dict[str, Any]:
    import numpy as np

    alone = [row.values["answer_ms"] for row in rows if "answer_ms" in row.values]
    batched = [row for row in rows if "batch_share_s" in row.values]
    seconds = sum(row.values["batch_share_s"] for row in batched)
    tokens = sum(row.values["answer_tokens"] for row in batched)
    return {
        "answer_ms_p50": float(np.percentile(alone, 50)) if alone else None,
        "answer_ms_p95": float(np.percentile(alone, 95)) if alone else None,
        "answers_timed": len(alone),
        "tokens_per_s": tokens / seconds if seconds else None,
        "answers_in_batches": len(batched),
        "answers_cut_off": int(sum(row.values["cut_off"] for row in rows)),
        "peak_bytes": int(max(row.values["peak_bytes"] for row in rows)),
        "peak_of": peak_of,
    }
