"""``tonnage power``: time and energy at several power limits of an NVIDIA device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.dry_run import show_dry_run
from app.cli.given import listed
from app.cli.measuring import MeasuringOptions, measuring_alone
from app.cli.output import print_json, stdout
from probes.errors import InputError

if TYPE_CHECKING:
    from optimizer.ablation.judge import Change
    from optimizer.ablation.power import PowerSweep


@measuring_alone
def power(
    shared: MeasuringOptions,
    *,
    batch_size: Annotated[
        int, typer.Option(min=1, max=options.LARGEST_BATCH, help="Samples per batch.")
    ],
    limits: Annotated[
        str,
        typer.Option(
            help="Power limits to compare with the usual one, separated by commas: watts (250W), "
            "shares of the usual limit (80%), min or max.",
            metavar="LIMITS",
        ),
    ] = "80%,60%",
    rounds: Annotated[
        int,
        typer.Option(
            min=1,
            max=100,
            help="How often each limit is measured. With fewer than 4 there are no intervals.",
        ),
    ] = 4,
) -> None:
    """Measure what a lower power limit saves and what it costs.

    Needs an NVIDIA device and an administrator. Each limit is measured alternately with the
    current one, in a fresh process. The current limit is restored at the end, even if this command
    fails or is killed.

    Exit status 3 if the limit cannot be changed or no sensor measures the energy.

    Example: tonnage power transformer --batch-size 64 --limits 350W,80%,min
    """
    from app.machine.power import check_written, sweep_limits

    texts = listed(limits, "--limits")
    check_written(texts)
    if shared.dry_run:
        show_dry_run(shared, batch_size=batch_size)
        return
    if shared.nodes is not None:
        raise InputError("--nodes: power limits are measured on a device of this host.")
    asked = shared.resolve()

    from app.cli.progress import ProgressDisplay
    from probes.energy.power_limit import PowerLimit

    if asked.target.group is None:
        PowerLimit(asked.target.facts).require()  # before the device is waited for
    with ProgressDisplay() as progress, asked.lease(progress.waiting):
        bench = asked.open_session(progress.worker)
        config = bench.config(asked.pinned)
        found = sweep_limits(bench, config, batch_size, texts, rounds, progress.doing)
    device = asked.target.facts.device
    if shared.json_:
        print_json(document(found, asked.workload.label, config, batch_size, device))
    else:
        show(found, device)


def document(
    found: PowerSweep, workload: str, config: dict[str, Any], batch_size: int, device: str
) -> dict[str, Any]:
    """The document that ``power --json`` prints. Watts, joules and seconds; changes are relative:
    -0.2 is 20 % less."""
    return {
        "workload": workload,
        "config": config,
        "batch_size": batch_size,
        "device": device,
        **found.to_dict(),
    }


def show(found: PowerSweep, device: str) -> None:
    """Print a line per limit, the usual one first."""
    from rich import box
    from rich.table import Table

    from probes.formatting import energy_text

    title = f"Power limits of {device}, {found.rounds} rounds"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("limit", "power", "step", "energy per sample", "time", "energy"):
        table.add_column(name, justify="right")
    for each in (found.usual, *found.limits):
        table.add_row(
            f"{each.limit_w:g} W",
            f"{each.power_w:.0f} W",
            f"{each.step_time_s:.4g} s",
            energy_text(each.energy_per_sample_j),
            change_words(each.step_time_change),
            change_words(each.energy_change),
        )
    console = stdout()
    console.print(table)
    console.print(
        f"Energy: {found.source}, idle power included. The limit is {found.usual.limit_w:g} W "
        "again.",
        markup=False,
    )
    for taint in found.disturbed:
        console.print(f"disturbed: {taint}", markup=False)


def change_words(change: Change | None) -> str:
    """``−20% (−22 to −18%)``; ``usual`` for the limit that the others are compared with."""
    if change is None:
        return "usual"
    value = _percent(change.value)
    if change.high == float("inf"):
        return f"{value}%"
    return f"{value}% ({_percent(change.low)} to {_percent(change.high)}%)"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")
