"""A fleet answer as text: what to train on, then every class, then what is open.

``show`` takes the document of ``app.fleet_answers``, so that every command that ends in a fleet
answer prints it alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cli.output import stdout
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
from probes.formatting import NOTHING, duration_text, size_text

if TYPE_CHECKING:
    from rich.table import Table

WINNERS = (("cheapest", "Cheapest"), ("fastest", "Fastest"), ("least_energy", "Least energy"))


def show(answer: dict[str, Any]) -> None:
    """Print it on stdout."""
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
    console.print()
    console.print(_table(answer))
    for row in answer["classes"]:
        for line in _remarks(row):
            console.print(f"  {row['name']}: {line}", markup=False)
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
    return f"not known, because {because[:1].lower()}{because[1:]}"


def _table(answer: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    has_limits = answer["deadline_s"] is not None or answer["budget_money"] is not None
    names = ["device class", "config, batch", "cycle", "training", "peak", "cost", "energy"]
    if answer["with_carbon"]:
        names.append("carbon")
    if has_limits:
        names.append("in time and money")
    for name in names:
        table.add_column(name, overflow="fold")
    for row in answer["classes"]:
        cells = _cells(row, answer)
        if answer["with_carbon"]:
            cells.append(carbon_text(row))
        if has_limits:
            cells.append(meets_text(row, answer["currency"]))
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _cells(row: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    mark = {"measured": "", "prior": " (prior)", "unknown": " (not known)"}[row["basis"]]
    if row["basis"] == "unknown":
        return [row["name"] + mark, *[NOTHING] * 6]
    batch = batch_text(row["batch_size"], row["accumulation"])
    return [
        row["name"] + mark,
        f"{config_text(row['config'])}, {batch}",
        range_text(row["cycle_time_s"], duration_text),
        range_text(row["training_time_s"], duration_text),
        size_text(row["peak_bytes"]),
        f"{cost_text(row, answer['currency'])} ({_per_cycle(row, answer['currency'])})"
        if row["cost"]
        else NOTHING,
        f"{energy_text(row, 'energy_per_cycle_j')} per cycle, "
        f"{energy_text(row, 'energy_per_1000_samples_j')} per 1,000 samples"
        if row["energy_j"]
        else NOTHING,
    ]


def _per_cycle(row: dict[str, Any], currency: str) -> str:
    return f"{money_text(row['cost_per_cycle']['mean'], currency)} per cycle"


def _remarks(row: dict[str, Any]) -> list[str]:
    found = []
    if row["basis"] == "unknown":
        return [f"not known, because {row['because'][:1].lower()}{row['because'][1:]}"]
    if row["basis"] == "prior":
        found.append(f"not measured; {row['source']}.")
    if row["is_smaller_model"]:
        found.append("this model is smaller than the recommended one.")
    if row["cost"] is None:
        found.append(f"cost not known. {row['cost_because']}")
    found += row["notes"]
    return found
