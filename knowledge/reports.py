"""The enrichment report: which environments and heuristics there are, and what they connect to.

Its form is that of the reports by which a knowledge wiki tracks this phase: created, findings,
links, pending, verification, statistics. Everything in it is read from the pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from knowledge.content import Content
from knowledge.environments import Requirement, RequirementKind, requirements
from knowledge.graph import Graph, GraphEdge
from knowledge.indexes import expected, folders_with_indexes
from knowledge.library import Library, index_path
from knowledge.model import Page, PageType
from knowledge.rules import Finding, Severity, check
from knowledge.wording import markdown

MAX_NAMES = 5
DEVICE_NAMES = {
    "cuda": "CUDA (NVIDIA)",
    "rocm": "ROCm (AMD)",
    "mps": "MPS (Apple silicon)",
    "xpu": "XPU (Intel)",
    "cpu": "CPU",
}


def enrichment(
    library: Library,
    *,
    before: Library | None = None,
    findings: Sequence[Finding] | None = None,
    title: str | None = None,
    now: datetime | None = None,
) -> str:
    """The enrichment report of a library, in Markdown.

    Args:
        library: the pages.
        before: the library as it was; pages that are in it do not count as created.
        findings: what the rules found; by default they are applied here.
        title: what the pages are about; by default the prefix that their names share.
        now: the moment of the report.
    """
    moment = now or datetime.now(timezone.utc)
    found = check(library, now=moment) if findings is None else findings
    return _Report(library, before, found, title, moment).write()


class _Report:
    def __init__(
        self,
        library: Library,
        before: Library | None,
        findings: Sequence[Finding],
        title: str | None,
        now: datetime,
    ) -> None:
        self.library, self.findings, self.now = library, findings, now
        known = before.pages if before else {}
        self.created = [
            page
            for name, page in library.pages.items()
            if name not in known or known[name].path != page.path  # or takes the place of that one
        ]
        self.environments = [p for p in self.created if p.type is PageType.ENVIRONMENT]
        self.heuristics = [p for p in self.created if p.type is PageType.HEURISTIC]
        graph = Graph(library)
        self.edges: list[GraphEdge] = graph.edges
        self.missing = [node.full_name for node in graph.nodes if not node.exists]
        self.prefix = shared_prefix([p.name for p in self.environments + self.heuristics])
        self.title = title or self.prefix.rstrip("_") or "this library"

    def write(self) -> str:
        parts = [
            "# Phase 3: Enrichment Report",
            "## Summary",
            f"Phase 3 (Enrichment) holds the environment constraints and heuristics (tribal "
            f"knowledge) of {self.title}: the leaf nodes of the knowledge graph, which say what "
            "has to be there and what experience advises.",
            "---",
            "## Environments Created",
            _table(
                ("Environment", "Required By", "Description"),
                [(p.name, self._users(p), _first(p.overview)) for p in self.environments],
            ),
            "### Key Findings - Environments",
            self._environment_findings(),
            "---",
            "## Heuristics Created",
            _table(
                ("Heuristic", "Applies To", "Description"),
                [(p.name, self._users(p), _first(p.overview)) for p in self.heuristics],
            ),
            "### Key Findings - Heuristics",
            self._heuristic_findings(),
            "---",
            "## Links Added",
            "### Environment Links",
            self._links(PageType.ENVIRONMENT, self.environments),
            "### Heuristic Links",
            self._links(PageType.HEURISTIC, self.heuristics),
            "---",
            "## Notes for Audit Phase",
            "### Pending Connections",
            self._pending(),
            "### Potential Improvements",
            self._improvements(),
            "### Verification Status",
            self._verification(),
            "---",
            "## Statistics",
            self._statistics(),
            "---",
            f"**Phase Complete:** {self.now:%Y-%m-%d}",
        ]
        return "\n\n".join(parts) + "\n"

    def _user_names(self, page: Page, kinds: Iterable[PageType] = PageType) -> list[str]:
        namespaces = {kind.namespace for kind in kinds}
        return sorted(
            edge.source
            for edge in self.edges
            if edge.target == page.full_name and edge.source.partition(":")[0] in namespaces
        )

    def _users(self, page: Page) -> str:
        names = [name.partition(":")[2] for name in self._user_names(page)]
        if len(names) > MAX_NAMES:
            return f"{', '.join(names[:MAX_NAMES])}, plus {len(names) - MAX_NAMES} more"
        return ", ".join(names) or "nothing yet"

    # --- findings ---

    def _environment_findings(self) -> str:
        stated = [(page, item) for page in self.environments for item in requirements(page)]
        packages = [(p, r) for p, r in stated if r.kind is RequirementKind.PACKAGE]
        needed = [(p, r) for p, r in packages if not r.optional and len(r.choices) == 1]
        other = _unique((p, r) for p, r in packages if r.optional or len(r.choices) > 1)
        most_used = max(
            self.environments, key=lambda page: len(self._user_names(page)), default=None
        )
        core = [(p, r) for p, r in needed if p is most_used]
        known = {_key(item) for _, item in core}
        further = [
            f"{page.name}: {', '.join(_statement(item) for item in added)}"
            for page in self.environments
            if page is not most_used
            and (added := [r for p, r in needed if p is page and _key(r) not in known])
        ]
        kinds = [
            choice[0]
            for _, item in stated
            if item.kind is RequirementKind.DEVICE
            for choice in item.choices
        ]
        devices = [DEVICE_NAMES[kind] for kind in DEVICE_NAMES if kind in kinds]
        secrets = _unique((p, r) for p, r in stated if r.kind is RequirementKind.CREDENTIAL)
        return _numbered(
            (
                ("Core Dependencies", [_requirement(p, r) for p, r in core]),
                ("Further Dependencies", further),
                ("Optional Packages and Alternatives", [_requirement(p, r) for p, r in other]),
                ("Multi-platform Support", devices),
                ("Credentials", [f"`{r.name}` ({p.name})" for p, r in secrets]),
            )
        )

    def _heuristic_findings(self) -> str:
        insights = {page.full_name: Content(page).insight for page in self.heuristics}

        def said(name: str) -> list[str]:
            return [
                f"{page.name}: {markdown(field.value)}"
                for page in self.heuristics
                for field in insights[page.full_name]
                if field.name.lower() == name and field.value
            ]

        claims = [
            f"{markdown(claim.text)} ({page.name})"
            for page in self.heuristics
            for claim in page.claims
        ]
        return _numbered(
            (
                ("Tribal Knowledge", said("action")),
                ("Configuration Best Practices", said("value")),
                ("Trade-offs", said("trade-off")),
                ("Claims That Can Be Measured", claims),
            )
        )

    # --- links ---

    def _links(self, kind: PageType, pages: list[Page]) -> str:
        lines = [f"- _{kind.namespace}Index.md: {_count(len(pages), 'new entry', 'new entries')}"]
        for page in pages:
            counts = [
                _count(len(names), user.value, user.folder)
                for user in (PageType.IMPLEMENTATION, PageType.PRINCIPLE, PageType.WORKFLOW)
                if (names := self._user_names(page, (user,)))
            ]
            lines.append(f"- {page.name} linked to {', '.join(counts) or 'nothing yet'}")
        return "\n".join(lines)

    def _pending(self) -> str:
        if not self.missing:
            return "None: every page that is referenced exists."
        lines = [
            f"- ⬜ {name} ({', '.join(self._referrers(name))})" for name in sorted(self.missing)
        ]
        return "The following pages are referenced but not yet created:\n" + "\n".join(lines)

    def _referrers(self, full_name: str) -> list[str]:
        names = {e.source for e in self.edges if e.target == full_name}
        names |= {e.target for e in self.edges if e.source == full_name}
        return sorted(names)[:MAX_NAMES]

    def _improvements(self) -> str:
        lines: list[str] = []
        unmeasurable = [p.name for p in self.heuristics if not p.claims]
        unused = [p.name for p in self.environments + self.heuristics if not self._user_names(p)]
        unbounded = [
            f"{r.name} ({p.name})"
            for p in self.environments
            for r in requirements(p)
            if r.kind is RequirementKind.PACKAGE
            and any(not re.search(r"[<>=~!@]", member) for c in r.choices for member in c)
        ]
        for what, names in (
            ("State a claim that can be measured on", unmeasurable),
            ("Connect to the pages that use them", unused),
            ("State a version for", unbounded),
        ):
            if names:
                lines.append(f"{len(lines) + 1}. {what}: {', '.join(names)}")
        for severity in (Severity.ERROR, Severity.WARNING):
            count = sum(finding.severity is severity for finding in self.findings)
            if count:
                noun = _count(count, severity.value, f"{severity.value}s")
                lines.append(f"{len(lines) + 1}. Fix the {noun} of `tonnage knowledge check`")
        return "\n".join(lines) or "None found."

    # --- verification ---

    def _verification(self) -> str:
        checks = [
            (
                f"All {_count(len(pages), kind.namespace + ' page', kind.namespace + ' pages')} "
                "written to the correct directory",
                all(_in_own_folder(page) for page in pages),
            )
            for kind, pages in (
                (PageType.ENVIRONMENT, self.environments),
                (PageType.HEURISTIC, self.heuristics),
            )
        ]
        for kind in (PageType.ENVIRONMENT, PageType.HEURISTIC, PageType.IMPLEMENTATION):
            checks.append((f"_{kind.namespace}Index.md updated", self._index_is_true(kind)))
        if self.prefix:
            checks.append((f"All filenames use `{self.prefix}` prefix", True))
        files = {str(finding.path) for finding in self.findings if finding.rule == "unreadable"}
        checks.append(("All files in the designated directories can be read", not files))
        errors = sum(finding.severity is Severity.ERROR for finding in self.findings)
        checks.append((f"No errors of the rules ({errors} found)", errors == 0))
        return "\n".join(f"- [{'x' if done else ' '}] {text}" for text, done in checks)

    def _index_is_true(self, kind: PageType) -> bool:
        folders = [folder for folder, of in folders_with_indexes(self.library) if of is kind]
        return bool(folders) and all(
            self.library.indexes.get(index_path(folder, kind))
            == expected(self.library, kind, folder)
            for folder in folders
        )

    def _statistics(self) -> str:
        linked = {
            edge.source
            for edge in self.edges
            if edge.target in {p.full_name for p in self.environments + self.heuristics}
        }
        implementations = [name for name in linked if name.startswith("Implementation:")]
        rows = [
            ("Environment Pages Created", len(self.environments)),
            ("Heuristic Pages Created", len(self.heuristics)),
            ("Implementation Pages Updated (in index)", len(implementations)),
            ("Claims That Can Be Measured", sum(len(p.claims) for p in self.heuristics)),
        ]
        for kind in PageType:
            count = sum(name.startswith(f"{kind.namespace}:") for name in self.missing)
            if count or kind is PageType.WORKFLOW:
                rows.append((f"{kind.namespace} References (pending)", count))
        return _table(("Category", "Count"), [(name, str(count)) for name, count in rows])


def shared_prefix(names: Sequence[str]) -> str:
    """The words that all names begin with, like ``Huggingface_peft_``; empty for one name."""
    if len(names) < 2:
        return ""
    words = [name.split("_")[:-1] for name in names]
    shared = []
    for group in zip(*words):
        if len(set(group)) > 1:
            break
        shared.append(group[0])
    return "".join(f"{word}_" for word in shared)


def _in_own_folder(page: Page) -> bool:
    return page.path is not None and Path(page.path).parent.name == page.type.folder


def _statement(item: Requirement) -> str:
    return " or ".join(" + ".join(choice) for choice in item.choices) or markdown(item.text)


def _requirement(page: Page, item: Requirement) -> str:
    place = f"{page.path.name if page.path else page.name}:{item.line}"
    statement = _statement(item)
    no_version = re.search(r"[<>=~!@]", statement) is None
    return f"{statement}{' (no version constraint)' if no_version else ''} (`{place}`)"


def _key(item: Requirement) -> tuple[tuple[str, ...], ...]:
    """The same for requirements that ask for the same."""
    choices = tuple(tuple("".join(m.split()).lower() for m in choice) for choice in item.choices)
    return choices or ((item.text,),)


def _unique(
    stated: Iterable[tuple[Page, Requirement]],
) -> list[tuple[Page, Requirement]]:
    """The first statement of each requirement."""
    seen: dict[tuple[tuple[str, ...], ...], tuple[Page, Requirement]] = {}
    for page, item in stated:
        seen.setdefault(_key(item), (page, item))
    return list(seen.values())


def _numbered(groups: Iterable[tuple[str, list[str]]]) -> str:
    filled = [(title, items) for title, items in groups if items]
    return (
        "\n\n".join(
            f"{number}. **{title}**:\n" + "\n".join(f"   - {item}" for item in items)
            for number, (title, items) in enumerate(filled, 1)
        )
        or "None."
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join('-' * (len(h) + 2) for h in header)}|"]
    lines.extend(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows)
    return "\n".join(lines)


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")


def _first(text: str) -> str:
    return text.rstrip(".")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
