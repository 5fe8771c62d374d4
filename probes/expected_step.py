"""How long a step of the next probe should take, from the probes that passed before.

Pure, over the measurements of one config. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

from collections.abc import Sequence

from probes.measurement import Measurement
from probes.timeouts import ExpectedStep


def expected_step(measurements: Sequence[Measurement], batch_size: int) -> ExpectedStep | None:
    """From the largest batch that passed, in proportion to the batch where this one is larger;
    ``None`` where nothing is known, or where a compiler may take its time at any step."""
    timed = [m for m in measurements if m.passed and m.step_time is not None]
    if not timed or any(m.config.get("compile") for m in timed):
        return None
    largest = max(timed, key=lambda m: m.batch_size)
    assert largest.step_time is not None
    measured_s = largest.step_time.mean_s

    def scaled(m: Measurement, seconds: float) -> float:
        return seconds * max(1.0, batch_size / m.batch_size)

    firsts = [scaled(m, m.trace.step_s[0]) for m in timed if m.trace.step_s]
    usual_s = scaled(largest, measured_s)
    return ExpectedStep(usual_s, max(firsts, default=usual_s), measured_s, largest.batch_size)
