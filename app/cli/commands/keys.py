"""``tonnage keys``: who may use the HTTP interface."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import print_json, stdout
from probes.errors import InputError

if TYPE_CHECKING:
    from app.keys.records import ApiKey

app = typer.Typer(
    help="Create, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None
)

LONGEST_NAME = 100


@app.command("create")
def create(
    scope: Annotated[
        str,
        typer.Option(
            help="read (everything stored), run (also start and cancel jobs, ask for checks and "
            "answers, send results), code (also run code of your own: bundles) or admin (also "
            "delete, and drain fleet nodes)."
        ),
    ] = "read",
    name: Annotated[str, typer.Option(help="Who or what will use the key.")] = "",
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Create an API key and print it. It is not stored, so it cannot be shown again.

    Only the key is written to stdout: KEY=$(tonnage keys create --scope read --name dashboard)
    """
    from app.http.caller import SCOPES

    known = next((each for each in SCOPES if each == scope), None)
    if known is None:
        raise InputError(f"--scope {scope}: choose one of {', '.join(SCOPES)}.")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError(f"--name: at most {LONGEST_NAME} printable characters.")
    store = open_database(open_settings(), database)

    from app.keys import service

    key, token = service.create(store, known, name)
    if json_:
        print_json({**document(key), "key": token})
        return
    typer.echo(token)
    typer.echo(
        f"Key {key.id} with scope {key.scope}. It is shown only this once. A service that is "
        "running without keys requires one as soon as it is restarted.",
        err=True,
    )


@app.command("list")
def list_keys(database: options.Database = None, json_: options.Json = False) -> None:
    """List the keys by id and name; the keys themselves are not stored."""
    store = open_database(open_settings(), database)

    from app.keys import service

    found = service.listing(store)
    if json_:
        print_json([document(key) for key in found])
        return
    if not found:
        typer.echo("There is no key. Create one with: tonnage keys create")
    for key in found:
        state = f"revoked {_moment(key.revoked_at)}" if key.revoked_at else "active"
        line = f"{key.id}  {key.scope:5}  {_moment(key.created_at)}  {state:24}  {key.name}"
        stdout().print(line.rstrip(), markup=False)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id (key_…), as the list shows it.")],
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Revoke a key: the next request that carries it is refused."""
    store = open_database(open_settings(), database)

    from app.keys import service

    key = service.revoke(store, key_id)
    if json_:
        print_json(document(key))
    else:
        typer.echo(f"Key {key.id} ({key.name or 'no name'}) is revoked.")


def document(key: ApiKey) -> dict[str, Any]:
    """A key's facts as JSON."""
    revoked = key.revoked_at.isoformat() if key.revoked_at else None
    return {**asdict(key), "created_at": key.created_at.isoformat(), "revoked_at": revoked}


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
