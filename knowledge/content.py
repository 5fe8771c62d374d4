"""What the sections of a page hold, read further where a type of page demands it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from knowledge.links import PageLink, find_links
from knowledge.markup import Lines, Region, RegionKind, masked, regions, without_comments
from knowledge.mermaid import Flowchart, parse_flowchart
from knowledge.model import Page, Section
from knowledge.parsing import header_of
from knowledge.tables import PageTable, find_tables
from knowledge.wording import plain

_STEP = re.compile(r"Step\s+(?P<number>\d{1,4})\s*:\s*(?P<name>\S.*)\Z", re.IGNORECASE)
_BOLD = r"(?:\*\*|''')"
_INSIGHT = re.compile(
    rf"^[*\-]+\s*{_BOLD}?(?P<name>[A-Za-z][A-Za-z -]{{0,40}}?)\s*"
    rf"(?::\s*{_BOLD}|{_BOLD}\s*:|:)(?P<value>[^\n]*)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class WorkflowStep:
    """A step of a workflow: ``=== Step N: Name ===`` and the link below it."""

    number: int
    name: str
    principles: tuple[str, ...]
    """Targets of its step links; one, unless the page is wrong."""
    line: int


@dataclass(frozen=True)
class InsightField:
    """A bullet of the insight, like ``* **Action:** …``."""

    name: str
    value: str
    line: int


@dataclass(frozen=True)
class Diagram:
    """A Mermaid diagram; ``line`` is that of its first line of text."""

    text: str
    chart: Flowchart
    line: int
    offset: int


class Content:
    """A page, read further. Everything is read once, when it is first asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.text = page.text

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The parts that are not prose."""
        return regions(self.text)

    @cached_property
    def visible(self) -> str:
        """The text with those parts blank."""
        return masked(self.text, self.regions)

    @cached_property
    def lines(self) -> Lines:
        """Line numbers."""
        return Lines(self.text)

    @cached_property
    def links(self) -> tuple[PageLink, ...]:
        """All links outside code."""
        return find_links(self.visible)

    @cached_property
    def is_newer_dialect(self) -> bool:
        """Whether the page begins with ``# Type: Name`` or has ``used_by`` edges."""
        kinds = {edge.kind for edge in self.page.edges}
        return header_of(self.text) is not None or "used_by" in kinds

    def section(self, title: str, level: int | None = None) -> Section | None:
        """The first section with this title; case does not matter."""
        for section in self.page.sections:
            if section.title.lower() == title.lower() and level in (None, section.level):
                return section
        return None

    def below(self, section: Section) -> list[Section]:
        """The sections of level 3 that belong to one of level 2."""
        found: list[Section] = []
        for other in self.page.sections:
            if other.start <= section.start:
                continue
            if other.level <= section.level:
                break
            found.append(other)
        return found

    def end_of(self, section: Section) -> int:
        """Offset behind a section and the sections below it."""
        below = self.below(section)
        return below[-1].end if below else section.end

    def prose(self, section: Section) -> str:
        """What stands below the heading, comments left out."""
        return self._uncommented[section.end - len(section.text) : section.end].strip()

    @cached_property
    def _uncommented(self) -> str:
        return without_comments(self.text, self.regions)

    def in_section(self, section: Section, kinds: set[RegionKind]) -> list[Region]:
        """The regions of these kinds in a section and the sections below it."""
        end = self.end_of(section)
        return [r for r in self.regions if r.kind in kinds and section.start <= r.start < end]

    def tables(self, section: Section) -> tuple[PageTable, ...]:
        """The tables of a section, sub-sections excluded."""
        text = self._uncommented[section.end - len(section.text) : section.end]
        return find_tables(text, section.line)

    @cached_property
    def steps(self) -> tuple[WorkflowStep, ...]:
        """The steps of a workflow, in the order of the page."""
        parent = self.section("Execution Steps", 2)
        found: list[WorkflowStep] = []
        for section in self.below(parent) if parent else []:
            match = _STEP.match(section.title)
            if match:
                principles = tuple(
                    link.target_name
                    for link in self.links
                    if link.kind == "step" and section.start <= link.start < section.end
                )
                name = plain(match["name"])
                found.append(WorkflowStep(int(match["number"]), name, principles, section.line))
        return tuple(found)

    @cached_property
    def diagrams(self) -> tuple[Diagram, ...]:
        """The Mermaid diagrams, as ``{{#mermaid: …}}`` or in a fence."""
        found: list[Diagram] = []
        for region in self.regions:
            fence = region.kind is RegionKind.FENCE and region.label.lower() == "mermaid"
            if region.kind is RegionKind.DIAGRAM or fence:
                text = region.inner(self.text)
                line = self.lines.at(region.inner_start)
                found.append(Diagram(text, parse_flowchart(text), line, region.start))
        return tuple(found)

    @cached_property
    def insight(self) -> tuple[InsightField, ...]:
        """The bullets of a heuristic's insight."""
        section = self.section("The Insight (Rule of Thumb)", 2)
        if section is None:
            return ()
        start = section.end - len(section.text)
        return tuple(
            InsightField(
                match["name"].strip(),
                match["value"].replace("**", "").strip(" '\r"),
                self.lines.at(start + match.start()),
            )
            for match in _INSIGHT.finditer(self._uncommented[start : section.end])
        )

    @property
    def metadata_end(self) -> int:
        """Offset of the first heading: the metadata stands before it."""
        return self.page.sections[0].start if self.page.sections else len(self.text)

    @cached_property
    def metadata(self) -> PageTable | None:
        """The table before the first heading."""
        tables = find_tables(self.visible[: self.metadata_end])
        return tables[0] if tables else None
