"""Commands that start their training in the background and end."""

from __future__ import annotations

import sys

import pytest

from probes.black_box.command import reference
from probes.errors import InputError
from probes.job import BRACKET_PLAN, ProbeJob
from tests.probes.black_box.test_command_probe import MIB, SCRIPT, prober

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems do not tell"
)


def in_shell(command: str) -> ProbeJob:
    workload = reference("script.py", {"command": command, "shell": True})
    return ProbeJob(workload, {}, 8, "cpu", BRACKET_PLAN, 1024 * MIB, 0.0)


def test_a_training_in_the_background_is_told_as_that() -> None:
    train = f"nohup {sys.executable} {SCRIPT} --batch-size {{batch_size}} > /dev/null 2>&1 &"
    with pytest.raises(InputError, match=r"(?s)in the background.*script\.py.*in the foreground"):
        prober().probe(in_shell(f"{train} echo started"))


def test_a_training_that_prints_from_the_background_is_no_short_one() -> None:
    code = (
        "import os, time, torch\n"
        "if os.fork(): time.sleep(0.3); os._exit(0)\n"
        "for n in range(1, 10**6): print('step', n, 'loss 0.5', flush=True); time.sleep(0.1)"
    )
    train = f'{sys.executable} -c "{code}" {{batch_size}}'
    with pytest.raises(InputError, match="in the background"):
        prober().probe(in_shell(train))


def test_a_helper_that_outlives_a_training_is_none() -> None:
    helper = f"({sys.executable} -c 'import time; time.sleep(30)' > /dev/null 2>&1 &)"
    train = f"{sys.executable} {SCRIPT} --batch-size {{batch_size}} --steps 3"
    measurement = prober().probe(in_shell(f"{helper}; {train}"))
    assert "ended by itself after 3 steps" in measurement.reason
