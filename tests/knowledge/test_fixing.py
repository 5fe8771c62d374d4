"""``--fix`` loses nothing, and has nothing left to do afterwards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from knowledge.fixing import Change, apply, fix
from knowledge.library import load
from knowledge.rules import check
from tests.knowledge import pages
from tests.knowledge.broken import BROKEN, REASONING, RELATED

HEURISTIC_FILE = "heuristics/Gradient_Checkpointing.md"


def fixed(folder: Path, files: dict[str, str]) -> list[Change]:
    """Write pages with indexes, fix them, and make sure that a second time changes nothing."""
    pages.write(folder, files)
    apply(fix(load(folder, builtin=False)))
    pages.write(folder, files)
    changes = fix(load(folder, builtin=False))
    assert apply(changes) == [change.path for change in changes]
    assert fix(load(folder, builtin=False)) == []
    return changes


def text_of(folder: Path, name: str) -> str:
    return (folder / name).read_bytes().decode("utf-8")


def words(text: str) -> Counter[str]:
    return Counter(text.split())


def test_a_good_library_only_gets_its_indexes(tmp_path: Path) -> None:
    pages.write(tmp_path)
    changes = fix(load(tmp_path, builtin=False))
    assert {change.path.name for change in changes} == {
        "_EnvironmentIndex.md",
        "_HeuristicIndex.md",
        "_ImplementationIndex.md",
        "_PrincipleIndex.md",
        "_WorkflowIndex.md",
    }
    assert all(change.before is None for change in changes)
    apply(changes)
    assert check(load(tmp_path, builtin=False)) == []


def test_nothing_is_written_before_apply(tmp_path: Path) -> None:
    pages.write(tmp_path)
    fix(load(tmp_path, builtin=False))
    assert not (tmp_path / "_HeuristicIndex.md").exists()


def test_sections_are_put_in_order_and_no_word_is_lost(tmp_path: Path) -> None:
    text = pages.HEURISTIC.replace(REASONING + RELATED, f"{RELATED}\n{REASONING}".rstrip() + "\n")
    changes = fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text})
    assert [change.path.name for change in changes] == ["Gradient_Checkpointing.md"]
    assert text_of(tmp_path, HEURISTIC_FILE) == pages.HEURISTIC
    assert check(load(tmp_path, builtin=False)) == []


def test_sub_sections_are_put_in_order_below_their_own_section(tmp_path: Path) -> None:
    first = (
        "=== Description ==="
        + pages.ENVIRONMENT.partition("=== Description ===")[2].partition("=== Usage")[0]
    )
    second = (
        "=== Usage ===" + pages.ENVIRONMENT.partition("=== Usage ===")[2].partition("== Sys")[0]
    )
    text = pages.ENVIRONMENT.replace(first + second, second + first)
    fixed(tmp_path, {**pages.FILES, "environments/Core_Environment.md": text})
    assert text_of(tmp_path, "environments/Core_Environment.md") == pages.ENVIRONMENT


def test_a_section_of_ones_own_stays_behind_its_neighbour(tmp_path: Path) -> None:
    own = "== History ==\nLong.\n\n"
    text = pages.HEURISTIC.replace(REASONING + RELATED, f"{RELATED}\n{own}{REASONING}")
    fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text})
    after = text_of(tmp_path, HEURISTIC_FILE)
    assert after.index("== Reasoning") < after.index("== Related") < after.index("== History")
    assert words(after) == words(text)


def test_backlinks_are_added_where_the_schema_wants_them(tmp_path: Path) -> None:
    without = pages.HEURISTIC.replace("* [[uses_heuristic::Workflow:QLoRA_Finetuning]]\n", "")
    changes = fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: without})
    assert text_of(tmp_path, HEURISTIC_FILE) == pages.HEURISTIC
    assert changes[-1].what == ("It links back to Workflow:QLoRA_Finetuning.",)


@pytest.mark.parametrize(
    "related",
    ["", "== Related Pages ==\n", "== Related Pages ==\n=== Used By ===\n", "== Related Pages =="],
)
def test_the_section_for_backlinks_is_made_if_it_is_missing(tmp_path: Path, related: str) -> None:
    text = pages.HEURISTIC.replace(RELATED, related)
    fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text})
    assert check(load(tmp_path, builtin=False)) == []
    assert text_of(tmp_path, HEURISTIC_FILE).count("=== Used By ===") == 1


def test_a_bar_in_an_overview_stays_one_cell_of_the_index(tmp_path: Path) -> None:
    text = pages.HEURISTIC.replace("frees 50-60 %", "(`a | b`) frees 50-60 %")
    fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text})
    assert "(`a \\| b`) frees" in text_of(tmp_path, "_HeuristicIndex.md")
    assert check(load(tmp_path, builtin=False)) == []


def test_carriage_returns_stay(tmp_path: Path) -> None:
    text = pages.HEURISTIC.replace("* [[uses_heuristic::Workflow:QLoRA_Finetuning]]\n", "")
    fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text.replace("\n", "\r\n")})
    assert text_of(tmp_path, HEURISTIC_FILE) == pages.HEURISTIC.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "removed", ["* [[step::Principle:Adapter_Training]] - Step 2\n", " - Step 1"]
)
def test_related_pages_lists_the_steps(tmp_path: Path, removed: str) -> None:
    text = pages.WORKFLOW.replace(removed, "")
    fixed(tmp_path, {**pages.FILES, pages.WORKFLOW_FILE: text})
    assert text_of(tmp_path, pages.WORKFLOW_FILE) == pages.WORKFLOW


def test_a_list_of_steps_with_words_of_a_person_is_left_alone(tmp_path: Path) -> None:
    text = pages.WORKFLOW.replace("Adapter_Training]] - Step 2", "Adapter_Training]] comes last")
    fixed(tmp_path, {**pages.FILES, pages.WORKFLOW_FILE: text})
    assert text_of(tmp_path, pages.WORKFLOW_FILE) == text


def test_the_newer_dialect_becomes_the_one_that_is_written(tmp_path: Path) -> None:
    text = "# Heuristic: Gradient Checkpointing\n" + pages.HEURISTIC.replace(
        "[[uses_heuristic::", "[[used_by::"
    )
    fixed(tmp_path, {**pages.FILES, HEURISTIC_FILE: text})
    assert text_of(tmp_path, HEURISTIC_FILE) == pages.HEURISTIC


@pytest.mark.parametrize(
    "broken", [b for b in BROKEN if b.rule in ("unclosed", "section-level", "link-syntax")], ids=str
)
def test_what_is_not_mechanical_keeps_every_word(broken: object, tmp_path: Path) -> None:
    path, old, new = (getattr(broken, name) for name in ("path", "old", "new"))
    text = pages.FILES[path].replace(old, new, 1)
    fixed(tmp_path, {**pages.FILES, path: text})
    assert not words(text) - words(text_of(tmp_path, path))


def test_built_in_pages_are_not_changed_beside_a_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin = pages.write(
        tmp_path / "builtin",
        {
            HEURISTIC_FILE: pages.HEURISTIC.replace(
                "* [[uses_heuristic::Workflow", "* [[x::Workflow"
            )
        },
    )
    for module in ("library", "fixing"):
        monkeypatch.setattr(f"knowledge.{module}.BUILTIN_FOLDER", builtin)
    mine = pages.write(tmp_path / "mine", {pages.WORKFLOW_FILE: pages.WORKFLOW})
    assert {change.path.parent for change in fix(load(mine))} == {mine}
    assert {change.path.parent for change in fix(load())} == {builtin}


def test_files_keep_their_permissions(tmp_path: Path) -> None:
    pages.write(tmp_path, {**pages.FILES, HEURISTIC_FILE: pages.HEURISTIC.replace(RELATED, "")})
    (tmp_path / HEURISTIC_FILE).chmod(0o640)
    apply(fix(load(tmp_path, builtin=False)))
    assert (tmp_path / HEURISTIC_FILE).stat().st_mode & 0o777 == 0o640
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
