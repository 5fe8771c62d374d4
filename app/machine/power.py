"""Probes of one config at several power limits of its device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.machine.session import MeasuringSession
from optimizer.ablation.power import POWER_PLAN, PowerSweep, Report, sweep
from probes.energy.power_limit import PowerLimit
from probes.errors import InputError, MeasurementError
from probes.measurement import Config, Measurement

SHARE, LEAST, MOST = "%", "min", "max"


@dataclass(frozen=True)
class _Bench:
    session: MeasuringSession
    limit: PowerLimit
    config: Config
    batch_size: int

    def probe(self, limit_w: float) -> Measurement:
        self.limit.set(limit_w)
        return self.session.probe(self.config, self.batch_size, POWER_PLAN)


def sweep_limits(
    session: MeasuringSession,
    config: Config,
    batch_size: int,
    limits: Sequence[str],
    rounds: int,
    report: Report,
) -> PowerSweep:
    """Measure at the limits (see ``watts``) and at the usual one. Call it under the device's lease.
    The usual limit is given back, also where this process is killed.

    Raises ``InputError`` for limits that the device does not have, and ``MeasurementError`` where
    this user may not set one, or a probe or its energy cannot be measured. None of the measurements
    is stored: under another limit, the device is not the one that others will train on.
    """
    facts = session.target.facts
    if session.group is not None:
        raise InputError("A power sweep runs on a single device: name one with --device.")
    with PowerLimit(facts, session.settings.probe.lease_dir) as limit:
        wanted = [watts(text, limit) for text in limits]
        for each in wanted:
            limit.check(each)
        bench = _Bench(session, limit, config, batch_size)
        try:
            return sweep(bench, limit.usual_w, wanted, rounds, report)
        except MeasurementError as error:
            raise MeasurementError(
                f"{error} The power limit is {limit.usual_w:g} W again."
            ) from None


def check_written(limits: Sequence[str]) -> None:
    """What can be told without a device. Raises ``InputError`` for a text that is no limit."""
    for text in limits:
        _parsed(text)


def watts(text: str, limit: PowerLimit) -> float:
    """``250W``, ``250``, ``80%`` of the usual limit, ``min`` or ``max``, in watts. Raises
    ``InputError``."""
    given = _parsed(text)
    if isinstance(given, str):
        return limit.least_w if given == LEAST else limit.most_w
    number, is_share = given
    return round(number / 100 * limit.usual_w) if is_share else number


def _parsed(text: str) -> str | tuple[float, bool]:
    """``min`` or ``max``, or a number and whether it is a share in percent. Raises
    ``InputError``."""
    given = text.strip()
    if given in (LEAST, MOST):
        return given
    is_share = given.endswith(SHARE)
    try:
        number = float(given.removesuffix(SHARE) if is_share else given.upper().removesuffix("W"))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise InputError(
            f"--limits {text!r}: write watts such as 250W, a share of the usual limit such as 80%, "
            "min or max."
        )
    return number, is_share
