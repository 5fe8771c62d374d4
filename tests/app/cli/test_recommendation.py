"""A recommendation as text."""

from __future__ import annotations

import pytest

from app.cli.recommendation import show
from tests.app.dashboard.results import document, windowed
from tests.app.factories import measurement


def shown(capsys: pytest.CaptureFixture[str], made: object) -> str:
    show(made)  # type: ignore[arg-type]
    return " ".join(capsys.readouterr().out.split())


def test_it_tells_the_shares_and_the_most_capable_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, windowed())
    assert "2% of the time window and 41% of the memory" in text
    model = text.partition("Most capable model that fits the window")[2]
    for fact in ("batch size 64", "cycle time", "99,000", "96% of the time window"):
        assert fact in model, fact


def test_why_there_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    study = {**document().study, "budget": {"name": "prototyping", "target_s": 1200.0}}
    note = "The recommended model is the most capable one confirmed in the window."
    text = shown(capsys, windowed(most_capable=None, most_capable_note=note, study=study))
    assert f"Most capable model: {note}" in text


def test_one_of_an_earlier_release_is_shown_without_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, document())
    assert "time window" not in text and "Most capable" not in text


def test_the_notes_of_the_confirmation_run_are_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = "no evaluation was seen, where memory may be higher"
    evidence = {"highest_passing": {**measurement(96).to_dict(), "notes": [note]}}
    assert note in shown(capsys, document(evidence=evidence))
