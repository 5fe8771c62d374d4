"""docs/first-gate.md works word for word: its commands are run in order, in an empty folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.app.checks.seeded import environment

PAGE = Path(__file__).parents[1] / "docs" / "first-gate.md"
QUICK = {
    "TONNAGE_PROBE__MEASURE_BUDGET_S": "0.5",
    "TONNAGE_PROBE__CONFIRM_STEPS": "8",
    "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
}
"""So that it does not take five minutes here."""
ENDS_WITH = {"tonnage check doubled.yaml": (1, "does not fit: batch")}
"""What does not end with status 0."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


def test_every_command_does_what_the_page_says(folder, warm):
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = [line for block in blocks for line in block.strip().splitlines()]
    assert len(commands) == 9
    home = folder / "home"
    home.mkdir()
    environ = {
        **warm.activated(environment(home)),
        **QUICK,
        "TONNAGE_PROBE__LEASE_DIR": str(home),
    }
    work = folder / "work"
    work.mkdir()
    said = {}
    for command in commands:
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=work,
            env=environ,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        status, words = ENDS_WITH.get(command, (0, ""))
        assert ran.returncode == status, f"{command}\n{ran.stdout}\n{ran.stderr}"
        assert words in ran.stdout
        said[command] = ran.stdout
    first = said["tonnage check train.yaml"].splitlines()[0]
    assert re.match(r"fits: batch \d+ needs .* to spare", first)
    refused = said["tonnage check doubled.yaml"].splitlines()[0]
    batch = re.match(r"fits: batch (\d+)", first)
    assert batch is not None
    assert refused.startswith(f"does not fit: batch {2 * int(batch[1])} needs about ")
    assert refused.endswith(f"the largest batch that fits is {batch[1]}")
    started = said[commands[-1]]
    assert started == f"python train.py --batch-size {batch[1]} --layers 1\n"
    push = subprocess.run(
        ["sh", ".git/hooks/pre-push"], cwd=work, env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert push.returncode == 0
    assert "fits: batch" in push.stderr
