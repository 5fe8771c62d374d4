"""What is told of a study that runs elsewhere."""

from __future__ import annotations

import pytest

from app.cli import run
from app.cli.fleet_studies import ServiceStudies
from app.cli.following import Outcome, follow
from app.client import Client
from tests.app.one_kind import kind  # noqa: F401
from tests.app.studies.test_routes import end


class _Told:
    """A study of which everything is known already."""

    def __init__(self, *events, raises: type[BaseException] | None = None) -> None:
        self._events = events
        self._raises = raises

    def events(self, _study_id):
        yield from self._events
        if self._raises:
            raise self._raises

    def outcome(self, _study_id):
        return Outcome("finished", "", None)

    def where_to_cancel(self, study_id):
        return f"on /studies/{study_id}"


def test_why_it_came_back_is_said_between_its_starts(capsys):
    started = ("started", {"host": "vm", "device": "cpu", "name": "EPYC"})
    back = ("queued", {"message": "The database did not answer."})
    follow(_Told(("queued", {}), started, back, started), "st_1")
    said = capsys.readouterr().err.split("It starts on vm")
    assert len(said) == 3
    assert "The database did not answer." in said[1]


def test_an_interrupted_command_says_that_the_study_goes_on(capsys, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        follow(_Told(raises=KeyboardInterrupt), "st_1")
    assert "on /studies/st_1" in capsys.readouterr().err
    monkeypatch.setattr(
        "app.cli.fleet_studies.tune_on_fleet",
        lambda *_, **__: follow(_Told(raises=KeyboardInterrupt), "st_1"),
    )
    assert run(["tune", "transformer", "--fleet", "http://127.0.0.1:9"]) == 130
    said = capsys.readouterr().err
    assert "st_1 goes on" in said
    assert "Results so far are stored" not in said


def test_what_it_waits_for_is_told_before_it_begins(serve, database, monkeypatch):
    with Client(serve()) as client:
        study = client.start_study("transformer")
        rounds = []

        def wait(_seconds: float) -> None:
            rounds.append(1)
            if len(rounds) == 2:
                end(database, study.id)

        monkeypatch.setattr("app.cli.fleet_studies.time.sleep", wait)
        told = list(ServiceStudies(client).events(study.id))
        assert [kind for kind, _ in told].count("waiting") == 1
        assert "tonnage runner" in told[0][1]["text"]
        assert f"/v1/studies/{study.id}/cancel" in ServiceStudies(client).where_to_cancel(study.id)
