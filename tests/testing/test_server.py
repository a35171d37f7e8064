"""The embedded server: HTTP, routes, the queue, what it heard, its life."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import logging
import socket
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import DONE, PATH, Client, ask, request_bytes, tiny_server

from llmwire.errors import ConfigError, RateLimitError
from llmwire.testing import LocalServer, Reply
from llmwire.testing.http1 import HTTPError, RequestParser

BODY = b'{"say": "hi"}'


# --- what it says -------------------------------------------------------------------------------


def test_answers_whole_and_as_a_stream() -> None:
    with tiny_server() as server:
        server.reply("one", Reply("a longer answer", chunk_size=5))
        whole = ask(server)
        stream = ask(server, stream=True)
    assert (whole.status, whole.json["text"]) == (200, "one")
    assert whole.headers["content-type"] == "application/json"
    assert stream.headers["content-type"].startswith("text/event-stream")
    texts = [json.loads(e[6:])["text"] for e in stream.events[:-1]]
    assert texts == ["a lon", "ger a", "nswer"]
    assert stream.events[-1] == DONE and stream.whole


def test_queue_is_used_in_order_and_then_the_default_answers() -> None:
    with tiny_server(default=lambda request: Reply(request.messages[0].text.upper())) as server:
        server.reply("1", RateLimitError("slow down", retry_after=2), lambda r: f"3 {r.model.name}")
        assert server.queued == 3
        assert ask(server).json["text"] == "1"
        limited = ask(server)
        assert (limited.status, limited.json) == (429, {"tiny_error": "slow down"})
        assert limited.headers["retry-after"] == "2"
        assert ask(server, model="big").json["text"] == "3 big"
        assert ask(server, "shout").json["text"] == "SHOUT"
        assert server.queued == 0


def test_counting_has_a_queue_of_its_own() -> None:
    with tiny_server() as server, Client(server) as client:
        server.reply("for chat")
        # "12345678" is 2 tokens of 4 characters, and the message costs 3.
        assert client.post({"say": "12345678"}, PATH + "/count").json == {"tokens": 5}
        server.reply_count(17, Reply(status=503, message="busy"))
        assert client.post({"say": ""}, PATH + "/count").json == {"tokens": 17}
        assert client.post({"say": ""}, PATH + "/count").status == 503
        assert client.post({"say": ""}).json["text"] == "for chat"


def test_failing_default_is_a_500_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: Any) -> Reply:
        raise LookupError("no such script")

    with tiny_server(default=broken) as server, caplog.at_level(logging.CRITICAL):
        answer = ask(server)
        assert answer.status == 500
        assert answer.json["tiny_error"] == "the test server failed: LookupError: no such script"
        server.default = "better"
        assert ask(server).json["text"] == "better"


# --- what it heard ------------------------------------------------------------------------------


def test_remembers_what_it_heard() -> None:
    with tiny_server() as server, Client(server) as client:
        client.post({"say": "hi"}, PATH + "?a=1", X_Test="yes", authorization="Bearer k")
        client.post(b"not json")
        first, second = server.requests
        server.clear()
        assert server.requests == []
    assert (first.method, first.path, first.query) == ("POST", PATH, "a=1")
    assert first.headers["x-TEST"] == "yes"
    assert ("authorization", "Bearer k") in first.raw_headers
    assert first.json == {"say": "hi"}
    assert first.asked.messages[0].text == "hi"
    assert first.style == "tiny"
    assert second.request is None and second.body == b"not json"
    with pytest.raises(ValueError, match="no request that a wire understands"):
        _ = second.asked


def test_duplicate_headers_are_all_heard() -> None:
    with tiny_server() as server, Client(server) as client:
        extra = b"Authorization: Bearer 1\r\nauthorization: Bearer 2\r\n"
        client.send(request_bytes(BODY).replace(b"\r\n", b"\r\n" + extra, 1))
        client.answer()
        (heard,) = server.requests
    values = [v for n, v in heard.raw_headers if n.lower() == "authorization"]
    assert values == ["Bearer 1", "Bearer 2"]


def test_remembers_the_newest_requests_only() -> None:
    with tiny_server(keep=2) as server:
        for say in "abc":
            ask(server, say)
        assert [h.json["say"] for h in server.requests] == ["b", "c"]


def test_waits_for_requests_and_connections() -> None:
    with tiny_server() as server:
        thread = threading.Thread(target=lambda: [ask(server) for _ in range(3)])
        thread.start()
        assert len(server.wait_for_requests(3)) == 3
        thread.join()
        server.wait_for_connections(0)
        with pytest.raises(TimeoutError, match="3 of 4 requests"):
            server.wait_for_requests(4, timeout=0)


def test_observer_sees_each_request() -> None:
    seen = []
    with tiny_server() as server:
        server.on_request = lambda heard: seen.append(heard.json["say"])
        ask(server, "a")
        ask(server, "b")
    assert seen == ["a", "b"]


# --- routes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PATH, 405),
        ("DELETE", PATH, 405),
        ("POST", "/nothing/here", 404),
        ("GET", "/", 404),
        ("POST", "/health", 404),
    ],
)
def test_wrong_method_or_path(method: str, path: str, status: int) -> None:
    with tiny_server() as server, Client(server) as client:
        client.send(request_bytes(b"", path, method))
        answer = client.answer()
        assert answer.status == status
        assert "tiny_error" in answer.json or path != PATH
        assert answer.headers.get("allow") == ("POST" if status == 405 else None)
        # The connection still works.
        assert client.post({"say": "hi"}).status == 200


def test_invalid_request_is_the_halfs_400() -> None:
    with tiny_server() as server, Client(server) as client:
        answer = client.post({"no": "say"})
        assert (answer.status, answer.json) == (400, {"tiny_error": "say is missing"})
        assert client.post({"say": "hi"}).status == 200


def test_health_and_model_lists() -> None:
    with tiny_server(models=("a", "b")) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)

        def get(path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if body else None

        assert get("/health") == (200, {"status": "ok"})
        assert get("/health", "HEAD") == (200, None)
        status, models = get("/v1/models")
        assert status == 200 and models["object"] == "list"
        assert [m["id"] for m in models["data"]] == ["a", "b"]
        assert get("/v1/models/b")[1]["object"] == "model"
        assert get("/v1/models/c")[0] == 404
        status, models = get("/v1/models", **{"anthropic-version": "2023-06-01"})
        assert [m["type"] for m in models["data"]] == ["model", "model"]
        assert (models["first_id"], models["last_id"], models["has_more"]) == ("a", "b", False)
        connection.close()


def test_required_key() -> None:
    with tiny_server(require_key="sesame") as server, Client(server) as client:
        assert client.post({"say": "hi"}).status == 401
        assert client.post({"say": "hi"}, authorization="Bearer other").status == 401
        assert client.post({"say": "hi"}, authorization="Bearer sesame").status == 200
        assert client.post({"say": "hi"}, x_api_key="sesame").status == 200
        client.send(request_bytes(b"", "/health", "GET"))
        assert client.answer().status == 200


# --- HTTP ---------------------------------------------------------------------------------------


def test_keep_alive_and_pipelining() -> None:
    with tiny_server(default=lambda r: r.messages[0].text) as server, Client(server) as client:
        client.send(request_bytes(b'{"say": "1"}') + request_bytes(b'{"say": "2"}'))
        assert [client.answer().json["text"] for _ in "12"] == ["1", "2"]
        assert client.post({"say": "3", "stream": True}).whole
        assert client.post({"say": "4"}, connection="close").headers["connection"] == "close"
        assert client.rest() == b""
        assert server.accepted_connections == 1


def test_chunked_request_and_expect_continue() -> None:
    with tiny_server(default=lambda r: r.messages[0].text) as server, Client(server) as client:
        head = request_bytes(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
        client.send(head + b'9;x="y"\r\n{"say": "\r\n5\r\nhey"}\r\n0\r\nx-trailer: 1\r\n\r\n')
        assert client.answer().json["text"] == "hey"
        request = request_bytes(BODY, expect="100-continue")
        client.send(request[: -len(BODY)])
        assert client.answer().status == 100
        client.send(BODY)
        assert client.answer().json["text"] == "hi"


def test_http10_client_gets_an_unchunked_stream_and_the_end() -> None:
    with tiny_server() as server, Client(server) as client:
        body = b'{"say": "hi", "stream": true}'
        client.send(request_bytes(body).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = client.answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.events[-1] == DONE


def test_client_that_closes_its_side_still_gets_the_answer() -> None:
    with tiny_server() as server, Client(server) as client:
        client.send(request_bytes(BODY))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().json["text"] == "hello"
        assert client.rest() == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        (b"GET /\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\x00b\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n"
            b"transfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nx\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 3000 + b"\r\n\r\n", 431),
        (b"a" * 3000, 431),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nfffff\r\n", 413),
    ],
)
def test_strict(request_: bytes, status: int) -> None:
    with tiny_server(max_head=2000, max_body=1000) as server, Client(server) as client:
        client.send(request_)
        answer = client.answer()
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert client.rest() == b""
        assert not client.reset


def test_too_large_in_the_wires_form_even_while_the_client_still_sends() -> None:
    with tiny_server(max_body=1000) as server, Client(server) as client:
        answer = client.post(b"x" * 100_000)
        assert answer.status == 413
        assert answer.json == {"tiny_error": "the request's body is larger than 1,000 bytes"}


@given(st.lists(st.integers(1, 400), max_size=12), st.booleans())
def test_requests_are_the_same_wherever_they_are_cut(cuts: list[int], chunked: bool) -> None:
    data = request_bytes(BODY, x_a="b")
    if chunked:
        data = data.replace(b"content-length: 13", b"transfer-encoding: chunked")
        data = data[: -len(BODY)] + b"3\r\n" + BODY[:3] + b"\r\nA\r\n" + BODY[3:] + b"\r\n0\r\n\r\n"
    data += request_bytes(b"", "/health", "GET")
    parser, heard, at = RequestParser(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        parser.feed(data[at:cut])
        at = max(at, min(cut, len(data)))
        while (request := parser.next()) is not None:
            heard.append((request.method, request.body))
    assert heard == [("POST", BODY), ("GET", b"")]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_parser_takes_any_bytes(data: bytes, cut: int) -> None:
    parser = RequestParser(200, 200)
    try:
        for piece in (b"POST / HTTP/1.1\r\nhost: a\r\n" * (cut % 2) + data[:cut], data[cut:]):
            parser.feed(piece)
            while parser.next() is not None:
                pass
    except HTTPError as e:
        assert 400 <= e.status < 600


# --- life ---------------------------------------------------------------------------------------


def test_listens_on_loopback_only_and_names_its_address() -> None:
    with tiny_server() as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        with pytest.raises(OSError):  # another address of this machine
            socket.create_connection(("127.0.0.2", server.port), timeout=5).close()
    with pytest.raises(ConfigError, match="not started"):
        _ = LocalServer().url


def test_taken_port_is_a_config_error() -> None:
    with (
        tiny_server() as server,
        pytest.raises(ConfigError, match=f"can't listen on 127.0.0.1 port {server.port}"),
    ):
        tiny_server(port=server.port).start()


@pytest.mark.filterwarnings("error")
def test_closes_cleanly_with_connections_open() -> None:
    before = threading.active_count()
    server = tiny_server().start()
    assert server.start() is server
    clients = [Client(server) for _ in range(3)]
    clients[0].post({"say": "hi"})
    clients[1].send(request_bytes(BODY)[:20])
    server.reply(Reply("x", delay=3600))
    clients[2].send(request_bytes(BODY))
    server.wait_for_requests(2)
    server.close()
    server.close()
    assert [c.rest() for c in clients] == [b"", b"", b""]
    for client in clients:
        client.socket.close()
    assert threading.active_count() == before
    assert server.open_connections == 0
    gc.collect()


def test_starts_again_after_close() -> None:
    server = tiny_server()
    for _ in range(2):
        with server:
            assert ask(server).status == 200


def test_as_an_async_context_manager() -> None:
    async def main() -> bytes:
        async with tiny_server() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request_bytes(BODY, connection="close"))
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(main()).startswith(b"HTTP/1.1 200 OK\r\n")


def test_serve_forever_until_another_thread_closes_it() -> None:
    server = tiny_server()
    thread = threading.Thread(target=server.serve_forever)
    server.start()
    thread.start()
    assert ask(server).status == 200
    server.close()
    thread.join(20)
    assert not thread.is_alive()


def test_many_clients_at_once() -> None:
    with tiny_server(default=lambda r: r.messages[0].text * 50) as server:
        heard: list[str] = []

        def talk(name: str) -> None:
            with Client(server) as client:
                heard.extend(client.post({"say": name}).json["text"] for _ in range(10))

        threads = [threading.Thread(target=talk, args=(n,)) for n in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(heard) == sorted(n * 50 for n in "abcdefgh" for _ in range(10))
