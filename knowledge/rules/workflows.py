"""Workflows: numbered steps, each with its principle, alike in all three places."""

from __future__ import annotations

import re
from collections.abc import Iterator

import networkx  # type: ignore[import-untyped]

from knowledge.content import Content
from knowledge.markup import RegionKind
from knowledge.model import PageType
from knowledge.rules.metadata import url_problem
from knowledge.rules.model import Rule, RuleProblem, Severity, View

_LISTED_NUMBER = re.compile(r"[ \t]*[-–—][ \t]*Step[ \t]+(\d{1,4})\b")
_EXTERNAL_LINK = re.compile(r"(?<!\[)\[(https?://[^\s\[\]]{1,2000})[ \t]+[^\[\]\n]{1,300}\]")


def _is_workflow(content: Content) -> bool:
    return content.page.type is PageType.WORKFLOW


def _steps_missing(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("Execution Steps", 2)
    if _is_workflow(content) and section and not content.steps:
        yield RuleProblem(
            section.line, "The workflow has no step.", "Add === Step 1: Name === below it."
        )


def _step_heading(content: Content, view: View) -> Iterator[RuleProblem]:
    parent = content.section("Execution Steps", 2)
    if not _is_workflow(content) or parent is None:
        return
    lines = {step.line for step in content.steps}
    for section in content.below(parent):
        if section.line not in lines:
            yield RuleProblem(
                section.line,
                f"{section.title!r} is not the heading of a step.",
                "Write === Step N: Name ===.",
            )


def _step_numbers(content: Content, view: View) -> Iterator[RuleProblem]:
    if not _is_workflow(content):
        return
    for expected, step in enumerate(content.steps, 1):
        if step.number != expected:
            yield RuleProblem(
                step.line,
                f"Step {step.number} ({step.name}) is the step at position {expected}.",
                f"Write === Step {expected}: {step.name} ===.",
            )
            return


def _step_link(content: Content, view: View) -> Iterator[RuleProblem]:
    if not _is_workflow(content) or content.is_newer_dialect:
        return
    for step in content.steps:
        if len(step.principles) != 1:
            count = len(step.principles) or "no"
            yield RuleProblem(
                step.line,
                f"Step {step.number} ({step.name}) has {count} links to a principle.",
                "Write one [[step::Principle:Name]] below the heading.",
            )


def _steps_agree(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("Execution Steps", 3)
    if not _is_workflow(content) or section is None:
        return
    wanted = [step.principles[0] for step in content.steps if step.principles]
    listed = [
        (link.target_name, _LISTED_NUMBER.match(content.text, link.start + len(link.raw)))
        for link in content.links
        if link.kind == "step" and section.start <= link.start < section.end
    ]
    if [name for name, _ in listed] != wanted:
        yield RuleProblem(
            section.line,
            f"Related Pages lists the steps {', '.join(name for name, _ in listed) or 'none'}; "
            f"the steps themselves link {', '.join(wanted) or 'none'}.",
            "List the same principles in the same order.",
        )
        return
    for number, (name, match) in enumerate(listed, 1):
        if match is None or int(match[1]) != number:
            yield RuleProblem(
                section.line,
                f"{name} is step {number}, which its line in Related Pages does not say.",
                f"Write * [[step::Principle:{name}]] - Step {number}.",
            )


def _diagram_missing(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("Execution Diagram", 2)
    if not _is_workflow(content) or section is None:
        return
    kinds = {RegionKind.DIAGRAM, RegionKind.FENCE}
    places = {region.start for region in content.in_section(section, kinds)}
    if not any(diagram.offset in places for diagram in content.diagrams):
        yield RuleProblem(
            section.line,
            "The section has no diagram.",
            "Add {{#mermaid:graph TD, a line for each link like A[Name] --> B[Name], and }}.",
        )


def _diagram_syntax(content: Content, view: View) -> Iterator[RuleProblem]:
    for diagram in content.diagrams:
        for problem in diagram.chart.problems:
            yield RuleProblem(diagram.line + problem.line, problem.message, problem.instead)


def _diagram_steps(content: Content, view: View) -> Iterator[RuleProblem]:
    if not _is_workflow(content) or not content.diagrams or not content.steps:
        return
    diagram = content.diagrams[0]
    labels = {_key(label): name for name, label in diagram.chart.nodes.items()}
    names = {_key(step.name): step for step in content.steps}
    if diagram.chart.problems:
        return
    for key, step in names.items():
        if key not in labels:
            yield RuleProblem(
                diagram.line,
                f"Step {step.number} ({step.name}) is not a node of the diagram.",
                f"Add a node with the label [{step.name}].",
            )
    for key, name in labels.items():
        if key not in names and name not in diagram.chart.decisions:
            yield RuleProblem(
                diagram.line + diagram.chart.lines[name],
                f"The node {diagram.chart.nodes[name]!r} is not a step.",
                f"Use the names of the steps ({', '.join(s.name for s in content.steps)}); a "
                "question at which they branch is a node in braces.",
            )


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())


def _diagram_cycle(content: Content, view: View) -> Iterator[RuleProblem]:
    for diagram in content.diagrams:
        circle = _circle(diagram.chart.links)
        if circle and _is_workflow(content):
            names = " -> ".join(diagram.chart.nodes.get(name, name) for name in circle)
            yield RuleProblem(
                diagram.line + diagram.chart.lines.get(circle[0], 0),
                f"The steps lead in a circle: {names}.",
                "Remove one of the links; say in the step when it is repeated.",
            )


def _circle(links: list[tuple[str, str]]) -> list[str]:
    """A circle of the links, its first node at both ends; empty if there is none."""
    graph = networkx.DiGraph(links)
    try:
        circle = networkx.find_cycle(graph)
    except networkx.NetworkXNoCycle:
        return []
    return [source for source, _ in circle] + [circle[0][0]]


def _repository(content: Content, view: View) -> Iterator[RuleProblem]:
    if not _is_workflow(content) or not content.is_newer_dialect:
        return
    if any(step.principles for step in content.steps):
        return
    urls = [match[1] for match in _EXTERNAL_LINK.finditer(content.visible)]
    if len(urls) != 1 or url_problem(urls[0]):
        yield RuleProblem(
            1,
            f"The workflow has {len(urls) or 'no'} links to a repository and no links of steps.",
            "Write one [https://… Label], or a [[step::Principle:Name]] in each step.",
        )


RULES = (
    Rule("steps-missing", Severity.ERROR, "A workflow is its steps.", on_page=_steps_missing),
    Rule(
        "step-heading",
        Severity.ERROR,
        "Only headings with number and name are read as steps.",
        on_page=_step_heading,
    ),
    Rule(
        "step-numbers",
        Severity.ERROR,
        "A gap in the numbers looks like a step that was lost.",
        on_page=_step_numbers,
    ),
    Rule(
        "step-link",
        Severity.ERROR,
        "The principle says why the step is there; without the link it is not found.",
        on_page=_step_link,
    ),
    Rule(
        "steps-agree",
        Severity.ERROR,
        "Programs read the list in Related Pages, people read the steps: both must say the same.",
        on_page=_steps_agree,
        fixable=True,
    ),
    Rule(
        "diagram-missing",
        Severity.ERROR,
        "The diagram shows which steps branch.",
        on_page=_diagram_missing,
    ),
    Rule(
        "diagram-syntax",
        Severity.ERROR,
        "Mermaid draws nothing if one line is malformed.",
        on_page=_diagram_syntax,
    ),
    Rule(
        "diagram-steps",
        Severity.ERROR,
        "A diagram of other steps than the text misleads.",
        on_page=_diagram_steps,
    ),
    Rule(
        "diagram-cycle",
        Severity.ERROR,
        "Steps that lead in a circle have no order in which they can be executed.",
        on_page=_diagram_cycle,
    ),
    Rule(
        "workflow-repository",
        Severity.ERROR,
        "In the newer dialect the link to the repository stands for the steps' links.",
        on_page=_repository,
    ),
)
