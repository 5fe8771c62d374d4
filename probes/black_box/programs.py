"""The programs, interpreters and modules that a command names, as a shell and Python find them.

Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from probes.black_box.launchers import how_to_install

SHELL_WORDS = {"cd", "export", "source", ".", "if", "for", "while", "set", "unset", "ulimit"}
"""Built-ins and keywords of the shell, which are no programs."""


def module_file(module: str, folder: Path) -> Path | None:
    """The file that ``python -m module`` runs, where it lies below ``folder``."""
    path = folder / Path(*module.split("."))
    for file in (path.with_name(f"{path.name}.py"), path / "__main__.py"):
        if file.is_file():
            return file
    return None


def holds_modules(folder: Path, module: str) -> bool:
    """Whether ``python -m module`` in ``folder`` looks for the module below ``folder``. A folder of
    data and a checkout that are called like an installed package, ``trl``, do not hide it."""
    package = folder / module.partition(".")[0]
    if (package / "__init__.py").is_file():
        return True
    is_checkout = (package / package.name).is_dir()
    beside = folder.joinpath(*module.split(".")).parent
    return package.is_dir() and not is_checkout and any(beside.glob("*.py"))


def interpreter_beside(launcher: Path) -> str | None:
    """The interpreter in the first line of an installed program."""
    try:
        with launcher.open("rb") as file:
            first = file.readline(1000).decode(errors="replace")
    except OSError:
        return None
    path = Path(first.removeprefix("#!").strip())
    is_python = first.startswith("#!/") and re.fullmatch(r"python[\d.]*", path.name)
    return str(path) if is_python and os.access(path, os.X_OK) else None


def why_no_program(program: str, folder: Path) -> str:
    """Sentences: that there is no such program to start in ``folder``, and what to do."""
    where = f"There is no program {program!r}: neither in {folder} nor on the PATH."
    if re.match(r"[A-Za-z_]\w*=", program):
        return (
            f"{where} Without a shell a variable cannot be set like this: begin the command with "
            "`env`, or use [commands.NAME.env] in tonnage.toml."
        )
    if program in SHELL_WORDS:
        return (
            f"{where} It is a shell built-in: add --option shell=true, and /bin/sh runs the "
            "command."
        )
    if program and "/" not in program:  # with_name takes no path
        beside = Path(sys.executable).with_name(program)
        if os.access(beside, os.X_OK):
            return f"{where} Tonnage's own environment has {beside}: write this path to use it."
    if (script := folder / program).is_file():
        if script.suffix == ".py":
            return f"{script} is a Python file: write python {program}."
        return f"{script} is not executable: chmod +x makes it so."
    return f"{where} " + (
        how_to_install(program)
        or "Correct the command; {python} stands for the interpreter of --python."
    )


def find_program(program: str, folder: Path) -> str | None:
    """As ``execvp`` finds it once it is in ``folder``."""
    if "/" in program:
        path = folder / Path(program).expanduser()
        return str(path) if path.is_file() and os.access(path, os.X_OK) else None
    return shutil.which(program) or (sys.executable if program == sys.executable else None)
