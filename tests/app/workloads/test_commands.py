"""Commands under a name: who may run them, and with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.dry_run import configs_of, show
from app.cli.measuring import MeasuringOptions as Given
from app.errors import NotAllowed, NotRegistered
from app.http.runtime import Service
from app.settings import Settings, load_settings
from app.workloads import registry
from probes.black_box.command import command_of
from probes.black_box.sources import describe
from probes.errors import InputError
from probes.job import BRACKET_PLAN, ProbeJob

TABLE = """
[commands.net]
command = "{python} train.py --batch-size {batch_size} --layers {layers} {flag}"
step = 'iter (?P<step>\\d+)'
dataset_size = 5000
[commands.net.space]
layers = "2..4"
flag = ["", "--bf16"]
"""


@pytest.fixture
def configured(tmp_path: Path) -> Any:
    (tmp_path / "train.py").write_text("")

    def settings(text: str = TABLE) -> Settings:
        file = tmp_path / "tonnage.toml"
        file.write_text(text)
        return load_settings(environ={"TONNAGE_CONFIG": str(file)})

    return settings


def test_a_command_is_a_workload_with_a_name(configured: Any, tmp_path: Path) -> None:
    entry = registry.find(configured(), "net")
    workload = entry.asked({})
    assert (workload.label, workload.spec, entry.source) == ("net", "command:net", "tonnage.toml")
    command = command_of(workload)
    assert command.folder == tmp_path and command.step == r"iter (?P<step>\d+)"
    described = describe(workload)
    assert described["dataset_size"] == 5000
    assert described["space"]["layers"] == {
        "type": "int", "low": 2, "high": 4, "step": 1, "log": False, "cost_grows": True,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["command", "shell", "cwd", "env", "step", "space"])
def test_a_request_may_change_nothing_of_it(configured: Any, name: str) -> None:
    with pytest.raises(NotAllowed, match=name):
        registry.find(configured(), "net").asked({name: "rm -rf ~"})


@pytest.mark.parametrize("name", ["command:net", "command", "command:python train.py"])
def test_a_request_can_name_no_command_that_is_not_registered(configured: Any, name: str) -> None:
    with pytest.raises(NotRegistered):
        registry.find(configured(), name)


def test_over_http_a_registered_command_is_studied_and_no_other_is(
    configured: Any, database: Any, start_service: Any
) -> None:
    service = Service(database, configured(), needs_keys=False)
    with httpx.Client(base_url=start_service(service)) as api:

        def status(workload: str, **more: Any) -> int:
            answer = api.post("/v1/studies", json={"workload": workload, **more})
            code: int = answer.status_code
            return code

        assert status("net", pinned={"layers": 3}) == 202
        for options in ({"command": "id"}, {"shell": True}, {"log": "/etc"}, {"cwd": "/"}):
            assert status("net", options=options) == 403, options
        for name in ("command:net", "command:train.py", "{python} train.py {batch_size}"):
            assert status(name) == 403, name
        assert len(api.get("/v1/studies").json()["items"]) == 1


def test_a_text_that_a_request_pins_must_be_one_of_the_spaces(configured: Any) -> None:
    workload = registry.find(configured(), "net").asked({})
    with pytest.raises(InputError, match="must be one of those"):
        configs = configs_of(workload, {"flag": "--output=/etc/passwd"}, every=False)
        job = ProbeJob(workload, configs[0], 8, "cpu", BRACKET_PLAN)
        command_of(workload).values(job, "", "python")


def test_a_name_stands_for_one_thing(configured: Any) -> None:
    with pytest.raises(InputError, match="visnet"):
        registry.registered(configured(TABLE.replace("commands.net", "commands.visnet")))
    with pytest.raises(InputError, match="letters, digits"):
        registry.registered(configured(TABLE.replace("commands.net", 'commands."a:b"')))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('layers = "2..4"', 'layers = "2..x"'), "'2..x' is not a range"),
        (("dataset_size", "data_size"), "unknown key commands.net.data_size.*dataset_size"),
        (("dataset_size = 5000", 'dataset_size = "many"'), "commands.net.dataset_size"),
    ],
)
def test_mistakes_in_the_table(configured: Any, change: tuple[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        configured(TABLE.replace(*change))


def test_a_command_line_pins_what_has_no_dimension(configured: Any, monkeypatch: Any) -> None:
    settings = configured()
    monkeypatch.chdir(settings.file.parent)
    given = Given(
        command="{python} train.py {batch_size} {layers} {width}",
        space=["width=8,16"],
        set_=["layers=4"],
    )
    workload, _, pinned = given.find(settings)
    assert workload.label == "command:train.py" and pinned == {"layers": 4}
    assert configs_of(workload, pinned, every=True) == [
        {"width": 8, "layers": 4},
        {"width": 16, "layers": 4},
    ]
    assert configs_of(workload, pinned, every=False) == [{"width": 8, "layers": 4}]


@pytest.mark.parametrize(
    "given",
    [
        Given(),
        Given(workload="visnet", command="x {batch_size}"),
        Given(workload="visnet", step="iter"),
    ],
)
def test_either_a_workload_or_a_command(configured: Any, given: Given) -> None:
    with pytest.raises(InputError, match="--command"):
        given.find(configured())


def test_a_dry_run_shows_the_commands(configured: Any, capsys: Any) -> None:
    workload = registry.find(configured(), "net").asked({})
    configs = configs_of(workload, {"layers": 3}, every=True)
    show(
        workload, configs, python="/venv/bin/python", batch_size=64, effective_batch_size=None,
        json_=False,
    )  # fmt: skip
    shown = capsys.readouterr().out.splitlines()
    assert "/venv/bin/python train.py --batch-size 64 --layers 3" in shown
    assert "/venv/bin/python train.py --batch-size 64 --layers 3 --bf16" in shown
    assert any("Nothing was run" in line for line in shown)


def test_a_dry_run_of_a_workload_is_an_error(configured: Any) -> None:
    workload = registry.find(configured(), "visnet").asked({})
    with pytest.raises(InputError, match="--command"):
        show(workload, [], python="x", batch_size=1, effective_batch_size=None, json_=False)
