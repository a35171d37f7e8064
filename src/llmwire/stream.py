"""One reply on its way: from request to chunks, over as many attempts as it takes.

This is the only place that joins the codecs to the transport, and it is one loop: prepare,
authorize, send, decode. Before the first content a failure may be retried; after it, it is raised
with what had come in `error.partial`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from .adapters.base import PreparedRequest, StreamDecoder
from .clocks import Clocks
from .error_body import request_id_of
from .errors import (
    BackendError,
    DecodeError,
    IncompleteStreamError,
    PayloadSummary,
    StreamError,
    TransportError,
)
from .folding import ChunkBuilder, close_open_parts
from .output import finished
from .request import LLMRequest, approx_chars
from .transport import Outgoing, TransportResponse
from .types import IncompleteReason, LLMChunk

if TYPE_CHECKING:
    from .backend import GenericBackend

ERROR_BODY_BYTES = 64 * 1024
"""How much of an error's body is read. Real ones are a few KiB; HTML pages some dozens."""

MAX_BODY_BYTES = 1024 * 1024 * 1024
"""A bound on one reply. Generous: replies with images are 30 MB and more; this only stops a
server that never ends."""

DRAIN_SECONDS = 0.25
"""How long to wait for the end of a body whose reply is already whole, to keep the connection."""


class ReplyStream:
    """The chunks of one reply, in order; `result` is their sum.

    Iterate it once, best inside `async with`: leaving early (break, an exception, cancellation)
    then closes the connection at once. A plain `async for` works too; there the connection closes
    when the stream is garbage collected, right after a `break`.

    Raises the errors of `llmwire.errors` while iterating, with `error.partial`.
    """

    def __init__(self, backend: GenericBackend, request: LLMRequest, headers: Mapping[str, str]):
        self._backend = backend
        self._request = request
        self._extra_headers = headers
        self._builder = ChunkBuilder()
        self._queue: deque[LLMChunk] = deque()
        self._response: TransportResponse | None = None
        self._decoder: StreamDecoder | None = None
        self._prepared: PreparedRequest | None = None
        self._clocks: Clocks | None = None
        self._whole: LLMChunk | None = None  # the reply once it is whole, with its output
        self._failure: BaseException | None = None  # why the reply did not come to its end
        self._error: BackendError | None = None  # to be raised once the queue is empty
        self._attempt = 0
        self._begun = False  # the first chunk of this attempt was made
        self._committed = False  # content was delivered: nothing may be repeated
        self._ended = False

    # --- what users see ---

    @property
    def result(self) -> LLMChunk:
        """The reply so far; the whole reply once iteration has ended.

        Parts that are still open are closed, and a tool call that is not whole is an
        `IncompleteToolCall`.
        """
        if self._whole is not None:
            return self._whole
        return close_open_parts(self._builder.result())

    @property
    def complete(self) -> bool:
        """Whether the reply came to its own end."""
        return self._ended and self._failure is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops the reply and closes its connection; what had come stays in `result`."""
        response, self._response = self._response, None
        if response is not None:
            response.close()
        if self._clocks is not None:
            self._clocks.stop()
        if not self._ended:
            self._ended = True
            self._failure = self._failure or GeneratorExit()
        self._queue.clear()
        self._error = None

    async def aclose(self) -> None:
        """As `close`; the name that asynchronous generators have."""
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_response", None) is not None:
            self.close()

    def __aiter__(self) -> AsyncIterator[LLMChunk]:
        return self

    async def __anext__(self) -> LLMChunk:
        while not self._queue and not self._ended:
            try:
                if self._response is None:
                    await self._open()
                await self._read()
            except BackendError as e:
                await self._retry_or_end(e)
            except BaseException as e:
                self._failure = e
                self.close()
                raise
        if self._queue:
            return self._queue.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error from error.__cause__
        raise StopAsyncIteration

    # --- the loop ---

    async def _retry_or_end(self, e: BackendError) -> None:
        """Waits, and the next attempt may begin; or the reply has ended, and the error is kept.

        Chunks that came before the error are still in the queue: they are delivered first.
        """
        error = self._explained(e)
        self._drop_response()
        delay = None if self._committed else self._delay(self._attempt, error)
        if delay is None:
            self._failure = self._error = error
            self._ended = True
            if self._clocks is not None:
                self._clocks.stop()
            if not self._committed:
                self._queue.clear()
            return
        self._attempt += 1
        self._builder = ChunkBuilder()
        self._begun = False
        self._queue.clear()
        try:
            await asyncio.sleep(delay)
        except BaseException:
            self.close()
            raise

    def _delay(self, attempt: int, error: BackendError) -> float | None:
        left = self._clocks.time_left() if self._clocks is not None else None
        delay = self._backend.retry.next_delay(attempt, error, left, random.random())
        if delay is None or not self._backend.budget.spend():
            return None
        return delay

    async def _open(self) -> None:
        """One attempt up to the headers. Raises what the status or the body's kind says."""
        backend = self._backend
        if self._clocks is None:
            self._clocks = Clocks(backend.timeouts, asyncio.get_running_loop())
        clocks = self._clocks
        if self._prepared is None:
            self._prepared = backend.prepare(self._request)
        prepared = self._prepared
        clocks.start("headers")
        headers = await clocks.wait(backend.authorized(prepared, self._extra_headers))
        outgoing = Outgoing(
            prepared.method, prepared.url, headers, prepared.body, backend.timeouts.connect
        )
        clocks.start("headers")
        response = self._response = await clocks.wait(backend.transport.send(outgoing))
        if response.status >= 300:
            body = await self._read_body(response, ERROR_BODY_BYTES, cut=True)
            raise backend.adapter.parse_error(
                response.status, response.headers, body, self._request, backend.provider
            )
        clocks.start("first_content")
        self._decoder = None

    async def _read(self) -> None:
        """Reads until there is something for the caller or the reply has ended."""
        assert self._clocks is not None and self._response is not None
        response, clocks = self._response, self._clocks
        if self._decoder is None:
            data = await clocks.wait(response.read())
            while (kind := _kind_of(response, data)) is None:
                more = await clocks.wait(response.read())
                data += more
                if not more:
                    break
            if kind == "document":
                data += await self._read_body(response, MAX_BODY_BYTES - len(data))
            if kind != "stream" and b"\ndata:" not in data:
                self._deliver([self._parse_document(response, data)], last=True)
                self._end()
                return
            self._decoder = self._backend.adapter.stream_decoder(
                self._request, self._backend.provider
            )
        else:
            clocks.start("idle" if self._committed else "first_content")
            data = await clocks.wait(response.read())
        decoder = self._decoder
        while data:
            clocks.bytes_received += len(data)
            if clocks.bytes_received > MAX_BODY_BYTES:
                raise _too_large()
            if self._deliver(decoder.feed(data)):
                if decoder.done:
                    await self._drain(response)
                    self._finish(decoder)
                return
            clocks.keepalives = decoder.keepalives
            if decoder.done:
                await self._drain(response)
                break
            data = await clocks.wait(response.read())
        self._finish(decoder)

    def _finish(self, decoder: StreamDecoder) -> None:
        self._deliver(decoder.finish(), last=True)
        self._end()

    def _deliver(self, chunks: Iterable[LLMChunk], last: bool = False) -> bool:
        """Queues chunks; whether the caller may have them now.

        Until the first content (or the end) they are held back: a retry must repeat nothing.
        """
        for chunk in chunks:
            if not self._begun:
                self._begun = True
                chunk = self._with_origin(chunk)
            self._builder.add(chunk)
            self._queue.append(chunk)
            if chunk.message.parts:
                self._committed = True
        return (self._committed or last) and bool(self._queue)

    def _with_origin(self, chunk: LLMChunk) -> LLMChunk:
        """The first chunk says what was adapted and by which id the provider knows the call."""
        assert self._response is not None and self._prepared is not None
        request_id = request_id_of(self._response.headers)
        return msgspec.structs.replace(
            chunk,
            correlation_id=chunk.correlation_id or request_id,
            adaptations=self._prepared.adaptations + chunk.adaptations,
        )

    def _end(self) -> None:
        self._ended = True
        self._drop_response()
        if self._clocks is not None:
            self._clocks.stop()
        self._backend.budget.earn()
        if self._request.output is not None:
            self._whole = self._finished(self.result)

    def _finished(self, whole: LLMChunk) -> LLMChunk:
        """The whole reply with what `output=` asked for. Raises `OutputError`."""
        return finished(self._request, whole)

    def _drop_response(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            response.close()

    # --- bodies that are no stream ---

    def _parse_document(self, response: TransportResponse, body: bytes) -> LLMChunk:
        start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
        if start == b"<":
            # A gateway's page with status 200; its title is the best there is to say.
            error = self._backend.adapter.parse_error(
                502,
                response.headers,
                body[:ERROR_BODY_BYTES],
                self._request,
                self._backend.provider,
            )
            raise DecodeError(
                f"an HTML page came instead of a reply: {error.provider_message or 'no title'}. "
                "Check the provider's api_base; a gateway or login page may stand in between.",
                status=200,
                provider_message=error.provider_message,
                body_excerpt=error.body_excerpt,
                phase="response",
            )
        if not body.strip():
            raise IncompleteStreamError("the server closed an empty reply", phase="response")
        return self._backend.adapter.parse_response(body, self._request, self._backend.provider)

    async def _read_body(
        self, response: TransportResponse, limit: int, *, cut: bool = False
    ) -> bytes:
        """The rest of a body; with `cut`, no more of it than the limit."""
        assert self._clocks is not None
        blocks: list[bytes] = []
        size = 0
        try:
            while block := await self._clocks.wait(response.read()):
                blocks.append(block)
                size += len(block)
                self._clocks.bytes_received += len(block)
                if size > limit:
                    if cut:
                        break
                    raise _too_large()
                if not block.isspace():  # DeepSeek keeps whole answers alive with blank lines
                    self._clocks.start("idle")
        except (TransportError, DecodeError):
            if not cut:
                raise
        return b"".join(blocks)[: limit if cut else None]

    async def _drain(self, response: TransportResponse) -> None:
        """The end of a body whose reply is whole already; a server that does not end it is left."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await response.read():
                    pass
        except (TimeoutError, BackendError):
            pass

    # --- errors ---

    def _explained(self, e: BackendError) -> BackendError:
        """The error with all that is known of the call put into it."""
        backend, response = self._backend, self._response
        e.provider = e.provider or backend.provider.name
        e.api = e.api or backend.adapter.api
        e.model = e.model or self._request.model.name
        if self._prepared is not None:
            e.endpoint = e.endpoint or self._prepared.endpoint
            e.adaptations = e.adaptations or self._prepared.adaptations
        if response is not None and e.request_id is None:
            e.request_id = request_id_of(response.headers)
        if e.payload_summary is None:
            e.payload_summary = summary_of(self._request)
        partial = close_open_parts(self._builder.result(), _cut_reason(e))
        if partial.usage is not None and partial.usage.provenance == "reported":
            usage = msgspec.structs.replace(partial.usage, provenance="partial")
            partial = msgspec.structs.replace(partial, usage=usage)
        if e.partial is None and partial != LLMChunk():
            e.partial = partial
        return e


def _kind_of(response: TransportResponse, data: bytes) -> Literal["stream", "document"] | None:
    """What a body is by its first bytes, whatever was asked for; None: too few to tell.

    Servers that ignore `stream` send one JSON document, and some label it as a stream.
    """
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:6]
    if start[:1] in (b"{", b"[", b"<"):
        return "document"
    label = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if label == "text/event-stream" or any(start.startswith(m) for m in _SSE_STARTS):
        return "stream"
    return None if any(m.startswith(start) for m in _SSE_STARTS) else "document"


_SSE_STARTS = (b":", b"data:", b"event:", b"id:", b"retry:")


def _cut_reason(e: BackendError) -> IncompleteReason:
    is_report = isinstance(e, StreamError) and not isinstance(e, IncompleteStreamError)
    return "error" if is_report else "cut"


def _too_large() -> TransportError:
    return TransportError(
        f"the reply is larger than {MAX_BODY_BYTES:,} bytes", kind="limit", retryable=False
    )


def summary_of(request: LLMRequest) -> PayloadSummary:
    """What was asked, without its content."""
    choice = request.tool_choice
    return PayloadSummary(
        model=request.model.name,
        message_count=len(request.messages),
        approx_chars=approx_chars(request.messages),
        temperature=request.temperature,
        has_tools=bool(request.tools),
        tool_choice=choice if choice is None or isinstance(choice, str) else choice.function.name,
    )
