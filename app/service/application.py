"""The application: every resource's routes behind the same doors.

Routes are plain functions: each runs in a thread of its own from a small pool, and so does its SQL.
Only what waits without working – the event stream, and dependencies that look nothing up – is a
coroutine. See ``docs/service.md`` for why.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse

from app.ablations.routes import router as ablations
from app.bundles.routes import router as bundles
from app.checks.routes import router as checks
from app.dashboard.errors import error_page
from app.dashboard.routes import DASHBOARD
from app.database.opening import POOL_SIZE
from app.devices.routes import router as devices
from app.finetuning_jobs.evaluation_routes import router as evaluations
from app.finetuning_jobs.routes import router as finetuning_jobs
from app.finetunings.routes import router as finetunings
from app.fleet.routes import router as fleet
from app.fleet_answers.routes import router as fleet_answers
from app.http import problems
from app.http.problem_types import PAGE
from app.http.reply import JsonReply
from app.http.runtime import Service
from app.jobs.group_routes import router as device_groups
from app.knowledge.routes import router as knowledge
from app.measurements.routes import prediction_router as predictions
from app.measurements.routes import router as measurements
from app.recommendations.routes import router as recommendations
from app.runs.routes import router as runs
from app.service import manual, openapi
from app.service.envelope import REQUEST_ID, Envelope
from app.service.gate import Gate
from app.service.head import Head
from app.service.health import router as health
from app.service.intake import Intake
from app.service.metrics import Metrics
from app.studies.routes import router as studies
from app.workloads.routes import router as workloads

THREADS = POOL_SIZE
"""One connection to the database for each: nobody waits for one while holding another thing."""

COMPRESSED_FROM_BYTES = 1024
COMPRESSION_LEVEL = 5

ROUTERS = (  # looked through in this order
    recommendations,
    measurements,
    studies,
    bundles,
    devices,
    device_groups,
    fleet,
    workloads,
    checks,
    fleet_answers,
    runs,
    finetuning_jobs,
    finetunings,
    evaluations,
    knowledge,
    ablations,
    predictions,
    health,
    *DASHBOARD,
)


def create_app(service: Service) -> FastAPI:
    """The whole interface on one service. It does not own the database: who made it closes it."""
    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        default_response_class=JsonReply,
        lifespan=_lifespan,
        middleware=_middleware(service),
        separate_input_output_schemas=False,
        telemetry={"tracing": False, "metrics": False},
    )
    app.state.service = service
    for router in ROUTERS:
        # As they are, which include_router would wrap: a request then looks through two routers
        # twice, and that is a third of what it costs.
        app.router.routes.extend(router.routes)
    problems.install(app, error_page)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return manual.interface(app.openapi())

    @app.get(PAGE, include_in_schema=False)
    def errors() -> HTMLResponse:
        return manual.errors()

    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    service: Service = app.state.service
    if service.runners is not None:
        service.runners.start()
    yield
    if service.runners is not None:
        service.runners.stop()


def _middleware(service: Service) -> list[Middleware]:
    """From the outside in."""
    settings = service.settings.service
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        expose_headers=["ETag", "Location", "Retry-After", REQUEST_ID],
    )
    return [
        Middleware(Envelope, metrics=Metrics.of(service), log_reads=settings.log_reads),
        *([cors] if settings.cors_origins else []),
        Middleware(Gate, service=service),
        Middleware(Head),
        Middleware(
            GZipMiddleware, minimum_size=COMPRESSED_FROM_BYTES, compresslevel=COMPRESSION_LEVEL
        ),
        Middleware(
            Intake,
            max_bytes=settings.max_body_bytes,
            timeout_s=settings.body_timeout_s,
            bundle_bytes=service.settings.bundles.max_bytes,
        ),
    ]
