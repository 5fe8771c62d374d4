"""All commands, and the options that come before them."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from app.cli.given import checking_values

COMMANDS: dict[str, dict[str, Any]] = {
    "devices": {},
    "probe": {},
    "max-batch": {},
    "power": {},
    "tune": {},
    "recommend": {},
    "choose": {},
    "export": {},
    "check": {},
    "run": {"context_settings": {"allow_interspersed_args": False}},
    "report": {},
    "doctor": {},
    "runner": {},
    "serve": {},
}
"""By name, in the order of ``--help``: what ``typer`` is told of each. The function of a command is
in the module of its name."""
GROUPS = {
    "finetune": "finetune",
    "knowledge": "knowledge",
    "fleet": "fleet",
    "keys": "keys",
    "db": "database",
}
"""Groups of commands, by name: their module."""


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tonnage {version('tonnage')}")
        raise typer.Exit


def before(
    verbose: Annotated[
        int,
        typer.Option(
            "-v", "--verbose", count=True, help="Print more on stderr.", show_default=False
        ),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print only errors on stderr.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    from app.cli.context import set_verbosity

    set_verbosity(-2 if quiet else verbose)


def application(name: str = "") -> Any:
    """The command line with all commands, or with the one that is named only: importing all of them
    takes a tenth of a second, which a pipeline would spend on every ``check``."""
    is_known = name in COMMANDS or name in GROUPS
    app = typer.Typer(
        name="tonnage",
        help="Know what your hardware can carry before you train.\n\n"
        "Runs real training steps of your model on this machine's device, finds the largest "
        "stable batch and its cycle time, and recommends a configuration for your budget.\n\n"
        "Start with: tonnage tune transformer --budget smoke_test",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog="Exit status: 0 done; 1 the answer is no; 2 the input is wrong; 3 it could not be "
        "measured; 130 interrupted.",
    )
    app.callback()(before)
    for command, told in COMMANDS.items():
        if not is_known or command == name:
            module = command.replace("-", "_")
            function = getattr(import_module(f"app.cli.commands.{module}"), module)
            app.command(command, **told)(function)
    for group, module in GROUPS.items():
        if not is_known or group == name:
            app.add_typer(import_module(f"app.cli.commands.{module}").app, name=group)
    return checking_values(typer.main.get_command(app))
