"""Energy as people read it."""

from __future__ import annotations

from dataclasses import replace

from probes.energy.words import energy_rows, energy_words
from probes.formatting import energy_text
from tests.app import factories

ENERGY = factories.energy(240.0)


def test_joules_have_a_readable_unit() -> None:
    assert [energy_text(joules) for joules in (0.0854, 5.47, 2460.0, 3.6e6, None)] == [
        "0.0854 J",
        "5.47 J",
        "2.46 kJ",
        "3.6 MJ",
        "–",
    ]


def test_the_sensor_its_error_and_the_idle_power_are_named() -> None:
    words = energy_words(ENERGY, "")
    for part in (
        "1.25 J per sample",
        "NVML counter, ± 1.0%",
        "10 J per step",
        "100 W",
        "20 W idle",
    ):
        assert part in words
    assert words.endswith("taken off, 1 J per sample")


def test_idle_power_that_is_not_known_is_not_taken_off() -> None:
    busy = replace(ENERGY, idle_power_w=None, idle_unavailable="another program kept it busy")
    assert energy_words(busy, "").endswith("not taken off, because another program kept it busy")


def test_a_sensor_of_the_host_says_what_it_counts() -> None:
    assert "everything on this host" in energy_words(replace(ENERGY, scope="host"), "")


def test_a_reason_reads_as_a_sentence_and_nothing_is_said_where_nobody_looked() -> None:
    assert energy_words(None, "this device does not report it") == (
        "not available, because this device does not report it"
    )
    assert energy_rows(factories.measurement()) == []


def test_the_cpu_has_one_line_as_it_is_its_own_host() -> None:
    reason = "the CPU is the device: its energy is the host's"
    m = factories.measurement(energy=ENERGY, host_energy_unavailable=reason)
    assert [name for name, _ in energy_rows(m)] == ["energy"]
    gpu = replace(m, host_energy_unavailable="this machine shows no RAPL counters")
    assert [name for name, _ in energy_rows(gpu)] == ["energy", "host energy"]
