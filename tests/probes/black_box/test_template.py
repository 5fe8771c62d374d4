"""Placeholders: what is filled in, what is left alone, and what is refused."""

from __future__ import annotations

import subprocess

import pytest

from probes.black_box.template import arguments, placeholders, shell_arguments
from probes.errors import InputError

HOSTILE = ["a b", "'; echo pwned; '", '"$(id)"', "`id`", "$HOME", "-rf *", "a\nb", "ü"]


def test_placeholders_are_identifiers_in_single_braces() -> None:
    text = "run {batch_size} model.layers={layers} {{layers}} ${HOME} '{\"a\": 1}' {batch_size}"
    assert placeholders(text) == ["batch_size", "layers"]
    filled = arguments(text, {"batch_size": 8, "layers": 2})
    assert filled == ["run", "8", "model.layers=2", "{layers}", "${HOME}", '{"a": 1}', "8"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_always_one_argument(value: str) -> None:
    assert arguments("run --note {note} x={note}", {"note": value}) == [
        "run", "--note", value, f"x={value}",
    ]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_a_shell_sees_the_value_and_nothing_else(value: str) -> None:
    argv = shell_arguments("printf %s {note} && printf %s x={note}", {"note": value})
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{value}x={value}"


@pytest.mark.parametrize("text", ["echo '{n}'", 'echo "{n}"', "echo `cmd {n}`", 'echo "a \\" {n}"'])
def test_quotes_around_a_placeholder_are_refused_with_a_shell(text: str) -> None:
    with pytest.raises(InputError, match="leave these quotes out"):
        shell_arguments(text, {"n": 1})


def test_quotes_that_have_ended_are_none_of_our_business() -> None:
    assert shell_arguments("echo 'it' \"is\" \\' {n}", {"n": 1})[2] == "echo 'it' \"is\" \\' 1"


def test_an_empty_text_switches_an_option_off() -> None:
    template = "train {flag} --name={flag}"
    assert arguments(template, {"flag": ""}) == ["train", "--name="]
    assert arguments(template, {"flag": "--bf16"}) == ["train", "--bf16", "--name=--bf16"]


def test_plain_values_have_one_spelling() -> None:
    values = {"a": True, "b": None, "c": 1e-05, "d": -3}
    assert arguments("x {a} {b} {c} {d}", values) == ["x", "true", "none", "1e-05", "-3"]


@pytest.mark.parametrize("text", ["", "  ", "train 'unclosed"])
def test_what_is_no_command(text: str) -> None:
    with pytest.raises(InputError):
        arguments(text, {})
