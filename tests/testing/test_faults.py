"""Every fault and every timing of a scripted reply, seen from the socket."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import pytest
from tiny import DONE, Client, ask, request_bytes, tiny_server

from llmwire.config import ModelConfig
from llmwire.errors import RateLimitError, UnsupportedError
from llmwire.request import LLMRequest
from llmwire.testing import Fault, Reply
from llmwire.testing.script import FaultKind
from llmwire.types import (
    IncompleteToolCall,
    LLMUsage,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    StopInfo,
    TextPart,
    ToolCall,
    accumulate,
)

# Six characters, one a delta: with the marker, seven events.
EVENTS = [b'data: {"text":"%c"}\n\n' % c for c in b"abcdef"] + [DONE]
STREAM = b"".join(EVENTS)


def scripted(fault: Fault | None = None, *, stream: bool = True, **fields: Any) -> Any:
    with tiny_server() as server:
        server.reply(Reply("abcdef", chunk_size=1, fault=fault, **fields))
        return ask(server, stream=stream)


# --- cutting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 3, 7, 99, -1, -3])
def test_reset_and_close_after_events(after: int) -> None:
    count = len(EVENTS) + after if after < 0 else after
    for kind in ("reset", "close"):
        answer = scripted(Fault(kind, events=after))
        assert answer.status == 200
        assert answer.body == b"".join(EVENTS[:count])
        assert not answer.whole
        assert answer.reset == (kind == "reset")


@pytest.mark.parametrize("kind", ["reset", "close"])
@pytest.mark.parametrize("after", [0, 1, 25, 100])
@pytest.mark.parametrize("split", [None, 1])
def test_cut_after_bytes(kind: FaultKind, after: int, split: int | None) -> None:
    answer = scripted(Fault(kind, bytes=after), split=split)
    assert answer.body == STREAM[:after]
    assert not answer.whole
    assert answer.reset == (kind == "reset")


@pytest.mark.parametrize("kind", ["reset", "close"])
def test_whole_answer_is_cut_in_its_body(kind: FaultKind) -> None:
    answer = scripted(Fault(kind, bytes=5), stream=False)
    assert answer.headers["content-length"] == str(len(b'{"text":"abcdef","model":"m"}'))
    assert (answer.body, answer.whole) == (b'{"tex', False)


@pytest.mark.parametrize("kind", ["reset", "close", "end"])
def test_cut_before_the_first_byte(kind: FaultKind) -> None:
    with tiny_server() as server, Client(server) as client:
        server.reply(Reply("x", fault=Fault(kind)))
        client.send(request_bytes(b'{"say": "hi"}'))
        assert client.rest() == b""
        assert client.reset == (kind == "reset")


@pytest.mark.parametrize("after", [0, 2, -1, 7])
def test_clean_end_without_the_marker_keeps_the_connection(after: int) -> None:
    count = len(EVENTS) + after if after < 0 else after
    with tiny_server() as server, Client(server) as client:
        server.reply(Reply("abcdef", chunk_size=1, fault=Fault("end", events=after)))
        answer = client.post({"say": "hi", "stream": True})
        assert (answer.body, answer.whole) == (b"".join(EVENTS[:count]), True)
        assert client.post({"say": "hi"}).json["text"] == "hello"


def test_whole_answer_can_end_early_and_cleanly() -> None:
    answer = scripted(Fault("end", bytes=7), stream=False)
    assert (answer.body, answer.whole) == (b'{"text"', True)


# --- errors -------------------------------------------------------------------------------------


def test_error_event_inside_a_200() -> None:
    answer = scripted(Fault("error", events=2, error=RateLimitError("slow down")))
    assert answer.status == 200 and answer.whole
    assert answer.events == [*EVENTS[:2], b'data: {"tiny_error":"slow down"}\n\n']


def test_error_event_comes_first_and_is_an_overload_by_default() -> None:
    answer = scripted(Fault("error"))
    assert answer.events == [b'data: {"tiny_error":"Overloaded"}\n\n']


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(status=404, message="no such model"), 404),
        (Reply(status=529, message="no such model"), 529),
        (Reply(error=RateLimitError("no such model")), 429),
        (Reply(error=RateLimitError("no such model", status=420)), 420),
        (Reply(error=UnsupportedError("no such model")), 500),
    ],
)
def test_error_statuses(reply: Reply, status: int) -> None:
    with tiny_server() as server:
        server.reply(reply)
        answer = ask(server, stream=True)
    assert (answer.status, answer.json) == (status, {"tiny_error": "no such model"})


def test_error_headers() -> None:
    answer = scripted(status=429, headers={"Retry-After": "7", "x-mine": "1"})
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-mine"] == "1"
    with_hint = scripted(error=RateLimitError("slow", retry_after=0.5))
    assert with_hint.headers["retry-after"] == "0.5"


def test_cut_error_body() -> None:
    answer = scripted(Fault("close", bytes=4), status=500)
    assert (answer.status, answer.body, answer.whole) == (500, b'{"ti', False)


# --- waiting ------------------------------------------------------------------------------------


def test_stall_lasts_until_the_client_goes() -> None:
    with tiny_server() as server:
        server.reply(Reply("abcdef", chunk_size=1, fault=Fault("stall", events=2)))
        client = Client(server)
        client.send(request_bytes(b'{"say": "hi", "stream": true}'))
        while not client.pending.endswith(b'"b"}\n\n\r\n'):
            assert client.more()
        assert server.open_connections == 1
        client.socket.close()
        server.wait_for_connections(0)


def test_stall_before_the_first_byte() -> None:
    with tiny_server() as server, Client(server) as client:
        server.reply(Reply("x", fault=Fault("stall")))
        client.send(request_bytes(b'{"say": "hi"}'))
        server.wait_for_requests(1)
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)


def test_nothing_but_keepalives() -> None:
    with tiny_server() as server:
        server.reply(Reply("abcdef", chunk_size=1, fault=Fault("ping", events=1, every=0.001)))
        client = Client(server)
        client.send(request_bytes(b'{"say": "hi", "stream": true}'))
        while client.pending.count(b": ping\n\n") < 5:
            assert client.more()
        assert client.pending.count(b"data:") == 1
        client.socket.close()
        server.wait_for_connections(0)


def test_keepalives_before_the_first_event() -> None:
    assert scripted(pings=3).body == b": ping\n\n" * 3 + STREAM
    whole = scripted(pings=2, stream=False)
    assert whole.body.startswith(b'\n\n{"text"') and whole.whole


def test_delays_add_up() -> None:
    # Lower bounds only: how long a machine takes beyond what it was told is its own affair.
    started = time.monotonic()
    assert scripted(delay=0.03, first_delay=0.03, between=0.01).body == STREAM
    assert time.monotonic() - started >= 0.03 + 0.03 + 0.01 * (len(EVENTS) - 1)


# --- other bodies -------------------------------------------------------------------------------


def test_raw_bytes_are_sent_as_they_are() -> None:
    raw = b"HTTP/1.1 299 Odd\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nokTRAILING"
    with tiny_server() as server, Client(server) as client:
        server.reply(Reply(raw=raw), Reply(raw=raw, fault=Fault("reset", bytes=12)))
        client.send(request_bytes(b'{"say": "hi"}'))
        assert client.rest() == raw
        with Client(server) as other:
            other.send(request_bytes(b'{"say": "hi"}'))
            assert other.rest() == raw[:12]
            assert other.reset


def test_scripted_body_status_and_content_type() -> None:
    html = scripted(body=b"<h1>Bad gateway</h1>", status=502, content_type="text/html")
    assert (html.status, html.body) == (502, b"<h1>Bad gateway</h1>")
    assert html.headers["content-type"] == "text/html"
    recorded = b"data: 1\r\n\r\ndata: 2\n\ndata: half"
    stream = scripted(Fault("close", events=2), body=recorded, content_type="text/event-stream")
    assert (stream.body, stream.whole) == (b"data: 1\r\n\r\ndata: 2\n\n", False)
    assert scripted(body=b"").body == b""


def test_wrong_content_type_and_wrong_form() -> None:
    assert scripted(content_type="text/html").headers["content-type"] == "text/html"
    json_to_stream = scripted(form="whole")
    assert json_to_stream.json["text"] == "abcdef"
    assert json_to_stream.headers["content-type"] == "application/json"
    stream_to_plain = scripted(stream=False, form="stream")
    assert stream_to_plain.body == STREAM
    assert stream_to_plain.headers["content-type"].startswith("text/event-stream")


def test_lying_length() -> None:
    answer = scripted(stream=False, headers={"content-length": "1000"})
    assert answer.headers["content-length"] == "1000"
    assert (answer.body, answer.whole) == (b'{"text":"abcdef","model":"m"}', False)


def test_gzip_whole_and_stream() -> None:
    whole = scripted(gzip=True, stream=False)
    assert whole.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(whole.body))["text"] == "abcdef"
    assert gzip.decompress(scripted(gzip=True).body) == STREAM
    assert b"tiny_error" in gzip.decompress(scripted(gzip=True, status=500).body)
    cut = scripted(Fault("end", events=2), gzip=True)
    assert zlib.decompressobj(wbits=31).decompress(cut.body) == b"".join(EVENTS[:2])


def test_each_event_is_a_chunk_of_its_own_and_can_be_split_or_doubled() -> None:
    def chunk_sizes(**fields: Any) -> list[int]:
        with tiny_server() as server, Client(server) as client:
            server.reply(Reply("abcdef", chunk_size=1, **fields))
            client.send(request_bytes(b'{"say": "hi", "stream": true}', connection="close"))
            body = client.rest().partition(b"\r\n\r\n")[2]
        sizes = []
        while body:
            size, _, body = body.partition(b"\r\n")
            sizes.append(int(size, 16))
            body = body[sizes[-1] + 2 :]
        return sizes

    assert chunk_sizes() == [*map(len, EVENTS), 0]
    assert chunk_sizes(split=1) == [1] * len(STREAM) + [0]
    doubled = scripted(duplicate=True)
    assert doubled.events == [e for event in EVENTS for e in (event, event)]


# --- replies as values --------------------------------------------------------------------------

CALL = ("get_weather", {"city": "Köln", "days": [1, 2]})
REQUEST = LLMRequest(model=ModelConfig("m", "p"), messages=())


@pytest.mark.parametrize(
    "reply",
    [
        Reply(),
        Reply("A text of some length", chunk_size=3),
        Reply(pieces=["Hel", "", "lo"]),
        Reply("Hi", reasoning="I think", signature="c2ln", tool_calls=[CALL, CALL, ("b", {})]),
        Reply(reasoning="", signature="only-a-seal"),
        Reply(refusal="I won't", stop="refusal"),
        Reply(parts=[TextPart("a"), ToolCall("id1"), TextPart("b"), OpaquePart("x", '{"a":1}')]),
        Reply(parts=[ReasoningPart("", "redacted", data="xyz"), TextPart("ok")]),
        Reply(parts=[IncompleteToolCall("c", "f", '{"a', "length")], stop="length"),
        Reply("x", usage=LLMUsage(input_total=7), response_id="r1", model="other"),
        Reply("x", usage=None),
    ],
)
def test_stream_adds_up_to_the_whole_reply(reply: Reply) -> None:
    assert accumulate(reply.chunks(REQUEST)) == reply.whole(REQUEST)


def test_reply_in_parts() -> None:
    reply = Reply("Hi", reasoning="Hm", refusal="No", tool_calls=[CALL, CALL]).whole(REQUEST)
    kinds = [type(p) for p in reply.message.parts]
    assert kinds == [ReasoningPart, TextPart, RefusalPart, ToolCall, ToolCall]
    first, second = reply.tool_calls
    assert first.parsed == {"city": "Köln", "days": [1, 2]}
    assert first.id != second.id
    assert first.id is not None and len(first.id) == 9 and first.id.isalnum()
    assert reply.stop == StopInfo("tool_calls")
    assert reply.usage is not None and reply.usage.provenance == "estimated"
    assert Reply("Hi", stop="length").whole(REQUEST).stop == StopInfo("length")
    assert Reply("Hi", usage=None).whole(REQUEST).usage is None


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a", "parts": [TextPart("b")]},
        {"text": "a", "pieces": ["b"]},
        {"text": "a", "chunk_size": 0},
        {"text": "a", "split": 0},
        {"error": RateLimitError("x", status=429), "status": 500},
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Reply(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"kind": "burn"}, {"kind": "reset", "events": 1, "bytes": 1}, {"kind": "end", "bytes": -1}],
)
def test_impossible_faults_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Fault(**fields)
