"""The files that a Python program is made of: its modules, and the configurations that they name.

Told from the text; nothing is imported. Standard library only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

MOST_SOURCES = 2000
SKIPPED_FOLDERS = {"node_modules", "site-packages", "__pycache__", "venv"}
OUTPUT_FOLDERS = {
    "artifacts", "checkpoint", "checkpoints", "ckpt", "ckpts", "lightning_logs", "log", "logs",
    "mlruns", "multirun", "out", "output", "outputs", "results", "runs", "tb_logs", "tensorboard",
    "wandb", "work_dirs",
}  # fmt: skip
"""Where programs write what they have done, a copy of their configuration among it."""
_CONFIGS = {".yaml", ".yml", ".toml", ".cfg", ".ini"}
_CONFIG_NAME = re.compile(r"conf|cfg|deepspeed|setting|^ds[_.-]|zero[_-]?\d", re.IGNORECASE)
"""Of a JSON file, which is a result or data more often than a configuration."""
_LARGEST_CONFIG = 2**20
_OWN_CONFIG = "tonnage.toml"
_USUAL_FOLDERS = ("conf", "config", "configs", "cfg", "cfgs")

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]*)|import[ \t]+([^\n#;]+))",
    re.MULTILINE,
)
_NAMED = re.compile(r"""["']([\w./@ -]{1,200}\.(?:ya?ml|toml|cfg|ini|json))["']""")
_WRITES = re.compile(r"""dump|save|write|["'][wax]b?\+?b?["']""")
_HYDRA = re.compile(r"\bhydra\b")
_HYDRA_FOLDER = re.compile(r"""\bconfig_(?:path|dir)\s*=(?!=)\s*(?:r?["']([^"']+)["']|(None)\b)?""")
_HYDRA_NAME = re.compile(r"""\bconfig_name\s*=\s*["']([\w./-]+)["']""")


@dataclass
class Code:
    """Files that count, and sentences about those that do not although they may matter."""

    files: set[Path] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)


def script_code(script: Path, folder: Path, home: Path) -> Code:
    """A script that is started in ``folder``, by a command whose own folder is ``home``: every
    ``.py`` file below its own folder, and what it imports from elsewhere in the project."""
    script = script.resolve()
    return _code(script, script.parent, script.parent, [folder, home])


def module_code(path: Path, folder: Path, home: Path) -> Code:
    """The same for a module that ``python -m`` runs in ``folder``."""
    path, folder = path.resolve(), folder.resolve()
    return _code(path, folder, path.parent, [folder, home])


def _code(path: Path, whole: Path, near: Path, folders: Sequence[Path]) -> Code:
    """``whole`` is the folder whose files count; where it has too many of them, those in ``near``,
    the folder of the file itself."""
    reached = _reached(path, _roots(whole, *folders))
    files = python_files(whole)
    code = Code({path} | reached | (_next_to(near) if files is None else files))
    if files is None:
        code.remarks.append(
            f"{whole} has too many files to compare all of them. Of its code, {path.name}, the "
            f"files next to it and what it imports count ({len(code.files)} in all): an edit of "
            "another file is not noticed."
        )
    _add_configs(code, path, reached, folders)
    return code


def config_folder(path: Path) -> set[Path]:
    """The files below a folder that Hydra reads."""
    has_code = any(path.glob("*.py"))
    below = walked(path, OUTPUT_FOLDERS if has_code else ())
    below = (each for each in below if each.suffix in (".yaml", ".yml"))
    return {each.resolve() for each in islice(below, MOST_SOURCES)}


def is_file(path: Path) -> bool:
    """Never raises: a text that is taken for a path may be none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_config(path: Path) -> bool:
    """Whether a file is a configuration, and neither data nor our own."""
    named = path.suffix in _CONFIGS or (path.suffix == ".json" and _CONFIG_NAME.search(path.stem))
    if not named or path.name == _OWN_CONFIG:
        return False
    return is_file(path) and path.stat().st_size <= _LARGEST_CONFIG


def python_files(folder: Path) -> set[Path] | None:
    """Every ``.py`` file below a folder; ``None`` where there are too many for a project."""
    found: set[Path] = set()
    for seen, path in enumerate(walked(folder, ())):
        if path.suffix == ".py":
            found.add(path)
        if len(found) > MOST_SOURCES or seen > 50 * MOST_SOURCES:  # a home folder, not a project
            return None
    return found


def walked(folder: Path, skipped: Iterable[str]) -> Iterator[Path]:
    """The files below a folder, the nearest first, in an order that does not change."""
    level, leave_out = [folder], {*SKIPPED_FOLDERS, *skipped}
    while level:
        below: list[Path] = []
        for here in level:
            _, folders, files = next(os.walk(here), ("", [], []))
            yield from (here / name for name in sorted(files) if not name.startswith("."))
            wanted = sorted({*folders} - leave_out)
            below += [here / name for name in wanted if _is_entered(here / name)]
        level = below


def _is_entered(folder: Path) -> bool:
    is_hidden = folder.name.startswith(".") or folder.is_symlink()
    return not is_hidden and not (folder / "pyvenv.cfg").exists()


def _next_to(folder: Path) -> set[Path]:
    return {path for path in islice(sorted(folder.glob("*.py")), MOST_SOURCES) if path.is_file()}


# -- modules -----------------------------------------------------------------------------------


def _roots(own: Path, folder: Path, home: Path) -> list[Path]:
    """Where modules may lie: beside the script, in the folders above it up to the command's own,
    and in their ``src``."""
    home = home.resolve()
    above = [each for each in own.parents if each.is_relative_to(home)]
    places = dict.fromkeys([own, *above, folder.resolve(), home])
    return [each for place in places for each in (place, place / "src")]


def _reached(path: Path, roots: Sequence[Path]) -> set[Path]:
    """A file, and the modules below these roots that it and they import."""
    found, waiting = {path}, [path]
    modules = _Modules()
    while waiting and len(found) <= MOST_SOURCES:
        path = waiting.pop()
        for parts, level in _imports(_text(path)):
            places = [path.parents[min(level, len(path.parents)) - 1]] if level else roots
            new = {*modules.files(parts, places)} - found
            found |= new
            waiting += new
    return found


class _Modules:
    """Finds the files of modules, looking at each once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str | Path, ...], list[Path]] = {}

    def files(self, parts: tuple[str, ...], places: Sequence[Path]) -> list[Path]:
        """The file of a module in the first of these folders that has it, and those of its
        packages."""
        found = (self._within(place, *parts) for place in places if parts)
        return next(filter(None, found), [])

    def _within(self, place: Path, *parts: str) -> list[Path]:
        key: tuple[str | Path, ...] = (place, *parts)
        if key not in self._known:
            self._known[key] = self._look(place, *parts)
        return self._known[key]

    def _look(self, place: Path, *parts: str) -> list[Path]:
        path = place.joinpath(*parts)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if is_file(file):
                packages = self._within(place, *parts[:-1]) if len(parts) > 1 else []
                return [file.resolve(), *packages]
        return []


def _imports(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """The parts of the names of modules, and the number of dots in front of them."""
    for start, names, plain in _IMPORT.findall(text):
        for each in plain.split(","):
            if words := each.split():
                yield tuple(words[0].split(".")), 0
        if start:
            module = start.lstrip(".")
            parts, level = tuple(filter(None, module.split("."))), len(start) - len(module)
            yield parts, level
            for each in re.sub(r"#[^\n]*|[()]", "", names).split(","):
                if words := each.split():
                    yield (*parts, words[0]), level


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


# -- configurations ----------------------------------------------------------------------------


def _add_configs(
    code: Code, script: Path, modules: Iterable[Path], folders: Sequence[Path]
) -> None:
    """Add the configurations that these modules name, and do not write."""
    written: set[str] = set()
    named: dict[str, set[Path]] = {}
    for path in sorted(modules):
        text = _text(path)
        for match in _NAMED.finditer(text):
            line = text[text.rfind("\n", 0, match.start()) + 1 :].partition("\n")[0]
            if _WRITES.search(line.replace(match[0], "")):
                written.add(match[1])
            else:
                named.setdefault(match[1], set()).update((path.parent, *folders))
        if _HYDRA.search(text):
            found, is_unknown = _hydra_files(path, text, folders)
            code.files |= found
            if is_unknown and path == script:
                code.remarks.append(
                    f"The folder of configurations that {script.name} gives to Hydra was not "
                    "found: an edit there is not noticed."
                )
    for name, places in named.items():
        if name not in written:
            code.files.update((p / name).resolve() for p in places if is_config(p / name))


def _hydra_files(path: Path, text: str, folders: Sequence[Path]) -> tuple[set[Path], bool]:
    """The configurations of a module that uses Hydra, and whether their folder is not known."""
    found: set[Path] = set()
    is_unknown = False
    for literal, none in _HYDRA_FOLDER.findall(text):
        if literal.startswith("pkg://"):
            parts = literal.removeprefix("pkg://").replace(".", "/")
            places = [folder / parts for folder in (path.parent, *folders)]
        elif literal:
            places = [path.parent / literal]
        else:
            is_unknown |= not none
            continue
        found |= _below(places)
        is_unknown |= not any(place.is_dir() for place in places)
    if is_unknown and not found:
        around = (path.parent, path.parent.parent, *folders)
        found = _below([each / name for each in around for name in _USUAL_FOLDERS])
    for name in _HYDRA_NAME.findall(text):
        config = path.parent / f"{name.removesuffix('.yaml')}.yaml"
        found |= {config.resolve()} if config.is_file() else set()
    return found, is_unknown and not found


def _below(places: Iterable[Path]) -> set[Path]:
    return set().union(*(config_folder(place) for place in places if place.is_dir()))
