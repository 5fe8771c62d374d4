"""What the phases of a run are called."""

from __future__ import annotations

import pytest

from app.cli.commands.probe import show
from tests.app import factories


@pytest.mark.parametrize(
    ("environment", "name"),
    [({}, "evaluate 2 MiB"), ({"command": "python x"}, "end of an epoch 2 MiB")],
)
def test_an_evaluation_of_a_command_may_be_the_end_of_an_epoch(capsys, environment, name) -> None:
    peaks = {"train": 2**20, "evaluate": 2**21}
    show(factories.measurement(phase_peak_bytes=peaks, environment=environment))
    assert name in " ".join(capsys.readouterr().out.split())
