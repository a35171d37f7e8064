"""No test sees a key, a proxy or the network; only loopback can be reached."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

_SECRET_OR_PROXY = re.compile(
    r".*(_API_KEY|_API_TOKEN|_AUTH_TOKEN)$|(GOOGLE|AWS|AZURE|OPENAI|ANTHROPIC|MISTRAL|OLLAMA)_.*"
    r"|LLMWIRE_(CONFIG|MODEL)$"
    r"|(https?|all|no|socks|ftp)_proxy$",
    re.IGNORECASE,
)


def _foreign_variables() -> list[str]:
    return [name for name in os.environ if _SECRET_OR_PROXY.match(name)]


# Before any test module is imported.
for _name in _foreign_variables():
    del os.environ[_name]

settings.register_profile("local", deadline=None, max_examples=60)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


class NetworkTouched(RuntimeError):
    """A test reached for something that is not on this machine."""


_touched: list[str] = []


def _is_here(host: Any) -> bool:
    if not host:
        return True
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(what: str) -> NetworkTouched:
    _touched.append(what)
    return NetworkTouched(f"this test reached for {what}; tests may reach loopback only")


def _guarded(method: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise _refuse(f"{address[0]}:{address[1]}")
        return method(self, address)

    return connect


_getaddrinfo = socket.getaddrinfo


def _guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name and (name == "invalid" or name.rstrip(".").endswith(".invalid")):
        # RFC 6761: these names never exist; no need to ask anyone.
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if not _is_here(host):
        raise _refuse(f"the name {name!r}")
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect = _guarded(socket.socket.connect)  # type: ignore[method-assign]
socket.socket.connect_ex = _guarded(socket.socket.connect_ex)  # type: ignore[method-assign]
socket.getaddrinfo = _guarded_getaddrinfo


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--transport",
        choices=("default", "aiohttp", "httpx", "httpx2"),
        default="default",
        help="what the backends under test carry their requests with, where a test says nothing",
    )


@pytest.fixture(autouse=True)
def carried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces the default transport by the one that was asked for."""
    name = request.config.getoption("--transport")
    if name != "default":
        import llmwire.backend
        from other_transports import TRANSPORTS

        monkeypatch.setattr(llmwire.backend, "HTTPTransport", TRANSPORTS[name])


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any) -> Iterator[None]:
    """No keys, no proxies, no configuration of the person who runs the tests, no network.

    Reaching out fails the test even if the program under test swallowed the refusal.
    """
    for name in _foreign_variables():
        monkeypatch.delenv(name)
    nowhere = tmp_path_factory.getbasetemp() / "no-home"
    monkeypatch.setenv("HOME", str(nowhere))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(nowhere / ".config"))
    before = len(_touched)
    yield
    reached = _touched[before:]
    del _touched[before:]
    assert not reached, f"this test reached for {', '.join(reached)}"


@pytest.fixture
def touched() -> list[str]:
    """What this test reached for; clear it to say that it was meant."""
    return _touched
