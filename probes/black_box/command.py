"""What a black-box command is: its template, its space, how its steps are recognised.

It travels as a ``WorkloadRef`` whose ``spec`` begins with ``command:`` and whose options are the
fields here, so that everything that stores, compares or resumes workloads takes it as one.
Standard library only.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from probes import levers
from probes.black_box import config_file, template
from probes.black_box.launchers import LaunchTarget, target_of
from probes.black_box.programs import (
    find_program,
    holds_modules,
    interpreter_beside,
    module_file,
    why_no_program,
)
from probes.black_box.steps import as_pattern
from probes.errors import InputError
from probes.job import ProbeJob, WorkloadRef
from probes.space import Choice, Space, as_space
from probes.space_text import parse_dimension

SPEC = "command:"
"""How the ``spec`` of a command begins; what follows is a name for people."""

RESERVED = {
    "batch_size": "samples per batch",
    "accumulation": "batches per optimizer step",
    "steps": "optimizer steps that a probe takes at most",
    "run_dir": "an empty folder, removed after the probe",
    "python": "the interpreter given with --python",
    "ranks": "the number of devices that train as one",
}
"""Placeholders that are not dimensions, and what they stand for."""
MAY_BE_DIMENSIONS = {"accumulation", "ranks"}
"""Those that a space may have values for; these are then used instead."""
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_OF_THE_SHELL = re.compile(
    r"(?<!\S)(?:\d?>>?|&>|<|\|\|?|&&|;)(?!\S)|(?<!\S)(?:\d?>>?|&>)&?[\w./]\S*"
)
"""A pipe, a redirection or a second command."""


@dataclass(frozen=True)
class Command:
    """A training command with placeholders. Raises ``InputError`` for what cannot be right."""

    name: str
    template: str
    space: Space = field(default_factory=dict)
    step: str = ""
    """Regular expression on the output, or, with a ``log``, the key of the step's number."""
    log: str = ""
    """File of JSON lines, or folder of TensorBoard event files, that tells of steps instead."""
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    shell: bool = False
    dataset_size: int | None = None
    config: str = ""
    """A configuration file whose placeholders are filled in; ``{config}`` is the filled one."""

    @property
    def names(self) -> list[str]:
        """Every placeholder, those of ``env``, ``log`` and the configuration file included."""
        texts = [self.template, self.log, *self.env.values()]
        found = [name for text in texts for name in template.placeholders(text)]
        if self.config:
            found += config_file.names_in(self.config_path)
        return list(dict.fromkeys(found))

    @property
    def config_path(self) -> Path:
        """The template of the configuration file."""
        return self.folder / Path(self.config).expanduser()

    @property
    def folder(self) -> Path:
        return Path(self.cwd) if self.cwd else Path.cwd()

    @property
    def program(self) -> str:
        """The word that names what is run; empty with a shell."""
        return "" if self.shell else template.split(self.template)[0]

    @property
    def target(self) -> LaunchTarget:
        """What is started in the end; empty with a shell."""
        return LaunchTarget() if self.shell else target_of(template.split(self.template))

    def check(self) -> None:
        """Everything that can be told without running it. Raises ``InputError``."""
        if "\0" in self.template:
            raise InputError("The command contains a NUL character.")
        if self.shell:
            template.check_shell_quoting(self.template)
        else:
            template.split(self.template)
            self._check_needs_no_shell()
        if self.step and not self.log:
            as_pattern(self.step)
        self._check_placeholders()
        self._check_files()

    def _check_needs_no_shell(self) -> None:
        if found := _OF_THE_SHELL.search(_QUOTED.sub("''", self.template)):
            raise InputError(
                f"{found[0]!r} needs a shell, and the command is run without one: {self.template}\n"
                "Add --option shell=true. Tonnage reads the steps in what is printed, so do not "
                "send all of it to a file, or name that file by --option log=FILE."
            )

    def _check_placeholders(self) -> None:
        named = self.names
        if self.config:
            self._check_config()
        if "batch_size" not in named:
            if meant := [name for name in named if name not in {*self._reserved, *self.space}]:
                raise InputError(
                    f"The command has no placeholder {{batch_size}}: {self.template}\n"
                    f"Is {{{meant[0]}}} the batch size? Write {{batch_size}} instead."
                )
            raise InputError(
                f"The command has no placeholder {{batch_size}}: {self.template}\nWrite it where "
                "the batch size goes, for example --batch-size {batch_size}. If it is in a "
                "configuration file, write it there, {config} in the command, and add "
                "--option config=FILE."
            )
        for name in named:
            if name not in self._reserved and name not in self.space:
                if name == "config":
                    raise InputError(
                        "{config} stands for a configuration file. Say which file is its template: "
                        "--option config=train.yaml, or config in [commands.NAME]."
                    )
                raise InputError(
                    f"{self._where(name)}The placeholder {{{name}}} has no dimension. Say which "
                    f"values it may have: --space {name}=2..12 or --space {name}=64,128, one with "
                    f"--set {name}=4, or [commands.NAME.space] in tonnage.toml. Known: "
                    f"{', '.join([*self.space, *self._reserved])}. For the text itself write "
                    f"{{{{{name}}}}}."
                )
        for name in self.space:
            if name in self._reserved and name not in MAY_BE_DIMENSIONS:
                raise InputError(
                    f"{name} is not a dimension: {{{name}}} stands for {self._reserved[name]}."
                )
            if name not in named:
                raise InputError(
                    f"The command has no placeholder {{{name}}}, so the dimension {name} would "
                    f"change nothing: {self.template}"
                )

    @property
    def _reserved(self) -> dict[str, str]:
        own = {"config": f"the filled copy of {self.config}"} if self.config else {}
        return {**RESERVED, **own}

    def _check_config(self) -> None:
        text = config_file.read(self.config_path)
        if line := config_file.line_of(text, "config"):
            raise InputError(
                f"{self.config}, line {line}: a configuration file cannot name its own copy with "
                "{config}. For the text itself write {{config}}."
            )
        outside = [self.template, *self.env.values()]
        if not any("config" in template.placeholders(text) for text in outside):
            raise InputError(
                f"The command does not use {self.config}. Write {{config}} where the path of the "
                f"configuration file goes, for example --config {{config}}: {self.template}"
            )

    def _where(self, name: str) -> str:
        """Where a placeholder of the configuration file stands; empty for another one."""
        line = config_file.line_of(config_file.read(self.config_path), name) if self.config else 0
        return f"{self.config}, line {line}: " if line else ""

    def _check_files(self) -> None:
        if not self.folder.is_dir():
            raise InputError(f"The command is to run in {self.folder}, which is not a folder.")
        if self.shell:
            return
        program = self.program
        if program != "{python}" and not find_program(program, self.folder):
            raise InputError(why_no_program(program, self.folder))
        script, module = self.target.script, self.target.module
        is_file = (self.folder / script).is_file()
        if script.endswith((".py", ".sh")) and "{" not in script and not is_file:
            raise InputError(f"There is no file {script} in {self.folder}.")
        package = module.partition(".")[0]
        is_here = bool(module) and holds_modules(self.folder, module)
        if is_here and not module_file(module, self.folder):
            raise InputError(
                f"There is no module {module} in {self.folder}, where {package} is a folder."
            )

    def check_values(self, config: Mapping[str, Any]) -> None:
        """Raises ``InputError`` for a value that the command has no place for, and for a text that
        is not among its dimension's."""
        named = self.names
        for name, value in config.items():
            if name not in named:
                raise InputError(
                    f"{name}={template.as_text(value)}: the command has no placeholder {{{name}}}. "
                    f"Known: {', '.join(self.space) or 'none'}. Levers are applied to workloads "
                    "only. Add a placeholder for what the script can do itself."
                )
            dimension = self.space.get(name)
            listed = dimension.values() if isinstance(dimension, Choice) else []
            if isinstance(value, str) and value not in listed:
                raise InputError(
                    f"{name}={value}: a text must be one of those that the command's space lists "
                    f"({', '.join(map(str, listed)) or 'none'}); it becomes a part of a command."
                )

    def values(
        self, job: ProbeJob, run_dir: str, python: str, config_dir: str = ""
    ) -> dict[str, Any]:
        """What each placeholder stands for in one probe. ``config_dir`` is where the filled
        configuration file goes. Raises ``InputError``."""
        self.check_values(job.config)
        if job.accumulation > 1 and "accumulation" not in self.names:
            raise InputError(
                "An effective batch size needs a placeholder {accumulation} in the command: "
                "batches per optimizer step."
            )
        if job.group is not None and "ranks" in self.space:
            raise InputError(
                "{ranks} is a dimension of the command's space, and --devices says how many ranks "
                "there are as well. Leave one of them out."
            )
        return {
            "ranks": job.group.size if job.group is not None else 1,
            **job.config,
            "batch_size": job.batch_size,
            "accumulation": job.accumulation,
            "steps": job.plan.max_steps + 1,
            "run_dir": run_dir,
            "python": python,
            **({"config": str(Path(config_dir, self.config_path.name))} if self.config else {}),
        }

    def config_text(self, values: Mapping[str, Any]) -> str:
        """The configuration file for one probe. Raises ``InputError``."""
        text = config_file.read(self.config_path)
        return config_file.fill(text, self.config_path.suffix.lower(), values)

    def argv(self, values: Mapping[str, Any]) -> list[str]:
        make = template.shell_arguments if self.shell else template.arguments
        return make(self.template, values)

    def environment(self, values: Mapping[str, Any]) -> dict[str, str]:
        return {name: template.fill(text, values) for name, text in self.env.items()}

    def shown(self, values: Mapping[str, Any]) -> str:
        """The command as a person would type it."""
        argv = self.argv(values)
        return argv[2] if self.shell else shlex.join(argv)


def is_command(workload: WorkloadRef) -> bool:
    return workload.spec.startswith(SPEC)


def reference(name: str, options: Mapping[str, Any], registered: str = "") -> WorkloadRef:
    """A command as a workload; ``registered`` is the name it is registered under."""
    return WorkloadRef(f"{SPEC}{name}", dict(options), registered)


def name_of(text: str) -> str:
    """A short name for a command: its script or module, else its program."""
    words = template.split(text)
    name = target_of(words).name
    if not name or "{" in name:
        scripts = (w for w in words[1:] if w.endswith((".py", ".sh")) and "{" not in w)
        name = Path(next(scripts, words[0])).name
    return name[:100]


def command_of(workload: WorkloadRef) -> Command:
    """The command that a workload is. Raises ``InputError``."""
    options = dict(workload.options)
    known = {f.name for f in fields(Command)} - {"name", "template"} | {"command"}
    for name, value in options.items():
        if name not in known:
            raise InputError(
                f"A command has no option {name!r}. Known: {', '.join(sorted(known))}."
            )
        _check_type(name, value)
    text = options.pop("command", "")
    space = options.pop("space", {})
    command = Command(
        name=workload.spec.removeprefix(SPEC),
        template=text.strip(),
        space=levers.checked(as_space({name: parse_dimension(d) for name, d in space.items()})),
        **{name: value for name, value in options.items() if value is not None},
    )
    try:
        command.check()
    except OSError as error:  # a folder of another user
        where = error.filename or command.folder
        raise InputError(f"{where} cannot be read: {error.strerror or error}.") from None
    return command


def _check_type(name: str, value: Any) -> None:
    """Raise ``InputError`` for an option of a command that is something else than it must be."""
    if name in ("env", "space"):
        right = isinstance(value, Mapping) and all(
            name == "space" or isinstance(each, str) for each in value.values()
        )
        if not right:
            how = "--space NAME=VALUES, or" if name == "space" else "a command inherits yours, or"
            raise InputError(
                f"{name} is a table: {how} [commands.NAME.{name}] in tonnage.toml; not {value!r}."
            )
    elif name == "shell":
        if not isinstance(value, bool):
            raise InputError(f"shell is true or false, not {value!r}.")
    elif name == "dataset_size":
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InputError(f"dataset_size is a number of samples, not {value!r}.")
    elif value is not None and not isinstance(value, str):
        raise InputError(f"{name} is a text, not {value!r}.")


def interpreter_of(command: Command) -> str | None:
    """The Python that trains, if that can be told: the command starts it, or it is the one that a
    launcher such as ``torchrun`` is installed beside."""
    python = command.target.python
    if not python or python == "{python}":
        return None
    path = find_program(python, command.folder)
    if path is None or re.fullmatch(r"python[\d.]*", Path(python).name):
        return path
    return interpreter_beside(Path(path))
