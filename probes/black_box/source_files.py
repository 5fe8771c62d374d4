"""The files whose content decides what a command trains. Standard library only.

A command names its script, or a shell script, a launcher or ``cd`` stands between. What cannot be
followed (variables of a shell, ``make``, a program that is not known) must not go unnoticed: then
all code below the folder counts, so that a change asks for a new measurement rather than for none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from probes.black_box.command import module_file
from probes.black_box.launchers import LaunchTarget, commands_in, shell_text, target_of

SOURCES = {".py", ".sh", ".yaml", ".yml", ".json", ".toml", ".cfg", ".ini"}
CODE = {".py", ".sh"}
CONFIGS = {".yaml", ".yml"}
MOST_SOURCES = 2000
"""A folder with more code than this is no project: of it, only what a script imports counts."""
SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv"}
_DEEPEST = 4
"""Shell scripts that start each other are followed this far."""
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
_READ = re.compile(
    r"""(?:OmegaConf\.load|load\(\s*open|read_text|read)\(\s*["']([^"'\n]+\.(?:ya?ml|toml))["']"""
)
_HYDRA_FOLDER = re.compile(r"""(?:hydra\.main|initialize)\([^)]*?config_path\s*=\s*["']([^"']+)""")
_HYDRA_OPTION = re.compile(r"(?:--config-(?:path|dir)|-cp|-cd)")


class SourceFiles:
    """Collects them into ``found``, for a command that runs in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found: set[Path] = set()
        self._followed: set[Path] = set()
        """Shell scripts that were read."""
        self._is_partial = False
        """Whether something is started that could not be found."""

    def add(self, words: Iterable[str], started: Iterable[list[str]]) -> None:
        """The files that the words of a command name, and what the commands in it start."""
        words = list(words)
        for word in words:
            self.found |= _of_word(self.folder, word)
        self._follow(self.folder, started, _DEEPEST)
        if self._is_partial or not any(path.suffix in CODE for path in self.found):
            self.found |= beside(self.folder.resolve(), CODE)
        for script in [path for path in self.found if path.suffix == ".py"]:
            self.found |= _configs_of(script, self.folder)
        for option, value in zip(words, words[1:], strict=False):
            if _HYDRA_OPTION.fullmatch(option):
                self.found |= beside((self.folder / value).resolve(), CONFIGS)

    def _follow(self, folder: Path, commands: Iterable[list[str]], deep: int) -> None:
        for words in commands:
            if words[0] == "cd" and len(words) > 1:
                inside = (folder / words[1]).resolve()
                folder = inside if inside.is_dir() else folder
                self._is_partial |= not inside.is_dir()
                continue
            if (text := shell_text(words)) is not None:
                self._follow(folder, commands_in(text), deep - 1) if deep else None
                continue
            target = target_of(words)
            named = set[Path]().union(*(_of_word(folder, word) for word in words))
            found = _of_target(folder, target) | named
            if _is_shell(folder / words[0]):
                found.add((folder / words[0]).resolve())
            self._is_partial |= not found and _starts_something(words, target)
            self.found |= found
            for script in found - self._followed:
                if deep and _is_shell(script):
                    self._followed.add(script)
                    text = script.read_text(errors="replace")
                    self._follow(folder, commands_in(text), deep - 1)


def _starts_something(words: list[str], target: LaunchTarget) -> bool:
    """Whether these words may start a training: they name code, a variable or ``make``."""
    program = Path(words[0]).name
    named = any(word.endswith(tuple(CODE)) for word in words)
    return bool(
        named or target.script or target.module or words[0].startswith("$") or program == "make"
    )


def _of_word(folder: Path, word: str) -> set[Path]:
    """The file that a word or the value of an option names, with the code beside a script."""
    path = folder / word.rpartition("=")[2]
    if path.suffix not in SOURCES or not path.is_file():
        return set()
    return {path.resolve()} | (_code_of(path.resolve()) if path.suffix == ".py" else set())


def _of_target(folder: Path, target: LaunchTarget) -> set[Path]:
    """What a launcher starts: the code below ``folder`` for a module, as Python would find it."""
    if target.module:
        path = module_file(target.module, folder)
        if path is None:
            return set()
        return {path.resolve()} | (beside(folder.resolve()) or beside(path.resolve().parent))
    script = folder / target.script
    if target.script and not script.suffix and _is_shell(script):
        return {script.resolve()}
    return _of_word(folder, target.script)


def _is_shell(path: Path) -> bool:
    """Whether it is a script for a shell, which its first line says where its name does not."""
    if path.suffix == ".sh":
        return True
    if path.suffix or not path.is_file():
        return False
    with path.open("rb") as file:
        return re.match(rb"#!.*sh\b", file.readline(200)) is not None


def _code_of(script: Path) -> set[Path]:
    """Every ``.py`` file below the folder of a script; of a folder that is no project, what the
    script imports from there."""
    folder = script.parent
    if found := beside(folder):
        return found
    for name in _IMPORTED.findall(script.read_text(errors="replace")):
        found |= {path for path in (folder / f"{name}.py",) if path.is_file()}
        found |= beside(folder / name)
    return found


def _configs_of(script: Path, folder: Path) -> set[Path]:
    """Configuration files that a script reads by itself: the folder of Hydra's, and those whose
    names stand in the code that reads them."""
    text = script.read_text(errors="replace")
    found: set[Path] = set()
    for inside in _HYDRA_FOLDER.findall(text):
        found |= beside((script.parent / inside).resolve(), CONFIGS)
    for name in _READ.findall(text):
        candidates = (folder / name, script.parent / name)
        found |= {path.resolve() for path in candidates if path.is_file()}
    return found


def beside(folder: Path, suffixes: set[str] | None = None) -> set[Path]:
    """Every ``.py`` file below a folder, or those with the suffixes; none where there are too many
    for a project."""
    found = set(_files(folder, tuple(suffixes or {".py"})))
    return found if len(found) <= MOST_SOURCES else set()


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    seen = 0
    for here, folders, files in os.walk(folder):
        folders[:] = [
            f
            for f in folders
            if f not in SKIPPED_FOLDERS
            and not f.startswith(".")
            and not Path(here, f, "pyvenv.cfg").exists()
        ]
        for name in files:
            if name.endswith(suffixes):
                yield Path(here, name)
        seen += len(files)
        if seen > 50 * MOST_SOURCES:  # a home folder, not a project
            return
