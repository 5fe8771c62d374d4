"""What can be configured: names, types, bounds, defaults. The reference page is made from this."""

from __future__ import annotations

import copy
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


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def _none_word(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _absolute(value: Path | None) -> Path | None:
    value = value.expanduser() if value is not None else None
    if value is not None and not value.is_absolute():
        raise ValueError("a path from the root is expected: every process must mean the same place")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Option = int | float | str | bool | None
"""One option of a dimension, as ``probes.space.Choice`` takes it."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetSettings(Section):
    """What a study of this budget aims at."""

    target_min: Annotated[Number | None, Field(gt=0), BeforeValidator(_none_word)] = Field(
        None, description='Cycle time aimed at, in minutes. `"none"`: no time limit.'
    )
    flexibility_min: Number = Field(
        0.0,
        ge=0,
        description="How far past the target a more capable configuration may go, in minutes.",
    )
    trials: Whole = Field(20, ge=1, description="Configurations a study measures at most.")
    throughput_loss: Number = Field(
        0.15,
        ge=0,
        lt=1,
        description="Fraction of the best throughput that a more capable model may cost.",
    )
    objective: Objective = Field(
        Objective.THROUGHPUT,
        description="What is best inside the window: `throughput`; `capacity`, the most capable "
        "model; or `pareto`, throughput with the whole front of both measured.",
    )


class ProbeSettings(Section):
    """Limits of probes and of the search, and what is done on a machine that others use too."""

    startup_timeout_s: Number = Field(
        180.0, gt=0, description="Seconds until a worker has imported torch and the workload."
    )
    step_timeout_s: Number = Field(
        60.0, gt=0, description="Seconds without progress after which a probe is ended."
    )
    probe_timeout_s: Number = Field(1800.0, gt=0, description="Seconds a whole probe may take.")
    measure_budget_s: Number = Field(
        20.0, gt=0, description="Seconds spent on timing steps before the interval is accepted."
    )
    confirm_steps: Whole = Field(
        24, ge=2, description="Measured steps a confirmation run has at least."
    )
    max_batch: Whole = Field(65_536, ge=1, description="Largest batch size ever tried.")
    resolution: Number = Field(
        0.03,
        gt=0,
        le=0.5,
        description="How close the largest passing and the smallest failing batch come, relative.",
    )
    slowest_sample: Number = Field(
        1.5,
        gt=1,
        description="On an accelerator a batch fails when each of its samples takes so many times "
        "as long as in a smaller one: memory that is not the device's own is then in use.",
    )
    repeats_when_disturbed: Whole = Field(
        2,
        ge=0,
        description="How often a disturbed measurement that matters is repeated; the fastest is "
        "kept.",
    )
    accept_disturbed: bool = Field(
        False,
        description="Recommend also what could only be measured while the machine was disturbed; "
        "it is marked.",
    )
    lease_wait_s: Number = Field(
        600.0,
        ge=0,
        description="Seconds to wait while another process measures on the device. 0: do not wait.",
    )
    lease_dir: Annotated[Path | None, AfterValidator(_absolute)] = Field(
        None,
        description="Folder of the lock files that keep two processes from measuring on one device "
        "at once: the same for all of them, also across containers.",
        json_schema_extra={"shown_default": "`/tmp`"},
    )


class ServiceSettings(Section):
    """Where `tonnage serve` listens, and what it lets a client do."""

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Any but a loopback address demands API keys.",
    )
    port: Whole = Field(8765, ge=0, le=65_535, description="Port to listen on. 0: a free one.")
    max_body_bytes: Whole = Field(
        4 * 2**20, ge=1024, description="Largest request body that is read."
    )
    body_timeout_s: Number = Field(
        20.0, gt=0, description="Seconds in which a client must have sent its whole request."
    )
    max_connections: Whole = Field(
        512, ge=1, description="Connections at once; who comes later is told to try again."
    )
    rate_per_s: Number = Field(
        100.0,
        ge=0,
        description="Requests per second that one key (or, without a valid key, one address) may "
        "keep up. 0: no limit. Does not apply on a loopback address without keys.",
    )
    rate_burst: Whole = Field(
        200, ge=1, description="Requests that may come at once before that limit bites."
    )
    cors_origins: list[str] = Field(
        default_factory=list,
        description="Origins whose pages may call the API, such as `https://example.org`.",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses of reverse proxies whose `X-Forwarded-For` and `-Proto` are "
        "believed.",
    )
    event_poll_s: Number = Field(
        0.5, gt=0, description="How often an event stream looks for what is new, in seconds."
    )
    log_reads: bool = Field(
        False,
        description="Log also reads that succeeded within a second; `/metrics` counts them anyway.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How `tonnage serve` logs on stderr; `json`: one object per line."
    )


class TierSpaces(Section):
    """The search spaces of devices with at least so much memory."""

    min_gib: Number = Field(ge=0, description="Memory from which the tier applies, in GiB.")
    spaces: dict[str, dict[str, list[Option]]] = Field(
        description="Budget name to search space: dimension name to its options."
    )


class Scaling(Section):
    """What numeric dimensions of a tier are multiplied with, by memory."""

    min_gib: Number = Field(ge=0, description="Memory from which the factor applies, in GiB.")
    factor: Number = Field(gt=0, description="The multiplier.")


class RunnerSettings(Section):
    """The processes that run studies for the service (see jobs.md)."""

    with_service: bool = Field(
        True,
        description="Whether `tonnage serve` starts a runner on its own host when there is work "
        "and none is there.",
    )
    heartbeat_s: Number = Field(
        5.0, gt=0, description="Seconds between two signs of life in the database."
    )
    dead_after_s: Number = Field(
        60.0,
        gt=0,
        description="Seconds without one after which a runner of another host counts as dead and "
        "its studies are taken over. On the same host its process is looked up instead.",
    )
    cancel_grace_s: Number = Field(
        5.0, gt=0, description="Seconds a study has to end by itself before it is killed."
    )
    idle_exit_s: Number = Field(
        300.0,
        gt=0,
        description="Seconds without work after which a runner that `tonnage serve` started ends.",
    )


class ParameterCap(Section):
    """The largest model that makes sense for a dataset of this size."""

    max_samples: Whole | None = Field(
        None, ge=1, description="Applies to fewer samples than this. Left out: to every dataset."
    )
    max_parameters: Whole = Field(ge=1, description="Parameters a model may have at most.")


class WorkloadSettings(Section):
    """A workload under a name of its own, by which the service knows it (a built-in one needs no
    `reference`), and search spaces, used instead of its own `space()`."""

    reference: str | None = Field(
        None,
        description="Where its class is: `path/to/file.py:Class` (a relative path counts from the "
        "folder of the configuration file) or `package.module:Class`. This registers the name.",
    )
    python: str | None = Field(
        None,
        description="The interpreter that trains it, where it has one of its own.",
        json_schema_extra={"shown_default": "as `--python`"},
    )
    options: dict[str, Option] = Field(
        default_factory=dict,
        description="Fixed parameters of its constructor. A request to the service cannot change "
        "them.",
    )
    request_options: list[str] = Field(
        default_factory=list,
        description="Other parameters of its constructor that a request to the service may give.",
    )
    tiers: list[TierSpaces] = Field(
        default_factory=list,
        description="Search spaces by device memory; the largest tier that fits applies.",
    )
    scaling: list[Scaling] = Field(
        default_factory=list, description="Multipliers by device memory; the largest that fits."
    )
    parameter_caps: list[ParameterCap] = Field(
        default_factory=list, description="Caps by dataset size; the smallest that applies."
    )
    rounding: dict[str, Annotated[Whole, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Dimension name to the multiple its scaled options are rounded to.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> WorkloadSettings:
        """Sorted the way they are looked up, whatever the order in the file."""
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
    """A training command that is measured as it is, under a name (see black-box.md)."""

    command: str = Field(
        description="How training is started, with placeholders: `python train.py --batch-size "
        "{batch_size} --layers {layers}`."
    )
    space: Annotated[dict[str, Any], AfterValidator(_dimensions)] = Field(
        default_factory=dict,
        description='The values of each placeholder: `"2..12"`, `"64..512..64"`, a list, one '
        "value, or `{ low = 16, high = 1024, log = true }`; `cost_grows = false` in a table says "
        "that a larger value may need less.",
    )
    step: str | None = Field(
        None,
        description="Regular expression of a line that ends a step, with groups `step` and "
        "`loss` where it has them; with a `log`, the key of the number in a JSON line.",
        json_schema_extra={"shown_default": "`tonnage step`, or `step` and a number"},
    )
    log: str | None = Field(
        None,
        description="Where steps are told instead of the output: a file of JSON lines (`.jsonl`, "
        "`.json`, `.log`, `.txt`) or a folder of TensorBoard event files; `{run_dir}` is a good "
        "place.",
    )
    cwd: str | None = Field(
        None,
        description="Folder to run in; a relative path counts from that of the configuration file.",
        json_schema_extra={"shown_default": "the configuration file's folder"},
    )
    env: dict[str, str] = Field(
        default_factory=dict,
        description="Environment variables, placeholders included. No secrets: results keep them.",
    )
    shell: bool = Field(
        False, description="Run it with `/bin/sh -c`, for pipes and `&&`; values are quoted."
    )
    python: str | None = Field(
        None,
        description="The interpreter that `{python}` stands for, and whose torch is looked at.",
        json_schema_extra={"shown_default": "the command's own if it has torch"},
    )
    dataset_size: Whole | None = Field(
        None, ge=1, description="Training samples; a batch is never larger."
    )


def _default_budgets() -> dict[str, BudgetSettings]:
    return {name: BudgetSettings(**values) for name, values in defaults.BUDGETS.items()}


def _default_workloads() -> dict[str, WorkloadSettings]:
    return {
        name: WorkloadSettings.model_validate(copy.deepcopy(values))
        for name, values in defaults.WORKLOADS.items()
    }


class Settings(Section):
    """Everything that can be configured. Build it with ``app.settings.load_settings``."""

    _file: Path | None = PrivateAttr(None)

    data_dir: Path = Field(
        default_factory=lambda: Path(user_data_dir(APPLICATION)),
        description="Folder for the database and the log files. A relative path counts from the "
        "folder of the configuration file.",
        json_schema_extra={"shown_default": "the user's data folder"},
    )
    database_url: str = Field(
        "",
        description="Where results are kept: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`.",
        json_schema_extra={"shown_default": "the SQLite file `tonnage.db` in `data_dir`"},
    )
    cycle_batches: Whole = Field(
        CYCLE_BATCHES, ge=1, description="Batches in one cycle, the unit of every time budget."
    )
    headroom: Number = Field(
        0.05, ge=0, le=0.5, description="Fraction of the device's memory that is kept free."
    )
    probe: ProbeSettings = ProbeSettings.model_validate({})
    service: ServiceSettings = ServiceSettings.model_validate({})
    runner: RunnerSettings = RunnerSettings.model_validate({})
    budgets: dict[str, BudgetSettings] = Field(default_factory=_default_budgets)
    workloads: dict[str, WorkloadSettings] = Field(default_factory=_default_workloads)
    commands: dict[str, CommandSettings] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _place_database(cls, data: Any) -> Any:
        """An unset ``database_url`` is a file in ``data_dir``."""
        if isinstance(data, dict):
            folder = Path(str(data.get("data_dir") or user_data_dir(APPLICATION))).expanduser()
            data = {**data, "data_dir": folder}
            data["database_url"] = data.get("database_url") or f"sqlite:///{folder}/tonnage.db"
        return data

    @property
    def file(self) -> Path | None:
        """The configuration file that was read; ``None`` when there was none."""
        return self._file

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
                cycle_batches=self.cycle_batches,
            )
            for name, budget in self.budgets.items()
        }
