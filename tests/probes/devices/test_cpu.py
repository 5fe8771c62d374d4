"""The CPU backend on real memory. An address-space limit cannot be shared with other tests, so
each runs in a process of its own, made as a probe's is: with the pinned allocator, and forked from
one that has torch imported."""

from __future__ import annotations

import ctypes.util
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from probes.devices.environment import worker_environment
from probes.formatting import MIB

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces a limit")

TCMALLOC = ctypes.util.find_library("tcmalloc_minimal")

FORK_SERVER = """
import json, sys
from probes.worker import fork_server
fork_server.Preload().finish()
for line in sys.stdin:
    script = json.loads(line)
    status = fork_server.run_forked(lambda: exec(script, {}), closing=0)
    print(json.dumps({"status": status}), flush=True)
"""

PRELUDE = """
import json, torch
from probes.devices.cpu import CpuBackend
from probes.errors import MeasurementError
MIB = 2**20
backend = CpuBackend()
def tell(**values):
    print(json.dumps(values))
"""

TRAINING = """
backend.initialise()
cap = backend.apply_cap(1024 * MIB, 0.0)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(512, 1024), torch.nn.ReLU(), torch.nn.Linear(1024, 512))
optimizer = torch.optim.AdamW(model.parameters())
batch = torch.randn(BATCH, 512)
for _ in range(4):
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()
"""


class Forks:
    """Runs scripts, each in a fresh fork. ``user`` is what the user has set before."""

    def __init__(self, **user: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", FORK_SERVER],
            env={
                **os.environ,
                **worker_environment("cpu", user),
                **user,
                "PYTHONPATH": str(Path.cwd()),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, body: str) -> dict[str, Any]:
        """What a script told."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(PRELUDE + textwrap.dedent(body)) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert "status" not in told, f"it ended with status {told['status']} and told nothing"
        assert json.loads(self._process.stdout.readline()) == {"status": 0}
        return told

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    opened = Forks()
    yield opened
    opened.close()


def train(forks: Forks, batch: int) -> dict[str, Any]:
    body = TRAINING.replace("BATCH", str(batch))
    return forks.run(body + "\ntell(peak=backend.peak_bytes(), held=backend.held_bytes())")


def test_exceeding_the_cap_is_an_ordinary_error_of_torchs_allocator(forks: Forks) -> None:
    told = forks.run("""
        from probes.classify import classify
        backend.initialise()
        backend.apply_cap(256 * MIB, 0.0)
        kept = [torch.zeros(100 * MIB // 4)]
        try:
            torch.zeros(200 * MIB // 4)
        except RuntimeError as error:
            found = classify(error)
            tell(text=str(error), verdict=found.verdict, requested=found.requested_bytes)
    """)

    assert "DefaultCPUAllocator: can't allocate memory" in told["text"]
    assert told["verdict"] == "oom"
    assert told["requested"] == 200 * MIB


def test_what_fits_the_cap_runs_and_what_does_not_fit_does_not(forks: Forks) -> None:
    """The cap means what it says, to within a few MiB."""
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(256 * MIB, 0.0)
        torch.empty(250 * MIB, dtype=torch.uint8)
        try:
            torch.empty(257 * MIB, dtype=torch.uint8)
            tell(larger=True)
        except RuntimeError:
            tell(larger=False)
    """)

    assert told == {"larger": False}


def test_nothing_hides_in_what_the_users_allocator_settings_keep(forks: Forks) -> None:
    """Told to give nothing back, glibc would serve the model from what the start-up has freed."""
    keeping = Forks(MALLOC_MMAP_THRESHOLD_=str(32 * MIB), MALLOC_TRIM_THRESHOLD_=str(1024 * MIB))
    pinned, kept = train(forks, 256), train(keeping, 256)
    keeping.close()

    assert kept["peak"] > 0.95 * pinned["peak"]


def test_an_allocator_that_cannot_be_asked_hides_nothing_either(forks: Forks) -> None:
    known = train(forks, 256)
    body = TRAINING.replace("BATCH", "256")
    unknown = forks.run(
        "from probes.devices import cpu, slack\n"
        "cpu.knows_heap = slack.knows_heap = lambda: False\n"
        + body
        + "\ntell(peak=backend.peak_bytes(), hidden=backend._hidden_bytes)"
    )

    assert unknown["hidden"] > 0
    assert unknown["peak"] > 0.95 * known["peak"]


@pytest.mark.skipif(TCMALLOC is None, reason="libtcmalloc_minimal is not installed")
def test_nothing_hides_in_a_preloaded_allocator(forks: Forks) -> None:
    assert TCMALLOC is not None
    preloaded = Forks(LD_PRELOAD=TCMALLOC)
    pinned, found = train(forks, 256), train(preloaded, 256)
    preloaded.close()

    assert found["peak"] > 0.95 * pinned["peak"]


def test_the_peak_of_the_same_step_repeats_between_processes(forks: Forks) -> None:
    another = Forks()
    first, second = train(forks, 256), train(another, 256)
    another.close()

    assert abs(first["peak"] - second["peak"]) <= MIB


def test_the_peak_grows_linearly_with_the_batch(forks: Forks) -> None:
    small, middle, large = (train(forks, batch)["peak"] for batch in (1024, 2048, 3072))

    assert middle - small > 5 * MIB
    assert abs((large - middle) - (middle - small)) <= 3 * MIB


def test_a_peak_between_two_looks_is_not_missed(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        torch.empty(300 * MIB, dtype=torch.uint8)
        tell(peak=backend.peak_bytes(), held=backend.held_bytes())
    """)

    assert 300 * MIB <= told["peak"] < 303 * MIB
    assert told["held"] < 3 * MIB


def test_what_fits_into_memory_mapped_before_the_cap_is_counted(forks: Forks) -> None:
    told = forks.run("""
        from probes.devices import cpu
        backend.initialise()
        blocks = [torch.ones(16 * 1024) for _ in range(200)]
        del blocks[::2]
        cpu.map_slack = list  # leave the holes as they are
        backend.apply_cap(512 * MIB, 0.0)
        kept = [torch.ones(12 * 1024) for _ in range(100)]
        tell(peak=backend.peak_bytes(), held=backend.held_bytes())
    """)

    assert told["held"] > 4 * MIB
    assert 6 * MIB > told["peak"] >= told["held"]


def test_each_phase_has_its_own_peak_and_the_largest_is_kept(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        backend.reset_phase_peak()
        torch.empty(300 * MIB, dtype=torch.uint8)
        first = backend.phase_peak_bytes()
        backend.reset_phase_peak()
        torch.empty(100 * MIB, dtype=torch.uint8)
        second = backend.phase_peak_bytes()
        tell(first=first, second=second, peak=backend.peak_bytes())
    """)

    assert 300 * MIB <= told["first"] < 303 * MIB
    assert 100 * MIB <= told["second"] < 103 * MIB
    assert told["peak"] == told["first"]


def test_starting_a_phase_neither_grants_nor_takes_memory(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(256 * MIB, 0.0)
        for _ in range(5):
            torch.empty(250 * MIB, dtype=torch.uint8)
            backend.reset_phase_peak()
        try:
            torch.empty(257 * MIB, dtype=torch.uint8)
            tell(larger=True)
        except RuntimeError:
            tell(larger=False)
    """)

    assert told == {"larger": False}


def test_memory_kept_between_steps_is_held(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        before = backend.held_bytes()
        kept = torch.empty(64 * MIB, dtype=torch.uint8)
        tell(grown=backend.held_bytes() - before)
    """)

    assert abs(told["grown"] - 64 * MIB) < MIB


def test_no_tensor_hides_in_a_hole_of_the_heap(forks: Forks) -> None:
    told = forks.run("""
        holes = [bytearray(120_000) for _ in range(500)]
        del holes
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        before = backend.held_bytes()
        kept = [torch.empty(MIB, dtype=torch.uint8) for _ in range(40)]
        tell(each=(backend.held_bytes() - before) / 40)
    """)

    assert MIB + 4096 <= told["each"] < MIB + 8192  # with what comes along from the heap


def test_small_objects_of_python_do_not_move_the_peak(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        kept = [(number, str(number)) for number in range(10_000)]
        tell(peak=backend.peak_bytes())
    """)

    assert told["peak"] <= 2 * MIB  # the heap grows by whole pages, and a huge page is 2 MiB


def test_a_thread_of_the_workload_costs_its_stack_and_no_arena(forks: Forks) -> None:
    told = forks.run("""
        import threading
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        thread = threading.Thread(target=lambda: torch.ones(10_000).tolist())
        thread.start(); thread.join()
        tell(peak=backend.peak_bytes())
    """)

    assert told["peak"] < 24 * MIB


def test_the_cap_keeps_the_headroom_free(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        cap = backend.apply_cap(400 * MIB, 0.25)
        tell(limit=cap.limit_bytes, cap=cap.cap_bytes, overhead=cap.overhead_bytes,
             enforced=cap.enforced, notes=cap.notes)
    """)

    assert told["limit"] == 400 * MIB
    assert told["cap"] == 300 * MIB
    assert (told["overhead"], told["enforced"], told["notes"]) == (0, True, [])


def test_a_budget_larger_than_the_machine_is_refused_with_both_sizes(forks: Forks) -> None:
    told = forks.run("""
        try:
            backend.apply_cap(2**60, 0.0)
        except MeasurementError as error:
            tell(text=str(error), code=error.exit_code)
    """)

    assert "1,073,741,824.00 GiB is larger than the CPU's memory" in told["text"]
    assert told["code"] == 3


def test_the_cap_is_lowered_to_what_is_free_and_says_so(forks: Forks) -> None:
    told = forks.run("""
        from probes.devices import host
        host.memory_free_bytes = lambda: 200 * MIB
        backend.initialise()
        cap = backend.apply_cap(400 * MIB, 0.0)
        tell(cap=cap.cap_bytes, limit=cap.limit_bytes, notes=cap.notes)
    """)

    assert (told["cap"], told["limit"]) == (200 * MIB, 400 * MIB)
    assert "from 400 MiB to 200 MiB" in told["notes"][0]


def test_a_full_machine_is_reported_not_probed(forks: Forks) -> None:
    told = forks.run("""
        from probes.devices import host
        host.memory_free_bytes = lambda: 0
        try:
            backend.apply_cap(400 * MIB, 0.0)
        except MeasurementError as error:
            tell(text=str(error))
    """)

    assert "no memory is left" in told["text"]


def test_an_outer_address_space_limit_lowers_the_cap(forks: Forks) -> None:
    told = forks.run("""
        import resource
        from probes.devices import host
        backend.initialise()
        outer = host.address_space_bytes() + 300 * MIB
        resource.setrlimit(resource.RLIMIT_AS, (outer, outer))
        cap = backend.apply_cap(400 * MIB, 0.0)
        torch.empty(100 * MIB, dtype=torch.uint8)
        backend.reset_phase_peak()
        tell(cap=cap.cap_bytes, notes=cap.notes, phase=backend.phase_peak_bytes())
    """)

    assert told["cap"] <= 300 * MIB
    assert "ulimit -v" in told["notes"][0]


def test_lifting_the_cap_leaves_room_to_report(forks: Forks) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(64 * MIB, 0.0)
        backend.lift_cap()
        tell(bytes=torch.empty(128 * MIB, dtype=torch.uint8).numel())
    """)

    assert told["bytes"] == 128 * MIB


def test_memory_of_the_host_is_neither_limited_nor_counted_but_what_is_kept_is(
    forks: Forks,
) -> None:
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(128 * MIB, 0.0)
        torch.empty(60 * MIB, dtype=torch.uint8)
        with backend.host_memory():
            torch.empty(300 * MIB, dtype=torch.uint8)
            kept = torch.empty(32 * MIB, dtype=torch.uint8)
        peak, held = backend.peak_bytes(), backend.held_bytes()
        torch.empty(90 * MIB, dtype=torch.uint8)
        try:
            torch.empty(100 * MIB, dtype=torch.uint8)
            limited = False
        except RuntimeError:
            limited = True
        tell(peak=peak, held=held, later=backend.peak_bytes(), limited=limited)
    """)

    assert 60 * MIB <= told["peak"] < 64 * MIB
    assert 32 * MIB <= told["held"] < 36 * MIB
    assert 122 * MIB <= told["later"] < 126 * MIB
    assert told["limited"]


def test_initialising_leaves_the_random_state_alone(forks: Forks) -> None:
    told = forks.run("""
        torch.manual_seed(7)
        before = torch.get_rng_state()
        backend.initialise()
        tell(same=bool(torch.equal(before, torch.get_rng_state())))
    """)

    assert told == {"same": True}


def test_a_first_optimizer_after_initialising_maps_no_modules(forks: Forks) -> None:
    """AdamW imports 70 MiB of torch when first made: that is the runtime's, not the workload's."""
    told = forks.run("""
        backend.initialise()
        backend.apply_cap(512 * MIB, 0.0)
        layer = torch.nn.Linear(8, 8)
        torch.optim.AdamW(layer.parameters())
        tell(peak=backend.peak_bytes())
    """)

    assert told["peak"] < 4 * MIB


def test_marks_are_seconds_apart(forks: Forks) -> None:
    told = forks.run("tell(elapsed=backend.elapsed_s(1.5, 2.0), spilled=backend.spilled_bytes())")

    assert told["elapsed"] == 0.5
    assert told["spilled"] >= 0


def test_elsewhere_a_budget_is_refused_and_none_is_run_unenforced(forks: Forks) -> None:
    told = forks.run("""
        backend._linux = False
        cap = backend.apply_cap(None, 0.1)
        try:
            backend.apply_cap(64 * MIB, 0.1)
        except MeasurementError as error:
            tell(enforced=cap.enforced, notes=cap.notes, text=str(error),
                 held=backend.held_bytes(), peak=backend.peak_bytes())
    """)

    assert told["enforced"] is False
    assert told["notes"]
    assert "needs Linux" in told["text"]
    assert told["peak"] >= told["held"] > 0
