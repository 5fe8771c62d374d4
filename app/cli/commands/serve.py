"""``tonnage serve``: the dashboard and the HTTP interface."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from app.cli import options
from app.cli.context import fleet_address, open_database, open_settings, verbosity
from app.cli.output import facts_table, print_json, stdout
from probes.errors import TonnageError

log = logging.getLogger(__name__)

SHOWN = {"api": "API"}
"""Keys of the JSON document that people read in another way."""


def serve(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on. Default: 127.0.0.1, or what is configured."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on; 0: a free one. Default: 8765, or what is configured.",
            min=0,
            max=65_535,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Require no key: anyone who can reach the address may start and delete studies.",
        ),
    ] = False,
    fleet: options.Fleet = None,
    token_file: options.TokenFile = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Serve the dashboard and the HTTP interface until stopped.

    Without API keys it listens on this machine only. Once a key exists (tonnage keys create), every
    request needs one, and the service may listen on any address. It migrates the database first.
    Studies run in a separate process (tonnage runner), which the service starts when there is work
    and which goes on when the service is stopped: the service then says what still runs. With
    --fleet they run on the hosts that have joined a fleet (tonnage fleet join).
    """
    settings = open_settings()
    address = fleet_address(settings, fleet, token_file)

    from app.service.listen import listen, url_of

    listener = listen(
        host or settings.service.host, settings.service.port if port is None else port
    )
    store = open_database(settings, database)

    from app.logging_setup import configure_logging
    from app.service.serve import left_running, run, service_on

    service = service_on(listener, store, settings, insecure=insecure, fleet=address)
    url = url_of(listener)
    asked = (
        "needed (to log in, or as Authorization: Bearer KEY)"
        if service.needs_keys
        else "not needed"
    )
    addresses = {"dashboard": f"{url}/", "api": f"{url}/v1", "docs": f"{url}/docs"}
    if json_:
        addresses["openapi"] = f"{url}/openapi.json"
        if address is not None:
            addresses["fleet"] = address.address
        print_json({**addresses, "keys_needed": service.needs_keys, "database": store.shown_url})
    else:
        rows = [
            *((SHOWN.get(name, name), where) for name, where in addresses.items()),
            ("keys", asked),
            ("database", store.shown_url),
            *([("fleet", address.address)] if address is not None else []),
            ("stop", "Ctrl-C"),
        ]
        stdout().print(facts_table(rows))
        sys.stdout.flush()
    configure_logging(
        verbosity(), settings.data_dir, json_lines=settings.service.log_format == "json"
    )
    if insecure:
        log.warning(
            "Serving without keys (--insecure): anyone who can reach %s may do anything.", url
        )
    try:
        run(service, listener)
        for line in left_running(store, settings):
            log.warning("%s", line)
    except TonnageError as error:
        log.warning("Could not check whether a runner goes on: %s", error)
    finally:
        store.close()
    log.info("Stopped.")
