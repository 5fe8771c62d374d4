"""Readings, options and whole fleets for the tests; every argument is what a test cares about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from optimizer.fleet.amount import Amount, Unknown
from optimizer.fleet.candidate import Candidate, FleetClass, Reading, Work
from optimizer.fleet.cost import Amounts, Option, Prices, priced
from optimizer.fleet.settle import Fleet

MIB = 2**20


def reading(
    class_id: str = "a",
    layers: int = 1,
    step_s: float = 0.1,
    *,
    workload: str = "net",
    batch_size: int = 8,
    confirmed: bool = True,
    half: float = 0.02,
    peak_mib: int = 100,
    **changes: Any,
) -> Reading:
    return Reading(
        class_id,
        Work(workload, {"layers": layers}),
        batch_size,
        Amount(step_s, step_s * (1 - half), step_s * (1 + half)),
        peak_mib * MIB,
        confirmed,
        **changes,
    )


def option(
    class_id: str = "a",
    step_s: float = 0.1,
    *,
    measured: bool = True,
    smaller: bool = False,
    prices: Prices = Prices(per_hour=1.0),  # noqa: B008  (frozen)
    steps: int = 1000,
    **changes: Any,
) -> Option:
    made = Candidate(reading(class_id, step_s=step_s, **changes), measured, smaller)
    return priced(made, Amounts(steps=steps), prices)


def fleet(
    readings: Sequence[Reading],
    prices: dict[str, float] | None = None,
    classes: Sequence[FleetClass] = (),
    **changes: Any,
) -> Fleet:
    """Classes of 1 GiB, an hour of each at 1 unless ``prices`` says otherwise."""
    ids = sorted({r.class_id for r in readings})
    known = [*classes, *(FleetClass(i, f"device {i}", 1024 * MIB) for i in ids)]
    per_hour = {each.id: Prices(per_hour=(prices or {}).get(each.id, 1.0)) for each in known}
    return Fleet(known, readings, "net", per_hour, {}, **changes)


@st.composite
def options(draw: st.DrawFn) -> Option:
    """Any option: measured or not, with a known, estimated or unknown energy and cost."""
    prices = Prices(
        per_hour=draw(st.none() | st.floats(0.1, 10)),
        tariff_per_kwh=draw(st.none() | st.floats(0.1, 1)),
        watts=draw(st.none() | st.floats(10, 700)),
    )
    energy = draw(st.sampled_from([Unknown("No sensor."), Amount(5.0, 4.0, 6.0)]))
    return option(
        draw(st.sampled_from("abcd")),
        draw(st.floats(0.01, 10)),
        measured=draw(st.booleans()),
        smaller=draw(st.booleans()),
        prices=prices,
        layers=draw(st.integers(1, 4)),
        half=draw(st.floats(0, 0.3)),
        energy_j=energy,
    )
