"""``tonnage choose`` on the command line."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from app.cli import run
from tests.app.fleet_answers.seeded import FAST, NEW, SLOW, add_run, fill, measured
from tests.app.one_kind import kind  # noqa: F401

NET = "package.train:Net"
CONFIG = f"""
[fleet.devices]
"{FAST}" = {{ price_per_hour = 4.0 }}
"{SLOW}" = {{ price_per_hour = 0.6 }}
"""
FINISHED = ("--epochs", "36", "--deadline", "6h", "--budget-money", "12")


@pytest.fixture
def choose(database, tmp_path, monkeypatch, capsys):
    """Runs ``tonnage choose``; returns the exit status, stdout and stderr."""
    (tmp_path / "tonnage.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    fill(database)
    with database.write() as session:
        for table, column in (("measurements", "workload"), ("workloads", "reference"),
                              ("recommendations", "workload")):  # fmt: skip
            session.execute(text(f"UPDATE tonnage_{table} SET {column} = :net"), {"net": NET})

    def ask(*arguments, workload=NET):
        url = str(database.url)
        status = run(["choose", workload, "--database", url, *arguments])
        said = capsys.readouterr()
        return status, " ".join(said.out.split()), said.err

    return ask


def test_the_documented_question(choose):
    status, said, _ = choose(*FINISHED)
    assert status == 0
    assert f"Cheapest: {SLOW}; layers=2, batch 8; 30 min" in said
    assert f"Fastest: {FAST}" in said
    assert "36 epochs (36,000 samples), done in 6 h, for at most 12.00 EUR" in said
    assert "Least energy: not known, because" in said
    assert f"tonnage max-batch {NET} --set layers=2 --device cuda" in said


def test_no_class_in_time_is_status_1_and_names_what_would_do(choose):
    status, said, _ = choose("--epochs", "36", "--deadline", "60s")
    assert status == 1
    assert f"No measured class meets the limits. {FAST} comes nearest" in said
    assert "--deadline 4" in said  # 459 s, and one more for the rounding
    assert "no: 6 min 39 s too late" in said


def test_a_prior_is_marked(choose, database):
    for name, step_s in ((FAST, 1.0), (SLOW, 4.0), (NEW, 2.0)):
        add_run(database, name, measured(step_s, 7))
    status, said, _ = choose(*FINISHED)
    assert status == 0
    assert f"{NEW} (prior)" in said
    assert "Not measured: transferred from" in said


def test_json_is_one_document_with_its_id(choose):
    status, said, _ = choose(*FINISHED, "--json")
    found = json.loads(said)
    assert status == 0
    assert found["id"].startswith("fla_")
    assert found["verdict"] == "possible"
    assert found["budget_money"] == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--deadline", "2020-01-01T10:00"), "has passed"),
        (("--deadline", "soon"), "not a deadline"),
        (("--epochs", "1", "--cycles", "1"), "only one"),
        (("--budget", "prototypin"), "prototyping"),
        (("--output", "x"), "--to"),
        (("--carbon",), "carbon_g_per_kwh"),
        (("--epochs", "0"), "more than zero"),
        (("--epochs", "-1"), "more than zero"),
        (("--samples", "0"), "more than zero"),
        (("--samples", "9" * 400), "at most 9,007,199,254,740,991"),
        (("--cycles", "99999999999999999999999"), "at most 1,000,000,000"),
        (("--cycles", "nan"), "'nan' is not a number"),
        (("--budget-money", "inf"), "inf is out of range"),
        (("--budget-money", "1e400"), "inf is out of range"),
        (("--budget-money", "nan"), "'nan' is not a number"),
        (("--budget-money", "-1"), "zero or more"),
        (("--time-scale", "inf"), "inf is out of range"),
        (("--deadline", "99999999999d"), "at most 1,000,000,000"),
    ],
)
def test_bad_input_is_status_2(choose, arguments, words):
    status, _, said = choose(*arguments)
    assert status == 2
    assert words in said


def test_an_unknown_workload_is_status_2(choose):
    status, _, said = choose(workload="package.train:Ned")
    assert status == 2
    assert NET in said


def test_an_export_goes_to_a_file(choose, tmp_path):
    status, said, _ = choose(*FINISHED, "--to", "slurm", "-o", "job.sh")
    assert (status, said) == (0, "")
    assert (tmp_path / "job.sh").read_text().startswith("#!/bin/bash\n#SBATCH")
