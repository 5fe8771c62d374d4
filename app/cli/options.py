"""The options that several commands share, written once, and options that are a dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer

from app.names import KEY_VARIABLE, SERVER_VARIABLE

LARGEST_BATCH = 2**31
"""No program trains on more samples at once."""
MOST_STEPS = 10**9
"""Of a cycle; also of samples per optimizer step."""
MOST_TRIALS = 100_000
LARGEST_SCALE = 1000.0

WorkloadOrCommand = Annotated[
    str | None,
    typer.Argument(
        help="What to train: a registered name (visnet, causal-lm, sft, convnet, transformer), "
        "path/to/file.py:Class or package.module:Class. Omit it with --command.",
        metavar="WORKLOAD",
    ),
]
Command = Annotated[
    str | None,
    typer.Option(
        help="Measure an unmodified training command instead of a workload, for example 'python "
        "train.py --batch-size {batch_size} --layers {layers}'. Tonnage puts the batch size "
        "in place of {batch_size}. With several ranks ({ranks}), nearly all scripts expect the "
        "batch of one rank.",
        metavar="TEMPLATE",
    ),
]
Space = Annotated[
    list[str] | None,
    typer.Option(
        help="With --command: the values to try for a placeholder, such as layers=2..12 or "
        "width=64,128,256. Repeatable.",
        metavar="NAME=VALUES",
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        help="With --command: a regular expression that matches the line printed at the end of "
        "each step. Default: steps are found in the output.",
        metavar="REGEX",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="With --command: print the exact commands that would run, and exit."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda:0, mps or xpu:0. Default: the best one of this machine."),
]
Devices = Annotated[
    str | None,
    typer.Option(
        help="Train on several devices as one: how many, all, or which, such as cuda:0,cuda:1 or "
        "cuda:0-3. Ranks can share the CPU: --device cpu --devices 2.",
        metavar="N|all|NAMES",
    ),
]
PlannedDevices = Annotated[
    str | None,
    typer.Option(
        help="Plan a run on several devices as one: how many, all, or which, such as cuda:0,cuda:1 "
        "or cuda:0-3. Ranks can share the CPU: --device cpu --devices 2.",
        metavar="N|all|NAMES",
    ),
]
RunDevices = Annotated[
    str | None,
    typer.Option(
        help="The devices that the run trains on as one: how many, all, or which, such as "
        "cuda:0,cuda:1 or cuda:0-3. Ranks can share the CPU: --device cpu --devices 2.",
        metavar="N|all|NAMES",
    ),
]
Nodes = Annotated[
    str | None,
    typer.Option(
        help="Number of nodes to spread the devices over. auto: as few as possible. This host must "
        "belong to a fleet. Example: --devices 8 --nodes 2.",
        metavar="N|auto",
    ),
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        help="Emulate a device with less memory, for example 2GiB. On the CPU, this is how much "
        "memory the device has.",
        metavar="SIZE",
    ),
]
RankBudget = Annotated[
    str | None,
    typer.Option(
        help="Emulate a device with less memory, for example 2GiB. On the CPU, this is how much "
        "memory the device has. With --devices it is for each rank; 1GiB,512MiB gives one each.",
        metavar="SIZE",
    ),
]
Python = Annotated[
    str | None,
    typer.Option(
        help="The Python interpreter to train with. Default: that of the active virtual "
        "environment if it has torch, otherwise Tonnage's own.",
        metavar="PATH",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Fix a dimension of the search space or a lever, such as layers=4 or precision=bf16. "
        "Repeatable.",
        metavar="NAME=VALUE",
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="Set a parameter of the workload, such as data=pocket.pdb. Repeatable.",
        metavar="NAME=VALUE",
    ),
]
Headroom = Annotated[
    float | None,
    typer.Option(
        help="Fraction of the device's memory to keep free. Default: the configured value (0.05).",
        min=0.0,
        max=0.5,
    ),
]
Fleet = Annotated[
    str | None,
    typer.Option(
        help="Use the fleet whose head is at this address, such as 10.0.0.5:6379; auto: the one "
        "that this host has joined.",
        metavar="ADDRESS|auto",
    ),
]
FleetOrService = Annotated[
    str | None,
    typer.Option(
        help="Run the study on a fleet and follow it: the URL of its service (http://HOST:8765); "
        "or auto or the address of its head, where its database is configured here.",
        metavar="URL|ADDRESS|auto",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="The file with the fleet's token. Default: RAY_AUTH_TOKEN_PATH, or the one that this "
        "host has.",
        metavar="FILE",
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        help="Where results are stored: sqlite:///PATH or postgresql://USER@HOST/NAME. Default: "
        "the configured URL, or a file in your data folder.",
        metavar="URL",
    ),
]
EffectiveBatchSize = Annotated[
    int | None,
    typer.Option(
        help="Target samples per optimizer step. The batch becomes a micro-batch, and the number "
        "of accumulation steps is derived from the target.",
        min=1,
        max=MOST_STEPS,
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        help="Seconds to wait while another process measures on the device; 0 fails at once. "
        "Default: the configured value (600).",
        min=0.0,
        metavar="SECONDS",
    ),
]
AcceptDisturbed = Annotated[
    bool | None,
    typer.Option(
        "--accept-disturbed/--no-accept-disturbed",
        help="Also recommend configs that were measured only while other programs disturbed the "
        "machine; they are marked. Default: the configured value (no).",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout and everything else on stderr."),
]
Server = Annotated[
    str | None,
    typer.Option(
        help="The service to use, such as http://127.0.0.1:8765.",
        envvar=SERVER_VARIABLE,
        metavar="URL",
    ),
]


def _key(scope: str) -> Any:
    """The option of an API key of this scope."""
    said = f"An API key of the service, of scope {scope}."
    return typer.Option(help=said, envvar=KEY_VARIABLE, metavar="KEY")


ApiKey = Annotated[str | None, _key("run")]
CodeKey = Annotated[str | None, _key("run; of scope code to send a workload")]


def declared_in(
    kind: type[Any], *, hidden: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make ``command(given, **own)`` a command with its own options and those of the dataclass
    ``kind``, of which ``given`` is an instance. Typer sees one flat list of options, its own first.

    ``hidden``: options that the command refuses with a reason, so its help does not show them.
    """
    hints = get_type_hints(kind, include_extras=True)
    hints.update({name: _hidden(hints[name]) for name in hidden})
    declared = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for each in fields(kind)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        @wraps(command)
        def flat(**given: Any) -> None:
            command(kind(**{name: given.pop(name) for name in hints}), **given)

        signature = inspect.Signature([*own, *declared])
        flat.__signature__ = signature  # type: ignore[attr-defined]
        flat.__annotations__ = {n: each.annotation for n, each in signature.parameters.items()}
        return flat

    return decorate


def _hidden(hint: Any) -> Any:
    """An annotated option that the help does not show."""
    of, info = get_args(hint)
    info = copy(info)
    info.hidden = True
    return Annotated[of, info]
