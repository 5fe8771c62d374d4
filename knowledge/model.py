"""What a page says, as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from knowledge.claims import Claim


class PageType(StrEnum):
    """The five types of page; the value is the word that commands and addresses use."""

    HEURISTIC = "heuristic"
    WORKFLOW = "workflow"
    ENVIRONMENT = "environment"
    PRINCIPLE = "principle"
    IMPLEMENTATION = "implementation"

    @property
    def namespace(self) -> str:
        """As it is written in links, like ``Heuristic``."""
        return self.value.capitalize()

    @property
    def with_article(self) -> str:
        """Like ``an environment``."""
        return f"{'an' if self.value[0] in 'aeiou' else 'a'} {self.value}"

    @property
    def folder(self) -> str:
        """The folder of its pages, like ``heuristics``."""
        return f"{self.value}s"


@dataclass(frozen=True)
class Source:
    """Where the knowledge comes from: ``[[source::Type|Title|URL]]``."""

    type: str
    title: str
    url: str
    line: int


@dataclass(frozen=True)
class Edge:
    """A link of the graph: ``[[kind::TargetType:Target]]``."""

    kind: str
    """Like ``uses_heuristic``; as written."""
    target_type: str
    """As written, which may be a type that does not exist."""
    target: str
    """Name of the page without its type, with underscores for spaces."""
    line: int
    section: str
    """Title of the section of level 2 that it stands in."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next heading of any level."""

    title: str
    level: int
    """Number of equals signs: 2 or 3."""
    line: int
    start: int
    """Offset of the heading in the text."""
    end: int
    """Offset behind the last character of the section, its sub-sections excluded."""
    text: str
    """What stands below the heading, as written."""


@dataclass(frozen=True)
class Page:
    """One page. ``text`` is the whole truth; everything else was read from it."""

    type: PageType
    name: str
    """Without the type, with underscores for spaces: ``Gradient_Checkpointing``."""
    path: Path | None
    text: str
    sources: tuple[Source, ...]
    domains: tuple[str, ...]
    last_updated: datetime | None
    """In UTC."""
    overview: str
    """The sentence below ``== Overview ==``."""
    sections: tuple[Section, ...]
    edges: tuple[Edge, ...]
    """Those in code, ``<nowiki>`` and comments are not edges."""
    claims: tuple[Claim, ...]

    @property
    def full_name(self) -> str:
        """Like ``Heuristic:Gradient_Checkpointing``, which is unique in a library."""
        return f"{self.type.namespace}:{self.name}"
