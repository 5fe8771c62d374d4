"""What a command starts in the end, seen through the launchers in front of it.

``torchrun``, ``accelerate launch``, ``deepspeed``, ``python -m``, ``uv run``, ``bash train.sh`` and
wrappers such as ``env`` and ``nice``. Pure functions on words; standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath

UV_PYTHON = ".venv/bin/python"
"""The interpreter of ``uv run``, below the project's folder."""

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*")
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh"}
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
"""``NAME=value``, as it stands in front of a program."""
OPERATORS = re.compile(r"[();<>|&]+")
"""What ends a command of a shell."""
_MOST_LAUNCHERS = 8
"""Launchers in a row that are looked through."""


@dataclass(frozen=True)
class LaunchTarget:
    """What is started in the end. At most one of ``script``, ``module`` and ``text`` is set."""

    script: str = ""
    """A file, as it is written."""
    module: str = ""
    """A module, as after ``python -m``."""
    python: str = ""
    """The word that says which Python runs it: an interpreter, or a launcher installed beside one.
    Empty where that cannot be told."""
    text: str = ""
    """What a shell is given to run, as after ``bash -c``."""
    arguments: tuple[str, ...] = field(default=(), compare=False)
    """The words that a shell's script or text is given: ``$1`` and so on; of a text, ``$0``
    first."""

    @property
    def name(self) -> str:
        """A short name for people; empty where nothing was found."""
        return self.module or PurePath(self.script).name


@dataclass(frozen=True)
class _Launcher:
    subcommand: str = ""
    is_python: bool = False
    """Whether it starts Python scripts, with the interpreter that it is installed beside. Any other
    launcher starts programs."""
    python: str | None = None
    """The interpreter that it chooses; empty where only the launcher knows, ``None`` where it
    chooses none."""
    package: str = ""
    """What ``pip`` installs it with."""
    module: str = ""
    """What starts it after ``python -m``."""


_TORCHRUN = _Launcher("", True, package="torch", module="torch.distributed.run")
_ACCELERATE = _Launcher("launch", True, package="accelerate", module="accelerate.commands.launch")
_DEEPSPEED = _Launcher("", True, package="deepspeed", module="deepspeed.launcher.runner")
_RUN = _Launcher("run", python="")
_WRAPPER = _Launcher()

_LAUNCHERS = {
    "torchrun": _TORCHRUN,
    "accelerate": _ACCELERATE,
    "accelerate-launch": replace(_ACCELERATE, subcommand=""),
    "deepspeed": _DEEPSPEED,
    "fabric": _Launcher("run", True, package="lightning"),
    "uv": _Launcher("run", python=UV_PYTHON, package="uv"),
    "poetry": replace(_RUN, package="poetry"),
    "pdm": replace(_RUN, package="pdm"),
    "pipenv": replace(_RUN, package="pipenv"),
    **dict.fromkeys(("rye", "hatch", "pixi", "conda", "mamba", "micromamba"), _RUN),
    **dict.fromkeys(("env", "nice", "ionice", "nohup", "time", "stdbuf", "exec"), _WRAPPER),
}
_MODULES = {
    "torch.distributed.run": _TORCHRUN,
    "torch.distributed.launch": _TORCHRUN,
    "accelerate.commands.launch": replace(_ACCELERATE, subcommand=""),
    "deepspeed.launcher.runner": _DEEPSPEED,
    "deepspeed": _DEEPSPEED,
}
_MODULE_OPTIONS = {"-m", "--module"}
_PROGRAM_OPTIONS = {"--no-python", "--no_python"}


def target_of(words: Sequence[str]) -> LaunchTarget:
    """What the words of a command start in the end; an empty target where that cannot be told."""
    python, rest = "", list(words)
    for _ in range(_MOST_LAUNCHERS):
        if not rest:
            break
        program = PurePath(rest[0]).name
        if _is_python(rest[0]):
            python = python or rest[0]
            is_module, rest = _after_python(rest[1:])
            launcher = _MODULES.get(rest[0]) if is_module and rest else None
        elif program in _SHELLS:
            return _of_shell(rest[1:])
        elif program in _LAUNCHERS:
            launcher, is_module = _LAUNCHERS[program], False
            if launcher.is_python and not python:
                python = rest[0]
        else:
            return _unknown(rest, python)
        if launcher is not None:
            options, rest = _after_launcher(launcher, rest[1:])
            is_module = bool(_MODULE_OPTIONS & options)
            if launcher.python is not None:
                python = launcher.python
            starts_script = launcher.is_python and not _PROGRAM_OPTIONS & options
            if not is_module and not starts_script:
                continue
        first = rest[0] if rest else ""
        return (
            LaunchTarget(module=first, python=python)
            if is_module
            else LaunchTarget(first, "", python)
        )
    return LaunchTarget(python=python)


def how_to_install(program: str) -> str:
    """What to do when a launcher is missing; empty for a program that is not a launcher."""
    launcher = _LAUNCHERS.get(PurePath(program).name)
    if launcher is None or not launcher.package:
        return ""
    install = f"Install it with `pip install {launcher.package}`"
    if not launcher.module:
        return f"{install}."
    replaced = f"{PurePath(program).name} {launcher.subcommand}".strip()
    return (
        f"{install} in the environment that trains, or write "
        f"`{{python}} -m {launcher.module}` instead of `{replaced}`."
    )


def is_starter(word: str) -> bool:
    """Whether it names a Python, a launcher or a shell, which start what stands behind them."""
    name = PurePath(word).name
    return _is_python(word) or name in _LAUNCHERS or name in _SHELLS


def _of_shell(words: list[str]) -> LaunchTarget:
    for at, word in enumerate(words):
        if not word.startswith("-"):
            break
        if re.fullmatch(r"-[A-Za-z]*c", word):
            text, *arguments = words[at + 1 :] or [""]
            return LaunchTarget(text=text, arguments=tuple(arguments))
        if word.endswith("o"):  # -o pipefail: the option's name follows
            return _of_shell(words[at + 2 :])
    script, *arguments = _after_options(words)[1] or [""]
    return LaunchTarget(script=script, arguments=tuple(arguments))


def _unknown(words: list[str], python: str) -> LaunchTarget:
    """A program that is no launcher we know: a script itself, or one that is given a script."""
    if _is_script(words[0]):
        return LaunchTarget(words[0], "", python)
    scripts = (w for w in words[1:] if w.endswith(".py") and not w.startswith("-"))
    return LaunchTarget(next(scripts, ""), "", python)


def _after_python(words: list[str]) -> tuple[bool, list[str]]:
    """Whether Python starts a module, and that module or the script with its arguments."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if match := re.match(r"-[A-Za-z]*?m(.*)$", words[at]):
            return True, [*filter(None, [match[1]]), *words[at + 1 :]]
        if re.match(r"-[A-Za-z]*c", words[at]):
            return False, []
        at += 2 if words[at] in ("-X", "-W") else 1
    return False, words[at:]


def _after_launcher(launcher: _Launcher, words: list[str]) -> tuple[set[str], list[str]]:
    """A launcher's own options, and the words of what it starts."""
    if launcher.subcommand:
        if launcher.subcommand not in words:
            return set(), []
        words = words[words.index(launcher.subcommand) + 1 :]
    options, rest = _after_options(words)
    return options, rest if launcher.is_python else _without_assignments(rest)


def _after_options(words: list[str]) -> tuple[set[str], list[str]]:
    """Leading options, and the words behind them.

    The options of launchers are too many to list, so the word after an option is its value unless
    it looks like something that is started.
    """
    options: set[str] = set()
    at = 0
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        at += 1
        if word == "--":
            break
        options.add(word)
        if "=" in word or word in _MODULE_OPTIONS | _PROGRAM_OPTIONS or at == len(words):
            continue
        at += not _may_be_started(words[at])
    return options, words[at:]


def _may_be_started(word: str) -> bool:
    name = PurePath(word).name
    return (
        word.startswith("-")
        or _is_script(word)
        or _is_python(word)
        or name in _LAUNCHERS
        or name in _SHELLS
        or bool(ASSIGNMENT.match(word))
    )


def _is_script(word: str) -> bool:
    return word.endswith((".py", ".sh"))


def _is_python(word: str) -> bool:
    return word == "{python}" or bool(_PYTHON.fullmatch(PurePath(word).name))


def _without_assignments(words: list[str]) -> list[str]:
    """Without the ``NAME=value`` in front of a program."""
    at = 0
    while at < len(words) and ASSIGNMENT.match(words[at]):
        at += 1
    return words[at:]
