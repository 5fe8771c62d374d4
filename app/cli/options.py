"""The options that several commands share, written once."""

from __future__ import annotations

from typing import Annotated

import typer

Workload = Annotated[
    str,
    typer.Argument(
        help="What to train: a registered name (visnet, causal-lm, transformer), "
        "path/to/file.py:Class or package.module:Class.",
        metavar="WORKLOAD",
        show_default=False,
    ),
]
WorkloadOrCommand = Annotated[
    str | None,
    typer.Argument(
        help="What to train: a registered name (visnet, causal-lm, transformer), "
        "path/to/file.py:Class or package.module:Class. Or give --command.",
        metavar="[WORKLOAD]",
        show_default=False,
    ),
]
Command = Annotated[
    str | None,
    typer.Option(
        help="Measure a training command as it is instead of a workload: 'python train.py "
        "--batch-size {batch_size} --layers {layers}'.",
        show_default=False,
        metavar="TEMPLATE",
    ),
]
Space = Annotated[
    list[str] | None,
    typer.Option(
        help="With a command, the values of a placeholder: layers=2..12, width=64,128,256. "
        "Repeatable.",
        show_default=False,
        metavar="NAME=VALUES",
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        help="With a command, the regular expression of a line that ends a step. Default: "
        "'tonnage step', or 'step' and a number.",
        show_default=False,
        metavar="REGEX",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="With a command, show exactly what would be run, and stop."),
]
Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda:0, mps or xpu:0. Default: the best one here.", show_default=False),
]
MemoryBudget = Annotated[
    str | None,
    typer.Option(
        help="Emulate a smaller device, for example 2GiB. On the CPU it is the device's size.",
        show_default=False,
        metavar="SIZE",
    ),
]
Python = Annotated[
    str | None,
    typer.Option(
        help="The interpreter that trains. Default: the active virtual environment if it has "
        "torch, else Tonnage's own.",
        show_default=False,
        metavar="PATH",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Pin a dimension of the config or a lever: layers=4, precision=bf16. Repeatable.",
        show_default=False,
        metavar="NAME=VALUE",
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        help="A fixed parameter of the workload, such as data=pocket.pdb. Repeatable.",
        show_default=False,
        metavar="NAME=VALUE",
    ),
]
Headroom = Annotated[
    float | None,
    typer.Option(
        help="Fraction of the memory to keep free. Default: 0.05, or what is configured.",
        show_default=False,
        min=0.0,
        max=0.5,
    ),
]
Database = Annotated[
    str | None,
    typer.Option(
        help="Where results are kept: sqlite:///PATH or postgresql://USER@HOST/NAME. Default: "
        "what is configured, else a file in your data folder.",
        show_default=False,
        metavar="URL",
    ),
]
EffectiveBatchSize = Annotated[
    int | None,
    typer.Option(
        help="Samples per optimizer step: the batch is then a micro-batch of so many times that "
        "the step has at least these.",
        show_default=False,
        min=1,
    ),
]
Wait = Annotated[
    float | None,
    typer.Option(
        help="Seconds to wait while another process measures on the device; 0: do not wait. "
        "Default: 600, or what is configured.",
        show_default=False,
        min=0.0,
        metavar="SECONDS",
    ),
]
AcceptDisturbed = Annotated[
    bool | None,
    typer.Option(
        "--accept-disturbed/--no-accept-disturbed",
        help="Recommend also what could only be measured while the machine was disturbed, marked. "
        "Default: no, or what is configured.",
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; all else on stderr.")
]
