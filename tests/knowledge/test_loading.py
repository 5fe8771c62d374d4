"""Folders of pages: what is read, what wins, what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knowledge import library as library_module
from knowledge.errors import UnknownPageError
from knowledge.library import load, to_bytes
from tests.knowledge import pages


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pages.write(tmp_path / "wiki")


def test_all_pages_of_a_folder_are_read(folder: Path) -> None:
    library = load(folder, builtin=False)
    assert list(library.pages) == [
        "Environment:Core_Environment",
        "Heuristic:Gradient_Checkpointing",
        "Implementation:Trainer_Train",
        "Principle:Adapter_Training",
        "Principle:Data_Formatting",
        "Workflow:QLoRA_Finetuning",
    ]
    assert library.unreadable == ()


def test_pages_are_written_back_byte_for_byte(folder: Path) -> None:
    path = folder / "heuristics" / "With_Carriage_Returns.md"
    path.write_bytes(b"\xef\xbb\xbf" + pages.HEURISTIC.replace("\n", "\r\n").encode())
    for page in load(folder, builtin=False).pages.values():
        assert page.path is not None
        assert to_bytes(page) == page.path.read_bytes()
    page = load(folder, builtin=False).find("With_Carriage_Returns")
    assert page.overview.startswith("Recomputing") and len(page.claims) == 1


def test_an_earlier_folder_wins_and_the_other_page_is_kept_as_shadowed(
    folder: Path, tmp_path: Path
) -> None:
    other = pages.write(
        tmp_path / "other", {"heuristics/Gradient_Checkpointing.md": "== Overview ==\nOurs.\n"}
    )
    library = load(other, folder, builtin=False)
    assert library.find("Gradient_Checkpointing").overview == "Ours."
    assert [page.path for page in library.shadowed] == [
        folder / "heuristics" / "Gradient_Checkpointing.md"
    ]


def test_a_users_page_wins_over_the_built_in_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "BUILTIN_FOLDER", folder)
    mine = pages.write(tmp_path / "mine", {"principles/Data_Formatting.md": "== Overview ==\nA.\n"})
    library = load(mine)
    assert len(library.pages) == 6
    assert not library.is_builtin(library.find("Principle:Data_Formatting"))
    assert library.is_builtin(library.shadowed[0])


@pytest.mark.parametrize(
    "name",
    [
        "Heuristic:Gradient_Checkpointing",
        "Gradient_Checkpointing",
        "gradient checkpointing",
        "heuristic:gradient checkpointing",
    ],
)
def test_pages_are_found_by_full_and_by_bare_name(folder: Path, name: str) -> None:
    found = load(folder, builtin=False).find(name)
    assert found.full_name == "Heuristic:Gradient_Checkpointing"


def test_a_name_that_is_not_found_names_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownPageError) as caught:
        load(folder, builtin=False).find("Gradient_Checkpoint")
    assert caught.value.nearest == ("Heuristic:Gradient_Checkpointing",)


def test_a_bare_name_of_two_pages_is_not_guessed(folder: Path) -> None:
    pages.write(folder, {"principles/Gradient_Checkpointing.md": pages.PRINCIPLE})
    with pytest.raises(UnknownPageError) as caught:
        load(folder, builtin=False).find("Gradient_Checkpointing")
    assert "Several pages" in str(caught.value)
    assert set(caught.value.nearest) == {
        "Heuristic:Gradient_Checkpointing",
        "Principle:Gradient_Checkpointing",
    }


def test_search_wants_every_word_and_ranks_names_first(folder: Path) -> None:
    library = load(folder, builtin=False)
    found = library.search("checkpointing gradient")
    assert found[0].page.full_name == "Heuristic:Gradient_Checkpointing"
    assert library.search("checkpointing zebra") == []
    assert library.search("") == []
    assert len(library.search("use", limit=2)) == 2


def test_claims_are_listed_by_full_id(folder: Path) -> None:
    claims = load(folder, builtin=False).claims()
    claim = claims["Heuristic:Gradient_Checkpointing#activation-memory"]
    assert (claim.before, claim.after, claim.low, claim.high) == (False, True, -0.6, -0.5)
    assert pages.HEURISTIC.split("\n")[claim.line - 1] == "<!-- tonnage:claim"


def _reason(folder: Path, name: str) -> str:
    reasons = {item.path.name: item.reason for item in load(folder, builtin=False).unreadable}
    return reasons[name]


def test_a_file_of_ten_mebibytes_is_refused_unread(folder: Path) -> None:
    path = folder / "heuristics" / "Huge.md"
    with path.open("wb") as file:
        file.truncate(10 * 2**20)
    assert "10.0 MiB" in _reason(folder, "Huge.md")


def test_a_symbolic_link_out_of_the_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text(pages.HEURISTIC)
    (folder / "heuristics" / "Link.md").symlink_to(secret)
    assert str(secret) in _reason(folder, "Link.md")


def test_a_symbolic_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / "heuristics" / "Same.md").symlink_to(folder / "heuristics/Gradient_Checkpointing.md")
    assert load(folder, builtin=False).find("Same").type.value == "heuristic"


def test_a_circle_of_symbolic_links_is_refused(folder: Path) -> None:
    (folder / "heuristics" / "A.md").symlink_to(folder / "heuristics" / "B.md")
    (folder / "heuristics" / "B.md").symlink_to(folder / "heuristics" / "A.md")
    assert len(load(folder, builtin=False).unreadable) == 2


def test_a_linked_folder_is_named_and_not_entered(folder: Path) -> None:
    (folder / "more").symlink_to(folder, target_is_directory=True)
    assert "link to a folder" in _reason(folder, "more")


@pytest.mark.parametrize(
    ("name", "data", "fact"),
    [
        ("Wide.md", "x".encode("utf-16"), "UTF-16"),
        ("Latin.md", b"== Overview ==\ncaf\xe9\n", "0xe9"),
        ("Nul.md", b"== Overview ==\n\0\n", "NUL"),
        ("Deep.md", b"{{" * 60, "nested"),
        ("Long.md", b"x" * 30_000, "30000 characters"),
        ("Many.md", b"== A ==\n" * 1001, "1001 sections"),
    ],
)
def test_files_that_are_no_pages_say_why(folder: Path, name: str, data: bytes, fact: str) -> None:
    (folder / "heuristics" / name).write_bytes(data)
    assert fact in _reason(folder, name)
    assert len(load(folder, builtin=False).pages) == 6


def test_a_named_pipe_is_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "heuristics" / "Pipe.md")
    assert "regular file" in _reason(folder, "Pipe.md")


def test_folders_deep_in_folders_are_not_entered(folder: Path) -> None:
    deep = folder.joinpath(*["d"] * 12)
    deep.mkdir(parents=True)
    assert "nested" in _reason(folder, "d")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert load(tmp_path / "nowhere", builtin=False).unreadable[0].path.name == "nowhere"


def test_a_file_may_be_given_in_place_of_a_folder(folder: Path) -> None:
    library = load(folder / "workflows" / "QLoRA_Finetuning.md", builtin=False)
    assert list(library.pages) == ["Workflow:QLoRA_Finetuning"]


def test_indexes_and_hidden_files_are_no_pages(folder: Path) -> None:
    (folder / "_HeuristicIndex.md").write_text("# Heuristic Index: x\n")
    (folder / "heuristics" / ".draft.md").write_text("x")
    (folder / "README.md").write_text("x")
    assert load(folder, builtin=False).unreadable == ()
