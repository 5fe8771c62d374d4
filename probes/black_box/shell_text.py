"""The commands in shell text, with the folder that each runs in and its variables filled in.

``cd``, assignments, ``$(dirname "$0")`` and the like are followed where the text alone says what
they are; nothing is run. Standard library only.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from probes.black_box.launchers import ASSIGNMENT, OPERATORS
from probes.black_box.python_code import is_file

_CHANGES_FOLDER = {"cd", "pushd"}
_SETS = {"export", "local", "readonly", "declare", "typeset"}
_READS_FILE = {"source", "."}
_KEYWORDS = {"then", "do", "else", "elif", "if", "while", "until", "!", "{", "command", "builtin"}
"""Words that may stand in front of a command."""
_MOST_JOINED = 20
"""Lines that a quoted text may go on for."""
_DEEPEST = 4
"""Texts within texts that are followed: ``eval``, ``source``."""
_MOST_ROUNDS = 8
_LONGEST = 2**17
"""Characters that are read in all; a longer text is no training script."""
_LONGEST_VALUE = 2000
"""Characters of a variable: those that grow by themselves are left alone."""

_SUBSTITUTION = re.compile(r"\$\(([^()$`]*)\)|`([^`$]*)`")
_NAME = r"[A-Za-z_]\w*|[0-9@*]"
_VARIABLE = re.compile(
    rf"\$(?:(?P<plain>{_NAME})"
    rf"|\{{(?P<name>{_NAME})(?:\[[0@*]\])?(?P<folder>%/\*)?"
    r"(?::?[-=](?P<default>[^{}$]*)|:?\?[^{}$]*)?\})"
)
_HERE_DOCUMENT = re.compile(r"(?<!<)<<-?\s*[\"']?([A-Za-z_]\w*)")
_OF_A_SHELL = re.compile(r"\b(?:ba|da|z|k)?sh\b")
_OWN_PATH = {"0", "BASH_SOURCE"}
_OF_MAKE = re.compile(rf"(?<!\$)\$\(({_NAME})\)")
_MAKE_ASSIGNMENT = re.compile(r"^(?:export\s+)?([A-Za-z_]\w*)\s*[:?]?:?=\s*(.*)$")


@dataclass(frozen=True)
class ShellCommand:
    """One command: where it runs, and its words."""

    folder: Path
    words: list[str]
    is_sure: bool = True
    """Whether the folder is known."""


class ShellText:
    """Reads text as a shell would, from ``folder``.

    Args:
        script: the file that holds the text, which ``$0`` is.
        arguments: what ``$1`` and those after it are.
        variables: those that are set.
    """

    def __init__(
        self,
        folder: Path,
        *,
        script: Path | None = None,
        arguments: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._folder, self._before = folder, folder
        self._is_sure = True
        self._left = _LONGEST
        own = dict.fromkeys(_OWN_PATH, str(script)) if script else {}
        numbered = {str(n): text for n, text in enumerate(arguments, start=1)}
        everything = dict.fromkeys("@*", " ".join(arguments))
        self._variables = {**(variables or {}), **own, **numbered, **everything}

    def commands(self, text: str, deep: int = _DEEPEST) -> Iterator[ShellCommand]:
        """Every command in it. Lines that cannot be split are left out."""
        outer: list[Path] = []
        for words in self._lines(text):
            command: list[str] = []
            for word in [*words, ";"]:
                if not OPERATORS.fullmatch(word):
                    command.append(word)
                    continue
                yield from self._command(command, deep)
                command = []
                for sign in word:
                    if sign == "(":
                        outer.append(self._folder)
                    elif sign == ")" and outer:
                        self._folder = outer.pop()

    def recipes(self, text: str) -> Iterator[ShellCommand]:
        """Every command in a makefile. Each of its lines begins in the same folder."""
        home = self._folder
        text = _OF_MAKE.sub(r"${\1}", re.sub(r"\\\r?\n", " ", text)).replace("$$", "$")
        for line in text.splitlines():
            if line.startswith("\t"):
                yield from self.commands(line.lstrip("\t @-+"))
                self._folder = home
            elif match := _MAKE_ASSIGNMENT.match(line):
                self._variables.setdefault(match[1], self._filled(match[2]))

    def _lines(self, text: str) -> Iterator[list[str]]:
        """The words of every line; a quoted text may go on in the next ones."""
        lines = re.sub(r"\\\r?\n", " ", text[:_LONGEST].replace("\0", "")).splitlines()
        at = 0
        while at < len(lines):
            here = _HERE_DOCUMENT.search(lines[at])
            for end in range(at + 1, min(at + 1 + _MOST_JOINED, len(lines) + 1)):
                if end > at + 1 and not re.search("[\"']", lines[end - 1]):
                    continue  # it ends no quotation
                filled = self._filled("\n".join(lines[at:end]))
                self._left -= len(filled)
                if self._left < 0:
                    return
                words = _split(filled)
                if words is not None:
                    at = end - 1
                    yield words
                    break
            at += 1
            if here and not _OF_A_SHELL.search(lines[at - 1]):
                ends = (n for n in range(at, len(lines)) if lines[n].strip() == here[1])
                at = next(ends, at - 1) + 1

    def _command(self, words: list[str], deep: int) -> Iterator[ShellCommand]:
        while words and words[0] in _KEYWORDS:
            words = words[1:]
        words = [self._filled(word) if "$" in word else word for word in words]
        program = words[0] if words else ""
        if program in _SETS or all(ASSIGNMENT.match(word) for word in words):
            self._set(words)
            return
        while ASSIGNMENT.match(words[0]):
            words = words[1:]
        if program in _CHANGES_FOLDER:
            self._enter(next((w for w in words[1:] if not re.fullmatch(r"--|-[LPe@]+", w)), "~"))
        elif program == "popd":
            self._enter("-")
        elif program == "eval" and deep:
            yield from self.commands(" ".join(words[1:]), deep - 1)
        else:
            yield ShellCommand(self._folder, words, self._is_sure)
            if program in _READS_FILE and deep and len(words) > 1:
                yield from self._read(self._folder / words[1], deep - 1)

    def _read(self, path: Path, deep: int) -> Iterator[ShellCommand]:
        if path.suffix == ".sh" and is_file(path):
            own = {name: self._variables.get(name) for name in _OWN_PATH}
            self._variables |= {"BASH_SOURCE": str(path)}
            yield from self.commands(path.read_text(errors="replace"), deep)
            self._variables |= {name: value for name, value in own.items() if value is not None}

    def _set(self, words: Sequence[str]) -> None:
        for word in words:
            if ASSIGNMENT.match(word):
                name, _, value = word.partition("=")
                value = re.sub(rf"\$(?:{name}\b|\{{{name}[^{{}}]*\}})", "", value)
                self._variables[name] = value if len(value) <= _LONGEST_VALUE else f"${name}"

    def _enter(self, folder: str) -> None:
        if folder == "-":
            self._folder, self._before = self._before, self._folder
            return
        self._before = self._folder
        path = expanded(folder)
        self._is_sure = "$" not in folder and (path.is_absolute() or self._is_sure)
        if self._is_sure:
            self._folder = self._folder / path

    def _filled(self, text: str) -> str:
        """With the variables and substitutions that are known."""
        found = text
        for _ in range(_MOST_ROUNDS):
            before = found
            found = _VARIABLE.sub(self._value, found)
            found = _SUBSTITUTION.sub(self._substituted, found)
            if found == before:
                break
            if len(found) > len(text) + 5 * _LONGEST_VALUE:
                return text
        return found

    def _value(self, match: re.Match[str]) -> str:
        name = match["plain"] or match["name"]
        if name == "PWD":
            return str(self._folder) if self._is_sure else match[0]
        value = self._variables.get(name) or match["default"]
        if value is None:
            return match[0]
        return str(PurePath(value).parent) if match["folder"] else value

    def _substituted(self, match: re.Match[str]) -> str:
        words = _split(match[1] if match[1] is not None else match[2]) or []
        words = [word for word in words if word not in ("--", "-P", "-L")]
        folder = self._folder
        match words:
            case ["pwd", *_] if self._is_sure:
                return str(folder)
            case ["cd", path, *rest] if "pwd" in rest:
                return os.path.normpath(folder / path)
            case ["dirname", path]:
                return str(PurePath(path).parent)
            case ["basename", path]:
                return PurePath(path).name
            case ["realpath" | "readlink", *options, path] if all(
                each.startswith("-") for each in options
            ):
                return os.path.realpath(folder / path)
            case ["git", "rev-parse", "--show-toplevel"]:
                above = (each for each in (self._folder, *self._folder.resolve().parents))
                found = next((each for each in above if (each / ".git").exists()), None)
                return match[0] if found is None else str(found)
            case ["which" | "type", *_, program] | ["command", "-v", program]:
                return program
        return match[0]


def expanded(path: str) -> Path:
    """With the home folder for ``~``, where that is known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _split(text: str) -> list[str] | None:
    """The words and operators; ``None`` where a quotation does not end."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return list(lexer)
    except ValueError:
        return None
