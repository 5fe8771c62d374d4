"""Names of environment variables. Quick to import."""

from __future__ import annotations

PREFIX = "TONNAGE_"
CONFIG_VARIABLE = "TONNAGE_CONFIG"
RECOMMENDATION_VARIABLE = "TONNAGE_RECOMMENDATION"
"""Written by ``tonnage export --to env``: the other unknown names are then a configuration."""
SERVER_VARIABLE, KEY_VARIABLE = "TONNAGE_SERVER", "TONNAGE_KEY"
"""Which service ``check`` and ``run`` ask, and the key to it."""
