"""From a scripted reply to what goes over the wire: status, headers, events. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from ..adapters.base import FramedServer, Headers, ServerHalf, ServerRequest, canonical_json
from ..errors import BackendError
from .script import Reply

JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"
_EVENT_END = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r)")


class Answer(Struct, frozen=True):
    """What to send, and how: `reply` says the timing and the fault."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    events: tuple[bytes, ...] = ()
    """A whole body is one event."""
    stream: bool = False
    """Whether the body is sent without saying its length first."""
    raw: bytes | None = None
    reply: Reply = Reply()
    ping: bytes = b"\n"
    """A keep-alive: before a whole body, white space."""
    error_event: bytes = b""
    """What the fault `error` sends."""


def answer_with(reply: Reply, half: ServerHalf, heard: ServerRequest) -> Answer:
    """The answer that a reply is on this wire.

    Raises what the half raises for what its wire can't say.
    """
    fault = reply.fault
    error_event = b""
    if fault is not None and fault.kind == "error":
        error_event = half.prepare_stream_error(fault.event_error)
    if reply.raw is not None:
        return Answer(raw=reply.raw, reply=reply)
    failure = reply.failure
    if failure is not None:
        answer = error_answer(failure, half, reply)
        if not reply.gzip:
            return answer
        status, events, stream, kind = answer.status, list(answer.events), False, ""
        headers: Mapping[str, str] = dict(answer.headers)
    else:
        status, headers = reply.status or 200, {}
        stream = heard.request.stream if reply.form == "asked" else reply.form == "stream"
        if reply.body is not None:
            stream = "event-stream" in (reply.content_type or "")
            events = split_events(reply.body) if stream else [reply.body]
        elif stream:
            made = half.prepare_stream(reply.chunks(heard.request), heard)
            framed = isinstance(half, FramedServer)
            events = [e for data in made for e in ([data] if framed else split_events(data))]
        else:
            events = [half.prepare_response(reply.whole(heard.request), heard)]
        events_type = JSON_TYPE if heard.framing == "array" else stream_type(half)
        kind = reply.content_type or (events_type if stream else JSON_TYPE)
    if reply.duplicate:
        events = [e for event in events for e in (event, event)]
    ours = {"content-type": kind} if kind else {}
    if stream:
        ours["cache-control"] = "no-cache"
    if reply.gzip:
        ours["content-encoding"] = "gzip"
    return Answer(
        status=status,
        headers=merged(headers, ours, reply.headers),
        events=tuple(events),
        stream=stream or reply.gzip,
        reply=reply,
        ping=_ping(half) if stream else b"\n",
        error_event=error_event,
    )


def stream_type(half: ServerHalf) -> str:
    return half.stream_type if isinstance(half, FramedServer) else STREAM_TYPE


def _ping(half: ServerHalf) -> bytes:
    if isinstance(half, FramedServer):
        return half.prepare_ping()
    messages = half.api == "anthropic"
    return b'event: ping\ndata: {"type": "ping"}\n\n' if messages else b": ping\n\n"


def error_answer(error: BackendError, half: ServerHalf, reply: Reply | None = None) -> Answer:
    """An error in the wire's own form."""
    reply = reply or Reply()
    status, headers, body = half.prepare_error(error)
    ours = {} if "content-type" in Headers(headers) else {"content-type": JSON_TYPE}
    if error.retry_after is not None and "retry-after" not in Headers(headers):
        ours["retry-after"] = f"{error.retry_after:g}"
    if reply.content_type is not None:
        headers = {**headers, "content-type": reply.content_type}
    return Answer(
        status=status, headers=merged(headers, ours, reply.headers), events=(body,), reply=reply
    )


def json_answer(value: object, status: int = 200) -> Answer:
    """Any value as JSON."""
    return Answer(
        status=status, headers=(("content-type", JSON_TYPE),), events=(canonical_json(value),)
    )


def merged(*sources: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Headers of all sources; a later one replaces an earlier one of the same name."""
    return tuple(Headers(*sources).items())


def split_events(data: bytes) -> list[bytes]:
    """The events in these bytes, each with the blank line that ends it."""
    if data.find(b"\n\n") == len(data) - 2:
        return [data]
    return [event for event in _EVENT_END.split(data) if event]


def has_header(headers: Iterable[tuple[str, str]], name: str) -> bool:
    return any(n.lower() == name for n, _ in headers)
