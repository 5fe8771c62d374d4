"""Reading pages of both dialects: structure, limits, and texts that nobody meant as a page."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

import mwparserfromhell
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.claims import Quantity
from knowledge.content import Content
from knowledge.errors import PageError
from knowledge.graph import Graph
from knowledge.library import Library, to_bytes
from knowledge.links import canonical_name
from knowledge.markup import RegionKind, masked, regions
from knowledge.model import PageType
from knowledge.parsing import parse
from knowledge.rendering import to_html, to_text
from knowledge.rules import check
from tests.knowledge import pages
from tests.knowledge.test_rendering import assert_safe, marked_text


def test_a_heuristic_is_read_with_everything_in_it() -> None:
    page = parse(pages.HEURISTIC, path=Path("heuristics/Gradient_Checkpointing.md"))
    assert page.full_name == "Heuristic:Gradient_Checkpointing"
    source = page.sources[0]
    assert (source.type, source.title, source.url, source.line) == (
        *("Discussion", "Out of memory on a card", "https://example.org/issues/1", 5),
    )
    assert page.domains == ("LLMs", "Optimization")
    assert page.last_updated == datetime(2026, 11, 15, 10, 0, tzinfo=timezone.utc)
    assert page.overview == "Recomputing activations frees 50-60 % of their memory."
    assert [(edge.kind, edge.target_type, edge.target) for edge in page.edges] == [
        ("uses_heuristic", "Implementation", "Trainer_Train"),
        ("uses_heuristic", "Principle", "Adapter_Training"),
        ("uses_heuristic", "Workflow", "QLoRA_Finetuning"),
    ]
    assert {edge.section for edge in page.edges} == {"Related Pages"}
    claim = page.claims[0]
    assert (claim.quantity, claim.low, claim.high) == (Quantity.ACTIVATION_MEMORY, -0.6, -0.5)
    assert [field.name for field in Content(page).insight] == [
        *("Action", "Value", "Trade-off", "Compatibility"),
    ]


def test_a_workflow_has_its_steps_and_its_diagram() -> None:
    content = Content(parse(pages.WORKFLOW, path=Path("workflows/QLoRA_Finetuning.md")))
    assert [(step.number, step.name, step.principles) for step in content.steps] == [
        (1, "Data Preparation", ("Data_Formatting",)),
        (2, "Adapter Training", ("Adapter_Training",)),
    ]
    chart = content.diagrams[0].chart
    assert chart.nodes == {"A": "Data Preparation", "B": "Adapter Training"}
    assert chart.links == [("A", "B")] and chart.problems == []


def test_sections_know_their_place_in_the_text() -> None:
    page = parse(pages.ENVIRONMENT, path=Path("environments/Core_Environment.md"))
    for section in page.sections:
        marks = "=" * section.level
        assert page.text[section.start :].startswith(f"{marks} {section.title} {marks}")
        assert page.text.split("\n")[section.line - 1] == f"{marks} {section.title} {marks}"
    preamble = page.text[: page.sections[0].start]
    assert preamble + "".join(page.text[s.start : s.end] for s in page.sections) == page.text


NEWER = """# Heuristic: gradient checkpointing
== Overview ==
Recompute activations.

== Related Pages ==
=== Used By ===
* [[used_by::Workflow:QLoRA_Finetuning]]
"""


def test_the_newer_dialect_is_read() -> None:
    page = parse(NEWER)
    assert page.full_name == "Heuristic:Gradient_checkpointing"
    assert page.edges[0].kind == "used_by"
    assert Content(page).is_newer_dialect


def test_a_backlink_of_the_newer_dialect_answers_the_forward_link() -> None:
    text = pages.HEURISTIC.replace("uses_heuristic::", "used_by::")
    library = pages.changed("heuristics/Gradient_Checkpointing.md", text)
    assert check(library, rules=["backlink-missing", "forward-missing", "edge-legal"]) == []
    edges = {(e.source, e.kind, e.target) for e in Graph(library).edges}
    assert edges == {(e.source, e.kind, e.target) for e in Graph(pages.library()).edges}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("== The Insight (Rule of Thumb) ==\n", PageType.HEURISTIC),
        ("== Execution Steps ==\n", PageType.WORKFLOW),
        ("== System Requirements ==\n", PageType.ENVIRONMENT),
        ("== Theoretical Basis ==\n", PageType.PRINCIPLE),
        ("== Code Reference ==\n", PageType.IMPLEMENTATION),
    ],
)
def test_the_type_follows_from_the_sections(text: str, kind: PageType) -> None:
    assert parse(text, name="X").type is kind


def test_the_folder_tells_the_type_before_the_sections() -> None:
    assert parse("== Code Reference ==\n", path=Path("a/workflows/X.md")).type.value == "workflow"


@pytest.mark.parametrize("text", ["", "Prose.", "# Rumour: X\n", "== Overview ==\nA.\n"])
def test_a_text_without_a_type_is_refused(text: str) -> None:
    with pytest.raises(PageError, match="type"):
        parse(text, name="X")


@pytest.mark.parametrize("text", ["", "== Overview ==\nA.\n", "# Heuristic: _\n"])
def test_a_text_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(PageError, match="name"):
        parse(text, type=PageType.HEURISTIC)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("low rank adaptation", "Low_rank_adaptation"),
        ("Low_Rank__Adaptation ", "Low_Rank_Adaptation"),
        ("ßharp", "ßharp"),
        ("élan", "Élan"),
        ("4bit", "4bit"),
        ("", ""),
    ],
)
def test_names_are_those_of_the_wiki(written: str, name: str) -> None:
    assert canonical_name(written) == name


def test_links_are_those_that_a_parser_of_whole_pages_finds() -> None:
    for text in pages.FILES.values():
        visible = masked(text, regions(text))
        wikicode = mwparserfromhell.parse(visible, skip_style_tags=True)
        expected = [str(link) for link in wikicode.filter_wikilinks()]
        content = Content(parse(text, type=pages.TYPE, name="X"))
        assert [link.raw for link in content.links] == expected
        assert all(text[k.start :].startswith(k.raw) for k in content.links)


def test_regions_are_what_is_no_prose() -> None:
    text = (
        "a `b` <!-- c --> <nowiki>d</nowiki>\n```py\ne ``` f\n```\n"
        "{{#mermaid:graph TD\n A{{x}} --> B\n}} g ~~~\n<PRE>h</pre> <pre>i"
    )
    assert [(region.kind, region.inner(text).strip()) for region in regions(text)] == [
        (RegionKind.INLINE, "b"),
        (RegionKind.COMMENT, "c"),
        (RegionKind.TAG, "d"),
        (RegionKind.FENCE, "e ``` f"),
        (RegionKind.DIAGRAM, "graph TD\n A{{x}} --> B"),
        (RegionKind.TAG, "h"),
    ]
    visible = masked(text, regions(text))
    assert len(visible) == len(text) and visible.count("\n") == text.count("\n")
    assert visible.split() == ["a", "g", "~~~", "<pre>i"]


@settings(max_examples=80, deadline=None)
@given(st.one_of(marked_text, st.text(max_size=300)))
def test_any_text_is_a_page_or_a_page_error(text: str) -> None:
    try:
        page = parse(text, type=PageType.WORKFLOW, name="X")
    except PageError as error:
        assert str(error).endswith(".")
        return
    assert to_bytes(page).decode("utf-8") == text
    assert parse(page.text, type=page.type, name=page.name) == page
    library = Library({page.full_name: page})
    for finding in check(library):
        assert finding.message and finding.instead
    Graph(library).to_graphml()
    library.search(text[:50])


ANY_LINE = st.text(st.characters(exclude_characters="\n\r=[]{}`<|~\0", codec="utf-8"), max_size=30)


@settings(max_examples=40, deadline=None)
@given(
    titles=st.lists(st.text("abcXYZ ", min_size=1, max_size=10).filter(str.strip), max_size=5),
    bodies=st.lists(ANY_LINE, min_size=5, max_size=5),
)
def test_sections_put_together_are_read_as_they_were_written(
    titles: list[str], bodies: list[str]
) -> None:
    text = "".join(f"== {title} ==\n{body}\n" for title, body in zip(titles, bodies))
    page = parse(text, type=PageType.PRINCIPLE, name="X")
    assert [section.title for section in page.sections] == [title.strip() for title in titles]
    assert [section.text for section in page.sections] == [
        f"\n{b}\n" for b in bodies[: len(titles)]
    ]


HOSTILE = {
    "links": "[[a|" * 200 + "\n",
    "attributes": "<a b='" * 300 + "\n",
    "parameters": "{{{a|" * 15 + "\n",
    "tags": "<pre>" * 300 + "\n",
    "quotes": "'''" * 500 + "\n",
    "ticks": "` `` ``` " * 200 + "\n",
    "bullets": "* x\n",
    "headings": "== a =\n",
    "tables": "{|\n|-\n| a || b\n|}\n",
    "bars": "| a |\n|---|\n",
    "comments": "<!-- \n",
    "tokens": "sk-" * 500 + "\n",
    "assignments": "KEY=" * 400 + "\n",
    "diagrams": "{{#mermaid:graph TD\nA-->B\n}}\n",
    "addresses": "[http://a " * 150 + "\n",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pages_cost_little(piece: str) -> None:
    text = piece * (25_000 // len(piece))
    started = time.process_time()
    try:
        page = parse(text, type=pages.TYPE, name="X")
    except PageError:
        return
    check(Library({page.full_name: page}))
    assert_safe(to_html(page, None))
    to_text(page)
    # About a second of the processor; time that grows with the square would be minutes.
    assert time.process_time() - started < 20
