"""What is written for people: new pages and the enrichment report."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest

from knowledge import indexes
from knowledge.content import Content
from knowledge.errors import PageError
from knowledge.library import Library, load
from knowledge.model import PageType
from knowledge.parsing import parse
from knowledge.reports import enrichment, shared_prefix
from knowledge.rules import check
from knowledge.schema import SECTIONS
from knowledge.templates import new_page, page_name
from tests.knowledge import pages

NOW = datetime(2026, 11, 29, 17, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize("kind", list(PageType))
def test_a_new_page_has_every_section_and_its_guide(kind: PageType) -> None:
    text = new_page(kind, "Some_Page", now=NOW)
    page = parse(text, type=kind, name="Some_Page")
    for slot in SECTIONS[kind]:
        assert slot.guide in text
    assert page.last_updated == NOW
    found = {finding.rule for finding in check(Library({page.full_name: page}), now=NOW)}
    assert not found & {"section-missing", "section-order", "section-level", "unclosed"}
    assert {"section-empty", "metadata-field"} <= found
    assert page.edges == () and page.claims == ()


@pytest.mark.parametrize("kind", list(PageType))
def test_what_a_new_page_lacks_is_found_section_by_section(kind: PageType) -> None:
    page = parse(new_page(kind, "Some_Page", now=NOW), type=kind, name="Some_Page")
    found = check(Library({page.full_name: page}), now=NOW)
    titles = {f.message.split("The section ")[1].rsplit(" is", 1)[0]
              for f in found if f.rule == "section-empty"}  # fmt: skip
    assert {"Overview", "Description", "Usage"} <= titles


def test_the_steps_of_a_new_workflow_agree_with_its_diagram() -> None:
    content = Content(parse(new_page(PageType.WORKFLOW, "X"), type=PageType.WORKFLOW, name="X"))
    assert [step.name for step in content.steps] == list(content.diagrams[0].chart.nodes.values())


def test_the_example_of_a_claim_is_not_a_claim_until_it_is_one() -> None:
    text = new_page(PageType.HEURISTIC, "X")
    example = text[text.index("<!-- To have") :].partition("-->")[0]
    body = "\n".join(line for line in example.split("\n") if " = " in line)
    claimed = f"{text}\n<!-- tonnage:claim\n{body}\n-->\n"
    assert len(parse(claimed, type=PageType.HEURISTIC, name="X").claims) == 1


@pytest.mark.parametrize("name", ["", "a/b", "../x", "A-B", "A:B", "_", "A\x07B", "..", "a|b"])
def test_names_that_no_page_may_have(name: str) -> None:
    with pytest.raises(PageError):
        new_page(PageType.HEURISTIC, name)


def test_a_name_with_spaces_becomes_one_with_underscores() -> None:
    assert page_name("gradient  checkpointing") == "Gradient_checkpointing"


HEADINGS = [
    "# Phase 3: Enrichment Report",
    "## Summary",
    "## Environments Created",
    "### Key Findings - Environments",
    "## Heuristics Created",
    "### Key Findings - Heuristics",
    "## Links Added",
    "### Environment Links",
    "### Heuristic Links",
    "## Notes for Audit Phase",
    "### Pending Connections",
    "### Potential Improvements",
    "### Verification Status",
    "## Statistics",
]


def headings(report: str) -> list[str]:
    return [line for line in report.split("\n") if line.startswith("#")]


def test_the_report_has_the_form_of_an_enrichment_report() -> None:
    report = enrichment(pages.library(), now=NOW)
    assert headings(report) == HEADINGS
    assert "| Environment | Required By | Description |" in report
    assert "| Core_Environment | Trainer_Train | " in report
    assert (
        "| Gradient_Checkpointing | Trainer_Train, Adapter_Training, QLoRA_Finetuning |" in report
    )
    assert "   - torch>=2.6 (`Core_Environment.md:39`)" in report
    assert "auto-gptq>=0.5.0 or gptqmodel>=2.0.0 + optimum>=1.24.0" in report
    assert "- Core_Environment linked to 1 implementation" in report
    assert "| Environment Pages Created | 1 |" in report
    assert report.endswith("**Phase Complete:** 2026-11-29\n")


def test_pages_that_are_referenced_and_missing_are_pending() -> None:
    text = pages.WORKFLOW.replace("Adapter_Training]]", "Gone]]")
    report = enrichment(pages.changed(pages.WORKFLOW_FILE, text), now=NOW)
    assert "- ⬜ Principle:Gone (Workflow:QLoRA_Finetuning)" in report
    assert "| Principle References (pending) | 1 |" in report
    assert "- [ ] No errors of the rules" in report


def test_only_what_is_new_counts_as_created() -> None:
    before = pages.library({k: v for k, v in pages.FILES.items() if "heuristics" not in k})
    report = enrichment(pages.library(), before=before, now=NOW)
    assert "| Environment Pages Created | 0 |" in report
    assert "| Heuristic Pages Created | 1 |" in report


def test_what_was_verified_is_ticked(tmp_path: Path) -> None:
    pages.write(tmp_path)
    assert "- [ ] _HeuristicIndex.md updated" in enrichment(load(tmp_path, builtin=False), now=NOW)
    indexes.write(load(tmp_path, builtin=False))
    report = enrichment(load(tmp_path, builtin=False), now=NOW)
    assert "- [ ]" not in report and report.count("- [x]") == 7


def test_an_empty_library_has_a_report_too() -> None:
    report = enrichment(Library({}), now=NOW)
    assert headings(report) == HEADINGS
    assert "| Heuristic Pages Created | 0 |" in report


def test_cells_of_the_report_hold_no_bars_of_a_page() -> None:
    text = pages.HEURISTIC.replace("frees 50-60 %", "frees | 50-60 %")
    report = enrichment(pages.changed("heuristics/Gradient_Checkpointing.md", text), now=NOW)
    (row,) = [line for line in report.split("\n") if line.startswith("| Gradient_Checkpointing")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["Huggingface_peft_A", "Huggingface_peft_B_C"], "Huggingface_peft_"),
        (["A_B", "A_B_C"], "A_"),
        (["A", "B"], ""),
        (["A_B"], ""),
        ([], ""),
    ],
)
def test_the_prefix_that_names_share(names: list[str], prefix: str) -> None:
    assert shared_prefix(names) == prefix
