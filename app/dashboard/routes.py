"""The routers of all pages, in the order in which addresses are matched."""

from __future__ import annotations

from app.dashboard import assets
from app.dashboard.pages import (
    checks,
    choose,
    compare,
    devices,
    finetunings,
    fleet,
    knowledge,
    login,
    overview,
    recommendations,
    start,
    start_finetuning,
    studies,
    study,
    workloads,
)

DASHBOARD = (
    overview.router,
    studies.router,
    study.router,
    start.router,
    recommendations.router,
    compare.router,
    start_finetuning.router,
    finetunings.router,
    knowledge.router,
    choose.router,
    choose.asking,
    checks.router,
    workloads.router,
    devices.router,
    fleet.router,
    login.router,
    assets.router,
)
