"""A trained model as tasks see it: greedy answers, and the likelihood of given completions.

Both are exact in the sense that matters here: a completion's tokens are those that TRL's
completion-only loss is computed on, and a batch gives what its rows give one by one (up to rounding
of the device's arithmetic).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

IGNORED = -100
"""The label of a token that no loss is computed on, as everywhere in transformers."""

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class Answer:
    """What a model wrote, and how many tokens that took (the stop token included)."""

    text: str
    tokens: int
    stopped: bool
    """Whether the model ended its answer itself; else it was cut off at the limit."""


class TrainedModel:
    """A causal language model with its tokenizer, ready to be evaluated.

    ``model`` is any transformers causal model, with adapters or without, already on its device and
    in the dtype it is to be evaluated in. ``batch_size`` is the most rows that are computed at
    once; where the device's memory does not hold them, the batch is divided.

    Its mode (train or eval) is restored after every call.
    """

    def __init__(self, model: Any, tokenizer: Any, *, batch_size: int = 16) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: give at least 1.")
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = batch_size

    @property
    def device(self) -> torch.device:
        """Where the model's first weights are."""
        return torch.device(next(self.model.parameters()).device)

    @property
    def context_length(self) -> int | None:
        """The most tokens of prompt and answer together; none where the model does not say."""
        length = getattr(self.model.config, "max_position_embeddings", None)
        return int(length) if length else None

    @property
    def stop_ids(self) -> set[int]:
        """Tokens that end an answer: the tokenizer's and those of the model's own settings."""
        config = getattr(self.model, "generation_config", None)
        named = getattr(config, "eos_token_id", None)
        ids = {named} if isinstance(named, int) else set(named or ())
        return ids | ({self.tokenizer.eos_token_id} - {None})

    # -- answers ------------------------------------------------------------------------------

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
        """One greedy continuation per prompt, without the prompt and without special tokens."""
        return [one.text for one in self.answers(prompts, max_new_tokens=max_new_tokens)]

    def answers(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[Answer]:
        """As ``generate``, with the number of tokens.

        An answer ends at the stop token, after ``max_new_tokens``, or where the model's context
        ends; a prompt that fills the context leaves no room and is answered with an empty text.
        """
        ids = [self._ids(prompt) or [self._start_id()] for prompt in prompts]
        room = self.context_length
        if room is not None:  # a row that ends early for want of room is computed alone
            tight = [i for i, one in enumerate(ids) if len(one) + max_new_tokens > room]
        else:
            tight = []
        alone = set(tight)
        answers: dict[int, Answer] = {}
        with self._evaluating():
            roomy = [i for i in range(len(ids)) if i not in alone]
            found = self._batched(
                [ids[i] for i in roomy], lambda rows: self._generated(rows, max_new_tokens), len
            )
            answers.update(zip(roomy, found))
            for i in tight:
                assert room is not None
                left = room - len(ids[i])
                answers[i] = (
                    self._generated([ids[i]], left)[0] if left > 0 else Answer("", 0, False)
                )
        return [answers[i] for i in range(len(ids))]

    def _generated(self, rows: Sequence[list[int]], max_new_tokens: int) -> list[Answer]:
        import transformers

        config: Any = transformers.GenerationConfig
        stops = self.stop_ids
        length, pad = max(map(len, rows)), self._pad_id()
        ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        greedy = config(  # named one by one: the checkpoint's own settings fill gaps
            max_new_tokens=max_new_tokens,
            max_length=None,
            min_new_tokens=None,
            min_length=0,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            temperature=1.0,
            top_k=50,
            top_p=1.0,
            pad_token_id=pad,
            eos_token_id=sorted(stops) or None,
            use_cache=True,
        )
        out = self.model.generate(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            generation_config=greedy,
        )
        return [self._answer(row, stops) for row in out[:, length:].tolist()]

    def _answer(self, ids: list[int], stops: set[int]) -> Answer:
        end = next((i for i, token in enumerate(ids) if token in stops), None)
        kept = ids if end is None else ids[:end]
        text = self.tokenizer.decode(
            kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return Answer(text, len(kept) + (end is not None), end is not None)

    # -- likelihood ---------------------------------------------------------------------------

    def nll(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        """For each (prompt, completion): the completion's negative log-likelihood and its tokens.

        The likelihood is summed over the tokens, in nats. The tokens are those that TRL trains on
        (see ``labelled``), except those beyond the model's context: a pair whose prompt fills the
        context has 0 tokens.
        """
        rows = [self.labelled(prompt, completion) for prompt, completion in pairs]
        with self._evaluating():
            return self._batched(rows, self._scored, lambda row: len(row[0]))

    def labelled(self, prompt: str, completion: str) -> tuple[list[int], list[int]]:
        """Token ids and labels of a row, as TRL's ``SFTTrainer`` makes them.

        The stop token is appended where the completion does not end in it. Prompt and completion
        are tokenized as one text; the completion begins where that differs from the prompt alone.
        """
        stop = self.tokenizer.eos_token
        if stop and not completion.endswith(stop):
            completion += stop
        alone, ids = self._ids(prompt), self._ids(prompt + completion)
        shared = next(
            (i for i, (a, b) in enumerate(zip(alone, ids)) if a != b), min(len(alone), len(ids))
        )
        labels = [IGNORED] * shared + ids[shared:]
        return ids[: self.context_length], labels[: self.context_length]

    def _scored(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[tuple[float, int]]:
        length = max(len(ids) for ids, _ in rows)
        pad = self._pad_id()
        ids = torch.tensor([row + [pad] * (length - len(row)) for row, _ in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row, _ in rows])
        logits = self.model(
            input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
        ).logits
        return [self._row_score(logits[i], labels) for i, (_, labels) in enumerate(rows)]

    @staticmethod
    def _row_score(logits: torch.Tensor, labels: Sequence[int]) -> tuple[float, int]:
        """``logits`` is (length, vocabulary); the token at i + 1 is predicted at i."""
        at = [i for i, label in enumerate(labels) if label != IGNORED and i > 0]
        if not at:
            return 0.0, 0
        predicted = logits[[i - 1 for i in at]].float()
        wanted = torch.tensor([labels[i] for i in at], device=logits.device)
        nll = torch.nn.functional.cross_entropy(predicted, wanted, reduction="none")
        return float(nll.double().sum()), len(at)

    # -- batches ------------------------------------------------------------------------------

    def _batched(
        self,
        rows: Sequence[In],
        compute: Callable[[Sequence[In]], list[Out]],
        length: Callable[[In], int],
    ) -> list[Out]:
        """``compute`` over batches of rows of like length (little padding), in the given order."""
        order = sorted(range(len(rows)), key=lambda i: length(rows[i]), reverse=True)
        results: dict[int, Out] = {}
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            results.update(zip(batch, _divided([rows[i] for i in batch], compute)))
        return [results[i] for i in range(len(rows))]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text=text)["input_ids"]
        return ids

    def _start_id(self) -> int:
        """Where an empty prompt begins."""
        start = self.tokenizer.bos_token_id
        return int(start) if start is not None else self._pad_id()

    def _pad_id(self) -> int:
        """Padded places are masked and cut off, so that any token serves where there is none."""
        pad = self.tokenizer.pad_token_id
        return int(pad) if pad is not None else next(iter(self.stop_ids), 0)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train(training)


def _divided(rows: Sequence[In], compute: Callable[[Sequence[In]], list[Out]]) -> list[Out]:
    """``compute(rows)``, in two halves where the device's memory does not hold them at once."""
    try:
        return compute(rows)
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(rows) // 2
    return _divided(rows[:half], compute) + _divided(rows[half:], compute)
