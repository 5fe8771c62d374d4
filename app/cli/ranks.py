"""Several devices that trained as one, as text: what they came to together, and a line per rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.cli.values import batch_text
from optimizer.choose import teams_text
from probes.formatting import NOTHING, plural, size_text
from probes.measurement import Measurement, RankResult, Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from probes.ranks.uneven import Uneven


def run_batch_text(run: Measurement) -> str:
    """As ``batch_text``; of several ranks ``48 on each of 2 ranks = 96 at once, × 3 = 288 samples
    per step``."""
    if not run.ranks:
        return batch_text(run.batch_size, run.accumulation)
    times = f" at once, × {run.accumulation} = {run.effective_batch_size}"
    return (
        f"{run.batch_size} {teams_text(run)} = {run.micro_batch_samples}"
        f"{times if run.accumulation != 1 else ''} samples per step"
    )


def together_rows(run: Measurement) -> list[tuple[str, str]]:
    """Which rank limits and why, and what communication costs; empty for a single device."""
    if not run.ranks:
        return []
    rows = []
    if run.limiting_rank is not None:
        rank = run.ranks[run.limiting_rank]
        why = f"it has the fullest device: {rank.fullness:.0%} of what it may use"
        if rank.verdict is not Verdict.STABLE:
            why = rank.reason
        rows.append(("limiting rank", f"{rank.rank} ({rank.device}): {why}"))
    if run.communication_share is not None:
        rows.append(("communication", f"{run.communication_share:.0%} of a step"))
    return rows


def scaling_rows(scaling: dict[str, Any] | None, note: str) -> list[tuple[str, str]]:
    """``4 ranks: 3.4 × one``; why there is no figure where there is none."""
    rows = []
    if scaling is not None:
        rows.append(
            (
                "scaling",
                f"{plural(scaling['ranks'], 'rank')}: {scaling['speedup']:.2g} × one "
                f"({scaling['efficiency']:.0%} efficient; one alone takes "
                f"{scaling['single_step_s']:.4g} s per step)",
            )
        )
    return [*rows, *([("scaling" if scaling is None else "note", note)] if note else [])]


def rank_table(ranks: list[RankResult]) -> Table:
    """A line per rank: its device, its peak of its limit, its step."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title="Ranks", title_justify="left")
    for name in ("rank", "device", "batch", "verdict", "peak memory", "step"):
        table.add_column(name, justify="left" if name in ("device", "verdict") else "right")
    for each in ranks:
        table.add_row(
            str(each.rank),
            each.device,
            str(each.batch_size),
            NOTHING if each.verdict is None else str(each.verdict),
            f"{size_text(each.peak_bytes)} of {size_text(each.limit_bytes)}",
            NOTHING if each.step_mean_s is None else f"{each.step_mean_s:.4g} s",
        )
    return table


def ranks_document(run: Measurement | None, device: str) -> dict[str, Any]:
    """The keys that say what the ranks came to, for ``--json``. ``device`` is that of a single
    one."""
    ranks = run.ranks if run is not None else []
    return {
        "devices": [each.device for each in ranks] or [device],
        "ranks": run.to_dict()["ranks"] if run is not None else [],
        "data_parallel": run.data_parallel if run is not None else 1,
        "global_batch_size": run.effective_batch_size if run is not None else None,
        "communication_share": run.communication_share if run is not None else None,
    }


def uneven_document(found: Uneven | None) -> dict[str, Any] | None:
    """As ``max-batch --json`` has it."""
    if found is None:
        return None
    step = found.measurement.step_time
    return {
        "batch_sizes": found.batch_sizes,
        "global_batch_size": found.measurement.effective_batch_size,
        "step_time_s": None if step is None else step.mean_s,
        "throughput_gain": found.gain,
    }
