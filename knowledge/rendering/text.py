"""A page for a terminal: no markup, no control characters, links as names and addresses."""

from __future__ import annotations

import textwrap
import unicodedata

from knowledge.model import Page
from knowledge.rendering.blocks import (
    Block,
    BlockDocument,
    Code,
    DiagramBlock,
    Grid,
    Heading,
    List,
    Paragraph,
    read_blocks,
)
from knowledge.rendering.spans import Span, SpanKind, spans

WIDTH = 96


def to_text(page: Page, *, width: int = WIDTH) -> str:
    """The page as plain text of at most ``width`` columns where that is possible.

    Characters that a terminal would act on are left out.
    """
    document = read_blocks(page.text)
    title = f"{page.type.namespace}: {page.name.replace('_', ' ')}"
    parts = [f"{title}\n{'=' * len(title)}"]
    parts.extend(_block(block, document, width) for block in document.blocks)
    return printable("\n\n".join(part for part in parts if part.strip())) + "\n"


def printable(text: str) -> str:
    """``text`` without control and direction characters; line breaks and tabs stay."""
    return "".join(
        c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
    )


def _block(block: Block, document: BlockDocument, width: int) -> str:
    match block:
        case Heading(level, text):
            shown = _inline(text, document)
            return f"{shown}\n{'-' * len(shown)}" if level == 2 else shown
        case Paragraph(text):
            return _wrapped(_inline(text, document), width)
        case List(items):
            return "\n".join(
                _wrapped(
                    _inline(item.text, document),
                    width,
                    first=f"{'  ' * (item.depth - 1)}{'1.' if item.ordered else '-'} ",
                )
                for item in items
            )
        case Grid():
            return _grid(block, document, width)
        case Code(text) | DiagramBlock(text):
            return textwrap.indent(text, "    ")


def _wrapped(text: str, width: int, first: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _grid(grid: Grid, document: BlockDocument, width: int) -> str:
    rows = [[_cell(cell, document) for cell in row.cells] for row in grid.rows]
    lines = []
    for row in rows:
        head, *rest = row or [""]
        line = f"{head}: {' | '.join(rest)}" if rest else head
        lines.append(_wrapped(line, width, first="  " if rest else ""))
    return "\n".join(lines)


def _cell(cell: str, document: BlockDocument) -> str:
    lines = (line.strip().lstrip("*#").strip() for line in cell.split("\n"))
    return "; ".join(_inline(line, document) for line in lines if line)


def _inline(text: str, document: BlockDocument) -> str:
    return " ".join("".join(_span(span, document) for span in spans(text)).split())


def _span(span: Span, document: BlockDocument) -> str:
    match span.kind:
        case SpanKind.TOKEN:
            number = int(span.text)
            return document.code[number] if number < len(document.code) else ""
        case SpanKind.BOLD | SpanKind.ITALIC:
            return _inline(span.text, document)
        case SpanKind.WEB:
            return span.text if span.text == span.url else f"{span.text} ({span.url})"
        case SpanKind.SOURCE:
            address = f" ({span.url})" if span.url else ""
            return f"{span.text}, {span.target.lower()}{address}"
        case SpanKind.PAGE:
            return span.target if ":" in span.target else span.text
        case SpanKind.TEXT | SpanKind.DOMAIN | SpanKind.DATE:
            return span.text
