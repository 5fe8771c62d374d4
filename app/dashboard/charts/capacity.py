"""Throughput against capacity: the configs of a study, their Pareto front and the best one.

The study page shows it while the study runs, the recommendation page shows the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.dashboard.charts.figure import Axis, Figure, Point, Scale, Series, Zone
from app.dashboard.charts.units import count_unit
from optimizer.formatting import config_text
from probes.formatting import duration_text
from probes.measurement import Config

WIDE = 20.0
"""An axis is logarithmic from this ratio of its largest to its smallest value."""


@dataclass(frozen=True)
class Spot:
    """A confirmed config of a study."""

    config: Config
    batch_size: int
    parameters: int
    throughput_samples_per_s: float
    cycle_time_s: float | None = None
    fits_window: bool = True
    is_incumbent: bool = False


def capacity_figure(
    spots: Sequence[Spot],
    throughput_loss: float | None = None,
    chosen_name: str = "recommended",
    left_out: int = 0,
) -> Figure:
    """One point per config.

    ``throughput_loss`` is the fraction of throughput that the budget gives up for a more capable
    model; ``None`` if capacity alone decides. ``chosen_name`` labels the incumbent. ``left_out``
    counts configs that are not among the spots because there are too many.
    """
    inside = [s for s in spots if s.fits_window]
    front = _front(inside)
    on_front = {id(s) for s in front}
    others = [s for s in inside if id(s) not in on_front and not s.is_incumbent]
    outside = [s for s in spots if not s.fits_window]
    chosen = [s for s in spots if s.is_incumbent]
    unit = count_unit([float(s.parameters) for s in spots])
    name = f"parameters [{unit.symbol}]" if unit.symbol else "parameters"

    def place(spot: Spot) -> Point:
        words = f"{config_text(spot.config)}, batch {spot.batch_size}"
        if spot.cycle_time_s is not None:
            words += f", {duration_text(spot.cycle_time_s)} per cycle"
        return Point(unit.of(spot.parameters), spot.throughput_samples_per_s, note=words)

    zones = []
    if inside and throughput_loss:
        fastest = max(s.throughput_samples_per_s for s in inside)
        share = f"{throughput_loss:.0%}"
        zones.append(
            Zone(
                f"{share} below the fastest",
                "window",
                "y",
                fastest * (1 - throughput_loss),
                fastest,
            )
        )
    return Figure(
        name="capacity",
        title="Throughput against capacity",
        caption=_caption(throughput_loss, left_out),
        x=Axis(name, scale=_scale([s.parameters for s in spots])),
        y=Axis(
            "throughput",
            "samples/s",
            scale=_scale([s.throughput_samples_per_s for s in spots]),
        ),
        series=[
            Series("confirmed", "passed", [place(s) for s in others]),
            Series("cycle too long", "outside", [place(s) for s in outside]),
            Series("Pareto front", "front", [place(s) for s in front], line=True),
            Series(chosen_name, "chosen", [place(s) for s in chosen]),
        ],
        zones=zones,
    )


def _front(spots: Sequence[Spot]) -> list[Spot]:
    """The spots that no other beats in both throughput and capacity, fastest first."""
    front: list[Spot] = []
    for spot in sorted(spots, key=lambda s: (-s.throughput_samples_per_s, -s.parameters)):
        if not front or spot.parameters > front[-1].parameters:
            front.append(spot)
    return front


def _scale(values: Sequence[float]) -> Scale:
    positive = [v for v in values if v > 0]
    wide = len(positive) == len(values) and positive and max(positive) > WIDE * min(positive)
    return "log" if wide else "linear"


def _caption(throughput_loss: float | None, left_out: int) -> str:
    words = "Each point is a config at its confirmed maximum stable batch. "
    if throughput_loss:
        words += (
            "The recommended config has the most parameters of those within "
            f"{throughput_loss:.0%} of the highest throughput. "
        )
    if left_out:
        words += f"{left_out:,} more configs are in the table but not drawn. "
    return words
