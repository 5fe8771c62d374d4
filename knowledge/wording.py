"""Markup as the words that a person reads."""

from __future__ import annotations

import re

from knowledge.tables import split_outside_links


def plain(markup: str) -> str:
    """A line or a cell without the marks for bold, code and links."""
    text = re.sub(r"\[\[([^\[\]\n]*)\]\]", lambda m: split_outside_links(m[1], "|")[-1], markup)
    return " ".join(re.sub(r"\*\*|'''|''|`", "", text).split())


def markdown(markup: str, size: int = 200) -> str:
    """A line as Markdown of at most ``size`` characters: code stays marked, links become names."""
    text = re.sub(r"\[\[([^\[\]\n]*)\]\]", lambda m: split_outside_links(m[1], "|")[-1], markup)
    text = " ".join(re.sub(r"\*\*|'''|''", "", text).split())
    if len(text) > size:
        text = f"{text[: size - 1].rstrip()}…"
        text += "`" if text.count("`") % 2 else ""
    return text
