"""What all tests need of the process they run in, and how they share a machine."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.warm import WarmEnvironment

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""More threads than cores wait for one another, and tests run beside each other."""

# A shell starts what it runs in the background so, and nohup too: commands under test inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

TRAINING = (
    "transformers.trainer",
    "trl.trainer.sft_trainer",
    "peft",
    "datasets",
    "accelerate",
    "lightning.pytorch",
)
"""What workers import that train with a library: ten seconds or more, where they only take steps of
small models after that."""

LONG = (
    "app/fleet/test_on_ray.py",
    "app/finetuning_jobs/test_end_to_end.py",
    "finetuning/test_run.py",
    "app/cli/test_finetune.py",
    "app/cli/test_tune.py",
    "examples/",
    "probes/test_max_batch_real.py",
    "app/dashboard/test_browser.py",
    "app/jobs/test_processes.py",
    "probes/ranks/test_gang.py",
    "probes/test_prober.py",
    "app/service/test_conformance.py",
    "app/cli/test_contract.py",
    "app/checks/test_integrations.py",
    "app/cli/test_sharing.py",
    "app/jobs/test_end_to_end.py",
    "app/dashboard/test_every_page.py",
    "probes/devices/test_cpu.py",
    "probes/test_verdicts.py",
    "app/tuning/test_kill.py",
    "probes/adapters/",
    "probes/black_box/test_leaks_under_load.py",
)
"""Files that take longest. They begin first, so that none is left over at the end."""


@pytest.hookimpl(tryfirst=True)  # before xdist sees the order
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tests = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        path = item.path.relative_to(tests).as_posix()
        return next((n for n, long in enumerate(LONG) if path.startswith(long)), len(LONG))

    items.sort(key=turn)


def pytest_collection_finish() -> None:
    """What was imported stays: a library that collects garbage at each call, as statsmodels does,
    would look through all of it, for half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> WarmEnvironment:
    """Workers start quickly in here."""
    return shared_environment(tmp_path_factory, "warm")


@pytest.fixture(scope="session")
def warm_trainer(tmp_path_factory: pytest.TempPathFactory) -> WarmEnvironment:
    """Workers that train with a library, language models among others, start quickly in here."""
    return shared_environment(tmp_path_factory, "warm-trainer", TRAINING)


def shared_environment(
    tmp_path_factory: pytest.TempPathFactory, name: str, libraries: Sequence[str] = ()
) -> WarmEnvironment:
    """One for all processes that run tests: imports take much longer than what they serve."""
    root, owner = tmp_path_factory.getbasetemp(), os.getpid()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root, owner = root.parent, os.getppid()
    return WarmEnvironment(root / name, owner, libraries)
