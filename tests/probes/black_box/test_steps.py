"""How a step is recognised, and how many steps a sign stands for."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path

import pytest

from probes.black_box.logs import EventFiles, JsonLines, open_log, parse_events
from probes.black_box.steps import (
    PROGRESS_BAR,
    OutputSteps,
    Seen,
    StepClock,
    StepCounter,
    advice,
)
from probes.errors import InputError

LINE_WITH_STEP = r"""tonnage step|\bstep\b["']?\s*[:=#\[]?\s*(?P<step>\d+)"""


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("tonnage step", None),
        ("step 12 loss 0.3", 12),
        ("Epoch 1 | Step: 12/450", 12),
        ('{"loss": 0.3, "step": 12}', 12),
        ("\x1b[32mstep\x1b[0m = 12", 12),
        ("[step 12]", 12),
    ],
)
def test_lines_that_a_pattern_recognises(line: str, number: int | None) -> None:
    assert OutputSteps(LINE_WITH_STEP).read(f"{line}\n".encode(), 1.0) == [Seen(1.0, number)]


@pytest.mark.parametrize(
    "line", ["steps per epoch: 12", "Total optimization steps = 450", "stepping", "batch size 12"]
)
def test_lines_that_are_no_steps(line: str) -> None:
    assert OutputSteps(LINE_WITH_STEP).read(f"{line}\n".encode(), 1.0) == []


def test_a_line_may_arrive_in_pieces_and_a_progress_bar_ends_it_with_a_return() -> None:
    steps = OutputSteps(r"(\d+)/\d+ \[")
    assert steps.read(b"  3/450 [00:0", 1.0) == []
    assert [seen.number for seen in steps.read(b"1<00:20]\r  4/450 [00:02]\r  5/", 2.0)] == [3, 4]


def test_a_bar_of_tqdm_is_read_by_the_pattern_that_the_error_gives() -> None:
    bar = "\rtrain:   3%|▎         | 12/450 [00:01<00:40, 10.9it/s, loss=0.3]\r"
    assert OutputSteps(PROGRESS_BAR).read(bar.encode(), 1.0) == [Seen(1.0, 12)]
    assert OutputSteps(LINE_WITH_STEP).read(bar.encode(), 1.0) == []
    assert f"--step '{PROGRESS_BAR}'" in advice(bar)
    assert "tonnage step" in advice("epoch 1: loss 0.3")


def test_a_pattern_of_ones_own_names_the_number_and_the_loss() -> None:
    steps = OutputSteps(r"it (?P<step>\d+) .*loss=(?P<loss>\S+)")
    assert steps.read(b"it 7 lr 0.1 loss=2.5\n", 1.0) == [Seen(1.0, 7, 2.5)]
    assert steps.read(b"it 8 lr 0.1 loss=oops\n", 1.0) == [Seen(1.0, 8, None)]
    with pytest.raises(InputError, match="not a regular expression"):
        OutputSteps("(")


def test_numbers_say_how_many_steps_a_line_stands_for() -> None:
    counter = StepCounter()
    numbers = [10, 20, 20, 30, 10, 20, None]
    assert [counter.count(number) for number in numbers] == [1, 10, 0, 10, 10, 10, 1]


def test_the_first_sign_only_starts_the_clock() -> None:
    clock = StepClock()
    assert clock.passed([Seen(5.0)]) == []
    (passed,) = clock.passed([Seen(5.5)])
    assert (passed.count, passed.each_s) == (1, 0.5)


def test_signs_that_arrive_together_share_the_time() -> None:
    clock = StepClock()
    clock.passed([Seen(1.0, 1)])
    passed = clock.passed([Seen(4.0, 2), Seen(4.0, 3), Seen(4.0, 4)])
    assert [p.each_s for p in passed] == [1.0, 1.0, 1.0]


def test_signs_with_times_of_their_own_keep_them() -> None:
    passed = StepClock().passed([Seen(1.0, 1), Seen(2.0, 2), Seen(4.0, 3)])
    assert [p.each_s for p in passed] == [1.0, 2.0]


def test_json_lines_are_read_from_where_the_file_ended_before(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"step": 99}\n')
    log = open_log(file, "")
    assert isinstance(log, JsonLines) and log.read() == []
    with file.open("a") as out:
        out.write('{"step": 1, "loss": 0.5}\nnoise\n[1]\n{"st')
    assert [(s.number, s.loss) for s in log.read()] == [(1, 0.5)]
    with file.open("a") as out:
        out.write('ep": 2}\n')
    assert [s.number for s in log.read()] == [2]
    file.write_text('{"step": 1}\n')
    assert [s.number for s in log.read()] == [1]


def test_json_lines_that_are_not_there_yet(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "later.jsonl", "global_step")
    assert log.read() == []
    (tmp_path / "later.jsonl").write_text(json.dumps({"global_step": 4}) + "\n")
    assert [s.number for s in log.read()] == [4]


def test_lines_of_a_log_that_are_no_records_are_text_until_one_is(tmp_path: Path) -> None:
    file = tmp_path / "train.log"
    log = open_log(file, "")
    file.write_text("12:01 step 1 loss 0.5\n12:01 step 2 lo")
    assert log.read() == [] and log.text() == b"12:01 step 1 loss 0.5\n"
    with file.open("a") as out:
        out.write('ss 0.4\n{"step": 3}\nnoise\n')
    assert [s.number for s in log.read()] == [3]
    assert log.text() == b""


def event(wall_s: float, step: int, summary: bytes = b"x") -> bytes:
    """A record as TensorBoard writes it (checksums left out: nobody reads them)."""
    number = bytes([0x10, step]) if step < 128 else bytes([0x10, step & 0x7F | 0x80, step >> 7])
    message = b"\x09" + struct.pack("<d", wall_s) + number
    message += bytes([0x2A, len(summary)]) + summary if summary else b""
    return struct.pack("<Q", len(message)) + b"crc4" + message + b"crc4"


def test_event_files_carry_the_times_of_their_steps(tmp_path: Path) -> None:
    log = open_log(tmp_path, "")
    assert isinstance(log, EventFiles) and log.read() == []
    (tmp_path / "run").mkdir()
    file = tmp_path / "run" / "events.out.tfevents.1.host"
    file.write_bytes(event(100.0, 0, b"") + event(101.0, 1) + event(101.0, 1) + event(103.5, 300))
    seen = log.read()
    assert [s.number for s in seen] == [1, 300]
    assert seen[1].at_s - seen[0].at_s == pytest.approx(2.5, abs=1e-3)
    assert log.read() == []


def test_a_record_that_is_not_written_to_its_end_waits() -> None:
    whole = event(1.0, 1)
    assert parse_events(whole + event(2.0, 2)[:-3]) == (len(whole), [(1.0, 1)])


def test_what_tensorboard_itself_has_written() -> None:
    """Three scalars of ``torch.utils.tensorboard.SummaryWriter``, tensorboard 2.20."""
    file = base64.b64decode(
        "SAAAAAAAAAD+kkidCYWjgaRvwNpBGg1icmFpbi5FdmVudDoyUi4KLHRlbnNvcmJvYXJkLnN1bW1hcnkud3JpdGVy"
        "LmV2ZW50X2ZpbGVfd3JpdGVyJ9I5lBgAAAAAAAAAo39LIgkbMIKkb8DaQSoNCgsKBGxvc3MVAACAP8xr0ekaAAAA"
        "AAAAABKb2C0J0jCCpG/A2kEQASoNCgsKBGxvc3MVAACAPxvB9NsbAAAAAAAAABoNnhMJKTGCpG/A2kEQyAEqDQoL"
        "CgRsb3NzFQAAgD+GZm2D"
    )
    used, events = parse_events(file)
    assert used == len(file) and [step for _, step in events] == [0, 1, 200]


def test_a_group_named_epoch_counts_the_steps_of_an_epoch() -> None:
    steps = OutputSteps(r"^(?P<epoch>\d+)$", 8, 25)
    seen = steps.read(b"1\n12.27\n2\n", 0.0)
    assert [s.number for s in seen] == [25, 50]
    assert steps.steps_ahead is None
