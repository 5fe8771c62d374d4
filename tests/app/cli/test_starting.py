"""Which recommendation a run starts with, and that nothing that is away keeps it from starting."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app import deadline
from app.cli import starting as finding
from app.cli.starting import RunQuestion, find
from app.database import Database
from app.deadline import Late, within
from app.machine.local_facts import DeviceNow
from app.recommendations import repository as recommendations
from app.tuning import service as studies
from app.validity.source import SourceNow
from optimizer.records import Recommendation
from probes.errors import InputError
from tests.app import factories
from tests.app.serving import answering, serving

RECOMMENDATION = "rec_1k0rr48nvttvb71401qp"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def empty(tmp_path: Path, migrated_file: Path) -> str:
    """A store here with nothing in it."""
    file = tmp_path / "empty.db"
    file.write_bytes(migrated_file.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
def url(database: Database) -> Iterator[str]:
    """A service that has a recommendation."""
    study, _ = studies.open_study(database, factories.spec())
    made = factories.recommendation(RECOMMENDATION)
    with database.write() as session:
        recommendations.save(session, made, study.id, "scope")
    with serving(database) as at:
        yield at


def wanted(server: str, store: str) -> RunQuestion:
    return RunQuestion(
        workload=factories.recommendation().workload,
        budget=None,
        recommendation_id=None,
        here=None,
        server=server,
        api_key=None,
        database_url=store,
    )


def away(question: RunQuestion, monkeypatch: pytest.MonkeyPatch) -> RunQuestion:
    """The same question, kept under the same name, to a service that is gone."""
    key = finding._key(question)
    monkeypatch.setattr(finding, "_key", lambda _: key)
    return replace(question, server="http://127.0.0.1:9")


def test_the_service_is_asked_first(url: str, empty: str) -> None:
    found = find(wanted(url, empty))
    assert found.recommendation is not None
    assert (found.recommendation.id, found.warnings) == (RECOMMENDATION, [])


def test_what_it_said_last_counts_while_it_is_away(url, empty, monkeypatch) -> None:
    question = wanted(url, empty)
    find(question)
    found = find(away(question, monkeypatch))
    assert found.recommendation is not None
    assert found.recommendation.id == RECOMMENDATION
    (warning,) = found.warnings
    assert f"last known answer ({RECOMMENDATION})" in warning


@pytest.mark.parametrize("named", [None, RECOMMENDATION])
def test_a_404_of_something_else_is_no_answer(named, url, empty, monkeypatch) -> None:
    question = replace(wanted(url, empty), recommendation_id=named)
    find(question)
    key = finding._key(question)
    monkeypatch.setattr(finding, "_key", lambda _: key)
    with answering(404, b"<h1>nginx</h1>") as other:
        for mistaken in (other, f"{url}/v1"):
            found = find(replace(question, server=mistaken))
            assert found.recommendation is not None, mistaken
            assert "last known answer" in found.warnings[0]


@pytest.mark.parametrize("server", ["http://[::1", "http://127.0.0.1\n", "nonsense"])
def test_an_address_that_is_none_is_a_warning(server, empty) -> None:
    assert "the local store" in find(wanted(server, empty)).warnings[0]


def test_a_key_that_is_none_is_a_warning(url, empty) -> None:
    question = replace(wanted(url, empty), api_key="ü")
    assert "the local store" in find(question).warnings[0]


def test_else_the_store_here(url, database, empty) -> None:
    stored = find(wanted("http://127.0.0.1:9", database.full_url))
    assert stored.recommendation is not None
    assert stored.recommendation.id == RECOMMENDATION
    nothing = find(wanted("http://127.0.0.1:9", empty))
    assert nothing.recommendation is None
    assert "the local store" in nothing.warnings[0]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>A shop.</html>"),
        (200, b"{}"),
        (302, b""),
        (503, b""),
        (404, b"<h1>nginx</h1>"),
        (404, b'{"type": "x", "errors": null}'),
    ],
)
def test_whatever_answers_instead_never_stops_a_run(status, body, empty) -> None:
    with answering(status, body) as url:
        found = find(wanted(url, empty))
    assert found.recommendation is None
    assert "the local store" in found.warnings[0]


def test_silence_is_waited_for_only_so_long(empty, monkeypatch) -> None:
    monkeypatch.setattr(finding, "PATIENCE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = find(wanted(f"http://127.0.0.1:{silent.getsockname()[1]}", empty))
    assert found.recommendation is None
    assert "the local store" in found.warnings[0]


def test_so_is_whatever_has_no_time_out_of_its_own(monkeypatch) -> None:
    monkeypatch.setattr(deadline.threading.Thread, "join", lambda thread, seconds: None)
    with pytest.raises(Late, match=r"The service did not answer within 3 s\."):
        within(3.0, "The service", deadline.threading.Event().wait)


def test_what_a_call_says_in_time_is_passed_on() -> None:
    assert within(60.0, "It", lambda: 42) == 42
    with pytest.raises(ZeroDivisionError):
        within(60.0, "It", lambda: 1 // 0)


@pytest.mark.parametrize("url", ["sqlite:///{}/not.db", "sqlite:///{}", "mysql://x", "nonsense"])
def test_a_store_that_is_none_never_stops_a_run(url, tmp_path) -> None:
    (tmp_path / "not.db").write_text("hello")
    found = find(wanted("", url.format(tmp_path)))
    assert (found.recommendation, len(found.warnings)) == (None, 1)


def test_nor_does_one_of_a_newer_version(empty) -> None:
    with closing(sqlite3.connect(empty.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE tonnage_alembic_version SET version_num = '9999'")
    found = find(wanted("", empty))
    assert found.recommendation is None
    assert "newer Tonnage" in found.warnings[0]


DOUBTS = [
    ({}, ""),
    ({"study": {"time_scale": 0.1}}, "scaled by 0.1"),
    ({"valid": {"fingerprint": "f1", "workload_hash": "old"}}, "source or the options"),
]


def test_a_later_trial_does_not_count(database) -> None:
    study, _ = studies.open_study(database, factories.spec())
    made = factories.recommendation(RECOMMENDATION)
    scaled = {**made.study, "time_scale": 0.001}
    trial = factories.recommendation("rec_1k0rr48nvttvb71401qq", study=scaled)
    for each in (made, trial):
        with database.write() as session:
            recommendations.save(session, each, study.id, "scope")
    found = find(replace(wanted("", database.full_url), server=None))
    assert found.recommendation is not None
    assert (found.recommendation.id, found.doubts) == (RECOMMENDATION, [])
    with serving(database) as url:
        asked = find(wanted(url, database.full_url))
    assert asked.recommendation is not None
    assert asked.recommendation.id == RECOMMENDATION


@pytest.mark.parametrize(("changes", "words"), DOUBTS)
def test_what_makes_it_doubtful(changes, words, database) -> None:
    study, _ = studies.open_study(database, factories.spec())
    made = factories.recommendation(RECOMMENDATION, **changes)
    with database.write() as session:
        recommendations.save(session, made, study.id, "scope")
    source = SourceNow("new" if "valid" in changes else None)
    question = replace(wanted("", database.full_url), source=lambda _: source)
    found = find(question).doubts
    assert [words in doubt for doubt in found] == ([True] if words else [])


def test_the_device_is_compared_as_the_interpreter_sees_it_that_trains(database) -> None:
    study, _ = studies.open_study(database, factories.spec())
    made = factories.recommendation(RECOMMENDATION)
    with database.write() as session:
        recommendations.save(session, made, study.id, "scope")
    own = DeviceNow("cpu", "cpu", "CPU", "another")
    training = DeviceNow("cpu", "cpu", "CPU", made.fingerprint)
    question = replace(wanted("", database.full_url), here=own)
    assert find(question).doubts != []
    found = find(replace(question, device=lambda _: training))
    assert (found.doubts, found.here) == ([], training)


@pytest.mark.parametrize("error", [InputError, OSError, ValueError])
def test_a_device_that_cannot_be_looked_at_is_a_doubt(error, database) -> None:
    def look(_: Recommendation) -> None:
        raise error("No cuda:0.")

    study, _ = studies.open_study(database, factories.spec())
    with database.write() as session:
        recommendations.save(session, factories.recommendation(RECOMMENDATION), study.id, "scope")
    found = find(replace(wanted("", database.full_url), device=look))
    assert found.recommendation is not None
    assert (found.doubts, found.here) == (["The device could not be compared: No cuda:0."], None)
