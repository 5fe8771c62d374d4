"""Taking an address, or saying why not."""

from __future__ import annotations

import socket

import pytest

from app.service.listen import is_loopback_name, is_loopback_only, listen, url_of
from probes.errors import InputError


def refused(host: str, port: int) -> str:
    with pytest.raises(InputError) as caught:
        listen(host, port).close()
    return str(caught.value)


def test_a_free_port_is_taken_and_named():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        assert is_loopback_only(listener)


def test_answers_are_not_held_back_for_an_acknowledgement():
    """asyncio turns that off only for sockets whose protocol it can tell."""
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_every_address_is_no_loopback_address():
    with listen("0.0.0.0", 0) as listener:
        assert not is_loopback_only(listener)
        assert url_of(listener).startswith("http://127.0.0.1:")


def test_localhost_is_this_machine_only():
    with listen("localhost", 0) as listener:
        assert is_loopback_only(listener)


def test_a_port_in_use_says_what_to_do():
    with listen("127.0.0.1", 0) as listener:
        message = refused("127.0.0.1", listener.getsockname()[1])
    assert "is in use by another program" in message
    assert "--port" in message


def test_a_host_that_does_not_exist():
    assert "no such address" in refused("no-such-host.invalid", 0)


def test_an_address_of_another_machine():
    assert "does not have the address 192.0.2.1" in refused("192.0.2.1", 0)


def test_a_text_that_is_no_host():
    assert "no such address" in refused("a" * 300, 0)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_addresses_are_written_as_browsers_take_them():
    try:
        listener = listen("::1", 0)
    except InputError:
        pytest.skip("this machine has no IPv6 loopback address")
    with listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"
        assert is_loopback_only(listener)


@pytest.mark.parametrize("name", ["localhost", "a.localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_names_of_this_machine(name):
    assert is_loopback_name(name)


@pytest.mark.parametrize(
    "name", ["", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "127.0.0.1.x"]
)
def test_names_of_others(name):
    assert not is_loopback_name(name)
