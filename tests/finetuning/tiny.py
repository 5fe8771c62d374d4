"""Models of a few thousand weights, built from configs, and a tokenizer that a test trains."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TEXTS = (
    "Head: (3,4)\nApple: (5,4)\nWhich move is next: UP, DOWN, LEFT or RIGHT?\n",
    "Conclusion: The move is: UP",
    "Conclusion: The move is: RIGHT",
    "The apple lies two cells to the right of the head.",
)
PAD, STOP = "<|pad|>", "<|stop|>"


def tokenizer(texts: Iterable[str] = TEXTS, vocabulary: int = 320) -> Any:
    """A byte-level BPE tokenizer whose pad token is not its stop token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[PAD, STOP],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token=PAD, eos_token=STOP)


def llama(tokens: Any, *, context: int = 256, seed: int = 0, **changes: Any) -> Any:
    """A Llama-like model: rotary positions, grouped queries."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    plain = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        **{**plain, **heads, **changes},
        vocab_size=len(tokens),
        max_position_embeddings=context,
        pad_token_id=tokens.pad_token_id,
        eos_token_id=tokens.eos_token_id,
        bos_token_id=None,
    )
    return LlamaForCausalLM(config).eval()


def gpt2(tokens: Any, *, context: int = 256, seed: int = 0) -> Any:
    """A GPT-2-like model: learned positions, Conv1D layers."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        n_embd=32,
        n_layer=2,
        n_head=4,
        vocab_size=len(tokens),
        n_positions=context,
        pad_token_id=tokens.pad_token_id,
        eos_token_id=tokens.eos_token_id,
        bos_token_id=tokens.eos_token_id,
    )
    return GPT2LMHeadModel(config).eval()


def teach(model: Any, tokens: Any, pairs: Sequence[tuple[str, str]], steps: int = 60) -> None:
    """Train a model until it nearly knows the pairs by heart: a plain loop, no trainer."""
    import torch

    from finetuning.evaluation.generation import TrainedModel

    labelled = [TrainedModel(model, tokens).labelled(*pair) for pair in pairs]
    longest = max(len(ids) for ids, _ in labelled)
    pad = tokens.pad_token_id
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row, _ in labelled])
    labels = torch.tensor([row + [-100] * (longest - len(row)) for _, row in labelled])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row, _ in labelled])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
