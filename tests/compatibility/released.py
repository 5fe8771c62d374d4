"""What is asked of the restored database, over HTTP and on the command line; the golden answers
are those of the last release."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx

from tests.compatibility.restore import FINGERPRINT, FOLDER, HERE, TOKEN

GOLDEN = HERE / "golden"
COMMAND = [sys.executable, "-c", "from app.cli import main; main()"]
SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "100",
    "TONNAGE_PROBE__MEASURE_BUDGET_S": "0.5",
    "TONNAGE_PROBE__CONFIRM_STEPS": "8",
    "TONNAGE_PROBE__MAX_BATCH": "8",
    "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
    "TONNAGE_PROBE__ACCEPT_DISTURBED": "true",
    "TONNAGE_RUNNER__WITH_SERVICE": "false",
}
"""Those that the database was made with."""
CAP_OF_FINISHED = {"TONNAGE_PROBE__MAX_BATCH": "4096"}
HERE_NOW = ("--device", "cpu", "--memory-budget", "256MiB")
SMALL = ("--set", "layers=1", "--set", "width=16")
TUNE = ("tune", "train.py:Tiny", "--budget", "smoke_test", *HERE_NOW, "--json")
CHECK = ("check", "--workload", "train.py:Tiny", *SMALL, *HERE_NOW, "--json")

ASKED: dict[str, tuple[str, ...]] = {
    "recommend": ("recommend", "--json"),
    "recommend of a budget": ("recommend", "--budget", "prototyping", "--json"),
    "recommend of nothing": ("recommend", "--budget", "production", "--json"),
    "check that fits": (*CHECK, "--batch-size", "700"),
    "check that does not fit": (*CHECK, "--batch-size", "4000"),
    "check of time": (*CHECK, "--batch-size", "700", "--budget", "prototyping"),
    "check of another config": (*CHECK, "--set", "precision=bf16", "--batch-size", "64"),
    "export": ("export", "latest", "--to", "json"),
    "export of a budget": ("export", "latest", "--budget", "prototyping", "--to", "json"),
    "tune that is finished": TUNE,
    "keys": ("keys", "list", "--json"),
    "unknown command": ("tunes",),
    "unknown option": ("tune", "train.py:Tiny", "--bugdet", "smoke_test"),
    "unknown workload": ("probe", "visnett", "--batch-size", "1"),
    "unknown recommendation": ("export", "rec_none", "--to", "json"),
    "check without a workload": ("check", "--batch-size", "8"),
    "run without a command": ("run",),
    "run": ("run", "--no-report", "--", "sh", "-c", "exit 7"),
    "nothing to join": (*TUNE, "--join", "st_none"),
}
"""Commands that measure nothing."""
MEASURED: dict[str, tuple[str, ...]] = {
    "probe": ("probe", "train.py:Tiny", *SMALL, "--batch-size", "4", *HERE_NOW, "--json"),
    "max-batch": ("max-batch", "train.py:Tiny", *SMALL, *HERE_NOW, "--json"),
    "devices": ("devices", "--json"),
}
"""Commands whose numbers differ from time to time."""
RESUMED = (*TUNE, "--trials", "3", "--set", "width=16")
HTML = {"Accept": "text/html"}
COMMANDS = """devices probe max-batch tune recommend export check run report doctor runner serve
    keys keys-create keys-list keys-revoke db db-upgrade db-current db-prune db-backup db-export
    db-import"""

PARTS = {"content", "application/json", "application/problem+json", "schema", "items"}
PARTS |= {"anyOf", "allOf", "oneOf"}
"""Of the API's description, what has fields below it."""


def environment(home: Path) -> dict[str, str]:
    """Of commands that neither read nor write what belongs to the person who runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
    return {
        **kept,
        **SETTINGS,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "TONNAGE_DATA_DIR": str(home / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(home / "leases"),
    }


@contextmanager
def serving(url: str, home: Path) -> Iterator[httpx.Client]:
    """``tonnage serve`` on a database, asked with the stored API key; it finds the workload
    ``tiny`` registered."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "tonnage.toml").write_text('[workloads.tiny]\nreference = "train.py:Tiny"\n')
    arguments = ["serve", "--port", "0", "--json", "--database", url]
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=home,
        env={**environment(home), "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        key = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=_address(process), headers=key, timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    return str(json.loads(text)["dashboard"])


def answer(client: httpx.Client, path: str) -> dict[str, Any]:
    """Status and body, parsed where it is JSON."""
    got = client.get(path, headers={"Accept": "application/json"})
    body: Any = got.text
    try:
        body = got.json()
    except ValueError:
        body = [line for line in body.splitlines() if line and not line.startswith(("#", ":"))]
    return {"status": got.status_code, "body": body}


def ids(client: httpx.Client, path: str) -> list[str]:
    return [item["id"] for item in client.get(path, params={"limit": 200}).json()["items"]]


def paths(client: httpx.Client) -> Iterator[str]:
    """Of every kind of list, and of stored things of every kind."""
    yield from ("/v1/workloads", "/v1/workloads/registered", "/v1/predictions")
    yield from ("/v1/devices", f"/v1/devices/{FINGERPRINT}")
    yield "/v1/measurements?limit=200"
    yield from (f"/v1/measurements/{number}" for number in (1, 2, 3, 8, 42, 43))
    for name in ("checks", "runs", "studies", "recommendations"):
        yield f"/v1/{name}?limit=3"
        yield from (f"/v1/{name}/{id_}" for id_ in ids(client, f"/v1/{name}"))
    yield from (f"/v1/studies/{id_}/trials" for id_ in ids(client, "/v1/studies"))
    for id_ in ids(client, "/v1/recommendations"):
        exports = f"/v1/recommendations/{id_}/exports"
        yield exports
        yield from (f"{exports}/{export['format']}" for export in client.get(exports).json())
    lookup = f"/v1/recommendations/lookup?workload={FOLDER}/train.py:Tiny&budget="
    yield f"{lookup}smoke_test&fingerprint={FINGERPRINT}"
    yield f"{lookup}prototyping&kind=cpu&memory_bytes=268435456"
    yield f"{lookup}production&fingerprint={FINGERPRINT}"
    yield "/v1/studies/st_none"


def pages(client: httpx.Client) -> Iterator[str]:
    """Of the dashboard."""
    yield from ("/", "/now", "/recommendations", "/workloads", "/workloads/tiny", "/checks")
    for name in ("studies", "recommendations", "checks"):
        yield from (f"/{name}/{id_}" for id_ in ids(client, f"/v1/{name}"))
    yield from ("/measurements/8", "/measurements/2", "/studies/st_none")


def log_in(client: httpx.Client) -> None:
    """With the stored API key, as a browser does."""
    form = client.get("/login", headers=HTML).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert token
    client.post("/login", data={"csrf_token": token[1], "key": TOKEN, "next": "/"})


def interface(client: httpx.Client) -> dict[str, Any]:
    """The names in the description of the API: operations with their parameters, fields of bodies
    and answers, and every value that may be answered."""
    document = client.get("/openapi.json").json()
    operations = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations[f"{method} {path}"] = {
                "parameters": sorted(p["name"] for p in operation.get("parameters", [])),
                "body": _fields(document, operation.get("requestBody", {})),
                "answers": {
                    status: _fields(document, reply)
                    for status, reply in operation["responses"].items()
                },
            }
    return operations


def _fields(document: dict[str, Any], part: Any, seen: tuple[str, ...] = ()) -> list[str]:
    """Dotted names of all fields below a part of the description."""
    found: set[str] = set()
    if isinstance(part, list):
        for item in part:
            found.update(_fields(document, item, seen))
    elif isinstance(part, dict):
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name and name not in seen:
            schema = document["components"]["schemas"][name]
            return _fields(document, schema, (*seen, name))
        for key, value in part.get("properties", {}).items():
            found.add(key)
            found.update(f"{key}.{below}" for below in _fields(document, value, seen))
        for key in PARTS & part.keys():
            found.update(_fields(document, part[key], seen))
    return sorted(found)


def help_of(name: str) -> str:
    """What a command of ``COMMANDS`` explains of itself."""
    from app.cli import run

    words = name.split("-", 1) if name.startswith(("db-", "keys-")) else [name]
    with redirect_stdout(StringIO()) as shown:
        assert run([*words, "--help"]) == 0
    return shown.getvalue()


def option_names(help_text: str) -> list[str]:
    """Options and subcommands that a help page names."""
    found, section = set(), ""
    for line in help_text.splitlines():
        if line and not line.startswith(" "):
            section = line.partition(":")[0].lower()
        elif section == "commands" and (name := re.match(r" {2}(\S+)", line)):
            found.add(name[1])
        elif re.match(r" {2,6}-", line):
            spec = re.split(r" {2,}", line.strip())[0]
            found.update(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", spec))
    return sorted(found)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())
