"""Command-line options, quoted for a shell; booleans as ``--name`` and ``--no-name``."""

from __future__ import annotations

import re
import shlex

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.settings import is_number, named_values, plain, put, without_value
from optimizer.records import Recommendation


@export_format("args", "command-line options, as argparse takes them")
def to_args(recommendation: Recommendation) -> Export:
    options: dict[str, str] = {}
    settings = named_values(recommendation, always_accumulation=False)
    for name, value in settings.items():
        option = re.sub(r"[^\w-]", "-", name).replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            put(options, f"--{option}", f"--{option}" if value else f"--no-{option}")
            continue
        text = shlex.quote(plain(value))
        joined = "=" if plain(value).startswith("-") and not is_number(value) else " "
        put(options, f"--{option}", f"--{option}{joined}{text}")
    return Export(" ".join(options.values()) + "\n", without_value(settings), says_so=False)
