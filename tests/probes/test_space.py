"""Spaces: what a workload's dimensions mean."""

from __future__ import annotations

from probes.space import Choice, Float, Int, Space, smallest


def test_the_smallest_config_has_the_lowest_number_or_the_first_option_of_each_dimension() -> None:
    space: Space = {
        "layers": Int(2, 8, step=2),
        "width": Choice([64, 16, 32]),
        "dropout": Float(0.1, 0.5),
        "activation": Choice(["relu", "gelu"]),
    }
    assert smallest(space) == {"layers": 2, "width": 16, "dropout": 0.1, "activation": "relu"}
