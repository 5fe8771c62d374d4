"""Command-line options, quoted for a shell: those of a training script, with booleans as ``--name``
and ``--no-name``, and those of the ``torchrun`` that starts it."""

from __future__ import annotations

import re
import shlex

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.ranks import ranks_of
from app.recommendations.exports.settings import is_number, named_values, plain, put, without_value
from optimizer.records import Recommendation


@export_format("args", "command-line options, as argparse takes them")
def to_args(recommendation: Recommendation) -> Export:
    """Options for a command line: ``--batch-size 64 --layers 4``."""
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
    unsaid = without_value(settings) + started_with_torchrun(recommendation)
    return Export(" ".join(options.values()) + "\n", unsaid, says_so=False)


@export_format("torchrun", "arguments of torchrun")
def to_torchrun(recommendation: Recommendation) -> Export:
    """How many processes are started, one for each rank. Options of the training script are those
    of ``args``."""
    ranks = ranks_of(recommendation)
    if ranks is None:
        return Export("--nproc-per-node 1 --standalone\n", [], says_so=False)
    unsaid = [
        f"Set the environment variable {k}={v} for torchrun." for k, v in ranks.selection.items()
    ]
    return Export(f"{ranks.torchrun}\n", unsaid, says_so=False)


def started_with_torchrun(recommendation: Recommendation) -> list[str]:
    """What the options of a training script cannot say: how its ranks are started."""
    ranks = ranks_of(recommendation)
    if ranks is None:
        return []
    selected = "".join(f"{name}={value} " for name, value in ranks.selection.items())
    return [f"{ranks.meaning}. Start them with {selected}torchrun {ranks.torchrun} SCRIPT."]
