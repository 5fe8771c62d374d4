"""New pages: every section of the type, with a comment that says what belongs in it."""

from __future__ import annotations

from datetime import datetime, timezone

from knowledge.errors import PageError
from knowledge.links import canonical_name
from knowledge.model import PageType
from knowledge.parsing import DATE_FORMAT
from knowledge.rules.files import FORBIDDEN_IN_NAMES
from knowledge.schema import EDGES, SECTIONS, SOURCE_TYPES, SectionSlot

_CLAIM = """<!-- To have a figure measured, add a comment that begins with tonnage:claim and
a line break, like this one:
id = "peak-memory"
text = "50-60 % less memory"
lever = "gradient_checkpointing"
from = false
to = true
quantity = "peak_memory"
low = -0.6
high = -0.5
source = "https://…"
-->"""

_BODIES: dict[tuple[PageType, str], str] = {
    (PageType.HEURISTIC, "The Insight (Rule of Thumb)"): (
        "* **Action:** <!-- What to change. -->\n"
        "* **Value:** <!-- The number or the setting. -->\n"
        "* **Trade-off:** <!-- What it costs. -->\n"
        "<!-- * **Compatibility:** What it does not work with; optional. -->\n\n"
        f"{_CLAIM}"
    ),
    (PageType.WORKFLOW, "Execution Diagram"): (
        "{{#mermaid:graph TD\n    A[First Step] --> B[Second Step]\n}}"
    ),
    (PageType.ENVIRONMENT, "System Requirements"): (
        '{| class="wikitable"\n! Category !! Requirement !! Notes\n'
        "|-\n| OS || <!-- Linux, macOS, Windows or any --> ||\n"
        "|-\n| Hardware || <!-- NVIDIA GPU with 16 GB VRAM, CPU, … --> ||\n"
        "|-\n| Disk || <!-- 20 GB --> ||\n|}"
    ),
    (PageType.ENVIRONMENT, "Quick Install"): "```bash\n\n```",
    (PageType.ENVIRONMENT, "Common Errors"): (
        '{| class="wikitable"\n! Error !! Cause !! Solution\n|}'
    ),
    (PageType.IMPLEMENTATION, "Signature"): "```python\n\n```",
    (PageType.IMPLEMENTATION, "Import"): "```python\n\n```",
    (PageType.IMPLEMENTATION, "Inputs"): (
        '{| class="wikitable"\n! Name !! Type !! Description\n|}'
    ),
    (PageType.IMPLEMENTATION, "Outputs"): (
        '{| class="wikitable"\n! Name !! Type !! Description\n|}'
    ),
    (PageType.IMPLEMENTATION, "Usage Examples"): "```python\n\n```",
}


def page_name(name: str) -> str:
    """The name of a page as it is written in links and files.

    Raises:
        PageError: it is empty or holds a character that wikis refuse.
    """
    canonical = canonical_name(name)
    bad = sorted(set(FORBIDDEN_IN_NAMES.findall(canonical)))
    if bad:
        better = canonical_name(FORBIDDEN_IN_NAMES.sub("_", canonical))
        raise PageError(f"{name!r} holds {' '.join(bad)}, which no page's name may; use {better}.")
    if not canonical or not canonical[0].isalnum() or not canonical.isprintable():
        raise PageError(f"{name!r} is not a valid page name; use letters, digits and underscores.")
    return canonical


def new_page(type: PageType, name: str, *, now: datetime | None = None) -> str:
    """The text of a new page, for the file ``{folder of the type}/{name}.md``.

    What is still to be written is a comment; :func:`knowledge.rules.check` reports each one.

    Raises:
        PageError: no page may have this name.
    """
    page_name(name)
    return _metadata(type, now or datetime.now(timezone.utc)) + "\n".join(
        _section(type, position, slot) for position, slot in enumerate(SECTIONS[type])
    )


def _metadata(kind: PageType, now: datetime) -> str:
    sources = "\n".join(
        f"<!-- * [[source::{source}|Title|https://…]] -->" for source in SOURCE_TYPES[kind]
    )
    return (
        '{| class="wikitable" style="float:right; margin-left:1em; width:300px;"\n'
        f"|-\n! Knowledge Sources\n|\n{sources}\n"
        "|-\n! Domains\n| <!-- [[domain::LLMs]], [[domain::Optimization]] -->\n"
        f"|-\n! Last Updated\n| [[last_updated::{now.strftime(DATE_FORMAT)}]]\n|}}\n\n"
    )


def _section(kind: PageType, position: int, slot: SectionSlot) -> str:
    marks = "=" * slot.level
    parts = [f"{marks} {slot.title} {marks}\n<!-- {slot.guide} -->"]
    body = _BODIES.get((kind, slot.title))
    if kind is PageType.WORKFLOW and slot.title == "Execution Steps":
        body = _steps() if slot.level == 2 else ""
    if body:
        parts.append(body)
    edges = _edges(kind, slot.title) if position and slot.level == 3 else []
    parts.extend(f"<!-- * {edge} -->" for edge in edges)
    text = "\n".join(parts) + "\n"
    if slot.title == "Related Pages":
        text += _free_subsections(kind)
    return text


def _steps() -> str:
    guide = "<!-- [[step::Principle:Name]] and what is special here. -->"
    return f"=== Step 1: First Step ===\n{guide}\n\n=== Step 2: Second Step ===\n{guide}"


def _edges(kind: PageType, section: str) -> list[str]:
    suffix = " - Step 1" if kind is PageType.WORKFLOW and section == "Execution Steps" else ""
    return [
        f"[[{rule.kind}::{rule.target.namespace}:Name]]{suffix}"
        for rule in EDGES
        if rule.source is kind and rule.section == section
    ]


def _free_subsections(kind: PageType) -> str:
    """The sub-sections of Related Pages that the schema leaves to the page."""
    fixed = {slot.title for slot in SECTIONS[kind] if slot.level == 3}
    titles = dict.fromkeys(rule.section for rule in EDGES if rule.source is kind)
    parts = []
    for title in titles:
        if title not in fixed:
            edges = "\n".join(f"<!-- * {edge} -->" for edge in _edges(kind, title))
            parts.append(f"=== {title} ===\n{edges}\n")
    return "\n".join(parts)
