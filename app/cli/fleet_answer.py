"""A fleet answer as text: what to train on, then every class, then what is open.

``show`` takes the document of ``app.fleet_answers``, so that every command that ends in a fleet
answer prints it alike.
"""

from __future__ import annotations

from typing import Any

from app.cli.output import facts_table, stdout
from app.cli.values import batch_text
from app.fleet_answers.words import (
    ask_text,
    carbon_text,
    cost_text,
    energy_text,
    meets_text,
    money_text,
    nearest_text,
    probe_text,
    range_text,
)  # fmt: skip
from optimizer.formatting import config_text
from probes.formatting import duration_text, size_text

WINNERS = (("cheapest", "Cheapest"), ("fastest", "Fastest"), ("least_energy", "Least energy"))


def show(answer: dict[str, Any]) -> None:
    """Print it on stdout."""
    from rich.padding import Padding

    console = stdout()
    console.print(f"\n[bold]Devices[/bold] for {answer['workload']}: ", end="")
    console.print(ask_text(answer), markup=False)
    console.print()
    for key, title in WINNERS:
        winner = answer["winners"].get(key)
        mark = "  <- chosen" if winner and answer["chosen"] and key == answer["prefer"] else ""
        text = _winner(winner, answer) if winner else _no_winner(key, answer)
        console.print(f"  {title + ':':<14}{text}{mark}", markup=False)
    if answer["nearest"] is not None:
        for line in nearest_text(answer):
            console.print(f"  {line}", markup=False)
    for row in answer["classes"]:
        mark = {"measured": "", "prior": " (prior)", "unknown": ""}[row["basis"]]
        console.print(f"\n  {row['name']}{mark}", markup=False)
        console.print(Padding(facts_table(_block(row, answer)), (0, 0, 0, 4)))
    if answer["notes"]:
        console.print()
    for note in answer["notes"]:
        console.print(f"  {note}", markup=False)
    console.print()
    for line in probe_text(answer):
        console.print(f"  {line}", markup=False)


def _winner(row: dict[str, Any], answer: dict[str, Any]) -> str:
    words = [
        row["name"],
        f"{config_text(row['config'])}, batch {batch_text(row['batch_size'], row['accumulation'])}",
        range_text(row["training_time_s"], duration_text),
    ]
    if row["cost"] is not None:
        words.append(cost_text(row, answer["currency"]))
    if row["energy_j"] is not None:
        words.append(energy_text(row, "energy_j"))
    return "; ".join(words)


def _no_winner(key: str, answer: dict[str, Any]) -> str:
    if answer["verdict"] != "possible":
        return "none"
    measured = [row for row in answer["classes"] if row["basis"] == "measured" and row["meets"]]
    reason = "cost_because" if key == "cheapest" else "energy_because"
    because = next((row[reason] for row in measured if row[reason]), "it was not measured.")
    return f"not known, because {_lower(because)}"


def _block(row: dict[str, Any], answer: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of one class, as names and values."""
    if row["basis"] == "unknown":
        return [("not known", f"because {_lower(row['because'])}")]
    currency = answer["currency"]
    batch = batch_text(row["batch_size"], row["accumulation"])
    facts = [
        ("train", f"{config_text(row['config'])}, batch {batch}"),
        ("time", range_text(row["training_time_s"], duration_text)),
        ("cycle", range_text(row["cycle_time_s"], duration_text)),
        ("peak memory", f"{size_text(row['peak_bytes'])} of {size_text(row['memory_bytes'])}"),
    ]
    if row["cost"] is None:
        facts.append(("cost", f"not known. {row['cost_because']}"))
    else:
        per_cycle = money_text(row["cost_per_cycle"]["mean"], currency)
        facts.append(("cost", f"{cost_text(row, currency)}; {per_cycle} per cycle"))
    if row["energy_j"] is None:
        facts.append(("energy", f"not known. {row['energy_because']}"))
    else:
        cycle = energy_text(row, "energy_per_cycle_j")
        samples = energy_text(row, "energy_per_1000_samples_j")
        facts.append(("energy", f"{cycle} per cycle, {samples} per 1,000 samples"))
    if answer["with_carbon"]:
        carbon = carbon_text(row) if row["carbon_g"] else f"not known. {row['carbon_because']}"
        facts.append(("carbon", carbon))
    if answer["deadline_s"] is not None or answer["budget_money"] is not None:
        facts.append(("within limits", meets_text(row, currency)))
    return [*facts, *(("note", remark) for remark in _remarks(row))]


def _remarks(row: dict[str, Any]) -> list[str]:
    found = []
    if row["basis"] == "prior":
        found.append(f"Not measured: {row['source']}.")
    if row["is_smaller_model"]:
        found.append("This model is smaller than the recommended one.")
    return [*found, *row["notes"]]


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
