"""What is imported starts its threads then: a stack that comes later would count as a step's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, time
from pathlib import Path
from finetuning.training.trainer import rows, start_threads
start_threads()
count = lambda: sum(1 for _ in Path("/proc/self/task").iterdir())
before = count()
for split in ("train", "eval"):
    rows(Path(sys.argv[1]), split)
for _ in range(100):  # one that only waits for a file ends by itself
    if (after := count()) <= before:
        break
    time.sleep(0.05)
print(before, after)
"""


def test_reading_the_rows_leaves_no_further_thread(data: Path, tmp_path: Path) -> None:
    for split in ("train", "eval"):
        (tmp_path / f"{split}.jsonl").write_text((data / f"{split}.jsonl").read_text())
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after <= before
