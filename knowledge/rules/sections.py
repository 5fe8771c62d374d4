"""Sections: present, in order, not empty; and the one sentence of the overview."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from knowledge.content import Content
from knowledge.model import Page, Section
from knowledge.rules.model import Rule, RuleProblem, Severity, View
from knowledge.schema import SECTIONS, SectionSlot

_ABBREVIATIONS = re.compile(
    r"\b(?:e\.g|i\.e|vs|etc|cf|approx|resp|incl|Fig|Eq|Sec|No|Dr|al)\.", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]?[A-Z])")
_BROKEN_HEADING = re.compile(
    r"^(={2,3})(?!=)[ \t]*([^=\n]*[^=\s])[ \t]*(={0,6})[ \t\r]*$", re.MULTILINE
)
MAX_OVERVIEW_CHARACTERS = 400


def parents(page: Page) -> list[tuple[Section, str]]:
    """Each section with the title of the section of level 2 above it, in small letters."""
    found, parent = [], ""
    for section in page.sections:
        if section.level == 2:
            parent = section.title.lower()
        found.append((section, parent if section.level == 3 else ""))
    return found


def slots_with_parents(page: Page) -> list[tuple[SectionSlot, str]]:
    """The slots of the schema, each with its parent's title in small letters."""
    found, parent = [], ""
    for slot in SECTIONS[page.type]:
        if slot.level == 2:
            parent = slot.title.lower()
        found.append((slot, parent if slot.level == 3 else ""))
    return found


def match_slots(page: Page) -> dict[int, Section]:
    """The sections that fill the slots of the schema, by the position of the slot."""
    filled: dict[int, Section] = {}
    sections = parents(page)
    for position, (slot, parent) in enumerate(slots_with_parents(page)):
        for section, section_parent in sections:
            same = (section.title.lower(), section.level) == (slot.title.lower(), slot.level)
            if same and section_parent == parent:
                filled[position] = section
                break
    return filled


def _may_lack(content: Content, slot: SectionSlot) -> bool:
    """Workflows of the newer dialect repeat no steps and need no tips."""
    workflow = slot.title in ("Execution Steps", "Tips and Tricks") and slot.level == 3
    return content.is_newer_dialect and workflow


def _missing(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    filled = match_slots(page)
    titles = {section.title.lower() for section in page.sections}
    unknown = [s.title.lower() for s in _unknown_sections(page)]
    for position, (slot, parent) in enumerate(slots_with_parents(page)):
        if position in filled or _may_lack(content, slot):
            continue
        if slot.title.lower() in titles and not _is_twin(slot):
            continue  # rule section-level
        marks = "=" * slot.level
        where = f" below == {parent.title()} ==" if parent else ""
        near = get_close_matches(slot.title.lower(), unknown, n=1, cutoff=0.8)
        like = f" A section named {near[0]!r} is there." if near else ""
        yield RuleProblem(
            page.sections[-1].line if page.sections else 1,
            f"The section {slot.title} is missing{where}.{like}",
            f"Add {marks} {slot.title} {marks}: {slot.guide}",
        )


def _is_twin(slot: SectionSlot) -> bool:
    """Whether a title is used at both levels, as Execution Steps is."""
    return slot.title == "Execution Steps"


def _level(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    filled = {section.start for section in match_slots(page).values()}
    open_slots = {
        slot.title.lower(): (slot, parent)
        for position, (slot, parent) in enumerate(slots_with_parents(page))
        if position not in match_slots(page) and not _is_twin(slot)
    }
    for section in page.sections:
        if section.start in filled or section.title.lower() not in open_slots:
            continue
        slot, parent = open_slots[section.title.lower()]
        marks = "=" * slot.level
        where = f" below == {parent.title()} ==" if parent else ""
        yield RuleProblem(
            section.line,
            f"The section {section.title} is of level {section.level} or in the wrong place.",
            f"Write {marks} {slot.title} {marks}{where}.",
        )


def _containers(page: Page) -> set[str]:
    """The sections of level 2 that may hold nothing but their sub-sections."""
    parents_ = {parent for slot, parent in slots_with_parents(page) if slot.level == 3}
    return (parents_ | {"execution steps"}) - {"overview"}


def _empty(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    guides = [slot.guide for slot, _ in slots_with_parents(page)]
    for position, section in match_slots(page).items():
        below = content.below(section) if section.level == 2 else []
        title = section.title.lower()
        if content.prose(section) or (below and title in _containers(page)):
            continue
        # Such as several examples, each with a title of its own.
        if title != "overview" and any(content.prose(sub) for sub in below):
            continue
        yield RuleProblem(section.line, f"The section {section.title} is empty.", guides[position])


def _order(content: Content, view: View) -> Iterator[RuleProblem]:
    filled = match_slots(content.page)
    before: Section | None = None
    for position in sorted(filled):
        section = filled[position]
        if before is not None and section.start < before.start:
            yield RuleProblem(
                section.line,
                f"The section {section.title} stands before {before.title}.",
                f"Move it behind {before.title}.",
            )
        else:
            before = section


def _duplicate(content: Content, view: View) -> Iterator[RuleProblem]:
    counts = Counter((s.title.lower(), p) for s, p in parents(content.page))
    seen: set[tuple[str, str]] = set()
    for section, parent in parents(content.page):
        key = (section.title.lower(), parent)
        if counts[key] > 1 and key in seen:
            yield RuleProblem(
                section.line,
                f"The section {section.title} is there twice.",
                "Join the two.",
            )
        seen.add(key)


def _unknown_sections(page: Page) -> list[Section]:
    known = {slot.title.lower() for slot in SECTIONS[page.type]}
    return [s for s in page.sections if s.level == 2 and s.title.lower() not in known]


def _unknown(content: Content, view: View) -> Iterator[RuleProblem]:
    for section in _unknown_sections(content.page):
        titles = [slot.title for slot in SECTIONS[content.page.type] if slot.level == 2]
        near = get_close_matches(section.title, titles, n=1, cutoff=0.6)
        instead = f"Name it {near[0]}." if near else f"Use {', '.join(titles)}."
        yield RuleProblem(
            section.line,
            f"{content.page.type.with_article.capitalize()} page has no section {section.title!r}.",
            instead,
        )


def _heading_syntax(content: Content, view: View) -> Iterator[RuleProblem]:
    for match in _BROKEN_HEADING.finditer(content.visible):
        if match[1] != match[3]:
            yield RuleProblem(
                content.lines.at(match.start()),
                f"The heading {match[2][:60]!r} has {len(match[1])} equals signs before it "
                f"and {len(match[3])} behind it.",
                f"Write {match[1]} {match[2][:60]} {match[1]}.",
            )


def _overview(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("Overview", 2)
    text = " ".join(content.prose(section).split()) if section else ""
    if not section or not text:
        return
    plain = _ABBREVIATIONS.sub("x", re.sub(r"`[^`]*`", "code", text))
    sentences = len(_SENTENCE_END.findall(plain)) + 1
    if sentences > 1 or text.startswith(("*", "#", "|", "{")):
        yield RuleProblem(
            section.line,
            f"The overview has {sentences} sentences." if sentences > 1 else "It is a list.",
            "Say it in one sentence; the rest belongs into Description.",
        )
    elif len(text) > MAX_OVERVIEW_CHARACTERS:
        yield RuleProblem(
            section.line,
            f"The overview has {len(text)} characters.",
            f"Say it in at most {MAX_OVERVIEW_CHARACTERS}.",
        )
    elif text[-1] not in ".!?":
        yield RuleProblem(
            section.line, "The overview does not end like a sentence.", "End it with a dot."
        )


RULES = (
    Rule(
        "section-missing",
        Severity.ERROR,
        "Readers and programs look for each section of a type of page.",
        on_page=_missing,
    ),
    Rule(
        "section-level",
        Severity.ERROR,
        "The level says which section a text belongs to.",
        on_page=_level,
    ),
    Rule(
        "section-empty",
        Severity.ERROR,
        "An empty section promises an answer and gives none.",
        on_page=_empty,
    ),
    Rule(
        "section-order",
        Severity.ERROR,
        "Pages of a type are quick to read because they are alike.",
        on_page=_order,
        fixable=True,
    ),
    Rule(
        "section-duplicate",
        Severity.ERROR,
        "Of two sections of one name readers find the first only.",
        on_page=_duplicate,
    ),
    Rule(
        "section-unknown",
        Severity.WARNING,
        "A section that no other page has is not looked for; often its title is misspelt.",
        on_page=_unknown,
    ),
    Rule(
        "heading-syntax",
        Severity.ERROR,
        "A wiki shows a heading with unequal marks as text, and the section is lost.",
        on_page=_heading_syntax,
    ),
    Rule(
        "overview-sentence",
        Severity.WARNING,
        "The overview is what searches and indexes show.",
        on_page=_overview,
    ),
)
