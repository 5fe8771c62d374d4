"""Reads a planned run from the configuration of a training framework.

Reads JSON, YAML, TOML and ``KEY=value`` files: transformers ``TrainingArguments``, accelerate,
DeepSpeed, torchtune, Axolotl, LLaMA-Factory, Lightning, Hydra, and everything that ``tonnage
export`` writes. Only names count, not the structure: batch size, accumulation and levers are found
at any depth under the names below. Every other value may be a dimension of the workload.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.errors import InputError
from probes.group import MOST_RANKS
from probes.space_text import parse_value

BATCH_NAMES = (
    "per_device_train_batch_size",
    "train_micro_batch_size_per_gpu",
    "micro_batch_size",
    "tonnage_batch_size",
    "train_batch_size",
    "batch_size",
)
"""The first name that the file contains counts. DeepSpeed's ``train_batch_size`` comes late: it is
the sum over all devices."""
ACCUMULATION_NAMES = (
    "gradient_accumulation_steps",
    "accumulate_grad_batches",
    "tonnage_accumulation",
    "accumulation",
)
PRECISIONS = {
    "fp32": "fp32", "float32": "fp32", "32": "fp32", "32-true": "fp32", "no": "fp32",
    "tf32": "tf32",
    "bf16": "bf16", "bfloat16": "bf16", "bf16-mixed": "bf16", "bf16-true": "bf16",
    "fp16": "fp16", "float16": "fp16", "16": "fp16", "16-mixed": "fp16",
}  # fmt: skip
PRECISION_NAMES = ("mixed_precision", "precision", "dtype")
SWITCHES = {
    "gradient_checkpointing": ("gradient_checkpointing", "enable_activation_checkpointing"),
    "compile": ("torch_compile", "compile"),
}
RANKS_NAMES = ("num_processes", "nproc_per_node", "pet_nproc_per_node", "world_size")
RECOMMENDATION = re.compile(r"\brec_[0-9a-z]+\b")
PREFIX = "tonnage_"


@dataclass(frozen=True)
class Written:
    """The parts of the planned run that a file describes."""

    batch_size: int | None
    accumulation: int | None
    levers: dict[str, Any]
    offered: dict[str, Any]
    """All other single values, by the last part of their name."""
    recommendation_id: str | None
    notes: list[str] = field(default_factory=list)
    ranks: int | None = None
    """Number of processes that train as one, where the file asks for more than one."""


def read_file(file: Path, keys: Mapping[str, str] | None = None) -> Written:
    """Read the planned run from a file. ``keys`` gives the dotted path of a value that has another
    name: ``{"batch_size": "data.loader.bs"}``.

    Raises ``InputError`` if the file cannot be read, if it contains two different batch sizes, and
    if a batch size or accumulation is not a number (DeepSpeed's ``auto``).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is not UTF-8 text.") from None
    return read_text(text, str(file), keys)


def read_text(text: str, name: str, keys: Mapping[str, str] | None = None) -> Written:
    """Read the planned run from text. ``name`` is the name of the file: its suffix decides the
    format, and messages mention it."""
    found = _flat(_parsed(text, name))
    notes: list[str] = []
    named = _named(found, keys or {}, name)
    batch = named.get("batch_size")
    if batch is None:
        batch = _first(found, BATCH_NAMES, name, notes)
    accumulation = named.get("accumulation")
    if accumulation is None:
        accumulation = _first(found, ACCUMULATION_NAMES, name, notes)
    batch = _said(text, "batch_size", notes) if batch is None else batch
    accumulation = _said(text, "accumulation", notes) if accumulation is None else accumulation
    levers = {**_levers(found, notes), **{n: v for n, v in named.items() if n not in _NUMBERS}}
    offered: dict[str, Any] = {}
    for path, value in found:
        last = path[-1].removeprefix(PREFIX)
        if last not in (*BATCH_NAMES, *ACCUMULATION_NAMES, *levers):
            offered.setdefault(last, value)
    identity = RECOMMENDATION.search(text)
    return Written(
        None if batch is None else _whole(batch, "batch size", name),
        None if accumulation is None else _whole(accumulation, "accumulation", name),
        levers,
        offered,
        identity[0] if identity else None,
        notes,
        _ranks(found, notes),
    )


_NUMBERS = ("batch_size", "accumulation")
Path_ = tuple[str, ...]
Gathered = list[tuple[Path_, Any]]


def _parsed(text: str, name: str) -> Any:
    suffix = Path(name).suffix.lower()
    try:
        if suffix in (".json", ".jsonc") or (not suffix and text.lstrip().startswith("{")):
            return json.loads(text)
        if suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        if suffix in (".yaml", ".yml"):
            return _yaml(text)
    except ValueError as error:  # of json, tomllib and unicode
        raise InputError(f"{name} is not valid {suffix[1:].upper() or 'JSON'}: {error}.") from None
    return _options(text) if text.lstrip().startswith("--") else _variables(text, name)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _variables(text: str, name: str) -> dict[str, Any]:
    """``KEY=value`` and ``export KEY=value`` lines, and Hydra's overrides, whose keys have dots."""
    found: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise InputError(f"{name}, line {number}: {error}.") from None
        for word in words:
            key, separator, value = word.lstrip("+").partition("=")
            if separator and re.fullmatch(r"[A-Za-z_][\w./@-]*", key):
                found[key.lower()] = parse_value(value)
            elif word != "export":
                raise InputError(
                    f"{name}, line {number}: {line.strip()[:80]!r} is not KEY=value. "
                    "If the file is JSON, YAML or TOML, its name must end in .json, .yaml or .toml."
                )
    return found


def _options(text: str) -> dict[str, Any]:
    """``--name value``, ``--name=value``, ``--flag`` and ``--no-flag``."""
    found: dict[str, Any] = {}
    waiting = ""
    for word in shlex.split(text, comments=True):
        if not word.startswith("--"):
            if waiting:
                found[waiting] = parse_value(word)
            waiting = ""
            continue
        key, separator, value = word[2:].partition("=")
        waiting = key.replace("-", "_")
        if separator:
            found[waiting] = parse_value(value)
        elif waiting.startswith("no_"):
            found[waiting.removeprefix("no_")] = False
        else:
            found[waiting] = True
    return found


def _flat(value: Any, path: Path_ = ()) -> Gathered:
    """All single values with their paths, in the order of the file."""
    if isinstance(value, Mapping):
        return [
            item
            for key, below in value.items()
            for item in _flat(below, (*path, *re.split(r"[./]", str(key))))
        ]
    if isinstance(value, (list, tuple)) or not path:
        return []
    return [(path, value)]


def _named(found: Gathered, keys: Mapping[str, str], name: str) -> dict[str, Any]:
    known = {".".join(path): value for path, value in found}
    result = {}
    for what, where in keys.items():
        if where not in known:
            from probes.space import unknown_name

            raise InputError(f"{name}: {unknown_name('key', where, known)}")
        result[what] = known[where]
    return result


def _first(found: Gathered, names: Sequence[str], file: str, notes: list[str]) -> Any:
    for name in names:
        values = [(path, value) for path, value in found if path[-1].replace("-", "_") == name]
        of_training = [each for each in values if any("train" in part for part in each[0])]
        values = of_training or values
        if not values:
            continue
        shallowest = min(len(path) for path, _ in values)
        values = [each for each in values if len(each[0]) == shallowest]
        if len({repr(value) for _, value in values}) > 1:
            listing = ", ".join(f"{'.'.join(path)}={value}" for path, value in values)
            raise InputError(
                f"{file} contains different values: {listing}. Choose one with --key "
                f"{'accumulation' if names is ACCUMULATION_NAMES else 'batch_size'}="
                f"{'.'.join(values[0][0])}."
            )
        path, value = values[0]
        notes.append(f"{'.'.join(path)}={value}")
        return value
    return None


def _said(text: str, name: str, notes: list[str]) -> int | None:
    """A value that an export has no key for, from its comment about it."""
    said = re.search(rf"^# {name}=(\d+): ", text, re.MULTILINE)
    if said is None or RECOMMENDATION.search(text) is None:
        return None
    notes.append(f"{name}={said[1]} (a comment)")
    return int(said[1])


def _levers(found: Gathered, notes: list[str]) -> dict[str, Any]:
    levers: dict[str, Any] = {}
    for path, value in sorted(found, key=lambda each: len(each[0])):
        last = path[-1].removeprefix(PREFIX).replace("-", "_")
        parent = path[-2] if len(path) > 1 else ""
        precision = None
        if last in ("bf16", "fp16", "tf32") and value is True:
            precision = last
        elif last == "enabled" and parent in ("bf16", "fp16") and value is True:
            precision = parent
        elif last in PRECISION_NAMES:
            precision = PRECISIONS.get(str(value).lower())
        if precision is not None and levers.get("precision", "fp32") in ("fp32", "tf32"):
            levers["precision"] = precision
            notes.append(f"{'.'.join(path)}={value} is precision={precision}")
        for lever, names in SWITCHES.items():
            if last in names and isinstance(value, bool) and lever not in levers:
                levers[lever] = value
                notes.append(f"{'.'.join(path)}={value} is {lever}={value}")
    return levers


def _ranks(found: Gathered, notes: list[str]) -> int | None:
    for path, value in found:
        last = path[-1].removeprefix(PREFIX).replace("-", "_")
        is_count = last in RANKS_NAMES or (last == "devices" and path[-2:-1] == ("trainer",))
        if is_count and isinstance(value, int) and 1 < value <= MOST_RANKS:
            notes.append(f"{'.'.join(path)}={value}: trained on {value} devices as one")
            return value
    return None


def _whole(value: Any, what: str, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        option = "--batch-size" if what == "batch size" else "--accumulation"
        raise InputError(
            f"{name}: the {what} is {value!r}, not a whole number. Give it with {option}."
        )
    if value < 1:
        raise InputError(f"{name}: the {what} is {value}; it must be 1 or more.")
    return int(value)
