"""Tasks by name, and a user's own from a file. Nothing heavy is imported here."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from finetuning.tasks.task import Task
from probes.errors import InputError
from probes.space import unknown_name

TASKS: dict[str, str] = {
    "snake": "finetuning.tasks.snake:SnakeTask",
    "lm_eval": "finetuning.tasks.lm_eval:LmEvalTask",
}
"""Name of each task, and the class that it is."""


def load_task(spec: str, options: Mapping[str, Any] | None = None) -> Task:
    """A registered task, the class of ``path/to/file.py:Class``, or the task of lm-evaluation-
    harness in ``path/to/task.yaml``, made with these options.

    A registered name may be written with hyphens (``lm-eval``).

    Raises ``InputError`` where there is no such task, where it does not have the interface, or for
    an option that it does not know.
    """
    given = dict(options or {})
    if spec.endswith((".yaml", ".yml")):
        given, spec = {**given, "yaml": spec}, "lm_eval"
    known = spec.replace("-", "_")
    if known in TASKS:
        place, _, name = TASKS[known].partition(":")
        made = getattr(importlib.import_module(place), name)
    else:
        made = _own(spec)
    task = _construct(made, spec, given)
    if not isinstance(task, Task):
        raise InputError(
            f"{spec} is not a task: it needs name, metrics, items() and "
            "evaluate(model, items, done)."
        )
    return task


def check_options(task: str, options: Iterable[str], known: Sequence[str]) -> None:
    """Raise ``InputError`` for an option that the task does not have."""
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            suggestion = f" Did you mean {near[0]}?" if near else ""
            has = f"It has {', '.join(known)}." if known else "It has none."
            raise InputError(f"The task {task} has no option {option}.{suggestion} {has}")


def _own(spec: str) -> Callable[..., Any]:
    place, separator, name = spec.rpartition(":")
    if not (separator and place.endswith(".py") and name):
        hint = "or give path/to/file.py:Class."
        raise InputError(f"{unknown_name('task', spec, ['language', *TASKS])[:-1]}, {hint}")
    module = _import_file(Path(place))
    found = getattr(module, name, None)
    if found is None:
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise InputError(f"{spec}: {unknown_name('class', name, classes)}")
    if not callable(found):
        raise InputError(f"{spec} is not a class; name the class of the task.")
    made: Callable[..., Any] = found
    return made


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that the file may import its neighbours
    name = f"tonnage_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported as a Python module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _construct(made: Callable[..., Any], spec: str, options: dict[str, Any]) -> Any:
    parameters = inspect.signature(made).parameters.values()
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if all(one.kind is not inspect.Parameter.VAR_KEYWORD for one in parameters):
        check_options(spec, options, [one.name for one in parameters if one.kind in named])
    needed = [one.name for one in parameters if one.kind in named and one.default is one.empty]
    missing = [option for option in needed if option not in options]
    if missing:
        raise InputError(f"{spec} needs the option{'s' * (len(missing) > 1)} {', '.join(missing)}.")
    return made(**options)
