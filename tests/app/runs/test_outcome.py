"""How a training run ended, by its exit status and its last words."""

from __future__ import annotations

import pytest

from app.runs.outcome import StepTimes, ending, exit_status, step_time_in

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …"
ENDINGS = [
    (0, "", 0, False, "finished"),
    (0, OOM, 0, False, "finished"),
    (1, f"Traceback (most recent call last):\n{OOM}", 0, False, "out_of_memory"),
    (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory", 0, False, "out_of_memory"),
    (-6, "terminate called after throwing an instance of 'std::bad_alloc'", 0, False,
     "out_of_memory"),
    (-9, "", 1, False, "out_of_memory"),
    (137, "", 1, False, "out_of_memory"),
    (-9, "", 0, False, "failed"),
    (1, "ValueError: no such file", 0, False, "failed"),
    (-11, "Segmentation fault", 0, False, "failed"),
    (-15, "", 0, False, "interrupted"),
    (-2, "KeyboardInterrupt", 0, False, "interrupted"),
    (143, "", 0, False, "interrupted"),
    (1, "Saving and leaving.", 0, True, "interrupted"),
]  # fmt: skip


@pytest.mark.parametrize(("returncode", "tail", "kills", "stopped", "outcome"), ENDINGS)
def test_endings(returncode, tail, kills, stopped, outcome):
    found = ending(returncode, tail, kills, stopped_by_us=stopped)
    assert found.outcome == outcome
    assert "worker" not in found.reason
    assert "cap" not in found.reason.split()
    assert bool(found.reason) == (outcome not in ("finished", "interrupted") or returncode < 0) or (
        outcome == "interrupted"
    )


def test_the_exit_status_is_a_shells():
    assert [exit_status(code) for code in (0, 3, -9, -15)] == [0, 3, 137, 143]


LINES = [
    (" 50%|#####     | 5/10 [00:01<00:01,  4.00it/s]", 0.25),
    ("100%|####| 10/10 [00:12<00:00,  1.25s/it, loss=0.3]", 1.25),
    ("Epoch 1: 120ms/step - loss: 0.2", 0.12),
    ("step_time_s=0.31 loss=2", 0.31),
    ('{"step": 3, "step_time_ms": 40}', 0.04),
    ("step time: 0.5", 0.5),
    ("{'train_runtime': 5.0, 'train_steps_per_second': 8.0}", 0.125),
    ("throughput 5 batches/s", 0.2),
    ("loss 0.3 after 12 s", None),
    ("0it/s", None),
]


@pytest.mark.parametrize(("line", "step_time_s"), LINES)
def test_step_times(line, step_time_s):
    found = step_time_in(line)
    assert found == pytest.approx(step_time_s) if step_time_s is not None else found is None


def test_the_median_of_the_last_ones_counts():
    times = StepTimes()
    times.read(b"60.0s/it\r")
    for _ in range(30):
        times.read(b"0.2s/i")
        times.read(b"t\r0.4s/it\n0.3s/it\n")
    assert times.median_s == pytest.approx(0.3)
    assert StepTimes().median_s is None


def test_output_without_line_ends_fills_no_memory():
    times = StepTimes()
    for _ in range(100):
        times.read(b"x" * 100_000)
    assert len(times._rest) <= 4096 + 100_000
