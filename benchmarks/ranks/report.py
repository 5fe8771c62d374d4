"""From records to figures, for people and for the result's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.ranks import accuracy, faults, peers, price
from benchmarks.ranks.records import WorkFile


def document(work: WorkFile) -> tuple[dict[str, Any], str]:
    """Everything that is known, as data and as markdown."""
    data = {
        "faults": faults.summary(work),
        "accuracy": accuracy.summary(work),
        "peers": peers.summary(work),
        "price": price.summary(work),
        "records": {part: work.of(part) for part in ("faults", "accuracy", "scan", "starts")},
    }
    parts = [
        _faults(data["faults"]),
        _accuracy(data["accuracy"]),
        _peers(data["peers"]),
        _price(data["price"]),
    ]
    return data, "\n\n".join(part for part in parts if part) + "\n"


def _faults(found: Mapping[str, Any]) -> str:
    total = found["total"]
    if not total["faults"]:
        return ""
    rows = [
        [name, n["faults"], n["wrong"], n["hung"], n["median_s"], n["longest_s"], n["gone_s"]]
        for name, n in {**found["by_kind"], "all": total}.items()
    ]
    head = ["fault", "runs", "wrong", "hung", "median s", "longest s", "all gone after s, at most"]
    text = [
        f"**Faults on one rank of 2 or 4: {total['hung']} of {total['faults']} hung, "
        f"{total['wrong']} wrong**",
        table(head, rows),
    ]
    text += [f"- {name}: {'; '.join(problems)}" for name, problems in found["wrong"].items()]
    text += [f"- left in the end: {each}" for each in found["left_in_the_end"]]
    return "\n\n".join(text[:2]) + "".join(f"\n{each}" for each in text[2:])


def _accuracy(found: Mapping[str, Any]) -> str:
    total = found["total"]
    if not total["searches"]:
        return ""
    head = ["workload", "searches", "answers", "failed later", "95 % upper bound"]
    head += ["probes", "search s"]
    rows = [
        [
            name,
            n["searches"],
            n["recommended"],
            n["false_safe"],
            f"{n['upper_bound_95']:.0%}",
            n["probes"],
            n["search_s"],
        ]
        for name, n in {**found["by_case"], "all": total}.items()
    ]
    beside = [
        [
            row["case"],
            row["found"],
            f"{'' if row['lasts'] else '≤ '}{row['true']}",
            f"{'' if row['lasts'] else '≥ '}{row['found_over_true']:.3f}",
            row["scanned"],
        ]
        for row in found["beside_scans"]
    ]
    text = [
        f"**2 ranks: {total['false_safe']} of {total['recommended']} answers failed within ten "
        f"times the steps of their confirmation ({total['longer_steps']} steps in all); found/true "
        f"at least {found['lowest_found_over_true']}**",
        table(head, rows),
        table(["search", "found", "true", "found/true", "batches scanned"], beside),
    ]
    text += [f"- {name}: {why}" for name, why in found["failed"].items()]
    text += [
        f"- {name}: lasted, but memory still rose {why}"
        for name, why in found["still_rising"].items()
    ]
    return "\n\n".join(text)


def _peers(found: Mapping[str, Any]) -> str:
    if not found:
        return ""
    head = ["memory, tool", "outcome", "found by rank", "true", "right", "samples", "s", "says"]
    rows = [
        [
            identity,
            r["outcome"],
            ", ".join("–" if batch is None else str(batch) for batch in r["found"]),
            r["true"],
            {True: "yes", False: "no", None: "–"}[r["right"]],
            r["samples"],
            r["wall_s"],
            ""
            if r["outcome"] == "answer"
            else (r["message"].splitlines() or [""])[-1][:160].replace("|", "¦"),
        ]
        for identity, r in found.items()
    ]
    return f"**The same workload on two ranks, by others**\n\n{table(head, rows)}"


def _last_line(text: str) -> str:
    return (text.splitlines() or [""])[-1][:160].replace("|", "¦")


def _price(found: Mapping[str, Any]) -> str:
    if not found["rounds"]:
        return ""
    head = ["ranks", "first s", "later s", "gloo itself s", "first / single", "later / single"]
    head += ["first / goal", "later / goal"]
    keys = ["first_s", "later_s", "gloo_s", "first_over_single", "later_over_single"]
    keys += ["first_over_goal", "later_over_goal"]
    rows = [[ranks, *(n[key] for key in keys)] for ranks, n in found["starts"].items()]
    text = [
        f"**A short probe, medians of {found['rounds']} rounds; the goal is {price.SINGLES} times "
        "a single probe's time and gloo's own**",
        table(head, rows),
    ]
    if found["searches"]:
        pairs = [
            [
                name,
                *(
                    each[ranks][what]
                    for what in ("max_batch", "probes", "seconds")
                    for ranks in "12"
                ),
            ]
            for name, each in found["searches"].items()
        ]
        head = ["search", "batch, 1 rank", "2 ranks", "probes, 1 rank", "2 ranks"]
        text.append(table([*head, "s, 1 rank", "2 ranks"], pairs))
        text.append(f"A search of two ranks takes {found['seconds_gang_over_one']} × one rank's.")
    return "\n\n".join(text)


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        cells = ("–" if cell is None else str(cell) for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
