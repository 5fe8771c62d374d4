"""Which sections, sources and edges each type of page has, and what belongs in them."""

from __future__ import annotations

from dataclasses import dataclass

from knowledge.model import PageType

HEURISTIC = PageType.HEURISTIC
WORKFLOW = PageType.WORKFLOW
ENVIRONMENT = PageType.ENVIRONMENT
PRINCIPLE = PageType.PRINCIPLE
IMPLEMENTATION = PageType.IMPLEMENTATION


@dataclass(frozen=True)
class SectionSlot:
    """A section that a type of page must have, in the order of the schema."""

    title: str
    level: int
    guide: str
    """What belongs in it, as one sentence."""


@dataclass(frozen=True)
class EdgeRule:
    """An edge that may be written: ``[[kind::Target:Name]]`` on a page of type ``source``."""

    source: PageType
    kind: str
    target: PageType
    section: str
    """The sub-section of Related Pages that it is written in."""
    backlink: str | None = None
    """Kind of the edge that the target must carry back to this page."""


_CARD = (
    SectionSlot(
        "Overview", 2, "One sentence that says what a reader gains, with a figure if there is one."
    ),
    SectionSlot("Description", 3, "What it is and how it works, in a few sentences."),
    SectionSlot(
        "Usage", 3, "When to use it: the symptom, the limit or the goal that brings a reader here."
    ),
)
_RELATED = SectionSlot("Related Pages", 2, "Links to the pages that this page is connected with.")

SECTIONS: dict[PageType, tuple[SectionSlot, ...]] = {
    HEURISTIC: (
        *_CARD,
        SectionSlot(
            "The Insight (Rule of Thumb)",
            2,
            "Bullets for Action (what to change), Value (the setting) and Trade-off (the cost).",
        ),
        SectionSlot("Reasoning", 2, "Why it works, with theory or with measurements."),
        _RELATED,
        SectionSlot("Used By", 3, "The workflows, principles and implementations that use it."),
    ),
    WORKFLOW: (
        *_CARD,
        SectionSlot(
            "Execution Steps",
            2,
            "One === Step N: Name === for each step, with a link to its principle.",
        ),
        SectionSlot(
            "Execution Diagram", 2, "A Mermaid flowchart whose nodes are the names of the steps."
        ),
        _RELATED,
        SectionSlot("Execution Steps", 3, "The link of each step again, in order."),
        SectionSlot("Tips and Tricks", 3, "The heuristics that apply to the whole workflow."),
    ),
    ENVIRONMENT: (
        *_CARD,
        SectionSlot(
            "System Requirements",
            2,
            "A table Category, Requirement, Notes with the rows OS, Hardware and Disk.",
        ),
        SectionSlot("Dependencies", 2, "What has to be installed."),
        SectionSlot("System Packages", 3, "Programs of the operating system, or None."),
        SectionSlot("Python Packages", 3, "One requirement per bullet, like `torch>=2.6`."),
        SectionSlot(
            "Credentials", 2, "Names of environment variables, never their values; or None."
        ),
        SectionSlot("Quick Install", 2, "One block of bash commands that installs everything."),
        SectionSlot("Code Evidence", 2, "Where in the code each requirement is stated."),
        SectionSlot("Common Errors", 2, "A table Error, Cause, Solution."),
        SectionSlot(
            "Compatibility Notes", 2, "What differs between devices, systems and versions."
        ),
        _RELATED,
        SectionSlot("Required By", 3, "The implementations that need this environment."),
    ),
    PRINCIPLE: (
        *_CARD,
        SectionSlot("Theoretical Basis", 2, "The theory, with formulas where they help."),
        _RELATED,
    ),
    IMPLEMENTATION: (
        *_CARD,
        SectionSlot("Code Reference", 2, "Which code this page is about."),
        SectionSlot("Source Location", 3, "Repository, file and lines."),
        SectionSlot("Signature", 3, "The signature, in a block of code."),
        SectionSlot("Import", 3, "The import statement, in a block of code."),
        SectionSlot("I/O Contract", 2, "What goes in and what comes out."),
        SectionSlot("Inputs", 3, "A table of the parameters."),
        SectionSlot("Outputs", 3, "A table of what is returned."),
        SectionSlot("Usage Examples", 2, "At least one block of code that runs."),
        _RELATED,
    ),
}
"""The sections of each type, in order; one of level 3 belongs to the last of level 2 before it."""

SOURCE_TYPES: dict[PageType, tuple[str, ...]] = {
    HEURISTIC: ("Discussion", "Blog", "Paper", "Experience"),
    WORKFLOW: ("Repo", "Blog", "Paper", "Doc"),
    ENVIRONMENT: ("Repo", "Doc", "Dockerfile", "Blog"),
    PRINCIPLE: ("Paper", "Blog", "Textbook"),
    IMPLEMENTATION: ("Repo", "Doc", "Paper"),
}

EDGES: tuple[EdgeRule, ...] = (
    EdgeRule(WORKFLOW, "step", PRINCIPLE, "Execution Steps"),
    EdgeRule(WORKFLOW, "uses_heuristic", HEURISTIC, "Tips and Tricks", "uses_heuristic"),
    EdgeRule(PRINCIPLE, "implemented_by", IMPLEMENTATION, "Implemented By"),
    EdgeRule(PRINCIPLE, "uses_heuristic", HEURISTIC, "Tips and Tricks", "uses_heuristic"),
    EdgeRule(IMPLEMENTATION, "uses_heuristic", HEURISTIC, "Tips and Tricks", "uses_heuristic"),
    EdgeRule(IMPLEMENTATION, "requires_env", ENVIRONMENT, "Environment", "required_by"),
    EdgeRule(HEURISTIC, "uses_heuristic", WORKFLOW, "Used By", "uses_heuristic"),
    EdgeRule(HEURISTIC, "uses_heuristic", PRINCIPLE, "Used By", "uses_heuristic"),
    EdgeRule(HEURISTIC, "uses_heuristic", IMPLEMENTATION, "Used By", "uses_heuristic"),
    EdgeRule(ENVIRONMENT, "required_by", IMPLEMENTATION, "Required By", "requires_env"),
)

NEWER_KINDS = {"used_by": "uses_heuristic"}
"""Kinds of edge in the newer dialect, and what they are called in the one that is written here."""

NEWER_EDGES: tuple[EdgeRule, ...] = (
    EdgeRule(IMPLEMENTATION, "implements", PRINCIPLE, "Implements", "implemented_by"),
)
"""Edges of the newer dialect that the one that is written here does not have."""

BACKLINKS: dict[tuple[PageType, str], str] = {
    (HEURISTIC, "uses_heuristic"): "uses_heuristic",
    (HEURISTIC, "used_by"): "uses_heuristic",
    (ENVIRONMENT, "required_by"): "requires_env",
    (IMPLEMENTATION, "implements"): "implemented_by",
}
"""Edges that name who points to the page: the kind of the edge that they answer."""

NAMESPACES: dict[str, PageType] = {type_.namespace: type_ for type_ in PageType}


def edge_rule(source: PageType, kind: str, target: str) -> EdgeRule | None:
    """The rule that allows this edge; ``None`` where it is not legal."""
    kind = NEWER_KINDS.get(kind, kind) if source is HEURISTIC else kind
    for rule in (*EDGES, *NEWER_EDGES):
        if (rule.source, rule.kind, rule.target.namespace) == (source, kind, target):
            return rule
    return None


def is_backlink(source: PageType, kind: str) -> bool:
    """Whether an edge of this kind on such a page names who points to the page.

    A backlink says the same as the edge that it answers, in the other direction.
    """
    return (source, kind) in BACKLINKS
