"""One reply on its way: from request to chunks, over as many attempts as it takes.

This is the only place that joins the codecs to the transport, and it is one loop: prepare,
authorize, send, decode. Before the first content a failure may be retried; after it, it is raised
with what had come in `error.partial`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import msgspec

from .adapters.base import PreparedRequest
from .clocks import Clocks
from .error_body import request_id_of
from .errors import (
    BackendError,
    DecodeError,
    IncompleteStreamError,
    PayloadSummary,
    RateLimitError,
    StreamError,
    TransportError,
)
from .eventstream import CONTENT_TYPE
from .folding import close_open_parts
from .intake import MAX_BODY_BYTES, Intake, too_large, with_origin
from .output import finished
from .request import LLMRequest, approx_chars
from .transport import DirectResponse, Outgoing, TransportResponse
from .types import IncompleteReason, LLMChunk, Retry

if TYPE_CHECKING:
    from .backend import GenericBackend

_log = logging.getLogger("llmwire")

ERROR_BODY_BYTES = 64 * 1024
"""How much of an error's body is read. Real ones are a few KiB; HTML pages some dozens."""

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
        self._response: TransportResponse | None = None
        self._direct: DirectResponse | None = None  # the response, if it feeds the intake itself
        self._intake: Intake | None = None  # what came of a stream in this attempt
        self._document: LLMChunk | None = None  # a reply that was no stream
        self._delivered = False  # ... and its only chunk was given away
        self._prepared: PreparedRequest | None = None
        self._clocks: Clocks | None = None
        self._whole: LLMChunk | None = None  # the reply once it is whole, with its output
        self._failure: BaseException | None = None  # why the reply did not come to its end
        self._error: BackendError | None = None  # to be raised once the queue is empty
        self._retries: tuple[Retry, ...] = ()
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
        if self._document is not None:
            return self._document
        return LLMChunk() if self._intake is None else self._intake.result()

    @property
    def request(self) -> LLMRequest:
        """What was asked."""
        return self._request

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
        self._drop_response()
        if self._clocks is not None:
            self._clocks.stop()
        if not self._ended:
            self._ended = True
            self._failure = self._failure or GeneratorExit()
        if self._intake is not None:
            self._intake.queue.clear()
        self._error = None

    async def aclose(self) -> None:
        """As `close`; the name that asynchronous generators have."""
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_ended", True) and self._clocks is not None:
            self.close()

    def __aiter__(self) -> AsyncIterator[LLMChunk]:
        return self

    async def __anext__(self) -> LLMChunk:
        while True:
            intake = self._intake
            if intake is not None and intake.queue and (intake.committed or self._ended):
                return intake.queue.popleft()
            if self._ended:
                if self._document is None or self._delivered:
                    break
                self._delivered = True
                return self._document
            try:
                step = self._step()
                if step is not None:
                    await step
            except BackendError as e:
                await self._retry_or_end(e)
            except BaseException as e:
                self._failure = e
                self.close()
                raise
        if self._error is not None:
            error, self._error = self._error, None
            raise error from error.__cause__
        raise StopAsyncIteration

    async def whole(self) -> LLMChunk:
        """The reply once it is whole, without its pieces."""
        try:
            while not self._ended:
                try:
                    step = self._step()
                    if step is not None:
                        await step
                except BackendError as e:
                    await self._retry_or_end(e)
                if self._intake is not None:
                    self._intake.queue.clear()
        except BaseException as e:
            self._failure = self._failure or e
            self.close()
            raise
        if self._error is not None:
            error, self._error = self._error, None
            raise error from error.__cause__
        return self.result

    # --- the loop ---

    async def _turn(self) -> None:
        """Waits for this call's turn with its key. Raises `RateLimitError` where the turn comes too
        late for the call, or later than anybody should wait."""
        gate, clocks = self._backend.gate, self._clocks
        assert clocks is not None
        tokens = 0.0
        if gate.counts_tokens:
            tokens = approx_chars(self._request.messages) / 4 + (self._request.max_tokens or 0)
        wait = gate.turn(clocks.now(), tokens)
        while wait > 0:
            left = clocks.time_left()
            if wait > self._backend.retry.max_retry_after or (left is not None and wait >= left):
                raise RateLimitError(
                    f"the calls of {self._backend.provider.name!r} are held back for {wait:.3g} s "
                    "more: another call was told to wait, or a rate limit is reached",
                    retry_after=wait,
                    retryable=False,
                    phase="prepare",
                )
            clocks.start("total")
            await clocks.wait(asyncio.sleep(wait))
            wait = gate.turn_again(clocks.now())

    def _step(self) -> Awaitable[Any] | None:
        """What to wait for next; None: something changed without waiting."""
        response, intake = self._response, self._intake
        if response is None:
            return self._open()
        if intake is None:
            data = b""
            if getattr(response, "direct", False):
                direct = self._direct = cast(DirectResponse, response)
                data = direct.take()
                is_json = data[:1] == b"{" and b"\ndata:" not in data
                if direct.at_end and is_json and not self._is_framed():
                    self._take_document(response, data)  # nearly every reply that is no stream
                    return None
            return self._begin(response, data)
        assert self._clocks is not None
        if intake.done:
            if intake.fault is not None:
                raise intake.fault
            if self._direct is None or not self._direct.at_end:
                return self._drain(response, intake)
            self._finish(intake)
            return None
        self._clocks.start("idle" if intake.committed else "first_content")
        if self._direct is None:
            return self._pull(response, intake)
        news = self._direct.news()
        if news is None:
            self._finish(intake)
        else:
            self._clocks.bound(news)
        return news

    async def _open(self) -> None:
        """One attempt up to the headers. Raises what the status or the body's kind says."""
        backend = self._backend
        if self._clocks is None:
            self._clocks = Clocks(backend.timeouts, backend.watch())
        clocks = self._clocks
        if self._prepared is None:
            self._prepared = backend.prepare(self._request)
        prepared = self._prepared
        clocks.start("headers")
        headers = backend.known_headers(prepared, self._extra_headers)
        if headers is None:
            headers = await clocks.wait(backend.authorized(prepared, self._extra_headers))
            clocks.start("headers")
        if backend.gate.wanted:
            await self._turn()
            clocks.start("headers")
        outgoing = Outgoing(
            prepared.method, prepared.url, headers, prepared.body, backend.timeouts.connect
        )
        response = self._response = await clocks.wait(backend.transport.send(outgoing))
        backend.gate.read_headers(clocks.now(), time.time, response.headers)
        if response.status >= 300:
            body = await self._read_body(response, ERROR_BODY_BYTES, cut=True)
            raise backend.adapter.parse_error(
                response.status, response.headers, body, self._request, backend.provider
            )
        clocks.start("first_content")

    async def _begin(self, response: TransportResponse, data: bytes) -> None:
        """Looks at the first bytes of the body: a stream, or a document."""
        clocks, prepared = self._clocks, self._prepared
        assert clocks is not None and prepared is not None
        if not data:
            data = await clocks.wait(response.read())
        kind: Literal["stream", "document"] | None = "stream" if self._is_framed() else None
        while kind is None and (kind := _kind_of(response, data)) is None:
            more = await clocks.wait(response.read())
            data += more
            if not more:
                break
        if kind == "document":
            clocks.bytes_received += len(data)
            data += await self._read_body(response, MAX_BODY_BYTES - len(data))
        if kind != "stream" and b"\ndata:" not in data:
            self._take_document(response, data)
            return
        backend = self._backend
        decoder = backend.adapter.stream_decoder(self._request, backend.provider)
        request_id = request_id_of(response.headers)
        intake = self._intake = Intake(
            decoder, clocks, request_id, prepared.adaptations, self._retries
        )
        intake.on_bytes(data)
        if self._direct is not None:
            self._direct.deliver(intake.on_bytes)

    def _is_framed(self) -> bool:
        """Whether the body is for the decoder, whatever it looks like (`OwnFraming`)."""
        return self._request.stream and hasattr(self._backend.adapter, "stream_type")

    def _take_document(self, response: TransportResponse, data: bytes) -> None:
        """A reply that is no stream, whole."""
        assert self._prepared is not None
        chunk = close_open_parts(self._parse_document(response, data))
        request_id = request_id_of(response.headers)
        self._document = with_origin(chunk, request_id, self._prepared.adaptations, self._retries)
        self._end()

    async def _pull(self, response: TransportResponse, intake: Intake) -> None:
        """The next bytes of a response that has to be asked for them."""
        assert self._clocks is not None
        while True:
            data = await self._clocks.wait(response.read())
            if not data:
                self._finish(intake)
                return
            if intake.on_bytes(data):
                return

    def _finish(self, intake: Intake) -> None:
        """The end of the bytes. Raises `IncompleteStreamError` unless the reply was whole."""
        intake.finish()
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._drop_response()
        if self._clocks is not None:
            self._clocks.stop()
        self._backend.budget.earn()
        if self._backend.gate.wanted:
            self._backend.gate.answered()
        if self._request.output is not None:
            self._whole = self._finished(self.result)

    def _finished(self, whole: LLMChunk) -> LLMChunk:
        """The whole reply with what `output=` asked for. Raises `OutputError`."""
        return finished(self._request, whole)

    def _drop_response(self) -> None:
        response, self._response = self._response, None
        self._direct = None
        if response is not None:
            response.close()

    async def _drain(self, response: TransportResponse, intake: Intake) -> None:
        """The end of a body whose reply is whole already; a server that does not end it is left."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await response.read():
                    pass
        except (TimeoutError, BackendError):
            pass
        self._finish(intake)

    async def _retry_or_end(self, e: BackendError) -> None:
        """Waits, and the next attempt may begin; or the reply has ended, and the error is kept.

        Chunks that came before the error are still in the queue: they are delivered first.
        """
        error = self._explained(e)
        self._drop_response()
        intake = self._intake
        committed = intake is not None and intake.committed
        delay = None if committed else self._delay(len(self._retries), error)
        if isinstance(error, RateLimitError) and error.phase != "prepare" and self._clocks:
            pause = error.retry_after if error.retry_after is not None else delay
            self._backend.gate.hold(self._clocks.now(), pause or self._backend.retry.base)
        if delay is None:
            self._failure = self._error = error
            self._ended = True
            if self._clocks is not None:
                self._clocks.stop()
            return
        self._note_retry(error, delay)
        self._intake = None
        try:
            await asyncio.sleep(delay)
        except BaseException:
            self.close()
            raise

    def _note_retry(self, error: BackendError, delay: float) -> None:
        """The caller's callback, the log and the reply say that it is tried again."""
        retry = Retry(
            type(error).__name__,
            error.message,
            error.provider,
            error.model,
            error.status,
            delay,
            None if error.partial is None else error.partial.usage,
        )
        self._retries += (retry,)
        _log.info(
            "%s:%s failed (%s), next attempt in %.2f s: %s",
            retry.provider, retry.model, retry.error, delay, retry.message,
        )  # fmt: skip
        if self._backend.on_retry is not None:
            self._backend.on_retry(retry)

    def _delay(self, attempt: int, error: BackendError) -> float | None:
        left = self._clocks.time_left() if self._clocks is not None else None
        delay = self._backend.retry.next_delay(attempt, error, left, random.random())
        if delay is None or not self._backend.budget.spend():
            return None
        return delay

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
                    raise too_large()
                if not block.isspace():  # DeepSeek keeps whole answers alive with blank lines
                    self._clocks.start("idle")
        except (TransportError, DecodeError):
            if not cut:
                raise
        return b"".join(blocks)[: limit if cut else None]

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
        e.retries = self._retries
        partial = LLMChunk() if self._intake is None else self._intake.result(_cut_reason(e))
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
    if label in _STREAM_TYPES or any(start.startswith(m) for m in _SSE_STARTS):
        return "stream"
    return None if any(m.startswith(start) for m in _SSE_STARTS) else "document"


_STREAM_TYPES = ("text/event-stream", CONTENT_TYPE)
_SSE_STARTS = (b":", b"data:", b"event:", b"id:", b"retry:")


def _cut_reason(e: BackendError) -> IncompleteReason:
    is_report = isinstance(e, StreamError) and not isinstance(e, IncompleteStreamError)
    return "error" if is_report else "cut"


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
