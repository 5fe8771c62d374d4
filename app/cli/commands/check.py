"""``tonnage check``: the pre-training hook. Quick: see ``app.cli.arguments``."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from app.cli.arguments import Parser, headroom, number, scale, whole
from app.settings.environment_names import KEY_VARIABLE, SERVER_VARIABLE

DESCRIPTION = """\
Will this planned run fit, and finish in time, here?

Compares it with what was measured. The first line is the answer with its reason; every answer is
kept. Exit status 0: it fits; 1: it does not, or is too slow; 3: nothing valid was measured.

Examples:
  tonnage check --workload transformer --set layers=2 --batch-size 64
  tonnage check training_args.json --workload train.py:Net --budget prototyping
"""
FORMATS = ("text", "json", "junit", "sarif", "github", "markdown")


def check(arguments: list[str]) -> int:
    """Run it; the exit status. Raises ``TonnageError``."""
    from app.checks.ask import CheckCommand, ask

    given = _parser().parse(arguments)
    question = CheckCommand(
        config_file=given.config_file,
        workload=given.workload,
        batch_size=given.batch_size,
        accumulation=given.accumulation,
        set_=tuple(given.set),
        option=tuple(given.option),
        keys=tuple(given.key),
        budget=given.budget,
        time_scale=given.time_scale,
        device=given.device,
        memory_budget=given.memory_budget,
        headroom=given.headroom,
        probe=given.probe,
        probe_unknown=given.on_unknown == "probe",
        server=given.server,
        api_key=given.api_key,
        refresh=given.refresh,
        python=given.python,
        wait_s=given.wait,
        database=given.database,
    )
    answer = ask(question)
    answer["tolerated"] = given.on_unknown == "warn"
    _print(answer, given)
    if given.summary:
        _summarise(answer)
    for warning in answer["warnings"]:
        print(f"Warning: {warning}", file=sys.stderr)
    return exit_code(answer)


def exit_code(answer: dict[str, Any]) -> int:
    """0 fits, 1 does not or is too slow, 3 nobody knows (0 where that is tolerated)."""
    if answer["verdict"] == "fits":
        return 0
    if answer["verdict"] in ("does_not_fit", "too_slow"):
        return 1
    return 0 if answer["tolerated"] else 3


# fmt: off
def _parser() -> Parser:
    parser = Parser("check", DESCRIPTION)
    add = parser.add_argument
    add("config_file", nargs="?", type=Path, metavar="CONFIG_FILE",
        help="what the run reads: TrainingArguments, accelerate, DeepSpeed, Hydra or any other "
        "JSON, YAML, TOML or KEY=value file, or what tonnage export wrote")
    add("--workload", metavar="WORKLOAD",
        help="what is trained: a registered name, path/to/file.py:Class or package.module:Class "
        "(default: what the recommendation in CONFIG_FILE is for)")
    add("--batch-size", type=whole, metavar="N", help="samples per batch")
    add("--accumulation", type=whole, metavar="N", help="batches per optimizer step")
    add("--set", action="append", default=[], metavar="NAME=VALUE",
        help="a dimension of the config or a lever: layers=4, precision=bf16 (repeatable)")
    add("--option", action="append", default=[], metavar="NAME=VALUE",
        help="a fixed parameter of the workload (repeatable)")
    add("--key", action="append", default=[], metavar="NAME=PATH",
        help="where CONFIG_FILE has a value, if it is not found: batch_size=data.loader.bs")
    add("--budget", metavar="BUDGET",
        help="also ask whether a cycle is in time (default: the budget of the recommendation in "
        "CONFIG_FILE)")
    add("--time-scale", type=scale, metavar="X", help="multiply the budget's times")
    add("--device", metavar="DEVICE",
        help="cpu, cuda:0, mps or xpu:0 here, or the name or fingerprint of another machine's "
        "device that has results (default: the best one here)")
    add("--memory-budget", metavar="SIZE", help="emulate a smaller device, such as 2GiB")
    add("--headroom", type=headroom, metavar="X", help="fraction of the memory to keep free")
    add("--probe", choices=("quick", "full"),
        help="measure it here now: a few steps, or the confirmation run")
    add("--on-unknown", choices=("fail", "warn", "probe"), default="fail",
        help="where nothing valid was measured: fail (status 3, the default), warn (status 0) or "
        "probe (measure it here, in full)")
    add("--server", metavar="URL", default=os.environ.get(SERVER_VARIABLE) or None,
        help=f"ask this service (${SERVER_VARIABLE})")
    add("--api-key", metavar="KEY", default=os.environ.get(KEY_VARIABLE) or None,
        help=f"its key, of scope run (${KEY_VARIABLE})")
    add("--format", choices=FORMATS, default="text", help="how to print the answer")
    add("--json", action="store_const", const="json", dest="format", help="as --format json")
    add("--output", "-o", type=Path, metavar="FILE",
        help="write it to this file; stdout gets the text")
    add("--report", action="append", default=[], metavar="FORMAT=FILE",
        help="also write it to a file in this format: junit=report.xml (repeatable)")
    add("--summary", action="store_true", help="also append Markdown to $GITHUB_STEP_SUMMARY")
    add("--explain", action="store_true", help="say what was compared with what")
    add("--refresh", action="store_true",
        help="ask torch for device and workload anew, which is done daily in any case")
    add("--python", metavar="PATH",
        help="the interpreter that trains (default: the active virtual environment if it has "
        "torch, else Tonnage's own)")
    add("--wait", type=number, metavar="SECONDS",
        help="with --probe: how long to wait while another process measures on the device")
    add("--database", metavar="URL", help="where results are kept")
    return parser
# fmt: on


def _print(answer: dict[str, Any], given: Namespace) -> None:
    from app.checks.formats import render
    from probes.errors import InputError

    text = render(answer, given.format, explain=given.explain)
    reports = [report.partition("=") for report in given.report]
    files = [(form, file) for form, _, file in reports]
    if given.output is not None:
        files.append((given.format, given.output))
        text = render(answer, "text", explain=given.explain)
    for form, file in files:
        if not str(file):
            raise InputError(f"--report {form}: write it as --report junit=report.xml.")
        try:
            Path(file).write_text(render(answer, form, explain=given.explain), encoding="utf-8")
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}.") from None
    sys.stdout.write(text)
    sys.stdout.flush()


def _summarise(answer: dict[str, Any]) -> None:
    from app.checks.formats import render

    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if not file:
        print("Warning: --summary: GITHUB_STEP_SUMMARY is not set.", file=sys.stderr)
        return
    with Path(file).open("a", encoding="utf-8") as page:
        page.write(render(answer, "markdown"))
