"""Numbers and times as pages show them. Each function is a template filter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from app.clock import utc_now
from knowledge.model import PageType
from optimizer.formatting import limit_text
from probes.energy.words import energy_rows
from probes.formatting import NOTHING, duration_text, energy_text, plural, size_text, three_digits
from probes.space_text import value_text

PAGE_NAME = re.compile(
    rf"\b((?:{'|'.join(each.namespace for each in PageType)}):[A-Za-z0-9][\w.]*\w)", re.ASCII
)
"""Full name of a knowledge page."""


def minutes(seconds: float | None) -> str:
    """Cycle times, always in minutes so that a column is easy to compare."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    value = seconds / 60
    return f"{value:.2f} min" if value < 10 else f"{value:,.1f} min"


def minutes_up(seconds: float) -> int:
    """Whole minutes, rounded up."""
    return math.ceil(seconds / 60)


def number(value: float | None) -> str:
    """``1,234``, ``12.3``, ``0.0123``: three significant digits, never an exponent."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return three_digits(value)


def count(value: float | None) -> str:
    """Parameters and samples: ``950``, ``12.3 k``, ``7.00 M``, ``1.54 G``."""
    if value is None:
        return NOTHING
    for size_, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size_:
            return f"{three_digits(value / size_)} {unit}"
    return f"{value:,.0f}"


def percent(fraction: float | None) -> str:
    """``0.153`` is ``15.3%``, ``0.05`` is ``5%``."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    digits = 1 if abs(fraction) < 0.9995 else 0
    return f"{fraction * 100:.{digits}f}".removesuffix(".0") + "%"


def ago(moment: datetime | str | None) -> str:
    """``12 s ago``, ``5 min ago``, ``3 h ago``, ``2 d ago``."""
    if moment is None:
        return NOTHING
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    seconds = max((utc_now() - moment) / timedelta(seconds=1), 0.0)
    for size_, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size_:
            return f"{seconds // size_:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def moment(value: datetime | str | None) -> str:
    """``2026-01-02 03:04 UTC``."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.strftime("%Y-%m-%d %H:%M UTC")


def settings(config: Mapping[str, Any] | None) -> str:
    """A config on one line: ``layers=4 width=128``."""
    return " ".join(f"{name}={value_text(value)}" for name, value in (config or {}).items())


def document(value: Any) -> str:
    """Indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def words(name: str) -> str:
    """``does_not_fit`` is ``does not fit``."""
    return name.replace("_", " ")


def sentence(text: str | None) -> str:
    """A text that follows a colon in a terminal, as a sentence of its own. A setting or another
    identifier at its beginning stays as it is."""
    text = (text or "").strip()
    first = text.split(maxsplit=1)[0].rstrip(".:,") if text else ""
    if not any(mark in first for mark in "._="):
        text = text[:1].upper() + text[1:]
    return text + ("" if text.endswith((".", "!", "?")) or not text else ".")


def linked(text: str) -> Markup:
    """A sentence in which names of knowledge pages lead to them; everything else is escaped."""
    parts = PAGE_NAME.split(text)
    return Markup("").join(
        Markup('<a href="/knowledge/pages/{0}">{0}</a>').format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


FILTERS = {
    "ago": ago,
    "count": count,
    "document": document,
    "duration": duration_text,
    "energy": energy_text,
    "energy_rows": energy_rows,
    "limit": limit_text,
    "linked": linked,
    "minutes": minutes,
    "minutes_up": minutes_up,
    "moment": moment,
    "number": number,
    "percent": percent,
    "plural": plural,
    "sentence": sentence,
    "settings": settings,
    "size": size_text,
    "value": value_text,
    "words": words,
}
