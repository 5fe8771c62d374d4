"""``--data NAME=PATTERN``, and what a pattern matches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetuning.data.sources import Kind, Source, find_files, parse_sources
from probes.errors import InputError
from tests.finetuning.data.helpers import pairs, random_game, write_games, write_lines, write_log


def found(pattern: Path | str):
    return find_files(Source("a", (str(pattern),)))


def test_sources_are_named_and_a_repeated_name_collects_patterns():
    sources = parse_sources(["bfs=logs/bfs_*", "astar=x=1.jsonl", "bfs=more/"])
    assert sources == [Source("bfs", ("logs/bfs_*", "more/")), Source("astar", ("x=1.jsonl",))]


@pytest.mark.parametrize(
    ("text", "advice"),
    [("logs/bfs.jsonl", "bfs=logs/bfs.jsonl"), ("bfs=", "no pattern"), ("b/f=x", "cannot name")],
)
def test_a_text_that_is_no_source_is_refused_with_advice(text: str, advice: str):
    with pytest.raises(InputError, match=advice):
        parse_sources([text])


def test_no_source_at_all_is_refused():
    with pytest.raises(InputError, match="--data"):
        parse_sources([])


def test_a_folder_of_game_logs_is_read_in_the_order_of_the_games(tmp_path):
    folder = write_games(tmp_path / "bfs", range(11))
    (folder / "summary.json").write_text("{}")
    files = found(folder)
    assert files.kind is Kind.GAMES
    assert [path.name for path in files.paths][:3] == ["game_1.json", "game_2.json", "game_3.json"]
    assert files.paths[-1].name == "game_11.json"


def test_a_glob_of_folders_is_one_source(tmp_path):
    for name in ("bfs_1", "bfs_2"):
        write_games(tmp_path / name, range(3))
    assert len(found(tmp_path / "bfs_*").paths) == 6


def test_game_logs_beside_a_table_are_read_alone_and_that_is_said(tmp_path):
    folder = write_games(tmp_path / "bfs", range(3))
    write_lines(folder / "dataset.jsonl", pairs(3))
    files = found(folder)
    assert files.kind is Kind.GAMES and len(files.paths) == 3
    assert "dataset.jsonl" in files.notes[0]


def test_json_is_a_game_log_a_list_of_rows_or_lines_by_what_it_holds(tmp_path):
    log = random_game(1).to_log()
    assert found(write_log(tmp_path / "bfs.json", log)).kind is Kind.GAMES
    assert found(write_lines(tmp_path / "one-line.json", [log])).kind is Kind.GAMES
    assert found(write_lines(tmp_path / "lines.json", pairs(3))).kind is Kind.LINES
    (tmp_path / "list.json").write_text(json.dumps(pairs(3)))
    assert found(tmp_path / "list.json").kind is Kind.JSON


def test_a_pattern_that_matches_several_kinds_names_one_of_each(tmp_path):
    write_lines(tmp_path / "a.jsonl", pairs(3))
    (tmp_path / "b.csv").write_text("prompt,completion\na,b\n")
    for pattern in (tmp_path / "*", tmp_path):
        with pytest.raises(InputError, match=r"b\.csv") as error:
            found(pattern)
        assert "a.jsonl" in str(error.value)


def test_what_matches_nothing_is_named(tmp_path):
    with pytest.raises(InputError, match="matches"):
        found(tmp_path / "*.jsonl")
    with pytest.raises(InputError, match=r"there is no file or folder .*missing\.jsonl"):
        found(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="there is no folder"):
        found(tmp_path / "nowhere" / "a.jsonl")


def test_a_file_or_folder_of_no_known_kind_is_refused_with_the_known_ones(tmp_path):
    (tmp_path / "a.docx").write_text("x")
    for pattern in (tmp_path / "a.docx", tmp_path):
        with pytest.raises(InputError, match="JSON lines"):
            found(pattern)


def test_a_name_with_brackets_is_taken_literally_where_it_exists(tmp_path):
    path = write_lines(tmp_path / "rows[1].jsonl", pairs(3))
    assert found(path).paths == (path,)


def test_a_wildcard_passes_over_folders_without_data(tmp_path):
    write_games(tmp_path / "logs" / "bfs", range(3))
    (tmp_path / "logs" / "empty").mkdir()
    for pattern in ("logs/*", "logs/**", "**"):
        assert len(found(tmp_path / pattern).paths) == 3
    with pytest.raises(InputError, match="holds none of these"):
        found(tmp_path / "logs" / "emp*")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refused(path: Path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(InputError, match=f"{tmp_path.name} cannot be read: Permission denied"):
        found(tmp_path)
