"""Every page, in the order in which addresses are compared."""

from __future__ import annotations

from app.dashboard import assets, login, overview

DASHBOARD = (
    overview.router,
    login.router,
    assets.router,
)
