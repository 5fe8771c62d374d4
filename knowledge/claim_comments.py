"""Reading the claims of a page from its comments (see :class:`knowledge.claims.Claim`)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

from knowledge.claims import At, Claim, Quantity
from knowledge.markup import Lines, Region, RegionKind

MAX_CLAIM_CHARACTERS = 8192
_MARK = re.compile(r"\s*tonnage:claim[ \t]*(?:\r?\n|$)")
_ID = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_REQUIRED = ("id", "text", "lever", "from", "to", "quantity")
_FIELDS = {
    *_REQUIRED,
    *("low", "high", "at", "workload", "config", "devices", "source"),
}

_Option = TypeVar("_Option", Quantity, At)


@dataclass(frozen=True)
class ClaimProblem:
    """Why a claim cannot be read; ``line`` is that of its comment."""

    line: int
    message: str
    instead: str


class _Broken(Exception):
    def __init__(self, message: str, instead: str) -> None:
        super().__init__(message)
        self.message = message
        self.instead = instead


def read_claims(
    text: str, found: Iterable[Region], page: str
) -> tuple[tuple[Claim, ...], tuple[ClaimProblem, ...]]:
    """The claims in the comments of a page, and the comments that are meant as one but are not.

    ``page`` is its full name. A claim whose id occurred before on the page is a problem.
    """
    lines = Lines(text)
    claims: dict[str, Claim] = {}
    problems: list[ClaimProblem] = []
    for region in found:
        if region.kind is not RegionKind.COMMENT:
            continue
        inner = region.inner(text)
        mark = _MARK.match(inner)
        if mark is None:
            continue
        line = lines.at(region.start)
        try:
            claim = _claim(inner[mark.end() :], page, line)
            if claim.id in claims:
                first = claims[claim.id].line
                raise _Broken(
                    f"The id {claim.id!r} is taken by the claim in line {first}.",
                    "Give each claim of a page an id of its own.",
                )
        except _Broken as error:
            problems.append(ClaimProblem(line, error.message, error.instead))
        else:
            claims[claim.id] = claim
    return tuple(claims.values()), tuple(problems)


def _claim(toml: str, page: str, line: int) -> Claim:
    fields = _fields(toml)
    missing = [name for name in _REQUIRED if name not in fields]
    if missing:
        raise _Broken(f"The claim lacks {', '.join(missing)}.", f"Add a line like {missing[0]} = …")
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        raise _Broken(f"A claim has no field {unknown[0]!r}.", f"Use {', '.join(sorted(_FIELDS))}.")
    identifier = _string(fields, "id")
    if not _ID.match(identifier):
        raise _Broken(
            f"{identifier!r} is not a valid id of a claim.",
            "Use small letters, digits and hyphens, like peak-memory.",
        )
    low, high = _bound(fields, "low"), _bound(fields, "high")
    if low is None and high is None:
        raise _Broken("The claim has no range.", "Give low, high or both, like low = -0.6.")
    if low is not None and high is not None and low > high:
        raise _Broken(f"low ({low:g}) is above high ({high:g}).", "Exchange the two.")
    if fields["from"] == fields["to"]:
        raise _Broken("from and to are equal.", "State two values of the lever.")
    claim = Claim(
        page=page,
        id=identifier,
        text=_string(fields, "text"),
        lever=_string(fields, "lever"),
        before=fields["from"],
        after=fields["to"],
        quantity=_choice(Quantity, fields, "quantity"),
        low=low,
        high=high,
        at=_choice(At, {"at": At.SAME_BATCH, **fields}, "at"),
        workload=_string(fields, "workload") if "workload" in fields else None,
        config=_table(fields),
        devices=_strings(fields, "devices"),
        source=_string(fields, "source") if "source" in fields else "",
        line=line,
    )
    try:
        claim.changes  # noqa: B018
    except ValueError as error:
        raise _Broken(
            f"{claim.lever} needs a list of values in from and in to, one for each lever.",
            'Write lever = "a+b", from = [1, 2], to = [3, 4].',
        ) from error
    return claim


def _fields(toml: str) -> dict[str, Any]:
    if len(toml) > MAX_CLAIM_CHARACTERS:
        raise _Broken(
            f"The claim has {len(toml)} characters; {MAX_CLAIM_CHARACTERS} are allowed.",
            "Put prose into the page and only the fields into the comment.",
        )
    try:
        return tomllib.loads(toml.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise _Broken(
            f"The claim is not TOML: {error}.", 'Write lines like quantity = "peak_memory".'
        ) from error


def _string(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value.strip():
        raise _Broken(f"{name} is not a text.", f'Write {name} = "…".')
    return value


def _strings(fields: dict[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Broken(f"{name} is not a list of texts.", f'Write {name} = ["cuda"].')
    return tuple(value)


def _table(fields: dict[str, Any]) -> dict[str, Any]:
    value = fields.get("config", {})
    if not isinstance(value, dict):
        raise _Broken("config is not a table.", "Write config = { layers = 4 }.")
    return value


def _bound(fields: dict[str, Any], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise _Broken(
            f"{name} is not a number.",
            f"Write a relative change, like {name} = -0.5 for 50 % less.",
        )
    return float(value)


def _choice(options: type[_Option], fields: dict[str, Any], name: str) -> _Option:
    try:
        return options(fields[name])
    except ValueError:
        known = ", ".join(option.value for option in options)
        raise _Broken(f"{name} cannot be {fields[name]!r}.", f"Use one of {known}.") from None
