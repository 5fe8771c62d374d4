"""Configuration files whose placeholders are filled in for each probe."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from probes.black_box.command import Command, command_of, reference
from probes.black_box.config_file import fill
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.black_box.sources import describe
from probes.errors import InputError
from probes.job import BRACKET_PLAN, ProbeJob
from probes.timeouts import Timeouts

VALUES: dict[str, Any] = {
    "batch_size": 8,
    "lr": 1e-05,
    "flag": True,
    "nothing": None,
    "name": "yes",
    "model": "resnet-50",
    "run_dir": "/tmp/run",
}
READ = {
    "batch": 8,
    "lr": 1e-05,
    "flag": True,
    "name": "yes",
    "model": "resnet-50",
    "out": "/tmp/run/log",
    "sizes": [8, 16],
    "text": "{batch_size}",
    "home": "${HOME}",
}
YAML = """\
# batch_size below
data: &d {}
batch: {batch_size}  # samples
lr: {lr}
flag: {flag}
nothing: {nothing}
name: {name}
model: {model}
out: {run_dir}/log
sizes: [{batch_size}, 16]
text: "{{batch_size}}"
home: ${HOME}
"""
JSON = """\
{"batch":{batch_size}, "lr": {lr}, "flag": {flag}, "nothing": {nothing}, "name": {name},
 "model": "{model}", "out": "{run_dir}/log", "sizes": [{batch_size}, 16],
 "text": "{{batch_size}}", "home": "${HOME}", "data": {}}
"""
TOML = """\
batch = {batch_size}
lr = {lr}
flag = {flag}
name = {name}
model = "{model}"
out = "{run_dir}/log"
sizes = [{batch_size}, 16]
text = "{{batch_size}}"
home = "${HOME}"
"""
PYTHON = """\
read = dict(batch={batch_size}, lr={lr}, flag={flag}, nothing={nothing}, name={name},
    model={model}, out="{run_dir}/log", sizes=[{batch_size}, 16], text="{{batch_size}}",
    home="${HOME}")
"""


@pytest.mark.parametrize(
    ("suffix", "text", "parse"),
    [
        (".yaml", YAML, yaml.safe_load),
        (".json", JSON, json.loads),
        (".toml", TOML, tomllib.loads),
    ],
)
def test_values_keep_their_kind_in_each_format(suffix: str, text: str, parse: Any) -> None:
    read = parse(fill(text, suffix, VALUES))
    assert {name: read[name] for name in READ} == READ
    assert type(read["batch"]) is int
    assert read.get("nothing") is None


def test_a_python_file_gets_python_s_values() -> None:
    names: dict[str, Any] = {}
    exec(fill(PYTHON, ".py", VALUES), names)
    assert names["read"] == {**READ, "nothing": None}


def test_other_files_get_the_text() -> None:
    assert fill("batch = {batch_size}\nm: {model}", ".ini", VALUES) == "batch = 8\nm: resnet-50"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("")
    (tmp_path / "train.yaml").write_text("a: 1\nbatch: {batch_size}\nlayers: {layers}\n")
    return tmp_path


def command(project: Path, text: str = "{python} train.py {config}", **more: Any) -> Command:
    options = {"command": text, "cwd": str(project), "config": "train.yaml", **more}
    return command_of(reference("x", options))


def test_what_the_template_holds_counts_as_the_command_s(project: Path) -> None:
    found = command(project, space={"layers": "2..4"})
    assert {"batch_size", "layers", "config"} <= set(found.names)
    job = ProbeJob(reference("x", {}), {"layers": 3}, 8, "cpu", BRACKET_PLAN)
    values = found.values(job, "/run", "python", "/filled")
    assert found.argv(values) == ["python", "train.py", "/filled/train.yaml"]
    assert found.config_text(values) == "a: 1\nbatch: 8\nlayers: 3\n"


@pytest.mark.parametrize(
    ("text", "more", "message"),
    [
        ("{python} train.py {config}", {}, r"train\.yaml, line 3: The placeholder \{layers\}"),
        ("{python} train.py", {"space": {"layers": 2}}, r"does not use train\.yaml.*\{config\}"),
        ("{python} train.py {config}", {"config": "no.yaml"}, r"no\.yaml cannot be read"),
        ("{python} train.py {config}", {"config": ""}, "--option config=train.yaml"),
        ("{python} train.py {config}", {"config": 3}, "config is a text"),
        (
            "{python} train.py {config}",
            {"space": {"layers": 2, "config": "a,b"}},
            "config is not a dimension",
        ),
    ],
)
def test_what_is_wrong_names_the_file(
    project: Path, text: str, more: dict[str, Any], message: str
) -> None:
    if more.get("config") == "":
        text += " {batch_size}"
    with pytest.raises(InputError, match=f"(?s){message}"):
        command(project, text, **more)


def test_a_template_that_names_its_own_copy(project: Path) -> None:
    (project / "train.yaml").write_text("batch: {batch_size}\n\npath: {config}\n")
    with pytest.raises(InputError, match=r"train\.yaml, line 3"):
        command(project)


def test_a_dimension_may_still_be_called_config(project: Path) -> None:
    text = "{python} train.py {config} {batch_size}"
    found = command(project, text, config=None, space={"config": "a.yaml,b.yaml"})
    assert list(found.space) == ["config"]


def test_the_hash_follows_the_template(project: Path) -> None:
    options = {"command": "{python} train.py {config}", "cwd": str(project)}
    options = {**options, "config": "train.yaml", "space": {"layers": 2}}
    before = describe(reference("x", options))["source_hash"]
    (project / "train.yaml").write_text("batch: {batch_size}\nlayers: {layers}\n")
    assert describe(reference("x", options))["source_hash"] != before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the budget is enforced on Linux")
def test_a_probe_reads_the_filled_file(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text('{"batch": {batch_size}, "out": "{run_dir}"}')
    (tmp_path / "train.py").write_text(
        "import json, os, sys\n"
        "c = json.load(open(sys.argv[1]))\n"
        "print('out', os.listdir(c['out']), 'batch', c['batch'])\n"
        "for step in range(1000):\n    print(f'step {step} loss 0.5')\n"
    )
    options = {"command": f"{sys.executable} train.py {{config}}", "config": "train.json"}
    workload = reference("x", {**options, "cwd": str(tmp_path)})
    prober = CommandProber(
        sys.executable,
        Timeouts(startup_s=60.0, step_s=60.0, probe_s=120.0),
        lambda job: Footprint(2**30, 0, 0, 2**34, torch="none", python="3"),
    )
    m = prober.probe(ProbeJob(workload, {}, 7, "cpu", BRACKET_PLAN, 2**27, 0.0))
    assert m.passed, m.reason
    path = Path(m.environment["command"].split()[-1])
    assert path.name == "train.json"
    assert not path.exists()
