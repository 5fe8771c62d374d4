"""Token sequences of a stated length, and the batches made of them.

All documents lie one after the other in one tensor of tokens; a sequence is a window of it. So
choosing another length or packing moves no text. Torch only, Python 3.10 syntax.

Shapes: T tokens, D documents, S sequences, B rows of a batch, L its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from probes.errors import InputError
from probes.workloads.epochs import shuffled
from probes.workloads.text import TextDocument, Tokenizer

NOT_LEARNT = -100
"""The label that cross entropy leaves out."""

Batch = dict[str, Tensor]
"""``input_ids`` and ``labels``, [B, L] int64; ``attention_mask`` too where a row is padded."""


class Corpus:
    """Tokenised documents. Each ends with the tokenizer's end of text, where it has one."""

    def __init__(self, documents: Sequence[TextDocument], tokenizer: Tokenizer) -> None:
        end = [] if tokenizer.end is None else [tokenizer.end]
        closing = torch.tensor(end, dtype=torch.int32)
        prompts = tokenizer.encode([document.prompt or "" for document in documents])
        texts = tokenizer.encode([document.text for document in documents])
        parts = [part for one in zip(prompts, texts) for part in (*one, closing)]
        self.padding = tokenizer.padding
        self.tokens_T = torch.cat(parts)
        self.prompt_D = torch.tensor([len(prompt) for prompt in prompts])
        self.length_D = self.prompt_D + torch.tensor([len(text) + len(end) for text in texts])
        self.first_D = self.length_D.cumsum(0) - self.length_D
        self.whole_D = torch.tensor([document.prompt is not None for document in documents])
        """Documents with a prompt are one row each, and never cut into several."""
        self.learnt_T = torch.ones(len(self.tokens_T), dtype=torch.bool)
        for first, prompt in zip(self.first_D.tolist(), self.prompt_D.tolist()):
            self.learnt_T[first : first + prompt] = False

    def sequences(self, seq_length: int, packing: bool) -> Sequences:
        """Sequences of at most ``seq_length`` tokens.

        Packed, the documents follow each other without a gap and are cut where a sequence is full.
        Otherwise a plain text fills as many sequences as it needs, and a prompt with its
        completion has one, cut at the front of the prompt so that the completion stays.
        Sequences without anything to learn are left out.

        Raises ``InputError`` when none is left.
        """
        first_S, length_S = self._packed(seq_length) if packing else self._apart(seq_length)
        worth_S = self._learnt_after_the_first(first_S, length_S) > 0
        if not bool(worth_S.any()):
            raise InputError(
                f"seq_length={seq_length}, packing={packing}: no sequence of the data has a token "
                "to learn. Give longer texts or another seq_length."
            )
        return Sequences(self, first_S[worth_S], length_S[worth_S])

    def _packed(self, seq_length: int) -> tuple[Tensor, Tensor]:
        """A text shorter than one sequence goes round until the sequence is full."""
        count = max(1, len(self.tokens_T) // seq_length)
        return torch.arange(count) * seq_length, torch.full((count,), seq_length)

    def _apart(self, seq_length: int) -> tuple[Tensor, Tensor]:
        pieces_D = torch.where(self.whole_D, 1, -(-self.length_D // seq_length))
        document_S = torch.arange(len(pieces_D)).repeat_interleave(pieces_D)
        piece_S = torch.arange(len(document_S)) - (pieces_D.cumsum(0) - pieces_D)[document_S]
        # A row that is too long: at least the last token of the prompt stays, to predict from.
        surplus_D = (self.length_D - seq_length).clamp(min=0)
        cut_D = torch.minimum(surplus_D, (self.prompt_D - 1).clamp(min=0))
        offset_S = torch.where(self.whole_D[document_S], cut_D[document_S], piece_S * seq_length)
        length_S = (self.length_D[document_S] - offset_S).clamp(max=seq_length)
        return self.first_D[document_S] + offset_S, length_S

    def _learnt_after_the_first(self, first_S: Tensor, length_S: Tensor) -> Tensor:
        """How many tokens of each sequence count in the loss. The first has nothing before it."""
        if bool(self.learnt_T.all()):
            return length_S - 1
        total = len(self.tokens_T)
        if bool((first_S + length_S > total).any()):
            return torch.full_like(length_S, int(self.learnt_T.sum()))
        before_T = torch.zeros(total + 1, dtype=torch.int32)
        torch.cumsum(self.learnt_T, 0, dtype=torch.int32, out=before_T[1:])
        return before_T[first_S + length_S] - before_T[first_S + length_S.clamp(max=1)]


@dataclass(frozen=True)
class Sequences:
    """S windows of a corpus."""

    corpus: Corpus
    first_S: Tensor
    length_S: Tensor

    def __len__(self) -> int:
        return len(self.first_S)

    def collate(self, indices_B: Tensor) -> Batch:
        """The sequences at ``indices_B`` as one batch, padded on the right to the longest."""
        corpus = self.corpus
        length_B = self.length_S[indices_B]
        position_L = torch.arange(int(length_B.max()))
        index_BL = (self.first_S[indices_B, None] + position_L) % len(corpus.tokens_T)
        inside_BL = position_L < length_B[:, None]
        tokens_BL = corpus.tokens_T[index_BL].long()
        learnt_BL = corpus.learnt_T[index_BL] & inside_BL
        batch = {
            "input_ids": torch.where(inside_BL, tokens_BL, corpus.padding),
            "labels": torch.where(learnt_BL, tokens_BL, NOT_LEARNT),
        }
        if not bool(inside_BL.all()):
            batch["attention_mask"] = inside_BL.long()
        return batch

    def batches(self, batch_size: int, seed: int) -> Iterator[Batch]:
        """Endless batches of exactly ``batch_size``; none asks for more memory than the first.

        The others are shuffled epochs without the last, partial batch. A batch larger than the
        data holds every sequence equally often, plus a random draw without repetition.
        """
        generator = torch.Generator().manual_seed(seed)

        yield self.collate(self._most_demanding(batch_size))
        for order in shuffled(len(self), batch_size, generator):
            yield self.collate(order)

    def _most_demanding(self, batch_size: int) -> Tensor:
        """The longest sequences, and where there is one, a shorter one among them.

        Every row is padded to the longest, so one long row is enough. A padded row makes attention
        build an explicit mask of B × L × L, which full rows do without.
        """
        longest_first = torch.argsort(self.length_S, descending=True, stable=True)
        chosen_B = longest_first.repeat(-(-batch_size // len(self)))[:batch_size].clone()
        if batch_size > 1:
            chosen_B[-1] = longest_first[-1]
        return chosen_B
