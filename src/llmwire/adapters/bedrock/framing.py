"""Binary frames in the place of server-sent events: what both of Bedrock's decoders share."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import BackendError
from ...eventstream import BinaryFrame, BinaryFrameDecoder
from ...types import LLMChunk
from ..streaming import EventStreamDecoder, before_fault


class BinaryFraming(EventStreamDecoder):
    """Put before a decoder of event streams, it reads AWS's frames, one `_on_binary` each."""

    __slots__ = ()

    _frames: BinaryFrameDecoder

    def feed(self, data: bytes) -> Iterable[LLMChunk]:
        """As `StreamDecoder.feed`."""
        out: list[LLMChunk] = []
        try:
            for frame in self._frames.feed(data):
                if self.done:
                    break
                self._on_binary(frame, out)
        except BackendError as e:
            return before_fault(out, e)
        self.keepalives = self._pings
        return out

    def _on_binary(self, frame: BinaryFrame, out: list[LLMChunk]) -> None:
        """A frame of any kind: its chunks go into `out`, those before a fault included."""
        raise NotImplementedError
