"""``tonnage check --probe`` and ``--on-unknown probe``: measured here, by a real worker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.app.checks.seeded import environment
from tests.app.cli.conftest import QUICK, WORKLOAD
from tests.warm import WarmEnvironment

Check = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory, warm: WarmEnvironment) -> Check:
    folder: Path = tmp_path_factory.mktemp("user")
    (folder / "train.py").write_text(WORKLOAD)
    environ = {
        **warm.activated(environment(folder)),
        **QUICK,
        "TONNAGE_PROBE__MAX_BATCH": "100000000",
        "TONNAGE_PROBE__LEASE_DIR": str(folder),
    }
    plan = ("--workload", "train.py:Tiny", "--set", "layers=1", "--memory-budget", "64MiB")

    def check(batch_size: int, *more: str) -> dict[str, Any]:
        ran = subprocess.run(
            ["tonnage", "check", *plan, "--device", "cpu", "--json", *more,
             "--batch-size", str(batch_size)],
            cwd=folder, env=environ, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert ran.stdout, ran.stderr
        return {**json.loads(ran.stdout), "status": ran.returncode}

    return check


def test_a_few_steps_then_the_whole_run_and_then_it_is_known(check: Check) -> None:
    few = check(16, "--probe", "quick")
    assert (few["status"], few["verdict"]) == (0, "fits")
    assert "(a few steps only, no stability run)" in few["reason"]
    assert (check(16)["status"], check(16)["verdict"]) == (3, "unknown")

    measured = check(16, "--on-unknown", "probe")
    assert (measured["status"], measured["verdict"]) == (0, "fits")
    assert measured["evidence"]["highest_passing"]["purpose"] == "confirm"
    known = check(16, "--on-unknown", "probe")
    assert known["compared"] == measured["compared"], "nothing was measured again"
    assert check(8)["verdict"] == "fits"

    large = check(1_000_000, "--probe", "full")
    assert (large["status"], large["verdict"]) == (1, "does_not_fit")
    assert large["largest_batch"] == 16
