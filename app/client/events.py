"""Reads server-sent events, and reconnects after a lost connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.client.errors import UnavailableError, foreign, unreachable
from app.client.transport import Transport

ATTEMPTS = 30
"""In a row in which nothing was heard before giving up."""
RECONNECT_S = 1.0


@dataclass(frozen=True)
class StudyEvent:
    """Something that happened to a study (``docs/jobs.md``)."""

    id: int
    """Counts up; give the last one as ``after`` to go on."""
    kind: str
    created_at: str
    data: dict[str, Any]


def events(transport: Transport, path: str, after: int) -> Iterator[StudyEvent]:
    """Every event after ``after`` until the study is over, exactly once even if the connection is
    lost. Raises ``ProblemError``; ``UnavailableError`` when it stays lost."""
    failures = 0
    while True:
        before, heard = after, _Heard()
        try:
            with transport.stream(path, {"Last-Event-ID": str(after)}) as answer:
                if answer.status_code == 204:  # over, and nothing left
                    return
                for event in parse(heard.listen(answer.iter_lines())):
                    after, failures = event.id, 0
                    yield event
            if after == before:
                raise unreachable(transport.base_url, "its stream of events ends without any")
        except UnavailableError:
            failures = 1 if heard.lines else failures + 1
            if failures == ATTEMPTS:
                raise
            transport.pause(RECONNECT_S)
        except (ValueError, KeyError, TypeError):
            raise foreign(transport.base_url) from None


@dataclass
class _Heard:
    """Counts the lines of a stream: a service with nothing to tell still sends comments."""

    lines: int = 0

    def listen(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self.lines += 1
            yield line


def parse(lines: Iterable[str]) -> Iterator[StudyEvent]:
    """Events from the lines of a stream; comments, and an event that was cut off, are left out."""
    fields: dict[str, str] = {}
    for line in lines:
        if line == "":
            if "data" in fields and "id" in fields:
                document = json.loads(fields["data"])
                yield StudyEvent(
                    int(fields["id"]), document["kind"], document["created_at"], document["data"]
                )
            fields = {}
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in fields:
            value = f"{fields['data']}\n{value}"
        if name:
            fields[name] = value
