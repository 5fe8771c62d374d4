"""The data card: ``data_card.json`` for programs and ``data_card.md`` for people."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from finetuning.data.summary import CARD, DataSummary, SourceSummary
from probes.formatting import plural, size_text

MARKDOWN = "data_card.md"
BALANCE = {
    "none": "none: every source trains with the rows it has",
    "down": "down: every source trains with as many rows as the smallest; the others are left out",
    "repeat": "repeat: every source trains with as many rows as the largest; rows are repeated",
}
SOURCE_HEAD = (
    "source", "kind", "files", "read", "dropped", "over limit", "leaked",
    "train", "left out", "repeated", "eval", "test", "groups",
)  # fmt: skip


def write_card(folder: Path, summary: DataSummary) -> None:
    """Write both cards; each is complete or not there. The JSON, written last, marks the folder as
    complete."""
    for name, text in ((MARKDOWN, markdown(summary)), (CARD, summary.to_json())):
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / name)  # noqa: PTH105


def markdown(summary: DataSummary) -> str:
    """The card as a page."""
    settings = summary.settings
    limit = settings["max_samples_per_source"]
    shares = f"{settings['eval_share']:.0%} eval, {settings['test_share']:.0%} test"
    parts = [
        "# Data card",
        _table(
            ("split", "rows", "size", "sha256"),
            (
                (name, f"{one.rows:,}", size_text(one.size_bytes), f"`{one.sha256[:16]}…`")
                for name, one in summary.splits.items()
            ),
        ),
        f"- Split: by group, never within one ({shares}, of the groups of each source)\n"
        f"- Balance of the training rows: {BALANCE[settings['balance']]}\n"
        "- Limit per source: "
        + (f"{plural(limit, 'row')}, whole groups where they fit" if limit else "none")
        + f"\n- Seed: {summary.seed}\n- Fingerprint: `{summary.fingerprint}`",
        "## Sources",
        _table(
            SOURCE_HEAD,
            map(_source_line, summary.sources),
        ),
    ]
    parts += [text for one in summary.sources if (text := _taken(one))]
    parts += ["## Dropped rows", *(_dropped(one) for one in summary.sources)]
    if summary.tokens:
        parts += ["## Lengths", _lengths(summary)]
    if summary.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in summary.notes)]
    return "\n\n".join(parts) + "\n"


def _source_line(one: SourceSummary) -> tuple[str, ...]:
    rows = (
        one.files, one.read, one.read - one.kept, one.over_limit, sum(one.leaked.values()),
        one.rows["train"] - one.left_out + one.repeated, one.left_out, one.repeated,
        one.rows["eval"], one.rows["test"], sum(one.groups.values()),
    )  # fmt: skip
    return (one.name, one.kind, *(f"{count:,}" for count in rows))


def _taken(one: SourceSummary) -> str:
    return f"{one.name}: " + "; ".join(one.taken) + "." if one.taken else ""


def _dropped(one: SourceSummary) -> str:
    if not one.dropped:
        return f"{one.name}: none."
    lines = [f"{one.name}: {plural(one.read - one.kept, 'row')}"]
    for reason, count in sorted(one.dropped.items(), key=lambda item: -item[1]):
        lines.append(f"- {reason}: {count:,}")
        for example in one.examples.get(reason, []):
            text = example["text"].replace("`", "'")
            lines.append(f"  - {example['place']}" + (f": `{text}`" if text else ""))
    return "\n".join(lines)


def _lengths(summary: DataSummary) -> str:
    tokens = summary.tokens
    assert tokens is not None
    return (
        f"Tokens of prompt and completion, over {plural(tokens.rows, 'row')}, by the tokenizer "
        f"{tokens.tokenizer}: half of the rows have at most {tokens.p50:,}, 95 % at most "
        f"{tokens.p95:,}, the longest {tokens.longest:,}. At max_length={tokens.max_length:,}, "
        f"{tokens.truncated:.1%} of the rows are cut off, {tokens.answerless:.1%} before their "
        "completion begins."
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
