"""What can be configured of the service and of the runners that work for it: where it listens, and
what it may be asked to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from app.settings.fields import NAME, Number, Section, Whole, none_word

BUILT_IN_TASKS = ("language", "snake", "lm_eval")
TASK_PLACE = re.compile(r".+(\.py:[A-Za-z_]\w*|\.ya?ml)")


class ServiceSettings(Section):
    """Where `tonnage serve` listens, and its limits for clients."""

    host: str = Field("127.0.0.1", min_length=1)
    """Address to listen on. Any address but a loopback address requires API keys."""
    port: Whole = Field(8765, ge=0, le=65_535)
    """Port to listen on. 0: any free port."""
    max_body_bytes: Whole = Field(4 * 2**20, ge=1024)
    """Largest accepted request body, in bytes."""
    body_timeout_s: Number = Field(20.0, gt=0)
    """Seconds within which a client must send its whole request."""
    max_connections: Whole = Field(512, ge=1)
    """Maximum number of open connections. Further clients are told to retry."""
    rate_per_s: Number = Field(100.0, ge=0)
    """Sustained requests per second per API key, or per address without a valid key. 0: no limit.
    Does not apply on a loopback address without keys."""
    rate_burst: Whole = Field(200, ge=1)
    """Requests that may arrive at once before `rate_per_s` applies."""
    cors_origins: list[str] = Field(default_factory=list)
    """Origins whose pages may call the API, such as `https://example.org`."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Addresses of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` headers are
    trusted."""
    event_poll_s: Number = Field(0.5, gt=0)
    """Interval at which an event stream checks for new events, in seconds."""
    log_reads: bool = False
    """Also log successful reads that took less than a second. `/metrics` always counts them."""
    log_format: Literal["text", "json"] = "text"
    """Format of the log of `tonnage serve` on stderr. `json`: one object per line."""


class RunnerSettings(Section):
    """The processes that run studies for the service. See jobs.md."""

    with_service: bool = True
    """Whether `tonnage serve` starts a runner on its own host when a study is queued and no runner
    is active there."""
    heartbeat_s: Number = Field(5.0, gt=0)
    """Interval at which a runner reports to the database that it is alive, in seconds."""
    dead_after_s: Number = Field(60.0, gt=0)
    """Seconds without a heartbeat after which a runner on another host counts as dead and its
    studies are taken over. On the same host, its process is checked instead."""
    cancel_grace_s: Number = Field(5.0, gt=0)
    """Seconds a cancelled study has to end by itself before it is killed."""
    checkpoint_grace_s: Number = Field(120.0, gt=0)
    """Seconds a cancelled fine-tuning has to finish its step and save a checkpoint before it is
    killed. The same applies when its runner is stopped."""
    idle_exit_s: Number = Field(300.0, gt=0)
    """Idle seconds after which a runner that `tonnage serve` started exits."""
    memory_budget_bytes: Annotated[Whole | None, Field(gt=0), BeforeValidator(none_word)] = None
    """Memory of each device that jobs may use unless their request says how much: the device then
    counts as one of this size. `"none"`: all of it."""


def _registered(entries: dict[str, str]) -> dict[str, str]:
    for name in entries:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a registered name consists of letters, digits, - and _")
    return entries


def _placed_tasks(entries: dict[str, str]) -> dict[str, str]:
    for name, place in entries.items():
        if name in BUILT_IN_TASKS:
            raise ValueError(f"{name} is a task of Tonnage; choose another name")
        if not TASK_PLACE.fullmatch(place):
            raise ValueError(f"{name}: give path/to/file.py:Class or path/to/task.yaml")
    return entries


class FineTuningJobSettings(Section):
    """What the service may fine-tune. A request names models and data by these names, never by a
    path. See finetuning.md."""

    models: Annotated[dict[str, str], AfterValidator(_registered)] = Field(default_factory=dict)
    """By name: the folder of a model, or its name in the hub's local cache. A relative path is
    resolved from the folder of the configuration file."""
    data: Annotated[dict[str, str], AfterValidator(_registered)] = Field(default_factory=dict)
    """By name: the path or pattern of a source of rows, as in `--data NAME=PATTERN`. A relative one
    is resolved from the folder of the configuration file."""
    tasks: Annotated[dict[str, str], AfterValidator(_registered), AfterValidator(_placed_tasks)] = (
        Field(default_factory=dict)
    )
    """By name: a task of your own to evaluate with, `path/to/file.py:Class`, or the YAML file of a
    task of lm-evaluation-harness. A relative path is resolved from the folder of the configuration
    file. `language` and `snake` are always there."""
    output: Path | None = Field(
        None, json_schema_extra={"shown_default": "`finetunings` in `data_dir`"}
    )
    """Folder in which each fine-tuning of the service gets a folder of its own. A relative path is
    resolved from the folder of the configuration file."""
    python: str | None = Field(None, json_schema_extra={"shown_default": "as `--python`"})
    """The Python interpreter that trains."""


class BundleSettings(Section):
    """Bundles: working directories that users send along with a study, so that their code runs on a
    host where it is not registered. See fleet.md."""

    accept: bool = False
    """Whether this host runs code from bundles. Anybody who may write to the database, or has an
    API key of scope `code`, can then run any program here as the user of the runner."""
    python: str | None = Field(None, json_schema_extra={"shown_default": "as `--python`"})
    """The Python interpreter that trains workloads from bundles on this host."""
    max_bytes: Whole = Field(64 * 2**20, ge=1024)
    """Largest bundle, in bytes of its files before compression."""
    max_files: Whole = Field(10_000, ge=1)
    """Maximum number of files in a bundle."""
    data_folder_bytes: Whole = Field(16 * 2**20, ge=0)
    """A folder that holds more than this and no Python file is taken for data, and is not sent
    unless `.tonnageignore` says so."""
    keep_days: Number = Field(30.0, gt=0)
    """Days after its last use for which a bundle is kept in the database, and unpacked on a
    host."""
