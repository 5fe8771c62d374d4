"""The parts of an answer as people read them: on a terminal and on a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from probes.formatting import NOTHING, duration_text, plural, three_digits

KWH_J = 3.6e6


def money_text(amount: float | None, currency: str) -> str:
    """``1.20 EUR``; small amounts with three digits."""
    if amount is None:
        return NOTHING
    shown = f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else three_digits(amount)
    return f"{shown} {currency}"


def joules_text(joules: float | None) -> str:
    """``820 J``, ``12.3 kJ``, ``1.25 kWh``."""
    if joules is None:
        return NOTHING
    if joules >= 0.1 * KWH_J:
        return f"{three_digits(joules / KWH_J)} kWh"
    if joules >= 1000:
        return f"{three_digits(joules / 1000)} kJ"
    return f"{three_digits(joules)} J"


def range_text(amount: Mapping[str, float] | None, text: Callable[[float], str]) -> str:
    """``5 h (4 h 50 min to 5 h 10 min)``; one number where the interval is one."""
    if amount is None:
        return NOTHING
    mean, low, high = (text(amount[key]) for key in ("mean", "low", "high"))
    return mean if low == high else f"{mean} ({low} to {high})"


def cost_text(row: Mapping[str, Any], currency: str) -> str:
    if row["cost"] is None:
        return NOTHING
    text = range_text(row["cost"], lambda amount: money_text(amount, currency))
    return f"{text}, estimated" if row["cost_basis"] == "estimated" and _told(row) else text


def energy_text(row: Mapping[str, Any], key: str) -> str:
    amount = row[key]
    if amount is None:
        return NOTHING
    text = joules_text(amount["mean"])
    return f"{text} (estimate)" if row["energy_basis"] == "estimated" else text


def carbon_text(row: Mapping[str, Any]) -> str:
    """Always an estimate."""
    grams = row["carbon_g"]
    if grams is None:
        return NOTHING
    mean = grams["mean"]
    text = f"{three_digits(mean / 1000)} kg" if mean >= 1000 else f"{three_digits(mean)} g"
    return f"{text} CO2e (estimate)"


def meets_text(row: Mapping[str, Any], currency: str) -> str:
    """Whether the limits are met, and if not, by how much they are missed."""
    if row["meets"] is None:
        return NOTHING
    missed = missed_text(row["misses"], currency)
    if row["basis"] == "prior":
        return "perhaps" if not missed else f"perhaps not: {missed}"
    return "yes" if not missed else f"no: {missed}"


def missed_text(misses: Mapping[str, Any], currency: str) -> str:
    """Empty where nothing is missed."""
    words = []
    if misses["time_s"]:
        words.append(f"{duration_text(misses['time_s'])} too late")
    if misses["money"]:
        words.append(f"{money_text(misses['money'], currency)} too much")
    if misses["cost_unknown"]:
        words.append("its cost is not known")
    return ", ".join(words)


def ask_text(answer: Mapping[str, Any]) -> str:
    """``40 epochs (40,000 samples), done in 6 h, for at most 12.00 EUR``."""
    training = answer["training"]
    if training["epochs"] is not None:
        epochs = training["epochs"]
        number = f"{epochs:g} epoch{'' if epochs == 1 else 's'}"
        words = [f"{number} ({plural(training['samples'], 'sample')})"]
    elif training["samples"] is not None:
        words = [plural(training["samples"], "sample")]
    else:
        cycles = answer["cycles"] or 1
        number = f"{cycles:g} cycle{'' if cycles == 1 else 's'}"
        words = [f"{number} of {training['cycle_batches']:,} batches"]
    if answer["deadline_s"] is not None:
        words.append(f"done in {duration_text(answer['deadline_s'])}")
    if answer["budget_money"] is not None:
        words.append(f"for at most {money_text(answer['budget_money'], answer['currency'])}")
    return ", ".join(words)


def nearest_text(answer: Mapping[str, Any]) -> list[str]:
    """Which class comes nearest, and what would make it possible. Empty where one is chosen."""
    near = answer["nearest"]
    if near is None:
        return []
    currency = answer["currency"]
    found = [
        f"No measured class meets the limits. {near['name']} comes nearest: "
        f"{missed_text(near['misses'], currency)}."
    ]
    needs = []
    if answer["deadline_s"] is not None and near["misses"]["time_s"]:
        seconds = near["needs_deadline_s"]
        needs.append(f"{duration_text(seconds)} (--deadline {seconds}s)")
    if answer["budget_money"] is not None and near["misses"]["money"]:
        money = math.ceil(near["needs_money"] * 100) / 100
        needs.append(f"{money_text(money, currency)} (--budget-money {money:.2f})")
    if needs:
        found.append(f"It needs {' and '.join(needs)}, or less training.")
    fits = near["fits"]
    if fits is not None:
        if "epochs" in fits:
            amount = f"{three_digits(fits['epochs'])} epochs"
        else:
            amount = f"{plural(fits['samples'], 'sample')}"
        found.append(f"Within the limits it trains {amount}.")
    return found


def probe_text(answer: Mapping[str, Any]) -> list[str]:
    """The next probe as sentences, with the command to copy."""
    probe = answer["next_probe"]
    if probe is None:
        if answer["verdict"] == "unmeasured":
            return [f"Nothing is measured yet. Start with: tonnage tune {answer['workload']}"]
        return ["The choice is settled: no probe is expected to improve it."]
    if probe["is_unseen"]:
        price = "How long it takes is not known"
    else:
        price = f"It takes about {duration_text(probe['seconds'])}"
        if probe["money"] is not None:
            price += f" and {money_text(probe['money'], answer['currency'])}"
    left = probe["others"]
    rest = (
        "Whatever it shows, the choice is settled after it."
        if left == 0
        else f"After it, up to {plural(left, 'other config')} could still be better."
    )
    return [
        f"A probe on {probe['name']} could change the answer. {price}. {rest}",
        f"Run there: {probe['command']}",
    ]


def _told(row: Mapping[str, Any]) -> bool:
    """Whether the row is measured: that a prior is an estimate is said of all of it."""
    return bool(row["basis"] == "measured")
