"""The library of pages that comes with the product."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

from benchmarks.claims.cases import cases
from knowledge import indexes
from knowledge.claims import Claim
from knowledge.environments import requirements
from knowledge.errors import UnknownPageError
from knowledge.fixing import fix
from knowledge.library import BUILTIN_FOLDER, Library, load
from knowledge.model import PageType
from knowledge.reports import enrichment
from knowledge.rules import check
from optimizer.ablation.question import BATCH_SIZE, Quantity
from probes.levers import LEVERS, PARALLEL_LEVERS, check_value

PREFIX = "Huggingface_peft_"
ENVIRONMENTS = (
    "Core_Environment",
    "Quantization_Environment",
    "GPTQ_Environment",
    "LoftQ_Environment",
)
HEURISTICS = (
    "LoRA_Rank_Selection",
    "Target_Module_Selection",
    "Quantized_Merge_Warning",
    "Gradient_Checkpointing",
    "DoRA_Overhead",
)
IMPLEMENTATIONS = (
    "LoraConfig_init",
    "get_peft_model",
    "PeftModel_from_pretrained",
    "PeftModel_save_pretrained",
    "merge_and_unload",
    "BitsAndBytesConfig_4bit",
    "prepare_model_for_kbit_training",
    "Trainer_train",
)
WORKFLOWS = ("LoRA_Fine_Tuning", "QLoRA_Training")
WITHOUT_CLAIM = {"Pytorch_Allocator_Settings"}
"""Heuristics that state no figure; each says why."""


@pytest.fixture(scope="module")
def library() -> Library:
    return load()


@pytest.fixture(scope="module")
def claims(library: Library) -> list[Claim]:
    return list(library.claims().values())


def test_every_file_is_a_page(library: Library) -> None:
    files = [file for file in BUILTIN_FOLDER.glob("*/*.md") if not file.name.startswith("_")]

    assert library.unreadable == ()
    assert len(library.pages) == len(files) >= 60


def test_no_rule_has_a_finding_and_nothing_is_left_to_fix(library: Library) -> None:
    assert check(library) == []
    assert fix(library) == []


def test_indexes_are_true_and_nothing_is_pending(library: Library) -> None:
    for folder, kind in indexes.folders_with_indexes(library):
        written = (folder / f"_{kind.namespace}Index.md").read_text(encoding="utf-8")
        assert written == indexes.expected(library, kind, folder)
        assert indexes.MISSING not in written


def test_the_report_counts_what_the_library_holds(library: Library) -> None:
    report = enrichment(library)

    for kind, title in ((PageType.ENVIRONMENT, "Environment"), (PageType.HEURISTIC, "Heuristic")):
        count = len(library.of_type(kind))
        assert f"| {title} Pages Created | {count} |" in report
    assert indexes.MISSING not in report


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (PageType.ENVIRONMENT, ENVIRONMENTS),
        (PageType.HEURISTIC, HEURISTICS),
        (PageType.IMPLEMENTATION, IMPLEMENTATIONS),
        (PageType.WORKFLOW, WORKFLOWS),
    ],
)
def test_pages_that_the_peft_library_named_are_there(
    library: Library, kind: PageType, names: tuple[str, ...]
) -> None:
    for name in names:
        assert f"{kind.namespace}:{PREFIX}{name}" in library.pages
        assert library.find(f"huggingface_peft_{name}").type is kind


@pytest.mark.parametrize(
    ("name", "full_name"),
    [
        ("Gradient_Checkpointing", "Heuristic:Huggingface_peft_Gradient_Checkpointing"),
        ("heuristic:gradient checkpointing", "Heuristic:Huggingface_peft_Gradient_Checkpointing"),
        ("LoRA_Fine_Tuning", "Workflow:Huggingface_peft_LoRA_Fine_Tuning"),
    ],
)
def test_pages_are_found_without_the_prefix_of_their_project(
    library: Library, name: str, full_name: str
) -> None:
    assert library.find(name).full_name == full_name


def test_a_short_name_of_several_pages_names_them(library: Library) -> None:
    with pytest.raises(UnknownPageError) as error:
        library.find("Core_Environment")

    assert "Huggingface_peft_Core_Environment" in str(error.value)
    assert "Pytorch_Core_Environment" in str(error.value)


def test_every_page_has_sources_domains_and_a_date_in_the_past(library: Library) -> None:
    for page in library.pages.values():
        assert page.sources and page.domains, page.full_name
        assert page.last_updated is not None and page.last_updated < datetime.now(UTC)
        assert all(source.url.startswith("https://") for source in page.sources), page.full_name


def test_every_lever_has_a_heuristic_with_a_claim(claims: list[Claim]) -> None:
    claimed = {name for claim in claims for name in claim.changes[1]}

    # What several devices do together is no claim that an ablation could measure on one.
    assert LEVERS.keys() - PARALLEL_LEVERS.keys() <= claimed


@pytest.mark.parametrize(
    "setting",
    [
        "lora_rank",
        "rslora",
        "dora",
        "target_modules",
        "strategy",
        "packing",
        "chunked_loss",
        "optimizer",
        "merge",
        BATCH_SIZE,
    ],
)
def test_settings_of_a_fine_tuning_have_a_claim(claims: list[Claim], setting: str) -> None:
    assert any(setting in claim.changes[1] for claim in claims)


def test_heuristics_without_a_claim_say_why(library: Library) -> None:
    without = {page.name for page in library.of_type(PageType.HEURISTIC) if not page.claims}

    assert without == WITHOUT_CLAIM
    for name in without:
        assert "no measurable claim" in library.find(name).text


def test_claims_state_values_that_their_levers_have(claims: list[Claim]) -> None:
    for claim in claims:
        for side in claim.changes:
            for name, value in {**claim.config, **side}.items():
                if name in LEVERS:
                    check_value(name, value)


def test_claims_can_be_asked_of_an_ablation(claims: list[Claim]) -> None:
    known = {quantity.value for quantity in Quantity}

    for claim in claims:
        assert claim.quantity.value in known, claim.full_id
        assert claim.source.startswith("https://"), claim.full_id


def test_claims_about_a_cpu_concern_every_quantity_and_have_two_workloads_each(
    claims: list[Claim],
) -> None:
    on_cpu = [claim for claim in claims if not claim.devices or "cpu" in claim.devices]
    workloads = Counter(case.question.claim for case in cases(on_cpu, "cpu"))

    assert len(on_cpu) >= 12
    assert {claim.quantity.value for claim in on_cpu} == {quantity.value for quantity in Quantity}
    assert {claim.full_id for claim in on_cpu} == {c for c, count in workloads.items() if count > 1}


def test_two_levers_at_once_are_claimed_together(claims: list[Claim]) -> None:
    both = {"gradient_checkpointing", "precision"}

    assert any(claim.changes[1].keys() == both for claim in claims)


def test_environments_state_python_and_packages_that_can_be_judged(library: Library) -> None:
    for page in library.of_type(PageType.ENVIRONMENT):
        kinds = Counter(requirement.kind.value for requirement in requirements(page))
        assert kinds["python"] == 1, page.full_name
        assert kinds["package"] >= 2, page.full_name
        assert kinds["os"] == kinds["device"] == kinds["disk"] == 1, page.full_name
