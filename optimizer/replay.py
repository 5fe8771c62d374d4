"""How many probes a finished max-batch search would have needed without its prior."""

from __future__ import annotations

from dataclasses import replace

from probes.curve import fit
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.max_batch.result import measured_peaks, memory_curve, step_points
from probes.measurement import Measurement, Verdict


def probes_without_prior(search: MaxBatchSearch) -> int:
    """Replay the search without prior knowledge, on the curves that it found; count its probes.

    An estimate: between what was measured, memory and time are the fitted curves.
    """
    memory = memory_curve(search.measurements)
    known = next((m for m in search.measurements if m.passed and m.cap_bytes), None)
    times = fit(step_points(measured_peaks(search.measurements)))
    if memory is None or known is None or times is None:
        return len(search.measurements)

    def probe(ask: Ask) -> Measurement:
        peak = memory.value(ask.batch_size)
        timing = known.step_time
        if timing is not None:
            timing = replace(timing, mean_s=max(1e-9, times.value(ask.batch_size)))
        run = replace(known, batch_size=ask.batch_size, purpose=ask.purpose, step_time=timing)
        if peak > (known.cap_bytes or 0):
            return replace(run, verdict=Verdict.OOM, peak_bytes=None, step_time=None, steps=1)
        return replace(run, peak_bytes=int(peak))

    return len(run_search(MaxBatchSearch(search.bounds), probe).measurements)
