"""A database of the last release on the command line: what was stored still answers, what was
interrupted goes on, and nothing that scripts use is gone."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.compatibility.compare import misshapen, missing
from tests.compatibility.released import (
    ASKED,
    MEASURED,
    RESUMED,
    golden,
    help_of,
    option_names,
)
from tests.compatibility.restore import restore
from tests.compatibility.restored import Moved
from tests.warm import WarmEnvironment

ANSWERS = golden("answers")
SHAPES = golden("measured")
OPTIONS = golden("commands")
INTERRUPTED = "st_1k1cyngyadgyh27ganwf"


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory, warm: WarmEnvironment) -> Moved:
    folder = tmp_path_factory.mktemp("released")
    return Moved.make(folder, warm.tonnage, VIRTUAL_ENV=str(warm.folder))


@pytest.fixture
def another(moved: Moved, tmp_path: Path) -> tuple[str, str]:
    """The option that names a database like it: what a test stores is not found by others."""
    return "--database", f"sqlite:///{shutil.copy(moved.pristine, tmp_path / 'copy.db')}"


@pytest.mark.parametrize("name", ASKED)
def test_the_answer_and_the_exit_status_are_those_of_before(moved: Moved, name: str) -> None:
    assert list(missing(ANSWERS[name], moved.answer(*ASKED[name]))) == []


@pytest.mark.parametrize("name", MEASURED)
def test_no_key_of_a_measured_document_is_gone(
    moved: Moved, another: tuple[str, str], name: str
) -> None:
    database = () if name == "devices" else another
    found = moved.answer(*MEASURED[name], *database)
    if name == "devices":  # accelerators come first; the processor was there
        found["document"]["devices"] = found["document"]["devices"][-1:]
    assert found["status"] == SHAPES[name]["status"]
    assert list(misshapen(SHAPES[name]["document"], found["document"])) == []


def test_an_interrupted_study_goes_on_where_it_was(
    moved: Moved, another: tuple[str, str], tmp_path: Path
) -> None:
    before = _trials(tmp_path / "copy.db")
    found = moved.answer(*RESUMED, *another)
    after = _trials(tmp_path / "copy.db")
    assert [number for number, *_ in before] == [0, 1]
    assert after[:2] == before and len(after) == 3
    assert found["status"] == SHAPES["tune"]["status"] == 0
    assert list(misshapen(SHAPES["tune"]["document"], found["document"])) == []
    assert found["document"]["study"]["id"] == INTERRUPTED
    assert found["document"]["study"]["trials"] == 3


def test_what_was_measured_on_another_machine_is_shown_and_not_valid(
    moved: Moved, tmp_path: Path
) -> None:
    restore(tmp_path / "other.db")
    database = ("--database", f"sqlite:///{tmp_path / 'other.db'}")
    assert moved.answer("recommend", "--json", *database) == {"status": 1, "document": []}
    shown = moved.answer("recommend", "--all", "--json", *database)
    assert shown["status"] == 1
    assert [item["is_valid"] for item in shown["document"]] == [False] * 3
    assert all(item["invalid_because"] for item in shown["document"])


def test_a_report_is_written_of_every_recommendation(moved: Moved, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ran = moved.run("report", "latest", "--budget", "smoke_test", "--output", str(page))
    assert ran.returncode == 0, ran.stderr
    assert "rec_1k1cypvb6pzr77f47mdz" in page.read_text()


def test_results_can_be_exported_and_imported(
    moved: Moved, another: tuple[str, str], tmp_path: Path
) -> None:
    lines = moved.run("db", "export", str(tmp_path / "all.jsonl"), *another)
    assert lines.returncode == 0, lines.stderr
    new = ("--database", f"sqlite:///{tmp_path / 'new.db'}")
    imported = moved.run("db", "import", str(tmp_path / "all.jsonl"), "--json", *new)
    assert imported.returncode == 0, imported.stderr
    assert _trials(tmp_path / "new.db", "finished") == _trials(tmp_path / "copy.db", "finished")


@pytest.mark.parametrize("name", OPTIONS)
def test_no_option_or_subcommand_is_gone(name: str) -> None:
    assert set(OPTIONS[name]) <= set(option_names(help_of(name)))


def _trials(file: Path, state: str = "interrupted") -> list[tuple[int, dict, str, int]]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(
            "SELECT t.number, t.config, t.state, t.batch_size FROM tonnage_trials t "
            "JOIN tonnage_studies s ON s.id = t.study_id WHERE s.state = ? OR s.id = ? "
            "ORDER BY s.id, t.number",
            (state, INTERRUPTED if state == "interrupted" else ""),
        ).fetchall()
    return [(number, json.loads(config), *rest) for number, config, *rest in rows]
