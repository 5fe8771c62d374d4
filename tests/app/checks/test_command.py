"""``tonnage check`` as it is typed, in a folder where everything was measured already: its exit
statuses, its forms, its options, and what it says to bad input."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app.cli import run as tonnage
from app.cli.checking import service as remote
from app.cli.commands import check as check_command
from app.database import open_database
from app.http.runtime import Service
from app.keys import service as keys
from app.machine.local_facts import remember_devices
from app.settings import load_settings
from tests.app.checks.seeded import CONFIG, MIB, RECOMMENDATION, facts, seed
from tests.app.serving import answering, running

PLAN = ("--workload", "transformer", "--set", "layers=2", "--set", "activation=relu")
FITS, TOO_LARGE, BETWEEN = ("--batch-size", "96"), ("--batch-size", "400"), ("--batch-size", "150")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's home with results."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        _move_in(patch, folder)
        seed()
        yield folder


@pytest.fixture(autouse=True)
def _at_home(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _move_in(monkeypatch, home)
    monkeypatch.chdir(tmp_path)


def _move_in(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setenv("TONNAGE_DATA_DIR", str(folder / "data"))


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> Ran:
        status = tonnage(["check", *arguments])
        seen = capsys.readouterr()
        return Ran(status, seen.out, seen.err)

    return run


def kept(home: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(home / "data" / "tonnage.db") as connection:
        return connection.execute(
            "SELECT verdict, recommendation_id FROM tonnage_checks ORDER BY id"
        ).fetchall()


# -- the answers


@pytest.mark.parametrize(
    ("batch", "status", "first"),
    [
        (FITS, 0, "fits: batch 96 needs 1.04 GiB of 1.86 GiB"),
        (TOO_LARGE, 1, "does not fit: batch 400 needs "),
        (BETWEEN, 3, "unknown: batch 150 was not measured: 96 is the largest that passed"),
    ],
)
def test_the_answer_is_the_first_line_and_the_exit_status(check, home, batch, status, first):
    ran = check(*PLAN, *batch)
    assert ran.status == status
    assert ran.out.startswith(first), ran.out
    assert ran.err == ""
    assert kept(home)[-1] == (
        {0: "fits", 1: "does_not_fit", 3: "unknown"}[status],
        RECOMMENDATION,
    )


def test_too_slow(check):
    ran = check(*PLAN, *FITS, "--budget", "prototyping", "--time-scale", "0.001")
    assert ran.status == 1
    assert ran.out.startswith("too slow: batch 96 takes ")
    assert "scaled by 0.001 allows" in ran.out


def test_another_torch_makes_it_stale(check):
    remember_devices(None, facts("2.14.0"))
    try:
        ran = check(*PLAN, *FITS)
    finally:
        remember_devices(None, facts())
    assert ran.status == 3
    assert ran.out.startswith("stale: what was measured no longer holds: ")
    assert "torch 2.13.0 -> 2.14.0" in ran.out.splitlines()[0]


def test_what_nobody_knows_may_pass_with_a_warning(check):
    ran = check(*PLAN, *BETWEEN, "--on-unknown", "warn")
    assert (ran.status, ran.out[:9]) == (0, "unknown: ")
    assert check(*PLAN, *TOO_LARGE, "--on-unknown", "warn").status == 1, "a no stays a no"


# -- the forms


def test_json_is_one_document_with_its_id(check, home):
    ran = check(*PLAN, *FITS, "--json")
    answer = json.loads(ran.out)
    assert answer["id"].startswith("chk_")
    assert (answer["verdict"], answer["config"]) == ("fits", CONFIG)
    assert answer["spare_bytes"] == (1900 - 1060) * MIB
    assert answer["evidence"]["highest_passing"]["batch_size"] == 96


def test_one_run_writes_every_report(check, tmp_path):
    reports = [f"--report={form}=out.{form}" for form in ("junit", "sarif", "json", "markdown")]
    ran = check(*PLAN, *TOO_LARGE, "--format", "github", *reports, "--output", "annotation.txt")
    assert ran.status == 1
    assert ran.out.startswith("does not fit: batch 400"), "stdout gets the text"
    assert (tmp_path / "annotation.txt").read_text().startswith("::error title=Tonnage%3A")
    assert ElementTree.parse(tmp_path / "out.junit").getroot().get("failures") == "1"
    for name in ("out.sarif", "out.json"):
        assert json.loads((tmp_path / name).read_text())
    assert (tmp_path / "out.markdown").read_text().startswith("### ❌ Tonnage: does not fit")


def test_the_summary_is_added_to_the_page(check, monkeypatch, tmp_path):
    assert "GITHUB_STEP_SUMMARY is not set" in check(*PLAN, *FITS, "--summary").err
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    assert check(*PLAN, *FITS, "--summary").status == 0
    assert page.read_text().startswith("before\n### ✅ Tonnage: fits")


def test_explain_says_what_was_compared_with_what(check):
    out = check("--workload", "transformer", *FITS, "--explain").out
    assert "layers=2, as recommended" in out
    assert f"against      {RECOMMENDATION}" in out
    assert "confirm      batch 96: stable, 1.04 GiB: passes within 1.86 GiB" in out
    assert "bracket      batch 200: oom" in out


# -- the plan


def test_a_file_that_names_its_recommendation_needs_nothing_else(check, tmp_path):
    (tmp_path / "train.yaml").write_text(f"# {RECOMMENDATION}\nbatch_size: 96\nlayers: 2\n")
    assert check("train.yaml").status == 0
    assert check("train.yaml", *TOO_LARGE).status == 1, "options win over the file"


def test_a_value_that_stands_elsewhere(check, tmp_path):
    (tmp_path / "train.json").write_text('{"loader": {"size": 96}}')
    named = ("train.json", *PLAN, "--key", "batch_size=loader.size")
    assert check(*named).status == 0


def test_less_memory_is_another_question(check):
    ran = check(*PLAN, *FITS, "--memory-budget", "1GiB")
    assert ran.status == 1
    assert "87.2 MiB" in ran.out and "973 MiB" in ran.out
    assert check(*PLAN, *FITS, "--headroom", "0.5").status == 1


BAD = [
    ((), "No batch size: give it with --batch-size"),
    (("--batch-size", "8"), "Name the workload with --workload"),
    (("--batch-size", "0"), "--batch-size"),
    (("missing.yaml",), "missing.yaml cannot be read: No such file or directory."),
    ((*PLAN, *FITS, "--set", "layrs=3"), "Did you mean 'layers'"),
    ((*PLAN, *FITS, "--set", "layers"), "--set"),
    ((*PLAN, *FITS, "--budget", "prototypin"), "Did you mean 'prototyping'"),
    ((*PLAN, *FITS, "--device", "cuda:7"), "Unknown device 'cuda:7'"),
    ((*PLAN, *FITS, "--device", "H100"), "leave --device out"),
    (
        (*PLAN, *FITS, "--device", "Test CPU", "--probe", "full"),
        "Test CPU is a device of another machine",
    ),
    ((*PLAN, *FITS, "--memory-budget", "lots"), "lots"),
    ((*PLAN, *FITS, "--memory-budget", "900TiB"), "is more than cpu has"),
    ((*PLAN, *FITS, "--headroom", "0.9"), "--headroom"),
    ((*PLAN, *FITS, "--key", "batch_size=a.b"), "name the file too"),
    ((*PLAN, *FITS, "--format", "junti"), "'junti'"),
    ((*PLAN, *FITS, "--report", "junit"), "write it as --report junit=report.xml"),
    ((*PLAN, *FITS, "--report", "junti=a.xml"), "Did you mean 'junit'"),
    ((*PLAN, *FITS, "--output", "no/such/folder"), "cannot be written: No such file"),
    ((*PLAN, *FITS, "--workloat", "x"), "--workload"),
    ((*PLAN, *FITS, "--server", "db:8765"), "it begins with http:// or https://"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_bad_input_ends_with_status_2_and_says_what_is_wrong(check, arguments, words):
    ran = check(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err, ran.err
    assert "Traceback" not in ran.err


def test_a_recommendation_that_nobody_has(check, tmp_path):
    (tmp_path / "train.yaml").write_text("# rec_gone\nbatch_size: 96\n")
    ran = check("train.yaml")
    assert ran.status == 2
    assert "Recommendation rec_gone, which train.yaml names, is not stored here" in ran.err


def test_an_export_that_has_no_place_for_its_recommendation(check, tmp_path):
    (tmp_path / "options.txt").write_text("--batch-size 96 --layers 2\n")
    ran = check("options.txt")
    assert ran.status == 2
    assert "options.txt names no recommendation" in ran.err
    assert check("options.txt", "--workload", "transformer").status == 0


def test_an_interrupted_one_has_no_answer(check, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.checking.answer.question_of", interrupted)
    ran = check(*PLAN, *FITS)
    assert (ran.status, ran.out) == (130, "")
    assert "Traceback" not in ran.err


def test_a_database_that_is_none(check, tmp_path):
    (tmp_path / "not.db").write_text("hello")
    ran = check(*PLAN, *FITS, "--database", f"sqlite:///{tmp_path}/not.db")
    assert (ran.status, ran.out) == (2, "")
    assert "not.db" in ran.err


def test_an_answer_that_cannot_be_kept_is_one(check, home, monkeypatch):
    monkeypatch.setattr(check_command, "BUSY_TIMEOUT_S", 0.01)
    writer = sqlite3.connect(home / "data" / "tonnage.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        ran = check(*PLAN, *FITS)
    finally:
        writer.close()
    assert (ran.status, ran.out[:5]) == (0, "fits:")
    assert "Warning: The answer could not be stored" in ran.err


# -- a service


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[tuple[str, str]]:
    database = open_database(f"sqlite:///{home}/data/tonnage.db")
    settings = load_settings(environ={}, overrides={"service": {"event_poll_s": 0.02}})
    _, token = keys.create(database, "run")
    with running(Service(database, settings, needs_keys=True)) as url:
        yield url, token
    database.close()


@pytest.fixture
def elsewhere(tmp_path: Path, migrated_file: Path) -> str:
    """A store with nothing in it."""
    file = tmp_path / "elsewhere.db"
    file.write_bytes(migrated_file.read_bytes())
    return f"sqlite:///{file}"


def test_the_service_answers_from_its_own_and_the_answer_is_kept_here_too(
    check, home, service, elsewhere
):
    url, token = service
    before = len(kept(home))
    asked = ("--server", url, "--api-key", token, "--database", elsewhere)
    ran = check(*PLAN, *TOO_LARGE, *asked, "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["largest_batch"] == 96
    assert len(kept(home)) == before + 1
    with sqlite3.connect(elsewhere.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT verdict FROM tonnage_checks").fetchall() == [
            ("does_not_fit",)
        ]


def test_a_file_may_name_a_recommendation_that_only_the_service_has(
    check, service, elsewhere, tmp_path
):
    url, token = service
    (tmp_path / "train.yaml").write_text(f"# {RECOMMENDATION}\nbatch_size: 96\nlayers: 2\n")
    asked = ("--server", url, "--api-key", token, "--database", elsewhere)
    assert check("train.yaml", *asked).status == 0
    away = check("train.yaml", "--server", "http://127.0.0.1:9", "--database", elsewhere)
    assert away.status == 2
    assert "is not stored here" in away.err


def test_a_service_that_is_away_is_replaced_by_the_store_here(check):
    ran = check(*PLAN, *FITS, "--server", "http://127.0.0.1:9")
    assert (ran.status, ran.out[:5]) == (0, "fits:")
    assert "The service does not answer" in ran.err
    assert "The answer is from the local store." in ran.err
    assert "The answer is from the local store." not in ran.out, "it is said once"


def test_one_that_never_answers_is_waited_for_only_so_long(check, monkeypatch):
    monkeypatch.setattr(remote, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ran = check(*PLAN, *FITS, "--server", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (ran.status, ran.out[:5]) == (0, "fits:")
    assert "The answer is from the local store." in ran.err


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>A shop.</html>"), (200, b"{}"), (404, b"<html>"), (429, b""), (500, b"{}")],
)
def test_neither_is_something_else_at_its_address_an_answer(check, status, body):
    with answering(status, body) as url:
        ran = check(*PLAN, *FITS, "--server", url)
    assert (ran.status, ran.out[:5]) == (0, "fits:"), ran.err
    assert "The answer is from the local store." in ran.err


def test_a_device_that_the_service_does_not_know_is_a_mistake(check, service, elsewhere):
    url, token = service
    ran = check(
        *PLAN, *FITS, "--server", url, "--api-key", token, "--device", "cuda:7",
        "--database", elsewhere,
    )  # fmt: skip
    assert (ran.status, ran.out) == (2, "")
    assert "Unknown device 'cuda:7'" in ran.err and "Traceback" not in ran.err


def test_a_key_that_is_refused_is_said_and_nothing_else_is_tried(check, service):
    url, _ = service
    ran = check(*PLAN, *FITS, "--server", url, "--api-key", "wrong")
    assert (ran.status, ran.out) == (2, "")
    assert url in ran.err
