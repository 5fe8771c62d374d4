"""All commands, and the options that come before them."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli.commands import (
    check,
    database,
    devices,
    doctor,
    export,
    keys,
    max_batch,
    probe,
    recommend,
    report,
    run,
    runner,
    serve,
    tune,
)

app = typer.Typer(
    name="tonnage",
    help="Know what your hardware can carry before you train.\n\n"
    "Runs real training steps of your model on this machine's device, finds the largest stable "
    "batch and its cycle time, and recommends a configuration for your budget.\n\n"
    "Start with: tonnage tune transformer --budget smoke_test",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done; 1 the answer is no; 2 the input is wrong; 3 it could not be "
    "measured; 130 interrupted.",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"tonnage {version('tonnage')}")
        raise typer.Exit


@app.callback()
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


app.command("devices")(devices.devices)
app.command("probe")(probe.probe)
app.command("max-batch")(max_batch.max_batch)
app.command("tune")(tune.tune)
app.command("recommend")(recommend.recommend)
app.command("export")(export.export)
app.command("check")(check.check)
app.command("run", context_settings={"allow_interspersed_args": False})(run.run)
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)
app.command("runner")(runner.runner)
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(database.app, name="db")

application = typer.main.get_command(app)
