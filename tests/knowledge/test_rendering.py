"""HTML that is safe whatever a page holds, and text for a terminal."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.library import Library, load
from knowledge.parsing import parse
from knowledge.rendering import to_html, to_text
from tests.knowledge import pages

TAGS = {
    *("h2", "h3", "h4", "h5", "h6", "p", "ul", "ol", "li", "table", "tr", "th", "td"),
    *("pre", "code", "strong", "em", "a", "span", "time"),
}
ATTRIBUTES = {"id", "class", "href", "rel", "scope", "title", "datetime"}


class Reader(HTMLParser):
    """What a browser would see: elements with attributes, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def assert_safe(html: str) -> None:
    for tag, attributes in read(html).seen:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        if tag == "a":
            assert re.match(r"https?://|/knowledge/", str(attributes["href"]))


def html_of(body: str, library: Library | None = None) -> str:
    return to_html(parse(f"== Overview ==\n{body}\n", name="X", type=pages.TYPE), library)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return load(pages.write(tmp_path_factory.mktemp("wiki")), builtin=False)


def test_links_lead_to_pages_that_exist(library: Library) -> None:
    html = to_html(library.find("QLoRA_Finetuning"), library, url_of=lambda name: f"/k?n={name}&x")
    assert '<a class="page-link" href="/k?n=Principle:Data_Formatting&amp;x">' in html
    missing = to_html(library.find("QLoRA_Finetuning"), None)
    assert missing.count('class="missing-page"') == 5 and "page-link" not in missing


def test_diagrams_are_left_to_mermaid(library: Library) -> None:
    html = to_html(library.find("QLoRA_Finetuning"), library)
    assert '<pre class="mermaid">graph TD\n    A[Data Preparation] --&gt;' in html


@pytest.mark.parametrize(
    "diagram",
    [
        "graph TD\n  click A call alert()",
        "%%{init: {'securityLevel': 'loose'}}%%\ngraph TD\n  A-->B",
        'graph TD\n  A["<img src=x onerror=alert(1)>"] --> B',
        "pie title Pets",
    ],
)
def test_a_diagram_that_is_not_a_plain_flowchart_is_not_given_to_mermaid(diagram: str) -> None:
    html = html_of(f"{{{{#mermaid:{diagram}\n}}}}")
    assert "mermaid" not in html.replace("#mermaid", "") and "<img" not in html


def test_sources_domains_and_dates_are_shown(library: Library) -> None:
    html = to_html(library.find("Gradient_Checkpointing"), library)
    assert '<a href="https://example.org/issues/1" rel="noopener noreferrer">' in html
    assert '<time datetime="2026-11-15T10:00Z">' in html
    assert '<th scope="row">Domains</th>' in html


def test_claims_and_comments_are_not_shown(library: Library) -> None:
    html = to_html(library.find("Gradient_Checkpointing"), library)
    assert "tonnage:claim" not in html and "low =" not in html


def test_lists_tables_and_code_keep_their_form() -> None:
    html = html_of("* a\n** b\n* c\n\n# one\n# two\n\n```python\nx < 1\n```\n")
    assert "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>" in html
    assert "<ol><li>one</li><li>two</li></ol>" in html
    assert '<pre><code class="language-python">x &lt; 1</code></pre>' in html
    table = html_of("| A | B |\n|---|---|\n| 1 | `x|y` |")
    assert '<th scope="col">A</th>' in table and "<td><code>x|y</code></td>" in table


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[[source::Blog|<b>t</b>|javascript:alert(1)]]",
        "[[source::Blog|t|https://a.org/\"onmouseover='x']]",
        "[javascript:alert(1) label]",
        '[https://a.org/"><script>alert(1)</script> label]',
        "[x](javascript:alert(1))",
        '[[step::Principle:X"onclick="alert(1)]]',
        '[[Principle:X|"><svg onload=alert(1)>]]',
        '```"><script>\nx\n```',
        "`<script>`",
        "<pre><script>alert(1)</script></pre>",
        '<nowiki></nowiki><a href="javascript:x">y</a>',
        "{| onload=alert(1)\n| <svg/onload=alert(1)> || style=x | y\n|}",
        "== <img src=x> ==",
        "== \" onclick='x' ==",
        "* <iframe src=//a.org>",
        "\ue0000\ue001 \ue00099999\ue001",
        "'''<b onclick=x>'''",
        "{{#mermaid:graph TD\n A[</pre><script>x</script>]\n}}",
        "<!-- --> <script>x</script> -->",
        "https://a.org/<script>",
        "[[last_updated::2026-01-01 <b>]]",
        "&lt;script&gt;&#60;script&#62;",
    ],
)
def test_nothing_of_a_page_becomes_html(attack: str, library: Library) -> None:
    html = html_of(attack, library)
    assert_safe(html)
    assert "<script" not in html and "<img" not in html and "<svg" not in html


MARKS = ["[[", "]]", "{{", "}}", "{|", "|}", "|-", "||", "!", "'''", "**", "`", "```", "<pre>",
         "</pre>", "<!--", "-->", "<script>", "{{#mermaid:", "graph TD", "==", "\n", "* ", "# ",
         "step::", "Principle:", "https://a.org", "javascript:x", '"', "'", "&", "\ue0000\ue001",
         "source::Blog|", "tonnage:claim\n", "a", " "]  # fmt: skip
marked_text = st.lists(st.sampled_from(MARKS), max_size=40).map("".join)


@settings(max_examples=80, deadline=None)
@given(st.one_of(marked_text, st.text(max_size=200)))
def test_any_text_gives_safe_html(text: str) -> None:
    try:
        page = parse(text, name="X", type=pages.TYPE)
    except Exception as error:
        assert type(error).__name__ == "PageError"
        return
    assert_safe(to_html(page, None))
    assert "\x1b" not in to_text(page)


def test_text_for_a_terminal_names_pages_and_addresses(library: Library) -> None:
    text = to_text(library.find("Gradient_Checkpointing"))
    assert "Out of memory on a card, discussion (https://example.org/issues/1)" in text
    assert "- Workflow:QLoRA_Finetuning" in text
    assert "[[uses_heuristic" not in text and "tonnage:claim" not in text


def test_text_for_a_terminal_has_no_control_characters() -> None:
    text = to_text(parse("== Overview ==\n\x1b[31mred\x07 \u202eabc\n", name="X", type=pages.TYPE))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text


def test_lines_are_wrapped(library: Library) -> None:
    text = to_text(library.find("Core_Environment"), width=60)
    assert max(len(line) for line in text.split("\n")) <= 70


def test_tables_on_forty_thousand_lines_take_no_long_time() -> None:
    rows = "{|\n|}\n" * 20_000
    assert to_html(parse(rows, name="X", type=pages.TYPE), None).count("<table>") == 20_000
