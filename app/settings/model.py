"""What can be configured: names, types, bounds, defaults. ``document`` makes the reference page
from this."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_dir
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from app.settings import defaults
from optimizer.budgets import CYCLE_BATCHES, MINUTE_S, Budget, Objective

APPLICATION = "tonnage"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""A registered name."""


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def _none_word(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _absolute(value: Path | None) -> Path | None:
    value = value.expanduser() if value is not None else None
    if value is not None and not value.is_absolute():
        raise ValueError("an absolute path is expected, so that every process uses the same folder")
    return value


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, (int, float, str, bool)):
        raise ValueError("a number, text, true or false is expected")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Option = Annotated[Any, AfterValidator(_scalar)]
"""One option of a dimension, as ``probes.space.Choice`` takes it."""


BUILT_IN_TASKS = ("language", "snake", "lm_eval")
TASK_PLACE = re.compile(r".+(\.py:[A-Za-z_]\w*|\.ya?ml)")


class Section(BaseModel):
    """A table. Pydantic builds one validator for all of them, with the first ``Settings``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class BudgetSettings(Section):
    """The goal of studies with this budget."""

    target_min: Annotated[Number | None, Field(gt=0), BeforeValidator(_none_word)] = None
    """Target cycle time in minutes. `"none"`: no time limit."""
    flexibility_min: Number = Field(0.0, ge=0)
    """How much longer than the target a more capable configuration may take, in minutes."""
    trials: Whole = Field(20, ge=1)
    """Maximum number of configurations that a study measures."""
    throughput_loss: Number = Field(0.15, ge=0, lt=1)
    """Fraction of the best throughput that may be given up for a more capable model."""
    objective: Objective = Objective.THROUGHPUT
    """What to maximize within the time window: `throughput`; `capacity`, the most capable model; or
    `pareto`, which measures the Pareto front of both and recommends by throughput."""
    most_capable: bool = True
    """Whether a study with a time window also finds the most capable model that fits the window.
    This takes a few more trials."""


class ProbeSettings(Section):
    """Limits of probes and of the search, and how to measure on a shared machine."""

    startup_timeout_s: Number = Field(180.0, gt=0)
    """Seconds a worker may take to import torch and the workload."""
    step_timeout_s: Number = Field(60.0, gt=0)
    """Seconds without progress after which a probe is stopped."""
    probe_timeout_s: Number = Field(1800.0, gt=0)
    """Maximum duration of a probe, in seconds."""
    measure_budget_s: Number = Field(20.0, gt=0)
    """Maximum time spent on timing steps to narrow the confidence interval, in seconds. A command
    gets up to six times as long until it evaluates or an epoch ends."""
    confirm_steps: Whole = Field(24, ge=2)
    """Minimum number of measured steps in a confirmation run."""
    max_batch: Whole = Field(65_536, ge=1)
    """Largest batch size that is tried."""
    resolution: Number = Field(0.03, gt=0, le=0.5)
    """Relative distance between the largest passing and the smallest failing batch at which the
    search stops."""
    slowest_sample: Number = Field(1.5, gt=1)
    """Reject a batch whose time per sample exceeds this multiple of a smaller batch's. On
    accelerators only: such a slowdown shows that memory has silently overflowed into host
    memory."""
    repeats_when_disturbed: Whole = Field(2, ge=0)
    """How many times a disturbed measurement is repeated if it affects the result. The least
    disturbed one is kept."""
    accept_disturbed: bool = False
    """Also recommend configurations that could only be measured while other processes used the
    machine. Such a recommendation is marked."""
    lease_wait_s: Number = Field(600.0, ge=0)
    """Seconds to wait for another process that measures on the device. 0: do not wait."""
    lease_dir: Annotated[Path | None, AfterValidator(_absolute)] = Field(
        None, json_schema_extra={"shown_default": "`/tmp`"}
    )
    """Folder for lock files that prevent two processes from measuring on one device at the same
    time. All of them must use the same folder, including those in containers."""


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


class TierSpaces(Section):
    """Search spaces for devices from a memory size on."""

    min_gib: Number = Field(ge=0)
    """Smallest device memory to which the tier applies, in GiB."""
    spaces: dict[str, dict[str, list[Option]]]
    """Search space by budget name: the options of each dimension."""


class Scaling(Section):
    """Multiplier for the numeric dimensions of a tier, by device memory."""

    min_gib: Number = Field(ge=0)
    """Smallest device memory to which the factor applies, in GiB."""
    factor: Number = Field(gt=0)
    """The multiplier."""


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
    memory_budget_bytes: Annotated[Whole | None, Field(gt=0), BeforeValidator(_none_word)] = None
    """Memory of each device that jobs may use unless their request says how much: the device then
    counts as one of this size. `"none"`: all of it."""


class KnowledgeSettings(Section):
    """Knowledge pages of your own. See knowledge.md."""

    paths: list[Path] = Field(default_factory=list)
    """Folders of pages that are read beside the built-in ones. A page replaces the built-in page of
    the same name. A relative path is resolved from the folder of the configuration file."""


class FleetDeviceSettings(Section):
    """What a device costs and draws, for `tonnage choose`. NAME is a device's name, its class key
    or its kind, or a pattern such as `"NVIDIA H200*"`; the first that matches applies. The values
    are for one device: a group of four costs four times as much. See choosing.md."""

    price_per_hour: Number | None = Field(None, ge=0)
    """Price of an hour, in `fleet.currency`. Without it, the cost is the energy times
    `fleet.tariff_per_kwh`."""
    watts: Number | None = Field(None, gt=0)
    """Power while it trains, in watts. Used only where energy was not measured; what follows from
    it is marked as an estimate."""
    slurm_gres: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.:-]{1,100}$",
        json_schema_extra={"shown_default": "`gpu`"},
    )
    """Generic resource that one device is in Slurm, such as `gpu:h200`."""
    kubernetes_resource: str | None = Field(
        None,
        pattern=r"^[a-z0-9.-]{1,253}/[A-Za-z0-9_.-]{1,63}$",
        json_schema_extra={"shown_default": "that of the vendor's device plugin"},
    )
    """Resource that one device is in Kubernetes, such as `nvidia.com/gpu`."""


class FleetSettings(Section):
    """Prices, energy and carbon of your devices, for `tonnage choose`. See choosing.md."""

    currency: str = Field("EUR", min_length=1, max_length=8)
    """Currency of every price, as it is shown."""
    tariff_per_kwh: Number | None = Field(None, ge=0)
    """Price of a kilowatt-hour, for devices without a `price_per_hour`."""
    overhead: Number = Field(1.0, ge=1)
    """Power usage effectiveness: watts that the building draws for each watt of its machines."""
    host_watts: Number = Field(0.0, ge=0)
    """Power of the machine around the devices, in watts. Added to their energy for cost and carbon
    where the host's energy was not measured; they are then estimates."""
    carbon_g_per_kwh: Number | None = Field(None, ge=0)
    """Carbon intensity of your electricity, in grams of CO2 equivalent per kilowatt-hour."""
    country: str | None = Field(None, pattern=r"^[A-Z]{3}$")
    """Instead of `carbon_g_per_kwh`: the country whose average applies, as three letters (ISO
    3166), such as `DEU`. Needs the extra `tonnage[carbon]`."""
    devices: dict[str, FleetDeviceSettings] = Field(default_factory=dict)
    """By device, see below."""


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


class ParameterCap(Section):
    """The largest model that is useful for a dataset of this size."""

    max_samples: Whole | None = Field(None, ge=1)
    """The cap applies to datasets with fewer samples than this. Omitted: to all."""
    max_parameters: Whole = Field(ge=1)
    """Maximum number of parameters of a model."""


class WorkloadSettings(Section):
    """A workload that the service can run by name (built-in ones need no `reference`), and search
    spaces that replace its own `space()`."""

    reference: str | None = None
    """Location of its class: `path/to/file.py:Class` (a relative path is resolved from the folder
    of the configuration file) or `package.module:Class`. Setting it registers the name."""
    python: str | None = Field(None, json_schema_extra={"shown_default": "as `--python`"})
    """The Python interpreter that trains it, if it needs its own."""
    options: dict[str, Option] = Field(default_factory=dict)
    """Fixed arguments of its constructor. Requests to the service cannot change them."""
    request_options: list[str] = Field(default_factory=list)
    """Names of further constructor arguments that a request to the service may set."""
    tiers: list[TierSpaces] = Field(default_factory=list)
    """Search spaces by device memory. The tier with the largest `min_gib` that the device reaches
    applies."""
    scaling: list[Scaling] = Field(default_factory=list)
    """Multipliers by device memory, selected like tiers."""
    parameter_caps: list[ParameterCap] = Field(default_factory=list)
    """Caps by dataset size. The strictest one that applies is used."""
    rounding: dict[str, Annotated[Whole, Field(ge=1)]] = Field(default_factory=dict)
    """By dimension name: the multiple to which its scaled options are rounded."""

    @model_validator(mode="after")
    def _in_order(self) -> WorkloadSettings:
        """Sort the lists in the order in which they are searched."""
        self.tiers.sort(key=lambda tier: -tier.min_gib)
        self.scaling.sort(key=lambda scaling: -scaling.min_gib)
        self.parameter_caps.sort(
            key=lambda cap: float("inf") if cap.max_samples is None else cap.max_samples
        )
        return self


def _dimensions(space: dict[str, Any]) -> dict[str, Any]:
    from probes.errors import InputError
    from probes.space import as_dimension, parse_dimension

    for name, written in space.items():
        try:
            as_dimension(name, parse_dimension(written))
        except InputError as error:
            raise ValueError(f"{name}: {error}") from None
    return space


class CommandSettings(Section):
    """A training command that is measured unchanged, under a name. See black-box.md."""

    command: str
    """The command that starts training, with placeholders: `python train.py --batch-size
    {batch_size} --layers {layers}`."""
    space: Annotated[dict[str, Any], AfterValidator(_dimensions)] = Field(default_factory=dict)
    """The values of each placeholder: `"2..12"`, `"64..512..64"`, a list, one value, or `{ low =
    16, high = 1024, log = true }`. Add `cost_grows = false` to a table if a larger value may need
    less memory or time."""
    step: str | None = Field(
        None,
        json_schema_extra={"shown_default": "steps are found in the output; with `log`: `step`"},
    )
    """Regular expression for an output line that ends a step, with optional groups `step`,
    `samples`, `epoch` and `loss`. With `log`: the key of the step number in a JSON line."""
    log: str | None = None
    """Read steps from here instead of the output: a file of JSON lines (`.jsonl`, `.json`, `.log`,
    `.txt`) or a folder of TensorBoard event files, for example in `{run_dir}`."""
    config: str | None = None
    """A configuration file with placeholders. Each probe gets a copy in which they are filled in;
    `{config}` in the command is its path. Relative to `cwd`."""
    cwd: str | None = Field(
        None, json_schema_extra={"shown_default": "the configuration file's folder"}
    )
    """Working directory. A relative path is resolved from the folder of the configuration file."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables; placeholders are filled in. Results store them, so do not put secrets
    here."""
    shell: bool = False
    """Run the command with `/bin/sh -c`, for pipes and `&&`. Values are quoted."""
    python: str | None = Field(
        None, json_schema_extra={"shown_default": "the command's own if it has torch"}
    )
    """The interpreter for `{python}`, whose torch identifies the device."""
    dataset_size: Whole | None = Field(None, ge=1)
    """Number of training samples. No larger batch is tried."""


def _default_budgets() -> dict[str, BudgetSettings]:
    return {name: BudgetSettings(**values) for name, values in defaults.BUDGETS.items()}


def _default_workloads() -> dict[str, WorkloadSettings]:
    return {
        name: WorkloadSettings.model_validate(copy.deepcopy(values))
        for name, values in defaults.WORKLOADS.items()
    }


class Settings(Section):
    """The whole configuration. Build it with ``app.settings.load_settings``."""

    _file: Path | None = PrivateAttr(None)

    data_dir: Path = Field(
        default_factory=lambda: Path(user_data_dir(APPLICATION)),
        json_schema_extra={"shown_default": "the user's data folder"},
    )
    """Folder for the database and the log files. A relative path is resolved from the folder of the
    configuration file."""
    database_url: str = Field(
        "", json_schema_extra={"shown_default": "the SQLite file `tonnage.db` in `data_dir`"}
    )
    """Database for results: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`."""
    cycle_batches: Whole = Field(CYCLE_BATCHES, ge=1)
    """Optimizer steps in a cycle. Time budgets are for one cycle."""
    headroom: Number = Field(0.05, ge=0, le=0.5)
    """Fraction of the device's memory that is kept free."""
    probe: ProbeSettings = Field(default_factory=lambda: ProbeSettings.model_validate({}))
    service: ServiceSettings = Field(default_factory=lambda: ServiceSettings.model_validate({}))
    runner: RunnerSettings = Field(default_factory=lambda: RunnerSettings.model_validate({}))
    knowledge: KnowledgeSettings = Field(
        default_factory=lambda: KnowledgeSettings.model_validate({})
    )
    finetuning: FineTuningJobSettings = Field(
        default_factory=lambda: FineTuningJobSettings.model_validate({})
    )
    fleet: FleetSettings = Field(default_factory=lambda: FleetSettings.model_validate({}))
    bundles: BundleSettings = Field(default_factory=lambda: BundleSettings.model_validate({}))
    budgets: dict[str, BudgetSettings] = Field(default_factory=_default_budgets)
    workloads: dict[str, WorkloadSettings] = Field(default_factory=_default_workloads)
    commands: dict[str, CommandSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _place_database(cls, data: Any) -> Any:
        """By default ``database_url`` is a file in ``data_dir``, and every table is there."""
        if isinstance(data, dict):
            tables = ("probe", "service", "runner", "knowledge", "finetuning", "fleet", "bundles")
            data = {**{name: {} for name in tables}, **data}
            folder = Path(str(data.get("data_dir") or user_data_dir(APPLICATION))).expanduser()
            data = {**data, "data_dir": folder}
            data["database_url"] = data.get("database_url") or f"sqlite:///{folder}/tonnage.db"
        return data

    @property
    def file(self) -> Path | None:
        """The configuration file that was read; ``None`` if there was none."""
        return self._file

    @property
    def finetuning_output(self) -> Path:
        """Folder of the runs of fine-tunings that the service was asked for."""
        return self.finetuning.output or self.data_dir / "finetunings"

    def budget_table(self) -> dict[str, Budget]:
        """The budgets as the optimizer takes them, with the configured cycle length."""
        return {
            name: Budget(
                name=name,
                target_s=None if budget.target_min is None else budget.target_min * MINUTE_S,
                flexibility_s=budget.flexibility_min * MINUTE_S,
                trials=budget.trials,
                throughput_loss=budget.throughput_loss,
                objective=budget.objective,
                most_capable=budget.most_capable,
                cycle_batches=self.cycle_batches,
            )
            for name, budget in self.budgets.items()
        }
