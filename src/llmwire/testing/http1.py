"""HTTP/1.1 requests from bytes, strictly, and the heads of answers. Pure: no sockets here.

RFC 9112 (2022-06). Stricter than a public server has to be: what is ambiguous (a bare LF, a
folded header, two lengths, a length beside a transfer coding) is refused, so that a client's
mistake shows in its own tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from msgspec import Struct

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers together. Common servers stop at 8 to 64 KiB."""
MAX_BODY_BYTES = 256 * 1024 * 1024
"""Requests carry images and documents in base64; vendors stop at 20 to 50 MB."""

_TOKEN = rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/(\d)\.(\d)" % _TOKEN)
_HEADER = re.compile(rb"(%s):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*" % _TOKEN)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n]*)?")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_MAX_CHUNK_LINE = 1024


class HTTPError(Exception):
    """The request is refused with this status; the connection can't be used any further."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class HTTPRequest(Struct, frozen=True):
    """One request. Header names are as written; `body` is without transfer coding."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    http10: bool = False

    def header(self, name: str) -> str:
        """All values of a header, joined by ", "; "" if there is none."""
        return ", ".join(v for n, v in self.headers if n.lower() == name)

    @property
    def keep_alive(self) -> bool:
        options = {o.strip().lower() for o in self.header("connection").split(",")}
        return "close" not in options and (not self.http10 or "keep-alive" in options)


class RequestParser:
    """Takes bytes, cut anywhere; gives requests. For one connection."""

    __slots__ = (
        "_body",
        "_buffer",
        "_head",
        "_length",
        "_max_body",
        "_max_head",
        "_size",
        "_trailers",
    )

    def __init__(self, max_head: int = MAX_HEAD_BYTES, max_body: int = MAX_BODY_BYTES) -> None:
        self._buffer = bytearray()
        self._max_head = max_head
        self._max_body = max_body
        self._head: HTTPRequest | None = None  # a request whose body has not all come
        self._length = 0  # the body's; -1: it comes in chunks
        self._body: list[bytes] = []  # the chunks so far
        self._size = 0  # their bytes
        self._trailers = False  # the last chunk was there

    def feed(self, data: bytes) -> None:
        self._buffer += data

    @property
    def buffered(self) -> int:
        return len(self._buffer)

    @property
    def target(self) -> str:
        """Of the request whose body is being read; "" if there is none."""
        return self._head.target if self._head is not None else ""

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends the body."""
        head = self._head
        return (
            head is not None
            and not self._buffer
            and not self._body
            and not head.http10
            and head.header("expect").lower() == "100-continue"
        )

    def next(self) -> HTTPRequest | None:
        """The next whole request; None until more bytes come.

        Raises `HTTPError` for what is no HTTP request or larger than the limits.
        """
        if self._head is None:
            self._read_head()
        if self._head is None:
            return None
        if self._length < 0:
            body = self._read_chunks()
            if body is None:
                return None
        else:
            if len(self._buffer) < self._length:
                return None
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
        head, self._head = self._head, None
        self._body = []
        self._size = 0
        self._trailers = False
        return HTTPRequest(head.method, head.target, head.headers, body, head.http10)

    def _read_head(self) -> None:
        buffer = self._buffer
        while buffer.startswith(b"\r\n"):  # RFC 9112 2.2: before the request line, ignored
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end > self._max_head or (end < 0 and len(buffer) > self._max_head):
            raise HTTPError(431, f"the request's head is larger than {self._max_head:,} bytes")
        head = bytes(buffer if end < 0 else buffer[:end])
        if _BARE_LF.search(head):
            raise HTTPError(400, "a line of the request ends in LF without CR")
        if end < 0:
            if head and not head[:1].isalpha():
                raise HTTPError(400, "this is no HTTP request (TLS to a plain port?)")
            return
        del buffer[: end + 4]
        lines = head.split(b"\r\n")
        match = _REQUEST_LINE.fullmatch(lines[0])
        if match is None:
            raise HTTPError(400, "the request line is not `METHOD target HTTP/1.1`")
        method, target, major, minor = match.groups()
        if major != b"1":
            raise HTTPError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        headers: list[tuple[str, str]] = []
        for number, line in enumerate(lines[1:], 1):
            header = _HEADER.fullmatch(line)
            if header is None:
                raise HTTPError(400, f"header line {number} is not `name: value`")
            headers.append((header[1].decode("ascii"), header[2].decode("latin-1")))
        request = HTTPRequest(
            method.decode("ascii"), target.decode("ascii"), tuple(headers), http10=minor == b"0"
        )
        self._head = request
        self._length = self._body_length(request)

    def _body_length(self, request: HTTPRequest) -> int:
        """How long the body is; -1 for one in chunks."""
        hosts = [v for n, v in request.headers if n.lower() == "host"]
        if len(hosts) != 1 and not (request.http10 and not hosts):
            raise HTTPError(400, f"the request has {len(hosts)} Host headers instead of one")
        coding = request.header("transfer-encoding").lower()
        lengths = {v for n, v in request.headers if n.lower() == "content-length"}
        if coding:
            if lengths:
                raise HTTPError(400, "the request has both Content-Length and Transfer-Encoding")
            if coding != "chunked" or request.http10:
                raise HTTPError(501, f"transfer coding {coding!r} is not supported")
            return -1
        if not lengths:
            return 0
        text = lengths.pop()
        if lengths or not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise HTTPError(400, "Content-Length is not one number")
        if int(text) > self._max_body:
            raise self._too_large()
        return int(text)

    def _read_chunks(self) -> bytes | None:
        buffer = self._buffer
        while True:
            end = buffer.find(b"\r\n")
            if end > _MAX_CHUNK_LINE or (end < 0 and len(buffer) > _MAX_CHUNK_LINE):
                raise HTTPError(400, "a chunk's size line is too long")
            if end < 0:
                return None
            line = bytes(buffer[:end])
            if self._trailers:  # read and dropped, up to the empty line
                del buffer[: end + 2]
                if not line:
                    return b"".join(self._body)
                if _HEADER.fullmatch(line) is None:
                    raise HTTPError(400, "a trailer is not `name: value`")
                continue
            match = _CHUNK_SIZE.fullmatch(line)
            if match is None:
                raise HTTPError(400, "a chunk does not start with its size")
            size = int(match[1], 16)
            if self._size + size > self._max_body:
                raise self._too_large()
            if size == 0:
                del buffer[: end + 2]
                self._trailers = True
                continue
            start = end + 2
            if len(buffer) < start + size + 2:
                return None
            if buffer[start + size : start + size + 2] != b"\r\n":
                raise HTTPError(400, "a chunk is not as long as it says")
            self._body.append(bytes(buffer[start : start + size]))
            self._size += size
            del buffer[: start + size + 2]

    def _too_large(self) -> HTTPError:
        return HTTPError(413, f"the request's body is larger than {self._max_body:,} bytes")


def head_bytes(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """The status line and headers of an answer."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:  # 520, 529: vendors' own
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{n}: {v}" for n, v in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def chunk_bytes(data: bytes) -> bytes:
    """One chunk of the chunked transfer coding. Empty data would end the body: don't."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
