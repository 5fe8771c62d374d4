"""The sources of a command: what it starts, followed through shells, launchers and makefiles.

Standard library only.
"""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from probes.black_box import template
from probes.black_box.command import Command
from probes.black_box.launchers import LaunchTarget, is_starter, target_of
from probes.black_box.programs import module_file
from probes.black_box.python_code import (
    MOST_SOURCES,
    OUTPUT_FOLDERS,
    Code,
    config_folder,
    is_config,
    is_file,
    module_code,
    script_code,
    walked,
)
from probes.black_box.shell_text import ShellCommand, ShellText, expanded
from probes.space import Choice

SOURCES = {".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini"}
_DEEPEST = 5
"""Shell scripts that start each other are followed this far."""
_MOST_VALUES = 64
"""Words that a word with placeholders may stand for."""
_LARGEST_PROGRAM = 64 * 2**20
_MAKE = {"make", "gmake"}
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_PRINTS = {"echo", "printf"}
_FOLDER_OPTIONS = {"--config-path", "-cp", "--config-dir", "-cd"}
"""Of Hydra."""
_SHOWN = 60
"""Characters of a command."""


def sources_of(command: Command) -> Code:
    """The files that count for the hash of a command, and what is to be said of others.

    Those are the files in its words that are programs or configurations; the code of a script or
    module that it starts, also where shell scripts, a makefile or ``bash -c`` start it; and the
    configurations that this code names. Where what it starts was not found, all source files below
    its folder count. Data and what the command writes itself are not looked at.
    """
    return _Search(command).found()


class _Search:
    def __init__(self, command: Command) -> None:
        self._command, self._home = command, command.folder
        self._code = Code()
        self._variables = {**os.environ, **command.env}
        self._followed: set[Path] = set()
        self._lost: list[str] = []
        """What is started and was not found, as it is written."""
        self._has_code = False
        """Something that is started was found."""

    def found(self) -> Code:
        command = self._command
        if command.config:
            self._code.files.add(command.config_path.resolve())
        if command.shell:
            text = ShellText(self._home, variables=self._variables)
            for each in text.commands(command.template):
                self._follow(each, _DEEPEST)
        else:
            words = template.split(command.template)
            self._follow(ShellCommand(self._home, words), _DEEPEST)
        if self._lost or not self._has_code:
            self._take_everything()
        self._code.remarks = list(dict.fromkeys(self._code.remarks))
        return self._code

    def _follow(self, each: ShellCommand, deep: int) -> None:
        """Take what one command starts, and the files that its words name."""
        folder, words = each.folder, each.words
        if words[0] in _PRINTS:
            return
        for at, word in enumerate(words if each.is_sure else ()):
            self._take_named(folder, word, words[at + 1 :], deep)
        self._take_folders(words)
        if Path(words[0]).name in _MAKE:
            self._follow_make(folder, words[1:], deep)
            return
        target, starter = _target(words)
        if target.text:
            text = ShellText(folder, arguments=target.arguments[1:], variables=self._variables)
            for inner in text.commands(target.text) if deep else ():
                self._follow(inner, deep - 1)
        elif target.module:
            self._take_module(folder, target.module)
        elif target.script:
            self._take_script(each, target, starter, deep)
        elif starter is None:
            self._take_program(folder, words, deep)

    def _take_named(self, folder: Path, word: str, behind: Sequence[str], deep: int) -> None:
        """The file that a word or the value of an option names, with the code of a script."""
        for text in self._values_of(word.rpartition("=")[2]):
            path = folder / text
            if path.suffix not in SOURCES or not is_file(path):
                continue
            self._code.files.add(path.resolve())
            if path.suffix == ".py":
                self._add(script_code(path, folder, self._home))
            elif path.suffix == ".sh":
                self._follow_script(folder, path, behind, deep)

    def _values_of(self, word: str) -> Iterator[str]:
        """The word with each value that its placeholders may have."""
        known = {
            name: [template.as_text(value) for value in dimension.values()]
            for name in template.placeholders(word)
            if isinstance(dimension := self._command.space.get(name), Choice)
        }
        for values in itertools.islice(itertools.product(*known.values()), _MOST_VALUES):
            text = word
            for name, value in zip(known, values, strict=True):
                text = text.replace(f"{{{name}}}", value)
            yield text

    def _take_folders(self, words: Sequence[str]) -> None:
        """The folders of configurations that Hydra is told of, from the script's or from here."""
        for word, after in itertools.zip_longest(words, words[1:], fillvalue=""):
            option, _, value = word.partition("=")
            if option in _FOLDER_OPTIONS and (value or after):
                scripts = [path for path in self._code.files if path.suffix == ".py"]
                for place in {self._home, *(path.parent for path in scripts)}:
                    if (place / (value or after)).is_dir():
                        self._code.files |= config_folder(place / (value or after))

    def _take_script(
        self, each: ShellCommand, target: LaunchTarget, starter: str | None, deep: int
    ) -> None:
        """``starter``: the program that starts it, where that is a Python, launcher or shell."""
        found = False
        for text in self._values_of(target.script):
            path = each.folder / expanded(text)
            if is_file(path / "__main__.py"):
                path = path / "__main__.py"
            if is_file(path) and each.is_sure:
                found = True
                if target.python or path.suffix == ".py":
                    self._has_code = True
                    self._code.files.add(path.resolve())
                    self._add(script_code(path, each.folder, self._home))
                else:
                    self._follow_script(each.folder, path, target.arguments, deep)
        is_named = any(word.endswith(".py") and is_file(each.folder / word) for word in each.words)
        if not found and starter and not ("$" in target.script and is_named):
            self._lost.append(target.script)

    def _take_module(self, folder: Path, module: str) -> None:
        for place in (folder, folder / "src"):
            if path := module_file(module, place):
                self._has_code = True
                self._add(module_code(path, folder, self._home))
                return

    def _take_program(self, folder: Path, words: Sequence[str], deep: int) -> None:
        """A program of the project itself: a script without a suffix, or one that was built."""
        path = folder / expanded(words[0])
        if "/" not in words[0] or not is_file(path):
            return
        if not path.resolve().is_relative_to(self._home.resolve()):
            return
        first = _first_line(path)
        if not first.startswith("#!"):
            if path.stat().st_size <= _LARGEST_PROGRAM:
                self._code.files.add(path.resolve())
        elif "python" in first:
            if not (path.parent.parent / "pyvenv.cfg").exists():
                self._has_code = True
                self._add(script_code(path, folder, self._home))
        elif "sh" in first:
            self._follow_script(folder, path, words[1:], deep)

    def _follow_script(self, folder: Path, path: Path, arguments: Sequence[str], deep: int) -> None:
        """Add a shell script, and what its commands start and name."""
        path = path.resolve()
        if path in self._followed or not deep:
            return
        self._followed.add(path)
        self._code.files.add(path)
        text = ShellText(folder, script=path, arguments=arguments, variables=self._variables)
        for each in text.commands(path.read_text(errors="replace")):
            self._follow(each, deep - 1)

    def _follow_make(self, folder: Path, words: Sequence[str], deep: int) -> None:
        options = dict(zip(words, words[1:], strict=False))
        folder = folder / options.get("-C", options.get("--directory", ""))
        names = [options["-f"]] if "-f" in options else _MAKEFILES
        path = next((folder / name for name in names if is_file(folder / name)), None)
        if path is None or not deep:
            return
        self._code.files.add(path.resolve())
        given = dict(word.split("=", 1) for word in words if "=" in word)
        text = ShellText(folder, variables={**self._variables, **given})
        for each in text.recipes(path.read_text(errors="replace")):
            self._follow(each, deep - 1)

    def _add(self, code: Code) -> None:
        self._code.files |= code.files
        self._code.remarks += code.remarks

    def _take_everything(self) -> None:
        """Every source file below the folder: an edit is noticed, whatever is started."""
        seen = itertools.islice(walked(self._home, OUTPUT_FOLDERS), 50 * MOST_SOURCES)
        sources = (path for path in seen if _is_source(path))
        found = list(itertools.islice(sources, MOST_SOURCES))
        self._code.files.update(path.resolve() for path in found)
        lost = self._lost[0] if self._lost else self._command.template
        shown = textwrap.shorten(lost, _SHOWN, placeholder=" …")
        if not found:
            self._code.remarks.append(
                f"The script behind `{shown}` was not found, and there is no source file in "
                f"{self._home}: an edit of it is not noticed."
            )
            return
        which = "the nearest" if len(found) == MOST_SOURCES else "all"
        self._code.remarks.append(
            f"The script behind `{shown}` was not found. Instead {which} source files in "
            f"{self._home} count ({len(found)} of code and configuration): an edit of another file "
            "is not noticed."
        )


def _target(words: Sequence[str]) -> tuple[LaunchTarget, str | None]:
    """What a command starts, and the Python, launcher or shell that does; an unknown program may
    have one behind it: ``srun python -m train``."""
    starts = [at for at, word in enumerate(words) if is_starter(word)]
    starter = words[starts[0]] if starts else None
    target = target_of(words)
    if target == LaunchTarget() and starts:
        target = target_of(words[starts[0] :])
    return target, starter


def _is_source(path: Path) -> bool:
    if path.suffix in (".py", ".sh") or path.name in _MAKEFILES:
        return is_file(path) and os.access(path, os.R_OK)
    if path.suffix:
        return is_config(path) and os.access(path, os.R_OK)
    return _first_line(path).startswith("#!")


def _first_line(path: Path) -> str:
    """Of a text file; empty for what cannot be read."""
    try:
        with path.open("rb") as file:
            return file.readline(200).decode(errors="replace")
    except OSError:
        return ""
