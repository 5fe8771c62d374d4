"""What a fleet answer says in words."""

from __future__ import annotations

from typing import Any

import pytest

from app.fleet_answers.words import probe_text


def answer(**probe: Any) -> dict[str, Any]:
    made = {"name": "NVIDIA H200", "is_unseen": False, "seconds": 90.0, "money": None, "others": 0}
    made |= {"command": "tonnage max-batch train.py:Net", **probe}
    return {"next_probe": made, "verdict": "possible", "currency": "EUR"}


@pytest.mark.parametrize("is_unseen", [True, False])
def test_a_probe_that_settles_the_choice_is_said_to(is_unseen):
    said, command = probe_text(answer(is_unseen=is_unseen))
    assert said.endswith("the choice is settled after it.")
    assert ("not known" in said) == is_unseen
    assert "tonnage max-batch train.py:Net" in command


def test_what_stays_open_after_a_probe_is_said():
    assert "2 other configs" in probe_text(answer(others=2))[0]
