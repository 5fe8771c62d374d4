"""Find a workload by name, ``path/to/file.py:NAME`` or ``package.module:NAME``, and describe it.

Runs in the worker, in the user's interpreter. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from probes import levers
from probes.beside import import_beside, is_beside
from probes.errors import InputError
from probes.job import BUNDLE_HASH, WorkloadRef
from probes.space import as_space, dimension_to_dict, unknown_name
from probes.workloads import BUILT_IN
from probes.workloads.interface import REQUIRED, check_interface


@dataclass(frozen=True)
class WorkloadSource:
    """What a reference names: a class, a function that makes a workload, or a workload."""

    thing: Any
    name: str
    module: ModuleType

    @property
    def file(self) -> Path | None:
        """Where a class or function is written, or a workload named."""
        try:
            named = inspect.isclass(self.thing) or inspect.isfunction(self.thing)
            return Path(inspect.getfile(self.thing if named else self.module)).resolve()
        except (TypeError, OSError):
            return None


@dataclass(frozen=True)
class LoadedWorkload:
    """A workload object and what was learned while loading it."""

    workload: Any
    reference: str
    source_hash: str
    files: tuple[str, ...] = ()
    """What the hash was taken over, and the files that options and the workload name; empty for a
    workload from a bundle, which does not change."""
    module: str = ""
    """Where it is defined."""


def load_workload(ref: WorkloadRef) -> LoadedWorkload:
    """Import the class, or the function that makes a workload, and call it with the options as
    keyword arguments; or import the workload itself.

    Raises ``InputError`` when the reference, what it names or an option is wrong. Exceptions of the
    user's own code (an import that fails, a constructor that raises) pass through unchanged.
    """
    if ref.bundle:
        os.chdir(ref.home)
        sys.dont_write_bytecode = True  # the folder stays as it was sent
    source = _find(ref.spec)
    workload = source.thing
    if inspect.isclass(workload) or inspect.isfunction(workload):
        workload = _construct(workload, ref)
    elif ref.options:
        raise InputError(
            f"{ref.spec} is a workload already, so it takes no options "
            f"({', '.join(ref.options)}). Write a function that takes them and returns it."
        )
    check_interface(workload, ref.spec)
    read = getattr(workload, "data_files", ())
    named = [str(v) for v in ref.options.values() if isinstance(v, str) and Path(v).is_file()]
    if ref.bundle:
        hashed = _bundle_hash(source, ref, [*read, *named])
        return LoadedWorkload(workload, ref.spec, hashed, (), source.module.__name__)
    own = _own_files(source)
    files = (*map(str, own), *map(str, read), *named)
    hashed = _source_hash(source, own, ref.options, read)
    return LoadedWorkload(workload, ref.spec, hashed, files, source.module.__name__)


def describe(loaded: LoadedWorkload) -> dict[str, Any]:
    """What the parent needs to plan a study, as plain data. Raises ``InputError``."""
    space = levers.checked(as_space(loaded.workload.space()))
    if "batch_size" in space:
        raise InputError(
            f"{loaded.reference}: batch_size is not a dimension. The batch size is searched for "
            "each config, and batches(config, batch_size) gets it: leave it out of space()."
        )
    dataset_size = getattr(loaded.workload, "dataset_size", None)
    if dataset_size is not None and (not isinstance(dataset_size, int) or dataset_size < 1):
        raise InputError(
            f"{loaded.reference}: dataset_size is {dataset_size!r}; it must be a positive whole "
            "number (of training samples) or None."
        )
    return {
        "workload": loaded.reference,
        "source_hash": loaded.source_hash,
        "files": list(loaded.files),
        "dataset_size": dataset_size,
        "space": {name: dimension_to_dict(d) for name, d in space.items()},
        "evaluates": callable(getattr(loaded.workload, "evaluate", None)),
        "notes": [str(note) for note in getattr(loaded.workload, "notes", [])],
    }


def _source_hash(
    source: WorkloadSource,
    own: Sequence[Path],
    options: dict[str, Any],
    data_files: Sequence[str | Path],
) -> str:
    """Sixteen hex digits over the workload's own modules, options and the files they name.

    Files that options name, and ``data_files`` that the workload says it reads, are represented by
    size and modification time.
    """
    digest = hashlib.sha256()
    digest.update(source.name.encode())
    for path in own:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    facts: dict[str, Any] = {}
    for key, value in sorted(options.items()):
        facts[key] = value
        if isinstance(value, str) and Path(value).is_file():
            facts[key] = _file_facts(Path(value))
    read = sorted(_file_facts(Path(file)) for file in data_files)
    digest.update(json.dumps([facts, read], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _bundle_hash(source: WorkloadSource, ref: WorkloadRef, read: Sequence[str | Path]) -> str:
    """The same on every host where the bundle is unpacked: over the bundle, which stands for all of
    its files, the options, and the files among ``read`` that lie elsewhere."""
    home = Path(ref.home).resolve()
    outside = {file for file in (Path(file).resolve() for file in read) if not _below(file, home)}
    elsewhere = sorted(map(_file_facts, outside))
    facts = [ref.bundle, ref.spec, source.name, sorted(ref.options.items()), elsewhere]
    text = json.dumps(facts, sort_keys=True, default=str)
    return BUNDLE_HASH + hashlib.sha256(text.encode()).hexdigest()[:16]


def _file_facts(file: Path) -> list[Any]:
    stat = file.stat()
    return [str(file), stat.st_size, stat.st_mtime_ns]


def _own_files(source: WorkloadSource) -> list[Path]:
    """Every imported module below the directory of the source's file, so that editing a helper
    next to it invalidates earlier results. Installed packages are not looked at (torch is part of
    the device's fingerprint)."""
    home = source.file
    if home is None:
        return []
    if getattr(source.thing, "__module__", "").startswith("probes.workloads."):
        return sorted(home.parent.glob("*.py"))  # the built-in workloads and what they share
    installed = [Path(p).resolve() for p in {*sysconfig.get_paths().values()} if p]
    if any(_below(home, place) for place in installed):
        return [home]
    ours = Path(__file__).resolve().parents[1]
    names: defaultdict[str, list[str]] = defaultdict(list)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        # torch has modules that claim a relative file which does not exist.
        if isinstance(file, str) and file.endswith(".py") and Path(file).is_absolute():
            folder, name = os.path.split(file)
            names[folder].append(name)
    files = {home}
    for folder in names:  # thousands of modules lie in hundreds of folders
        place = Path(folder).resolve()
        if _below(place, home.parent) and not any(_below(place, p) for p in (*installed, ours)):
            files |= {(place / name).resolve() for name in names[folder]}
    return sorted(files)


def _below(path: Path, folder: Path) -> bool:
    return folder == path or folder in path.parents


def _find(spec: str) -> WorkloadSource:
    if spec in BUILT_IN:
        place, _, name = BUILT_IN[spec].partition(":")
        found = import_beside(place) if is_beside(place) else importlib.import_module(place)
        return _named(found, name, spec)
    place, separator, name = spec.rpartition(":")
    if not separator:
        place, name = spec, ""
    if place.endswith(".py"):
        return _named(_import_file(Path(place)), name, spec)
    if not separator and "." not in spec and "/" not in spec:
        hint = "or give path/to/file.py:Class or package.module:Class."
        raise InputError(f"{unknown_name('workload', spec, BUILT_IN)[:-1]}, {hint}")
    return _named(_import_module(place, spec), name, spec)


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    taken = sys.modules.get(path.stem)
    if path.stem in (*sys.stdlib_module_names, "torch", "probes") or (
        taken is not None and getattr(taken, "__file__", None) != str(path)
    ):
        raise InputError(
            f"{path.name} has the name of a module that is needed itself; rename the file, for "
            f"example to my_{path.name}."
        )
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # what `python path/to/file.py` would do
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported as a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    with _no_exit(path.name):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _no_exit(name: str) -> Iterator[None]:
    """Raise ``InputError`` where a module ends the interpreter that imports it."""
    try:
        yield
    except SystemExit as error:
        code = "" if error.code is None else repr(error.code)
        raise InputError(
            f"{name} calls sys.exit({code}) when it is imported. Put what it runs below "
            'if __name__ == "__main__":'
        ) from error


def _import_module(place: str, spec: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # what `python -m package.module` would do
    if not all(part.isidentifier() for part in place.split(".")):
        raise InputError(
            f"{spec!r} is not a workload: give a registered name ({', '.join(BUILT_IN)}), "
            "path/to/file.py:Class or package.module:Class."
        )
    top = place.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise InputError(
            f"There is no module {top!r} in {Path.cwd()} or in {sys.executable}. For a file, write "
            "its path with .py: path/to/file.py:Class."
        )
    with _no_exit(place):
        return importlib.import_module(place)


def _named(module: ModuleType, name: str, spec: str) -> WorkloadSource:
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }
    candidates = sorted(
        key
        for key, value in vars(module).items()
        if (key in own or not inspect.isclass(value)) and _has_methods(value)
    )
    if not name:
        if len(candidates) == 1:
            return WorkloadSource(vars(module)[candidates[0]], candidates[0], module)
        listing = ", ".join(candidates) or "none"
        raise InputError(f"{spec}: name the workload, {spec}:NAME. Workloads there: {listing}.")
    found = getattr(module, name, None)
    if found is None:
        raise InputError(f"{spec}: {unknown_name('workload', name, candidates or own)}")
    if inspect.isclass(found):
        return WorkloadSource(found, found.__qualname__, module)
    if not inspect.isfunction(found) and not _has_methods(found):
        raise InputError(
            f"{spec}: {name} is a {type(found).__name__}, neither a class, nor a function that "
            "makes a workload, nor a workload."
        )
    return WorkloadSource(found, name, module)


def _has_methods(value: Any) -> bool:
    return all(callable(getattr(value, method, None)) for method in REQUIRED)


def _construct(make: Callable[..., Any], ref: WorkloadRef) -> Any:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):
        return make(**ref.options)
    parameters = signature.parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    accepted = [
        n for n, p in parameters.items() if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    for name in ref.options:
        if not open_ended and name not in accepted:
            raise InputError(f"{ref.spec}: {unknown_name('option', name, accepted)}")
    needed = [n for n in accepted if parameters[n].default is inspect.Parameter.empty]
    missing = [n for n in needed if n not in ref.options]
    if missing:
        listing = " ".join(f"--option {n}=…" for n in missing)
        raise InputError(f"{ref.spec} needs {listing}")
    return make(**ref.options)
