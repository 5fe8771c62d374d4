"""A page as HTML that is safe to show: whatever a page holds, it is escaped.

Tags and attributes come from this file only. Links lead to pages of the library and to addresses
that begin with http:// or https://.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from html import escape
from urllib.parse import quote

from knowledge.library import Library
from knowledge.model import Page
from knowledge.parsing import parse_date
from knowledge.rendering.blocks import (
    Block,
    BlockDocument,
    Code,
    DiagramBlock,
    Grid,
    Heading,
    Item,
    List,
    Paragraph,
    read_blocks,
    read_cell,
)
from knowledge.rendering.spans import WEB_ADDRESS, Span, SpanKind, spans
from knowledge.tables import TableRow

MAX_DEPTH = 3
"""Of bold in italic and so on; deeper marks are shown as text."""


def default_url(full_name: str) -> str:
    """The address of a page in the dashboard."""
    return f"/knowledge/{quote(full_name, safe=':')}"


def to_html(
    page: Page, library: Library | None, *, url_of: Callable[[str], str] = default_url
) -> str:
    """The page as HTML without a frame: headings from ``<h2>``, no scripts, no styles.

    A diagram is ``<pre class="mermaid">``, for Mermaid to draw; one that is malformed is shown as
    code. A link to a page that does not exist is ``<span class="missing-page">``.

    Args:
        page: the page.
        library: resolves links; without one every link is to a missing page.
        url_of: gives the address of a page by its full name.
    """
    return _Writer(read_blocks(page.text), library, url_of).write()


def is_web_address(url: str) -> bool:
    """Whether an address may become a link."""
    return WEB_ADDRESS.match(url) is not None


class _Writer:
    def __init__(
        self, document: BlockDocument, library: Library | None, url_of: Callable[[str], str]
    ) -> None:
        self.document, self.library, self.url_of = document, library, url_of
        self.identifiers: set[str] = set()

    def write(self) -> str:
        return "\n".join(self._block(block) for block in self.document.blocks) + "\n"

    def _block(self, block: Block) -> str:
        match block:
            case Heading(level, text):
                identifier = self._identifier(text)
                return f'<h{level} id="{identifier}">{self._inline(text)}</h{level}>'
            case Paragraph(text):
                return f"<p>{self._inline(text)}</p>"
            case List(items):
                return self._list(items)
            case Grid():
                return self._grid(block)
            case Code():
                return _code(block)
            case DiagramBlock():
                return _diagram(block)

    def _identifier(self, text: str) -> str:
        base = re.sub(r"[^a-z0-9]+", "-", text.lower())[:60].strip("-") or "section"
        identifier, number = f"section-{base}", 2
        while identifier in self.identifiers:
            identifier, number = f"section-{base}-{number}", number + 1
        self.identifiers.add(identifier)
        return identifier

    def _list(self, items: tuple[Item, ...]) -> str:
        parts: list[str] = []
        open_lists: list[str] = []
        for item in items:
            tag = "ol" if item.ordered else "ul"
            depth = min(item.depth, len(open_lists) + 1)
            while len(open_lists) > depth:
                parts.append(f"</li></{open_lists.pop()}>")
            if len(open_lists) == depth and open_lists[-1] != tag:
                parts.append(f"</li></{open_lists.pop()}>")
            elif len(open_lists) == depth:
                parts.append("</li>")
            if len(open_lists) < depth:
                parts.append(f"<{tag}>")
                open_lists.append(tag)
            parts.append(f"<li>{self._inline(item.text)}")
        while open_lists:
            parts.append(f"</li></{open_lists.pop()}>")
        return "".join(parts)

    def _grid(self, grid: Grid) -> str:
        return f"<table>{''.join(self._row(row) for row in grid.rows)}</table>"

    def _row(self, row: TableRow) -> str:
        scope = "col" if row.header else "row"
        cells = [
            f'<th scope="{scope}">{self._cell(cell)}</th>'
            if position < row.headings
            else f"<td>{self._cell(cell)}</td>"
            for position, cell in enumerate(row.cells)
        ]
        return f"<tr>{''.join(cells)}</tr>"

    def _cell(self, cell: str) -> str:
        if "\n" not in cell and not cell.startswith(("*", "#")):
            return self._inline(cell)
        return "".join(self._block(block) for block in read_cell(cell, self.document))

    def _inline(self, text: str, depth: int = 0) -> str:
        return "".join(self._span(span, depth) for span in spans(text))

    def _span(self, span: Span, depth: int) -> str:
        match span.kind:
            case SpanKind.BOLD | SpanKind.ITALIC:
                tag = "strong" if span.kind is SpanKind.BOLD else "em"
                inner = (
                    self._inline(span.text, depth + 1) if depth < MAX_DEPTH else escape(span.text)
                )
                return f"<{tag}>{inner}</{tag}>"
            case SpanKind.TOKEN:
                number = int(span.text)
                code = self.document.code[number] if number < len(self.document.code) else ""
                return f"<code>{escape(code)}</code>" if code else ""
            case SpanKind.WEB:
                return _web(span.url, span.text)
            case SpanKind.SOURCE:
                shown = _web(span.url, span.text) if span.url else escape(span.text)
                return f'{shown} <span class="source-type">{escape(span.target)}</span>'
            case SpanKind.DOMAIN:
                return f'<span class="domain">{escape(span.text)}</span>'
            case SpanKind.DATE:
                date = parse_date(span.text)
                if date is None:
                    return escape(span.text)
                return f'<time datetime="{date:%Y-%m-%dT%H:%MZ}">{escape(span.text)}</time>'
            case SpanKind.PAGE:
                return self._page(span)
            case SpanKind.TEXT:
                return escape(span.text)

    def _page(self, span: Span) -> str:
        page = self._find(span.target)
        if page is None:
            title = escape(f"There is no page {span.target}")
            return f'<span class="missing-page" title="{title}">{escape(span.text)}</span>'
        url = escape(self.url_of(page.full_name), quote=True)
        return f'<a class="page-link" href="{url}">{escape(span.text)}</a>'

    @cached_property
    def _by_bare_name(self) -> dict[str, Page]:
        pages = self.library.pages.values() if self.library else ()
        return {page.name: page for page in pages}

    def _find(self, name: str) -> Page | None:
        if self.library is None:
            return None
        return self.library.pages.get(name) or self._by_bare_name.get(name)


def _code(block: Code) -> str:
    language = f' class="language-{escape(block.language)}"' if block.language else ""
    return f"<pre><code{language}>{escape(block.text)}</code></pre>"


def _diagram(block: DiagramBlock) -> str:
    if block.well_formed:
        return f'<pre class="mermaid">{escape(block.text)}</pre>'
    return f"<pre><code>{escape(block.text)}</code></pre>"


def _web(url: str, text: str) -> str:
    if not is_web_address(url):
        return escape(text)
    return f'<a href="{escape(url, quote=True)}" rel="noopener noreferrer">{escape(text)}</a>'
