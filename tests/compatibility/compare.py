"""What an answer lacks of a golden document. It may always have more."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.compatibility.restore import DUMP

VOLATILE = frozenset({"request_id", "free_bytes", "heartbeat_at", "started_s"})
"""Values that differ from call to call; they must be there."""
ANYTHING = None
"""In a shape: a value that may be of any kind, or absent on another machine."""


def missing(golden: Any, answer: Any, at: str = "") -> Iterator[str]:
    """Every place where ``answer`` lacks a key or has another value. A sentence that is not stored
    in the database may be reworded, but not be left out."""
    if isinstance(golden, dict):
        if not isinstance(answer, dict):
            yield f"{at}: {answer!r} instead of an object"
            return
        for key, value in golden.items():
            if key not in answer:
                yield f"{at}.{key} is gone"
            elif key == "type" and "#" in str(value):  # the page of a problem may move
                yield from missing(value.split("#")[1], answer[key].split("#")[-1], f"{at}.{key}")
            elif key not in VOLATILE:
                yield from missing(value, answer[key], f"{at}.{key}")
    elif isinstance(golden, list):
        yield from _missing_items(golden, answer, at)
    elif isinstance(golden, str) and _may_be_reworded(golden):
        if not isinstance(answer, str) or not answer:
            yield f"{at}: {answer!r} instead of a sentence"
    elif golden != answer:
        yield f"{at}: {answer!r} instead of {golden!r}"


def _missing_items(golden: list[Any], answer: Any, at: str) -> Iterator[str]:
    """The items of ``golden`` must come in their order, with or without others in between."""
    if not isinstance(answer, list):
        yield f"{at}: {answer!r} instead of a list"
        return
    if all(isinstance(item, str) and _may_be_reworded(item) for item in golden):
        if golden and not answer:
            yield f"{at} is empty"
        return
    if (
        golden and isinstance(golden[0], dict) and "format" in golden[0]
    ):  # exports, in whatever order
        by_format = [{item["format"]: item for item in items} for items in (golden, answer)]
        yield from missing(*by_format, at)
        return
    rest = list(answer)
    for number, item in enumerate(golden):
        differing = []
        for place, candidate in enumerate(rest):
            found = list(missing(item, candidate, f"{at}[{number}]"))
            if not found:
                del rest[: place + 1]
                break
            differing.append(found)
        else:
            yield from min(differing, key=len, default=[f"{at}[{number}] is gone"])
            return


def _may_be_reworded(text: str) -> bool:
    """Also for the id of what an answer has just stored."""
    is_other = " " in text or re.fullmatch("[a-z]+_[0-9a-z]{20}", text)
    return bool(is_other) and json.dumps(text)[1:-1] not in _stored()


@cache
def _stored() -> str:
    """What the database tells, without what the checks of then said."""
    lines = DUMP.read_text().replace("''", "'").splitlines()
    return "\n".join(line for line in lines if not line.startswith('INSERT INTO "tonnage_checks"'))


def shape(document: Any) -> Any:
    """The keys of a document and the kinds of its values; of a list, those of its first item."""
    if isinstance(document, dict):
        if set(document) == {"missing"}:  # a reading that another machine may have
            return ANYTHING
        return {key: shape(value) for key, value in document.items()}
    if isinstance(document, list):
        return [shape(item) for item in document[:1]]
    if document is None:
        return ANYTHING
    return "number" if isinstance(document, float) else type(document).__name__


def misshapen(golden: Any, document: Any, at: str = "") -> Iterator[str]:
    """Every place where a document lacks a key of the golden shape, or has another kind there."""
    is_missing = isinstance(document, dict) and set(document) == {"missing"}
    if golden is ANYTHING or document is None or is_missing:
        return
    if isinstance(golden, dict):
        if not isinstance(document, dict):
            yield f"{at}: {document!r} instead of an object"
        else:
            for key, value in golden.items():
                if key not in document:
                    yield f"{at}.{key} is gone"
                else:
                    yield from misshapen(value, document[key], f"{at}.{key}")
    elif isinstance(golden, list):
        if not isinstance(document, list):
            yield f"{at}: {document!r} instead of a list"
        for item in document if golden and isinstance(document, list) else []:
            yield from misshapen(golden[0], item, f"{at}[]")
    elif {golden, shape(document)} - {"int", "number"} and golden != shape(document):
        yield f"{at}: {document!r} instead of {golden}"
