"""A recommendation for a command: Tonnage filled in a batch size and the dimensions of its space,
and applied no lever. Whatever else the script does is its own, and no format may name it."""

from __future__ import annotations

import re

from optimizer.records import Recommendation
from probes.black_box.command import SPEC
from probes.black_box.template import PLACEHOLDER, as_text, placeholders
from probes.group import group_of, is_group
from probes.levers import LEVERS, PARALLEL_LEVERS


def is_of_command(recommendation: Recommendation) -> bool:
    """Also where the command is registered under a name of its own."""
    named = recommendation.workload.startswith(SPEC)
    return named or "command" in {*recommendation.environment, *recommendation.workload_options}


def template_of(recommendation: Recommendation) -> str:
    """The command as it was given, with its placeholders; empty for a workload, and where it is not
    stored."""
    if not is_of_command(recommendation):
        return ""
    return str(recommendation.workload_options.get("command") or "").strip()


def as_recommended(recommendation: Recommendation) -> str:
    """The command with what is recommended filled in, and every other placeholder left in place;
    empty for a workload, and where the command is not stored."""
    r = recommendation
    ranks = group_of(r.device).size if is_group(r.device) else 1
    known = {"ranks": ranks, **r.config, "batch_size": r.batch_size, "accumulation": r.accumulation}

    def filled(match: re.Match[str]) -> str:
        name = match["name"]
        return as_text(known[name]) if name in known else match[0]

    return PLACEHOLDER.sub(filled, template_of(r))


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
