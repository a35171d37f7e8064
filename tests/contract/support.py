"""Both ends of a wire, joined without a network."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator

from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.adapters.base import FramedServer, ServerRequest, chunk_of
from llmwire.config import ProviderConfig
from llmwire.errors import BackendError
from llmwire.eventstream import BinaryFrameDecoder, encode_frame
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.request import LLMRequest
from llmwire.types import (
    LLMChunk,
    Part,
    PartDelta,
    ReasoningPart,
    TextPart,
    ToolCall,
    accumulate,
)

from .cases import BINARY


def heard(request: LLMRequest, provider: ProviderConfig) -> ServerRequest:
    """What the server's half hears when the client's half asks."""
    prepared = ADAPTERS[provider.api_style].prepare_request(request, provider)
    path = "/" + prepared.url.split("/", 3)[3]
    half = SERVER_HALVES[provider.api_style]
    assert half.matches(prepared.method, path)
    return half.parse_request(prepared.method, path, prepared.headers, prepared.body)


def chunks_of(reply: LLMChunk, size: int = 5) -> Iterator[LLMChunk]:
    """A reply as a model would stream it, `size` characters at a time."""
    for index, part in enumerate(reply.message.parts):
        if isinstance(part, TextPart | ReasoningPart):
            kind = "text" if isinstance(part, TextPart) else "reasoning"
            yield chunk_of([PartDelta(index, kind, start=True, native=part.native)])
            for i in range(0, len(part.text), size):
                yield chunk_of([PartDelta(index, kind, part.text[i : i + size])])
            last: dict[str, object] = {}
            if isinstance(part, ReasoningPart):
                last = {"signature": part.signature, "reasoning_kind": part.kind, "data": part.data}
            yield chunk_of([PartDelta(index, kind, end=True, **last)])
        elif isinstance(part, ToolCall):
            yield chunk_of([PartDelta(index, "tool_call", start=True, id=part.id, name=part.name)])
            for i in range(0, len(part.arguments), size):
                yield chunk_of([PartDelta(index, "tool_call", part.arguments[i : i + size])])
            yield chunk_of([PartDelta(index, "tool_call", end=True, native=part.native)])
        else:
            yield chunk_of([part])
    yield chunk_of(stop=reply.stop, usage=reply.usage)


def events_of(reply: LLMChunk, asked: ServerRequest, wire: str, size: int = 5) -> list[bytes]:
    return list(SERVER_HALVES[wire].prepare_stream(chunks_of(reply, size), asked))


def edited(wire: str, events: Iterable[bytes], old: bytes, new: bytes) -> list[bytes]:
    """The same events with other words in them, framed anew where frames have checksums."""
    if wire not in BINARY:
        return [event.replace(old, new) for event in events]
    out = []
    for event in events:
        (frame,) = BinaryFrameDecoder().feed(event)
        data = frame.data
        if frame.event == "chunk":
            inner = base64.b64decode(json.loads(data)["bytes"]).replace(old, new)
            data = json.dumps({"bytes": base64.b64encode(inner).decode()}).encode()
        out.append(encode_frame(data.replace(old, new), frame.headers))
    return out


def ping_of(wire: str) -> bytes:
    """An event that says nothing."""
    half = SERVER_HALVES[wire]
    return half.prepare_ping() if isinstance(half, FramedServer) else b": ping\n\n"


def shown(event: bytes) -> bytes:
    """An event with the base64 in it, if it has some, made plain."""
    found = re.search(rb'\{"bytes":"([^"]*)"', event)
    return event if found is None else base64.b64decode(found[1])


def decode(
    pieces: Iterable[bytes], request: LLMRequest, provider: ProviderConfig
) -> tuple[list[LLMChunk], BackendError | None]:
    """The chunks of a stream that comes in these pieces, and the error that ended it, if one did.

    Any other exception passes through, and fails the test.
    """
    decoder = ADAPTERS[provider.api_style].stream_decoder(request, provider)
    chunks: list[LLMChunk] = []
    try:
        for piece in pieces:
            chunks.extend(decoder.feed(piece))
        chunks.extend(decoder.finish())
    except BackendError as e:
        return chunks, e
    return chunks, None


def decoded(pieces: Iterable[bytes], request: LLMRequest, provider: ProviderConfig) -> LLMChunk:
    """The reply that a whole stream amounts to."""
    chunks, error = decode(pieces, request, provider)
    assert error is None, repr(error)
    return accumulate(chunks)


def partial(chunks: Iterable[LLMChunk]) -> LLMChunk:
    builder = ChunkBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return close_open_parts(builder.result())


def open_parts(reply: LLMChunk) -> list[Part]:
    return [p for p in reply.message.parts if isinstance(p, PartDelta)]
