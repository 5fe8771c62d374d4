"""A recommendation for a command: Tonnage filled in a batch size and the dimensions of its space,
and applied no lever. Whatever else the script does is its own, and no format may name it."""

from __future__ import annotations

from app.validity.source import options_of
from optimizer.records import Recommendation
from probes.black_box.command import SPEC
from probes.black_box.template import placeholders
from probes.group import is_group
from probes.levers import LEVERS, PARALLEL_LEVERS


def is_of_command(recommendation: Recommendation) -> bool:
    """Also where the command is registered under a name of its own."""
    named = recommendation.workload.startswith(SPEC)
    return named or "command" in {*recommendation.environment, *options_of(recommendation)}


def template_of(recommendation: Recommendation) -> str:
    """The command as it was given, with its placeholders; empty for a workload, and where it is not
    stored."""
    return str(options_of(recommendation).get("command") or "").strip()


def is_accumulation_known(recommendation: Recommendation) -> bool:
    """Whether it was Tonnage that set the accumulation: a script without a place for it may
    accumulate by itself."""
    r = recommendation
    if not is_of_command(r) or r.accumulation != 1 or "accumulation" in r.config:
        return True
    return "accumulation" in placeholders(template_of(r))


def left_to_the_script(recommendation: Recommendation) -> list[str]:
    """The levers of which nothing is known; empty for a workload, of which those that its config
    does not set are off."""
    r = recommendation
    if not is_of_command(r):
        return []
    names = [name for name in LEVERS if name not in PARALLEL_LEVERS and name not in r.config]
    if is_accumulation_known(r):
        names = [name for name in names if name != "accumulation"]
    return [*names, *(["parallel"] if is_group(r.device) and "parallel" not in r.config else [])]
