"""Which probe does most for the answer, and when none does."""

from __future__ import annotations

from optimizer.fleet.candidate import FleetClass
from optimizer.fleet.choose import Limits, Prefer, choose
from optimizer.fleet.cost import Amounts
from optimizer.fleet.settle import next_probe, options_of, probe_s
from tests.optimizer.fleet.made import MIB, fleet, reading

TRAINING = Amounts(samples=1_000_000)


def asked(of, limits=Limits(), prefer=Prefer.CHEAPEST, **more):  # noqa: B008  (frozen)
    options = options_of(of, TRAINING)
    return choose(options, limits, prefer), next_probe(of, options, limits, prefer, **more)


TWO = [
    reading("a", 1, 0.1), reading("a", 2, 0.2), reading("a", 3, 0.3),
    reading("b", 2, 0.1), reading("b", 3, 0.15),
]  # fmt: skip
"""Class b is twice as fast, and config 1 did not run there."""


def test_a_prior_that_would_be_cheaper_is_probed():
    answer, probe = asked(fleet(TWO))
    assert answer.chosen.class_id == "a"
    assert probe.class_id == "b"
    assert probe.reading.work.config == {"layers": 1}
    assert probe.settles
    assert probe.seconds == probe_s(probe.reading)
    assert probe.money == probe.seconds / 3600


def test_a_prior_that_cannot_win_is_not():
    _, probe = asked(fleet(TWO, prices={"b": 100.0}))
    assert probe is None


def test_a_prior_that_cannot_meet_the_deadline_is_not():
    slow = [reading("a", n, 0.1 * n) for n in (1, 2, 3)]
    slow += [reading("b", n, 1.0 * n) for n in (2, 3)]
    cheap = fleet(slow, prices={"b": 0.01})
    assert asked(cheap)[1].class_id == "b"
    assert asked(cheap, Limits(deadline_s=20_000))[1] is None


def test_a_class_that_shares_no_work_is_probed_first_with_what_is_chosen_elsewhere():
    new = FleetClass("c", "device c", 1024 * MIB)
    answer, probe = asked(fleet(TWO, classes=[new]))
    assert answer.chosen.class_id == "a"
    assert probe.class_id == "c"
    assert probe.is_unseen
    assert probe.seconds is None
    assert probe.reading.work.config == {"layers": 1}
    assert asked(fleet(TWO, classes=[new]), seen={"c"})[1].class_id == "b"


def test_a_class_on_which_nothing_fits_is_left_alone():
    tiny = FleetClass("c", "device c", 50 * MIB)
    assert asked(fleet(TWO, classes=[tiny]))[1].class_id == "b"


def test_what_was_measured_beats_its_prior():
    measured = [*TWO, reading("b", 1, 0.5)]
    answer, probe = asked(fleet(measured))
    assert answer.chosen.class_id == "a"
    assert probe is None


def test_only_configs_that_are_asked_for_count():
    pinned = fleet(TWO, accepts=lambda r: r.work.config["layers"] == 3)
    answer, probe = asked(pinned)
    assert answer.chosen.candidate.reading.work.config == {"layers": 3}
    assert answer.chosen.class_id == "b"
    assert probe is None


def test_probing_as_told_ends_with_the_best_of_the_truth():
    """Every probe shows the truth: the strategy ends, and with the cheapest."""
    truth = {("a", n): 0.1 * n for n in (1, 2, 3)} | {("b", n): 0.06 * n for n in (1, 2, 3)}
    truth |= {("c", n): 0.2 * n for n in (1, 2, 3)}
    prices = {"a": 1.0, "b": 1.2, "c": 0.9}
    classes = [FleetClass(i, i, 1024 * MIB) for i in "abc"]
    readings = [reading("a", n, truth["a", n]) for n in (1, 2, 3)]
    probes = 0
    while True:
        known = fleet(readings, prices)
        known = type(known)(classes, readings, "net", fleet(
            [reading(i) for i in "abc"], prices).prices, {})  # fmt: skip
        answer, probe = asked(known)
        if probe is None:
            break
        layers = probe.reading.work.config["layers"]
        readings.append(reading(probe.class_id, layers, truth[probe.class_id, layers]))
        probes += 1
        assert probes <= 6
    assert answer.chosen.class_id == "b"
    assert answer.chosen.candidate.reading.work.config == {"layers": 1}
    assert probes < 6
