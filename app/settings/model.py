"""What can be configured, as a whole, and the goals and limits of measuring. ``serving``, ``fleet``
and ``workloads`` have the other tables; ``document`` makes the reference page from all of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_data_dir
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from app.settings import defaults
from app.settings.fields import Number, Section, Whole, none_word
from app.settings.fleet import FleetSettings
from app.settings.serving import (
    BundleSettings,
    FineTuningJobSettings,
    RunnerSettings,
    ServiceSettings,
)
from app.settings.workloads import CommandSettings, WorkloadSettings
from optimizer.budgets import CYCLE_BATCHES, MINUTE_S, Budget, Objective

APPLICATION = "tonnage"


def _absolute(value: Path | None) -> Path | None:
    value = value.expanduser() if value is not None else None
    if value is not None and not value.is_absolute():
        raise ValueError("an absolute path is expected, so that every process uses the same folder")
    return value


class BudgetSettings(Section):
    """The goal of studies with this budget."""

    target_min: Annotated[Number | None, Field(gt=0), BeforeValidator(none_word)] = None
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


class KnowledgeSettings(Section):
    """Knowledge pages of your own. See knowledge.md."""

    paths: list[Path] = Field(default_factory=list)
    """Folders of pages that are read beside the built-in ones. A page replaces the built-in page of
    the same name. A relative path is resolved from the folder of the configuration file."""


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
