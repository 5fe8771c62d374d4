"""Which tasks the service may evaluate: those that Tonnage has, and those in ``tonnage.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import NotAllowed, NotRegistered
from app.names import nearest
from app.settings import Settings
from finetuning.evaluation.language import OPTIONS as LANGUAGE_OPTIONS
from finetuning.evaluation.language import LanguageTask
from finetuning.tasks.registry import load_task
from probes.errors import InputError


@dataclass(frozen=True)
class KnownTask:
    """A task that a request may name."""

    name: str
    about: str
    options: tuple[str, ...] = ()
    """What a request may set of it."""
    place: str = ""
    """Of one in ``tonnage.toml``: as ``tonnage finetune evaluate --task`` takes it."""


BUILT_IN = (
    KnownTask(
        "language",
        "Perplexity, BLEU, ROUGE-L, exact match and speed on the held-out rows.",
        LANGUAGE_OPTIONS,
    ),
    KnownTask(
        "snake",
        "The model plays real games: win rate, score, decision accuracy, illegal moves.",
        (*("games", "grid_size", "seed", "heuristic", "patience", "concurrent"), "max_new_tokens"),
    ),
)


def known_tasks(settings: Settings) -> dict[str, KnownTask]:
    """By name: the built-in ones, then those that are registered."""
    own = settings.finetuning.tasks.items()
    registered = [KnownTask(name, "Registered in tonnage.toml.", (), place) for name, place in own]
    return {task.name: task for task in (*BUILT_IN, *registered)}


def task_of(settings: Settings, name: str, options: Mapping[str, Any]) -> KnownTask:
    """The task of a name, with options that it takes.

    Raises ``NotRegistered``; ``NotAllowed`` for an option that a request may not set; and
    ``InputError`` for a value that makes no sense.
    """
    known = known_tasks(settings)
    if name not in known:
        near = nearest(name, known)
        suggestion = f" Did you mean {near}?" if near else ""
        raise NotRegistered(
            f"The task {name!r} is not registered here.{suggestion} Registered: "
            f"{', '.join(known)}. The operator of the service can register more in tonnage.toml: "
            '[finetuning.tasks] NAME = "PATH"'
        )
    task = known[name]
    check_options(task, options)
    return task


def check_options(task: KnownTask, options: Mapping[str, Any]) -> None:
    """See ``task_of``."""
    unknown = [option for option in options if option not in task.options]
    if unknown:
        may = f"It may set {', '.join(task.options)}." if task.options else "It may set none."
        raise NotAllowed(f"A request may not set {', '.join(unknown)} of {task.name}. {may}")
    try:
        if task.name == "language":
            LanguageTask([], **options)
        elif not task.place:
            load_task(task.name, options)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise InputError(f"options of {task.name}, {given}: {error}.") from None


def task_options(
    tasks: Sequence[str], options: Mapping[str, Any], label: str
) -> dict[str, dict[str, Any]]:
    """Options by task: ``games=20`` where there is one task, ``snake.games=20`` where several.

    ``label`` is what an error calls them. Raises ``InputError`` for an option that names no task of
    several.
    """
    sorted_out: dict[str, dict[str, Any]] = {}
    for name, value in options.items():
        task, separator, option = name.rpartition(".")
        if not separator and len(tasks) == 1:
            task = tasks[0]
        if task not in tasks:
            raise InputError(
                f"{label} {name}: there are several tasks; write TASK.{option or name}=VALUE with "
                f"one of {', '.join(tasks)}."
                if not separator
                else f"{label} {name}: {task} is not among the tasks ({', '.join(tasks)})."
            )
        sorted_out.setdefault(task, {})[option or name] = value
    return sorted_out
