"""The examples in the help of the commands are commands that work."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from app.cli.application import application
from app.settings import load_settings
from app.workloads.registry import entry_of
from knowledge.library import load

GROUP = application()


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _commands(each)


def _examples() -> Iterator[str]:
    for command in _commands(GROUP):
        lines = " ".join((command.help or "").split()).partition("Example: tonnage ")[2]
        if lines:
            yield lines


EXAMPLES = list(_examples())


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_command_with_options_that_exist(example):
    words = shlex.split(example)
    command = GROUP
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context("tonnage", words)


def test_names_in_examples_exist():
    library, settings = load(), load_settings()
    assert len(EXAMPLES) > 20
    for example in EXAMPLES:
        group, name, *rest = shlex.split(example)
        if (group, name) in {("knowledge", each) for each in ("env", "graph", "measure", "show")}:
            assert library.find(rest[0])
        if group in ("choose", "max-batch", "power", "probe", "tune") and ":" not in name:
            assert entry_of(settings, name) is not None
