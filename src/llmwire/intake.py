"""Bytes of one reply on their way to chunks, where they arrive: no await, no waiting.

A connection feeds the intake straight from its socket, so it refers to neither the stream nor
the response: a stream that nobody holds any more is collected at once, and closes its socket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec.structs import replace

from .adapters.base import StreamDecoder
from .clocks import Clocks
from .errors import TransportError
from .folding import ChunkBuilder, close_open_parts
from .types import Adaptation, IncompleteReason, LLMChunk, Retry

MAX_BODY_BYTES = 1024 * 1024 * 1024
"""A bound on one reply. Generous: replies with images are 30 MB and more; this only stops a
server that never ends."""

FOLD_AT = 256
"""Chunks are added up so many at a time: cheaper than one by one, and still little to hold."""


class Intake:
    """One attempt's chunks: made, held back until the reply may not be asked for again, queued.

    `queue` is what the caller may have; `fault` ended the reply after what is in the queue.
    """

    __slots__ = (
        "_adaptations",
        "_begun",
        "_builder",
        "_clocks",
        "_held",
        "_request_id",
        "_retries",
        "_unfolded",
        "committed",
        "decoder",
        "done",
        "fault",
        "queue",
    )  # fmt: skip

    def __init__(
        self,
        decoder: StreamDecoder,
        clocks: Clocks,
        request_id: str | None,
        adaptations: tuple[Adaptation, ...],
        retries: tuple[Retry, ...] = (),
    ) -> None:
        self.decoder = decoder
        self._clocks = clocks
        self._request_id = request_id
        self._adaptations = adaptations
        self._retries = retries
        self.queue: deque[LLMChunk] = deque()
        self._held: list[LLMChunk] = []
        self._unfolded: list[LLMChunk] = []
        self._builder: ChunkBuilder | None = None
        self._begun = False
        self.committed = False
        """Content is in the queue or was delivered: nothing may be repeated."""
        self.done = False
        """The terminal marker was seen, or there was a fault: no more bytes are wanted."""
        self.fault: Exception | None = None

    def on_bytes(self, data: bytes) -> bool:
        """Takes bytes of the body; says whether there is something to look at. Never raises."""
        if self.done:
            return False
        clocks, decoder = self._clocks, self.decoder
        clocks.bytes_received += len(data)
        try:
            if clocks.bytes_received > MAX_BODY_BYTES:
                raise too_large()
            if self.committed:  # nearly always
                for chunk in decoder.feed(data):
                    self.queue.append(chunk)
                    self._unfolded.append(chunk)
                if len(self._unfolded) > FOLD_AT:
                    self._fold()
            else:
                self._add(decoder.feed(data))
        except Exception as e:
            self.fault = e
            self.done = True
            return True
        if decoder.done:
            self.done = True
            return True
        clocks.keepalives = decoder.keepalives
        return self.committed and bool(self.queue)

    def finish(self) -> None:
        """The end of the bytes. Raises `IncompleteStreamError` unless the reply was whole."""
        self._add(self.decoder.finish())
        self.release()

    def release(self) -> None:
        """No retry will come: the caller may have what was held back."""
        self.queue.extend(self._held)
        self._held.clear()

    def _add(self, chunks: Iterable[LLMChunk]) -> None:
        for chunk in chunks:
            if not self._begun:
                self._begun = True
                chunk = with_origin(chunk, self._request_id, self._adaptations, self._retries)
            self._unfolded.append(chunk)
            if chunk.message.parts and not self.committed:
                self.committed = True
                self.release()
            (self.queue if self.committed else self._held).append(chunk)

    def _fold(self) -> ChunkBuilder:
        builder = self._builder
        if builder is None:
            builder = self._builder = ChunkBuilder()
        for chunk in self._unfolded:
            builder.add(chunk)
        self._unfolded.clear()
        return builder

    def result(self, cut: IncompleteReason = "cut") -> LLMChunk:
        """The reply so far, its open parts closed; a call that is not whole is incomplete."""
        return close_open_parts(self._fold().result(), cut)


def with_origin(
    chunk: LLMChunk,
    request_id: str | None,
    adaptations: tuple[Adaptation, ...],
    retries: tuple[Retry, ...] = (),
) -> LLMChunk:
    """The first chunk says what was adapted, what had failed before, and by which id the provider
    knows the call."""
    if not adaptations and not retries and (request_id is None or chunk.correlation_id):
        return chunk
    return replace(
        chunk,
        correlation_id=chunk.correlation_id or request_id,
        adaptations=adaptations + chunk.adaptations,
        retries=retries,
    )


def too_large() -> TransportError:
    return TransportError(
        f"the reply is larger than {MAX_BODY_BYTES:,} bytes", kind="limit", retryable=False
    )
