"""How many rows of each source train: a limit per source, and the balance between sources."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from finetuning.data.row_store import SourceIndex


@dataclass(frozen=True)
class Balanced:
    """What balancing did to the training rows of one source."""

    before: int
    after: int
    rows: tuple[int, ...]
    """Positions, a repeated row as often as it is repeated."""

    @property
    def left_out(self) -> int:
        """Rows that do not train."""
        return max(0, self.before - self.after)

    @property
    def repeated(self) -> int:
        """Rows that were added as copies."""
        return max(0, self.after - self.before)


def sample_groups(
    index: SourceIndex, rows: Sequence[int], limit: int, rng: random.Random, *, exact: bool
) -> list[int]:
    """At most ``limit`` of a source's rows, by whole groups in random order.

    A group that would exceed the limit is passed over. With ``exact``, or where no group fits, the
    rest is filled with a random part of one group, so that exactly ``limit`` rows are taken.
    """
    if len(rows) <= limit:
        return list(rows)
    members: dict[int, list[int]] = {}
    for position in rows:
        members.setdefault(index.group_of[position], []).append(position)
    order = list(members.values())
    rng.shuffle(order)
    chosen: list[int] = []
    too_large: list[list[int]] = []
    for group in order:
        if len(chosen) + len(group) <= limit:
            chosen += group
        else:
            too_large.append(group)
    missing = limit - len(chosen)
    if too_large and missing and (exact or not chosen):
        rest = [position for group in too_large for position in group]
        chosen += rng.sample(too_large[0] if len(too_large[0]) >= missing else rest, missing)
    return sorted(chosen)


def balance(
    indexes: Sequence[SourceIndex], rows: Mapping[str, Sequence[int]], how: str, seed: int
) -> dict[str, Balanced]:
    """The training rows of every source, balanced.

    ``none``: as they are. ``down``: as many of every source as the smallest has, whole groups
    first. ``repeat``: as many as the largest has; every row is repeated equally often, and the
    remainder is drawn at random. A source without rows is left as it is.
    """
    present = [len(rows[index.name]) for index in indexes if rows[index.name]]
    target = {"down": min(present, default=0), "repeat": max(present, default=0)}.get(how)
    result = {}
    for index in indexes:
        before = rows[index.name]
        after = list(before)
        if target is not None and before:
            rng = random.Random(f"balance/{seed}/{index.name}")
            if how == "down":
                after = sample_groups(index, before, target, rng, exact=True)
            else:
                whole, rest = divmod(target, len(before))
                after = list(before) * whole + rng.sample(list(before), rest)
        result[index.name] = Balanced(len(before), len(after), tuple(after))
    return result
