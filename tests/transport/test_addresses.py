"""From a URL to a socket and a request line."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import OK, Peer, fetch, outgoing, saying

from llmwire.errors import BackendError, ConfigError, TransportError
from llmwire.transport import HTTPTransport, Outgoing, dial
from llmwire.transport.address import Route, address_of, head_of

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://api.example/v1", "api.example", 443, "/v1", "api.example"),
        ("http://API.example", "api.example", 80, "/", "api.example"),
        ("https://api.example:443/", "api.example", 443, "/", "api.example"),
        ("http://api.example:443/", "api.example", 443, "/", "api.example:443"),
        ("http://[::1]:8080/a", "::1", 8080, "/a", "[::1]:8080"),
        ("http://[fe80::1%25eth0]/a", "fe80::1%25eth0", 80, "/a", "[fe80::1]"),
        ("https://bücher.example/v1", "xn--bcher-kva.example", 443, "/v1", "xn--bcher-kva.example"),
        ("https://api.example./v1", "api.example.", 443, "/v1", "api.example."),
        ("http://h/a%2Fb/%C3%A4?q=%20&r=a+b", "h", 80, "/a%2Fb/%C3%A4?q=%20&r=a+b", "h"),
        ("http://h/a//b/../c;d=1?", "h", 80, "/a//b/../c;d=1?", "h"),
        ("http://h?q=1", "h", 80, "/?q=1", "h"),
        ("http://h/a?b=c?d/e:f@g#part", "h", 80, "/a?b=c?d/e:f@g", "h"),
        ("http://h/models/m:generateContent?alt=sse", "h", 80,
         "/models/m:generateContent?alt=sse", "h"),
    ],
)  # fmt: skip
def test_addresses(url: str, host: str, port: int, target: str, authority: str) -> None:
    address = address_of(url)
    scheme = url.partition(":")[0]
    assert address == (Route(scheme, host, port), target, authority)


@pytest.mark.parametrize(
    "url",
    [
        "", "api.example", "/v1", "ftp://h/", "ws://h/", "http://", "http:///v1", "http://:80/",
        "http://h:0/", "http://h:99999/", "http://h:x/", "http://[::1/", "http://h/ä", "http://h/a b",
        "http://h/a\r\nX: y", "http://h/a\tb", "http://h/a\x00", "http://h\r\nX/", "http://a b/",
        "http://" + "a" * 64 + ".example/", "http://a..example/", "http://ann:sk-secret@h/",
        "http://sk-secret@h/", "http://@h/",
    ],
)  # fmt: skip
async def test_addresses_that_can_not_be_used(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await HTTPTransport().send(outgoing(url))
    assert "secret" not in str(caught.value)


@given(url=st.text(max_size=40) | st.text(max_size=30).map("http://{}".format))
def test_any_text_is_an_address_or_a_config_error(url: str) -> None:
    try:
        address = address_of(url)
    except ConfigError:
        return
    head = head_of(outgoing(url), address)
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
    assert head.split(b"\r\n")[0].count(b" ") == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X": "a\0b"}, {"X: a\r\nY": "b"}, {"X Y": "b"},
        {"": "b"}, {"X": "sk-\u20ac"}, {"Ä": "b"},
    ],
)  # fmt: skip
async def test_headers_that_could_smuggle(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        await HTTPTransport().send(outgoing("http://127.0.0.1:9/", headers=headers))
    assert "sk-" not in str(caught.value)


def test_the_head() -> None:
    headers = {
        "Host": "other.example",
        "x-Key": "1",
        "content-length": "99",
        "Transfer-Encoding": "chunked",
        "Connection": "close",
    }
    request = Outgoing("POST", "http://h/a", headers, b"12345", None)
    assert head_of(request, address_of("http://h/a")) == (
        b"POST /a HTTP/1.1\r\nHost: other.example\r\nx-Key: 1\r\nConnection: close\r\n"
        b"Accept-Encoding: gzip, deflate\r\nContent-Length: 5\r\n\r\n"
    )


async def test_ipv6() -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK), host="::1") as peer:
        assert await fetch(transport, peer.url) == b"hello"
        assert b"\r\nHost: [::1]:%d\r\n" % peer.port in peer.heads[0]
        await transport.close()


def resolving(monkeypatch: pytest.MonkeyPatch, *places: tuple[Any, ...]) -> None:
    """The name `localhost` resolves to these."""
    real = type(asyncio.get_running_loop()).getaddrinfo

    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> list[Any]:
        if host != "localhost":
            return await real(self, host, port, **kwargs)  # uvloop asks itself about addresses
        tcp = socket.IPPROTO_TCP
        six = socket.AF_INET6
        return [
            (six if ":" in p[0] else socket.AF_INET, socket.SOCK_STREAM, tcp, "", p) for p in places
        ]

    monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", getaddrinfo)


async def test_the_next_address_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        resolving(monkeypatch, ("::1", peer.port, 0, 0), ("127.0.0.1", peer.port))
        assert await fetch(transport, f"http://localhost:{peer.port}/") == b"hello"
        await transport.close()


async def test_the_next_address_when_one_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "HAPPY_EYEBALLS_DELAY", 0.02)
    with socket.socket() as listener:  # its backlog is full: it never answers
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for sock in fill:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        transport = HTTPTransport()
        async with Peer(saying(OK)) as peer:
            resolving(monkeypatch, listener.getsockname(), ("127.0.0.1", peer.port))
            assert await fetch(transport, "http://localhost/") == b"hello"
            await transport.close()
        for sock in fill:
            sock.close()


async def test_all_addresses_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    resolving(monkeypatch, ("::1", port, 0, 0), ("127.0.0.1", port), ("127.0.0.2", port))
    with pytest.raises(TransportError) as caught:
        await fetch(HTTPTransport(), "http://localhost/")
    assert caught.value.kind == "connect" and caught.value.retryable


async def test_two_addresses_that_both_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "HAPPY_EYEBALLS_DELAY", 0.0)
    transport = HTTPTransport()
    async with Peer(saying(OK)) as peer:
        resolving(monkeypatch, *[("127.0.0.1", peer.port)] * 5)
        assert await fetch(transport, "http://localhost/") == b"hello"
        deadline = time.monotonic() + 5
        while peer.open != 1:  # the losers were closed
            assert time.monotonic() < deadline
            await asyncio.sleep(0.002)
        await transport.close()


async def test_a_name_that_is_not_there() -> None:
    with pytest.raises(TransportError) as caught:
        await fetch(HTTPTransport(), "http://nowhere.invalid/")
    assert caught.value.kind == "dns" and caught.value.phase == "connect"


async def test_only_our_errors_leave() -> None:
    for port in (1, 9, 65535):
        with pytest.raises(BackendError):
            await fetch(HTTPTransport(), f"http://127.0.0.1:{port}/")
