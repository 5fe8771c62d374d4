"""The two servers that are compared, each in a process of its own: ``python -m
benchmarks.service.servers bare|tonnage DATABASE_URL``. The address is the first line on stdout."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

RECOMMENDATION = "rec_benchmark"
PATH = f"/v1/recommendations/{RECOMMENDATION}"


def serve_bare(database_url: str) -> None:
    """FastAPI and uvicorn as they come: one route, the same bytes, nothing else."""
    import uvicorn
    from fastapi import FastAPI
    from starlette.responses import Response

    from app.database import open_database
    from app.recommendations import service as recommendations
    from app.service.listen import listen, url_of

    database = open_database(database_url)
    body = recommendations.text(database, RECOMMENDATION).encode()
    database.close()
    app = FastAPI()

    @app.get("/v1/recommendations/{recommendation_id}")
    def read(recommendation_id: str) -> Response:
        return Response(body, media_type="application/json")

    listener = listen("127.0.0.1", 0)
    print(url_of(listener), flush=True)
    config = uvicorn.Config(app, http="h11", access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[listener])


def serve_tonnage(database_url: str) -> None:
    """``tonnage serve`` without its command line."""
    from app.database import open_database
    from app.logging_setup import configure_logging
    from app.service.listen import listen, url_of
    from app.service.serve import run, service_on
    from app.settings import load_settings

    settings = load_settings(overrides={"runner": {"with_service": False}})
    database = open_database(database_url)
    listener = listen("127.0.0.1", 0)
    service = service_on(listener, database, settings, insecure=False)
    configure_logging(0, settings.data_dir)
    print(url_of(listener), flush=True)
    run(service, listener)


@contextmanager
def running(kind: str, database_url: str) -> Iterator[tuple[str, int]]:
    """Base URL and port of a server, ended on leaving."""
    command = [sys.executable, "-m", "benchmarks.service.servers", kind, database_url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            yield "127.0.0.1", int(url.rpartition(":")[2])
        finally:
            process.terminate()


if __name__ == "__main__":
    {"bare": serve_bare, "tonnage": serve_tonnage}[sys.argv[1]](sys.argv[2])
