"""The suite can't reach anything: the guard in `conftest` holds."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from llmwire.providers import PROVIDERS


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "169.254.169.254"])
def test_foreign_addresses_are_refused(address: str, touched: list[str]) -> None:
    for connect in (socket.socket.connect, socket.socket.connect_ex):
        with socket.socket() as sock, pytest.raises(RuntimeError, match="loopback only"):
            connect(sock, (address, 443))
    assert len(touched) == 2
    touched.clear()


def test_foreign_names_are_refused(touched: list[str]) -> None:
    with pytest.raises(RuntimeError, match="loopback only"):
        socket.getaddrinfo("api.openai.com", 443)
    with pytest.raises(RuntimeError, match="loopback only"):
        asyncio.run(asyncio.to_thread(socket.create_connection, ("api.openai.com", 443)))
    assert touched
    touched.clear()


def test_names_that_never_exist_are_unknown() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nobody.invalid", 443)


def test_loopback_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port), timeout=5).close()


def test_no_key_and_no_proxy_is_seen() -> None:
    named = {row.api_key_env_var for row in PROVIDERS.values()} - {""}
    named |= {"HTTP_PROXY", "https_proxy", "ALL_PROXY", "GOOGLE_APPLICATION_CREDENTIALS"}
    assert named & os.environ.keys() == set()
    assert not os.path.exists(os.path.expanduser("~"))
