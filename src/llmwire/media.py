"""Content that is no text: what bytes are, their base64, and how large they may be. Pure; reading
files is `content`'s business."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence

from .errors import UnsupportedError
from .types import (
    AudioPart,
    BytesSource,
    FilePart,
    ImagePart,
    LLMMessage,
    Part,
    TextPart,
    ToolResultPart,
)

CACHED_CHARACTERS = 64 * 1024 * 1024
"""How much base64 is remembered, in all: some dozens of photos, which every turn sends again."""

_WORTH_REMEMBERING = 4096  # bytes; less is encoded sooner than looked up

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"\xff\xf1", "audio/aac"),
    (b"\xff\xf9", "audio/aac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_BRANDS = {
    b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif", b"avif": "image/avif",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip
_OFFICE = "application/vnd.openxmlformats-officedocument."
_ZIPPED = (
    (b"word/document", f"{_OFFICE}wordprocessingml.document"),
    (b"xl/workbook", f"{_OFFICE}spreadsheetml.sheet"),
    (b"ppt/presentation", f"{_OFFICE}presentationml.presentation"),
    (b"mimetypeapplication/epub+zip", "application/epub+zip"),
)
_MPEG_FRAME = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xfd]")  # of layer I, II or III
_HTML = re.compile(rb"\s*<(?:!doctype html|html)[\s>]", re.IGNORECASE)


def media_type_of(data: bytes) -> str | None:
    """What bytes are, by themselves; text is `text/plain` or `text/html`. None: not known.

    https://mimesniff.spec.whatwg.org (2026-09) and the formats' own signatures.
    """
    head = data[:16]
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    if (head[:3] == b"ID3" and head[3:4] < b"\x10") or _MPEG_FRAME.match(head):
        return "audio/mpeg"
    if data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\0").startswith(b"%PDF-"):
        return "application/pdf"
    if head[:4] == b"PK\x03\x04":
        return next((found for name, found in _ZIPPED if name in data), "application/zip")
    if _is_text(data):
        return "text/html" if _HTML.match(data) else "text/plain"
    return None


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return False
    return bool(text) and not re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text)


_encoded: dict[bytes, str] = {}  # in the order they came; a bytes object hashes itself once


def base64_of(data: bytes) -> str:
    """The base64 of bytes. The larger ones are encoded once, as long as there is room."""
    if len(data) < _WORTH_REMEMBERING:
        return b64encode(data).decode()
    found = _encoded.get(data)
    if found is None:
        found = b64encode(data).decode()
        if len(found) <= CACHED_CHARACTERS:
            _encoded[data] = found
            _make_room()
    return found


def _make_room() -> None:
    try:
        while sum(map(len, tuple(_encoded.values()))) > CACHED_CHARACTERS:
            _encoded.pop(next(iter(_encoded)), None)
    except (RuntimeError, StopIteration):  # another thread makes room
        pass


def data_uri(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64_of(data)}"


def check_content(
    messages: Sequence[LLMMessage], image_limit: int | None, file_limit: int | None
) -> None:
    """Raises `UnsupportedError` with the path of content that has more bytes than its limit."""
    if image_limit is None and file_limit is None:
        return
    for i, message in enumerate(messages):
        for j, part in enumerate(message.parts):
            if type(part) is TextPart:
                continue
            if type(part) in _HEAVY:
                _check_part(part, image_limit, file_limit, f"messages[{i}].parts[{j}]")
            elif type(part) is ToolResultPart and not isinstance(part.content, str):
                for k, inner in enumerate(part.content):
                    path = f"messages[{i}].parts[{j}].content[{k}]"
                    _check_part(inner, image_limit, file_limit, path)


_HEAVY = (ImagePart, FilePart, AudioPart)


def _check_part(part: Part, image_limit: int | None, file_limit: int | None, path: str) -> None:
    if type(part) not in _HEAVY:
        return
    source = part.source  # type: ignore[union-attr]
    is_image = type(part) is ImagePart
    limit, what = (image_limit, "an image") if is_image else (file_limit, "a file")
    if limit is not None and isinstance(source, BytesSource) and len(source.data) > limit:
        raise UnsupportedError(
            f"{path}: {what} of {megabytes(len(source.data))}; this server takes up to "
            f"{megabytes(limit)}. Make it smaller, or upload it and send its id.",
            path=path,
            phase="prepare",
        )


def check_body(body: bytes, limit: int) -> None:
    """Raises `UnsupportedError` for the body of a request that the server would not read."""
    if len(body) > limit:
        raise UnsupportedError(
            f"the request is {megabytes(len(body))}; this server takes up to {megabytes(limit)}. "
            "Send fewer or smaller files, or upload them and send their ids.",
            path="messages",
            phase="prepare",
        )


def megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MiB" if size >= 100 * 1024 else f"{size:,} bytes"
