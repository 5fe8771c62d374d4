"""Every page, in the order in which addresses are compared."""

from __future__ import annotations

from app.dashboard import assets, compare, login, overview, recommendations

DASHBOARD = (
    overview.router,
    recommendations.router,
    compare.router,
    login.router,
    assets.router,
)
