"""Measure a grid on this machine's CPU: every config at a few batches, in isolated workers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from app.machine.session import MeasuringSession
from app.machine.target import open_target
from app.settings import load_settings
from benchmarks.record import machine
from benchmarks.search.grids import DATA, Grid, Point, is_known, load, name, save
from probes.job import WorkloadRef
from probes.max_batch import Ask
from probes.measurement import Config, Purpose
from probes.space import Choice, Space, grid

MIB = 2**20
BATCHES = (1, 16, 96)
"""Until one does not fit."""

GRIDS: dict[str, tuple[str, dict[str, Any], int, int, Space]] = {
    "visnet": (
        "visnet",
        {},
        400 * MIB,
        162,
        {
            "layers": Choice([1, 2, 4]),
            "hidden_channels": Choice([8, 16, 32, 64]),
            "precision": Choice(["fp32", "bf16"], cost_grows=False),
        },
    ),
    "causal-lm": (
        "causal-lm",
        {},
        400 * MIB,
        256,
        {
            "layers": Choice([1, 2, 4]),
            "hidden_size": Choice([64, 128]),
            "seq_length": Choice([64, 128]),
            "precision": Choice(["fp32", "bf16"], cost_grows=False),
        },
    ),
}
"""Name to (workload, options, memory budget in bytes, largest batch, space)."""


def measure(which: str) -> Path:
    """Go on with a grid where it stands; each config is kept as soon as it is measured."""
    workload, options, limit_bytes, ceiling, space = GRIDS[which]
    done = load(which) if (DATA / f"{which}.json").exists() else None
    measured = done or Grid(workload, space, limit_bytes, ceiling, machine=machine())
    quick = {"confirm_steps": 5, "measure_budget_s": 0.5, "repeats_when_disturbed": 0}
    settings = load_settings(overrides={"probe": quick})
    target = open_target(settings, None, "cpu", limit_bytes)
    bench = MeasuringSession.open(settings, WorkloadRef(workload, options), target, headroom=0.0)
    configs = grid(space) or []
    for k, (config, size) in enumerate(
        zip(configs, bench.model_sizes([bench.config(c) for c in configs]))
    ):
        if is_known(measured, config):
            continue
        measured.parameters[name(config)] = size.parameters or 0
        measured.points[name(config)] = list(_points(bench, config, ceiling))
        print(f"{k + 1}/{len(configs)} {name(config)}", file=sys.stderr, flush=True)
        save(which, measured)
    target.prober.close()
    return save(which, measured)


def _points(bench: MeasuringSession, config: Config, ceiling: int) -> list[Point]:
    points = []
    for batch_size in [b for b in BATCHES if b <= ceiling]:
        run = bench.measure(bench.config(config), Ask(batch_size, Purpose.CONFIRM))
        if not run.passed or run.peak_bytes is None or run.step_time is None:
            break
        points.append(Point(batch_size, run.peak_bytes, round(run.step_time.median_s, 6)))
    if not points:
        raise SystemExit(f"{config}: not even one sample fits; choose a larger budget")
    return points
