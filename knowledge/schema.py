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
class Slot:
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
    Slot(
        "Overview", 2, "One sentence that says what a reader gains, with a figure if there is one."
    ),
    Slot("Description", 3, "What it is and how it works, in a few sentences."),
    Slot(
        "Usage", 3, "When to use it: the symptom, the limit or the goal that brings a reader here."
    ),
)
_RELATED = Slot("Related Pages", 2, "Links to the pages that this page is connected with.")

SECTIONS: dict[PageType, tuple[Slot, ...]] = {
    HEURISTIC: (
        *_CARD,
        Slot(
            "The Insight (Rule of Thumb)",
            2,
            "Bullets for Action (what to change), Value (the setting) and Trade-off (the cost).",
        ),
        Slot("Reasoning", 2, "Why it works, with theory or with measurements."),
        _RELATED,
        Slot("Used By", 3, "The workflows, principles and implementations that use it."),
    ),
    WORKFLOW: (
        *_CARD,
        Slot(
            "Execution Steps",
            2,
            "One === Step N: Name === for each step, with a link to its principle.",
        ),
        Slot("Execution Diagram", 2, "A Mermaid flowchart whose nodes are the names of the steps."),
        _RELATED,
        Slot("Execution Steps", 3, "The link of each step again, in order."),
        Slot("Tips and Tricks", 3, "The heuristics that apply to the whole workflow."),
    ),
    ENVIRONMENT: (
        *_CARD,
        Slot(
            "System Requirements",
            2,
            "A table Category, Requirement, Notes with the rows OS, Hardware and Disk.",
        ),
        Slot("Dependencies", 2, "What has to be installed."),
        Slot("System Packages", 3, "Programs of the operating system, or None."),
        Slot("Python Packages", 3, "One requirement per bullet, like `torch>=2.6`."),
        Slot("Credentials", 2, "Names of environment variables, never their values; or None."),
        Slot("Quick Install", 2, "One block of bash commands that installs everything."),
        Slot("Code Evidence", 2, "Where in the code each requirement is stated."),
        Slot("Common Errors", 2, "A table Error, Cause, Solution."),
        Slot("Compatibility Notes", 2, "What differs between devices, systems and versions."),
        _RELATED,
        Slot("Required By", 3, "The implementations that need this environment."),
    ),
    PRINCIPLE: (
        *_CARD,
        Slot("Theoretical Basis", 2, "The theory, with formulas where they help."),
        _RELATED,
    ),
    IMPLEMENTATION: (
        *_CARD,
        Slot("Code Reference", 2, "Which code this page is about."),
        Slot("Source Location", 3, "Repository, file and lines."),
        Slot("Signature", 3, "The signature, in a block of code."),
        Slot("Import", 3, "The import statement, in a block of code."),
        Slot("I/O Contract", 2, "What goes in and what comes out."),
        Slot("Inputs", 3, "A table of the parameters."),
        Slot("Outputs", 3, "A table of what is returned."),
        Slot("Usage Examples", 2, "At least one block of code that runs."),
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

NAMESPACES: dict[str, PageType] = {type_.namespace: type_ for type_ in PageType}


def edge_rule(source: PageType, kind: str, target: str) -> EdgeRule | None:
    """The rule that allows this edge; ``None`` where it is not legal."""
    kind = NEWER_KINDS.get(kind, kind) if source is HEURISTIC else kind
    for rule in EDGES:
        if (rule.source, rule.kind, rule.target.namespace) == (source, kind, target):
            return rule
    return None


def is_backlink(source: PageType, kind: str) -> bool:
    """Whether an edge of this kind on such a page names who points to the page.

    A backlink says the same as the edge that it answers, in the other direction.
    """
    return source in (HEURISTIC, ENVIRONMENT) and kind in (
        "uses_heuristic",
        "used_by",
        "required_by",
    )
