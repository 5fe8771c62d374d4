"""A tokenizer whose padding can never be taken for the end of a text. Imports transformers."""

from __future__ import annotations

from typing import Any

from probes.errors import InputError
from probes.formatting import first_line

PAD = "<|pad|>"
_NAMED_LIKE_PADDING = ("pad", "reserved", "unused")


def load_tokenizer(folder: str) -> Any:
    """The tokenizer of a model's folder. Raises ``InputError`` where there is none, or it has no
    token that ends a text."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise InputError(
            f"model.name={folder!r}: no tokenizer can be loaded from it ({first_words(error)}). "
            "Give the folder that save_pretrained() wrote for model and tokenizer."
        ) from error
    if tokenizer.eos_token_id is None:
        raise InputError(
            f"model.name={folder!r}: its tokenizer has no eos_token, so a model could not learn "
            "where an answer ends. Set one and save the tokenizer again."
        )
    return tokenizer


def set_padding(tokenizer: Any, rows: int) -> bool:
    """Give ``tokenizer`` a padding token other than the one that ends a text.

    ``rows`` of the model's embedding. An existing token is taken where one is meant for it;
    otherwise one is added. Returns whether the embedding must grow for it.
    """
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        if (token := _existing(tokenizer)) is not None:
            tokenizer.pad_token = token
        else:
            tokenizer.add_special_tokens({"pad_token": PAD})
    return len(tokenizer) > rows


def _existing(tokenizer: Any) -> str | None:
    added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
    for word in _NAMED_LIKE_PADDING:
        for token in added:
            if word in token.lower() and token != tokenizer.eos_token:
                return token
    unknown = tokenizer.unk_token
    return unknown if unknown is not None and unknown != tokenizer.eos_token else None


def first_words(error: BaseException) -> str:
    """The first line of an error, short enough for a sentence."""
    return first_line(error, longest=200).rstrip(".")
