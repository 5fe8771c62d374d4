"""``/``: recommendations, running studies, and the state of the devices."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import page
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from app.jobs.live_devices import LiveDevices
from app.recommendations.matrix import budgets_of, matrix
from app.studies import view
from app.studies.progress import outline
from app.tuning.state import StudyState
from app.workloads.registry import registered

RUNNING_SHOWN = 12

router = pages()


@router.get("/")
def overview(request: Request, service: ServiceDep) -> Response:
    rows = matrix(service.database)
    answered = {row.workload for row in rows}
    context = {
        "rows": rows,
        "budgets": budgets_of(rows, list(service.settings.budget_table())),
        "unmeasured": [
            name for name in sorted(registered(service.settings)) if name not in answered
        ],
        **_now(service),
    }
    return page(request, "overview.html", context)


@router.get("/now")
def now(request: Request, service: ServiceDep) -> Response:
    """The part of the overview that is refreshed."""
    return page(request, "_now.html", _now(service))


def _now(service: Service) -> dict[str, object]:
    """(An interrupted study of the command line goes on when its command is run again; one of the
    service waits for a runner.)"""
    database = service.database
    active = [
        *view.page(database, state=StudyState.RUNNING, limit=RUNNING_SHOWN),
        *view.jobs_in(database, StudyState.INTERRUPTED, limit=RUNNING_SHOWN),
        *view.jobs_in(database, StudyState.QUEUED, limit=RUNNING_SHOWN),
    ]
    return {
        "devices": LiveDevices.of(service).look(database),
        "active": outline(database, active[:RUNNING_SHOWN]),
    }
