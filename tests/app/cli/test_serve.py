"""``tonnage serve`` and ``tonnage keys`` as commands: started, refused, stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from app.cli import run
from app.database import open_database
from app.service.listen import listen
from tests.app import contents, factories

TONNAGE = [sys.executable, "-c", "from app.cli import main; main()"]
TIMEOUT_S = 120


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'service.db'}"


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def tonnage(capfd) -> Callable[..., Ended]:
    """Runs a command to its end, in this process."""

    def to_its_end(*arguments: str) -> Ended:
        status = run(list(arguments))
        return Ended(status, *capfd.readouterr())

    return to_its_end


@pytest.fixture
def started(url) -> Iterator[tuple[subprocess.Popen[str], dict]]:
    command = [*TONNAGE, "serve", "--port", "0", "--json", "--database", url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    text = ""
    while not text.rstrip().endswith("}"):
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    yield process, json.loads(text)
    process.kill()
    process.communicate()


def get(address: str, **options) -> httpx.Response:
    """The socket listens before its address is printed: the first request waits until it is
    accepted."""
    return httpx.get(address, timeout=TIMEOUT_S, **options)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_from_one_command_and_stops_well(started, number):
    process, addresses = started
    assert addresses["keys_needed"] is False
    assert get(f"{addresses['api']}/studies").json() == {"items": [], "next_cursor": None}
    assert get(addresses["docs"]).status_code == 200
    process.send_signal(number)
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "Stopped." in err
    assert "Traceback" not in err


@pytest.mark.parametrize("watched", ["{api}/studies/{id}/events", "{page}/studies/{id}/changes"])
def test_it_stops_well_while_a_study_is_watched(started, watched):
    process, addresses = started
    api = addresses["api"]
    asked = {"workload": "transformer", "budget": "smoke_test", "device": "cuda:9"}
    study = httpx.post(f"{api}/studies", json=asked, timeout=TIMEOUT_S).json()["id"]
    url = watched.format(api=api, page=api.removesuffix("/v1"), id=study)
    with httpx.stream("GET", url, timeout=TIMEOUT_S) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        process.send_signal(signal.SIGTERM)
        assert all(isinstance(line, str) for line in lines)  # to its end, which is no error
    _, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "Traceback" not in err and "exceeded" not in err


def test_the_log_has_a_line_per_request_on_stderr(started):
    process, addresses = started
    get(addresses["api"].replace("/v1", "/healthz"))
    get(f"{addresses['api']}/studies/st_none", headers={"X-Request-ID": "mine-1"})
    process.terminate()
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert out == ""
    assert "GET /v1/studies/st_none 404" in err
    assert "/healthz" not in err  # a read that went well is only counted


def test_a_port_in_use_is_status_2(url, tonnage):
    with listen("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        ended = tonnage("serve", "--port", port, "--database", url)
    assert ended.returncode == 2
    assert "is in use by another program" in ended.stderr
    assert ended.stdout == ""


def test_a_wrong_host_is_status_2(url, tonnage):
    ended = tonnage("serve", "--host", "no-such-host.invalid", "--port", "0", "--database", url)
    assert ended.returncode == 2
    assert "no such address" in ended.stderr


def test_another_address_demands_a_key(url, tonnage):
    ended = tonnage("serve", "--host", "0.0.0.0", "--port", "0", "--database", url)
    assert ended.returncode == 2
    assert "tonnage keys create" in ended.stderr
    assert "--insecure" in ended.stderr


def test_a_killed_service_has_lost_nothing_that_it_acknowledged(url):
    command = [*TONNAGE, "serve", "--port", "0", "--json", "--database", url]
    post = {
        "scope": {"workload_hash": "a1", "fingerprint": "f1"},
        "measurement": factories.measurement().to_dict(),
    }
    acknowledged: dict[str, bytes] = {}
    for kill in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            text = "".join(iter(process.stdout.readline, "}\n")) + "}"
            api = json.loads(text)["api"]
            with httpx.Client(timeout=TIMEOUT_S) as client:
                for number in range(10 * (kill + 1)):  # those of before, and some more
                    key = f"probe-{number}"
                    header = {"Idempotency-Key": key}
                    answer = client.post(f"{api}/measurements", json=post, headers=header)
                    assert answer.status_code == 201
                    assert acknowledged.setdefault(key, answer.content) == answer.content
            process.kill()
    database = open_database(url)
    stored = {found.id for found in contents.measurements(database)}
    database.close()
    assert stored == {json.loads(answer)["id"] for answer in acknowledged.values()}
    assert len(stored) == 30


class TestKeys:
    def test_from_making_one_to_revoking_it(self, url, tonnage):
        made = tonnage("keys", "create", "--scope", "run", "--name", "agent", "--database", url)
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip()
        assert token.startswith("tng_")
        assert token not in made.stderr
        listed = json.loads(tonnage("keys", "list", "--json", "--database", url).stdout)
        assert [(key["name"], key["scope"], key["revoked_at"]) for key in listed] == [
            ("agent", "run", None)
        ]
        assert token not in json.dumps(listed)
        key_id = listed[0]["id"]
        assert tonnage("keys", "revoke", key_id, "--database", url).returncode == 0
        assert "revoked" in tonnage("keys", "list", "--database", url).stdout

    def test_a_service_with_a_key_asks_for_it(self, url, tonnage):
        token = tonnage("keys", "create", "--database", url).stdout.strip()
        command = [*TONNAGE, "serve", "--port", "0", "--json", "--database", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                text = "".join(iter(process.stdout.readline, "}\n")) + "}"
                addresses = json.loads(text)
                assert addresses["keys_needed"] is True
                devices = f"{addresses['api']}/devices"
                assert get(devices).status_code == 401
                header = {"Authorization": f"Bearer {token}"}
                assert get(devices, headers=header).status_code == 200
            finally:
                process.terminate()

    @pytest.mark.parametrize(
        "arguments", [["create", "--scope", "all"], ["create", "--name", "\n"], ["revoke", "key_x"]]
    )
    def test_wrong_input_is_status_2(self, url, arguments, tonnage):
        assert tonnage("keys", *arguments, "--database", url).returncode == 2
