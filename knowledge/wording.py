"""Markup as the words that a person reads."""

from __future__ import annotations

import re

from knowledge.tables import split_outside_links


def plain(markup: str) -> str:
    """A line or a cell without the marks for bold, code and links."""
    text = re.sub(r"\[\[([^\[\]\n]*)\]\]", lambda m: split_outside_links(m[1], "|")[-1], markup)
    return " ".join(re.sub(r"\*\*|'''|''|`", "", text).split())
