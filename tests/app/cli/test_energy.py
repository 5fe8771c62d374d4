"""Energy in the documents that ``--json`` prints, and in a recommendation."""

from __future__ import annotations

from app.cli.max_batch_report import document
from app.cli.recommendation import show
from app.machine.scaling import ScalingAnswer
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement
from probes.prior import Prior
from tests.app import factories


def printed(run: Measurement) -> dict:
    answer = MaxBatch(run.batch_size, "memory", "", run, None, [run])
    return document(answer, Prior(), "net", run.device, run.config, 1.0, ScalingAnswer(None), None)


def test_max_batch_has_the_energy_of_the_confirmation_with_units_in_its_keys() -> None:
    found = printed(factories.measurement(energy=factories.energy(240.0)))
    assert found["energy"]["energy_j"] == 240.0
    assert found["energy"]["energy_per_sample_j"] == 1.25
    assert found["energy"]["energy_above_idle_j"] == 192.0
    assert found["energy"]["idle_power_w"] == 20.0
    assert (found["energy_unavailable"], found["host_energy"]) == ("", None)


def test_without_a_sensor_it_has_the_reason() -> None:
    found = printed(factories.measurement(energy_unavailable="this device does not report it"))
    assert found["energy"] is None
    assert found["energy_unavailable"] == "this device does not report it"


def test_a_recommendation_shows_joules_per_cycle(capsys) -> None:
    run = factories.measurement(energy=factories.energy(240.0))
    show(
        factories.recommendation(
            energy=run.to_dict()["energy"],
            energy_per_cycle_j=4500.0,
            evidence={"highest_passing": run.to_dict(), "lowest_failing": None},
        )
    )
    printed = " ".join(capsys.readouterr().out.split())
    assert "energy per cycle 4.5 kJ" in printed
    assert "1.25 J per sample" in printed
