"""``tonnage report``: one file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from app.database import open_database
from tests.app.cli.conftest import Run
from tests.app.dashboard.results import store


def test_it_writes_one_page_and_says_where(tonnage: Run, folder: Path) -> None:
    database = open_database(f"sqlite:///{folder / 'data' / 'tonnage.db'}")
    made = store(database)
    database.close()
    ran = tonnage("report", made.id[:-2], "--output", "out.html")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert f"out.html: {made.id}, " in ran.stderr
    page = (folder / "out.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "Train layers=4 with batch 96: 72 samples/s." in page

    to_stdout = tonnage("report", "latest", "--output", "-")
    assert to_stdout.stdout.count("<!doctype html>") == 1

    before = sorted(folder.iterdir())
    nowhere = tonnage("report", "latest", "--output", "missing/out.html")
    assert nowhere.returncode == 2
    assert "missing/out.html cannot be written: No such file or directory." in nowhere.stderr
    assert sorted(folder.iterdir()) == before
