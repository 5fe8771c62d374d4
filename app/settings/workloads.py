"""What can be configured of what is trained: registered workloads with their search spaces, and
commands."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from app.settings.fields import Number, Option, Section, Whole


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
    from probes.space import as_dimension
    from probes.space_text import parse_dimension

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
