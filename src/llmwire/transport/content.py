"""Content codings: gzip and deflate, a bounded piece at a time."""

from __future__ import annotations

import zlib

from ..errors import DecodeError

STEP = 1024 * 1024
"""The most that one step of decompression gives: a bomb is met a piece at a time."""

_GZIP = zlib.MAX_WBITS | 16


class Inflater:
    """zlib, for gzip (of several members too), deflate, and what some servers call deflate."""

    __slots__ = ("_deflate", "_held", "_zlib", "begun", "tail")

    def __init__(self, deflate: bool) -> None:
        self._deflate = deflate
        self._held = b""
        self._zlib = None if deflate else zlib.decompressobj(_GZIP)
        self.begun = False
        self.tail = b""
        """Bytes for the next step, to be given before any that come later."""

    def step(self, data: bytes) -> bytes:
        """The next decoded bytes, b"" if there are none yet. Raises `DecodeError`."""
        self.begun = True
        if self._zlib is None:
            # RFC 9110 says zlib's wrapper; old servers send bare deflate. Two bytes tell.
            data = self._held = self._held + data
            if len(data) < 2:
                self.tail = b""
                return b""
            wrapped = data[0] & 15 == 8 and int.from_bytes(data[:2]) % 31 == 0
            self._zlib = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
            self._held = b""
        elif self._zlib.eof:
            data = data.lstrip(b"\0")  # gzip files may be padded
            self.tail = b""
            if not data:
                return b""
            if self._deflate:
                raise _broken("bytes follow its end")
            self._zlib = zlib.decompressobj(_GZIP)
        try:
            out = self._zlib.decompress(data, STEP)
        except zlib.error as e:
            raise _broken(str(e)) from e
        self.tail = self._zlib.unconsumed_tail or self._zlib.unused_data
        return out

    def finish(self) -> None:
        """The body ended. Raises `DecodeError` unless the coding did too."""
        if self.begun and (self._zlib is None or not self._zlib.eof):
            raise _broken("it ends too early")


def inflater_for(coding: str) -> Inflater | None:
    """What undoes a Content-Encoding; None if there is nothing to undo.

    Raises `DecodeError` for a coding we did not ask for.
    """
    if not coding:
        return None
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Inflater(coding == "deflate")
    raise DecodeError(f"the body comes in a coding nobody asked for: {coding!r}", phase="stream")


def _broken(why: str) -> DecodeError:
    return DecodeError(f"the body's content coding is broken: {why}", phase="stream")
