"""The pages of an installation: the built-in ones and those of ``knowledge.paths``."""

from __future__ import annotations

import os

import pytest

from app.errors import NotFound
from app.knowledge.library import Libraries, find_page, library_of
from app.settings import load_settings
from tests.knowledge import pages

NAME = "Heuristic:Gradient_Checkpointing"


def test_pages_of_the_configured_folders_are_there_and_win(settings, folder):
    found = find_page(library_of(settings), "Gradient_Checkpointing")
    assert (found.full_name, found.path) == (NAME, folder / "heuristics/Gradient_Checkpointing.md")


def test_an_unknown_name_is_answered_with_the_nearest(settings):
    with pytest.raises(NotFound, match="Gradient_Checkpointing"):
        find_page(library_of(settings), "Gradient_Checkpointin")


def test_a_path_in_the_file_counts_from_the_folder_of_the_file(tmp_path, monkeypatch):
    pages.write(tmp_path / "ours" / "wiki")
    file = tmp_path / "ours" / "tonnage.toml"
    file.write_text('[knowledge]\npaths = ["wiki"]\n')
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={"TONNAGE_CONFIG": str(file)})
    assert settings.knowledge.paths == [tmp_path / "ours" / "wiki"]
    assert NAME in library_of(settings).pages


def test_the_library_is_kept_until_a_file_changes(settings, folder):
    libraries = Libraries()
    first = libraries.of(settings)
    assert libraries.of(settings) is first
    file = folder / "heuristics" / "Gradient_Checkpointing.md"
    file.write_text(file.read_text().replace("frees 50-60 %", "frees 40 %"))
    os.utime(file, ns=(1, 1))
    assert "frees 40 %" in libraries.of(settings).pages[NAME].overview
    file.unlink()
    page = libraries.of(settings).pages.get(NAME)
    assert page is None or page.path != file


def test_without_settings_only_built_in_pages_are_read():
    library = library_of(load_settings(environ={}))
    assert all(library.is_builtin(page) for page in library.pages.values())
