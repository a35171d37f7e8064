"""Pictures, documents and sound as parts of a message: from a path, from bytes, by an address, or
by the id of a file at a provider.

    LLMMessage("user", ["What is this?", image("photo.jpg")])
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union
from urllib.parse import unquote_to_bytes

from .media import media_type_of, megabytes
from .types import (
    AudioPart,
    BytesSource,
    CacheLifetime,
    FilePart,
    FileSource,
    ImagePart,
    Source,
    UrlSource,
)

Content: TypeAlias = Union[str, bytes, bytearray, memoryview, "os.PathLike[str]", Source]
"""A path; bytes; an address (`https:`, `data:`, `gs:`, `s3:`); `FileSource(id, provider)`."""

MAX_CONTENT_BYTES = 512 * 1024 * 1024
"""A bound on one piece of content. No provider takes as much inside a request; this only stops a
wrong path from filling the memory."""

_ADDRESS = re.compile(r"(?:https?|gs|s3|data):", re.IGNORECASE)
_FORMATS = {
    "audio/wav": "wav", "audio/mpeg": "mp3", "audio/flac": "flac", "audio/ogg": "ogg",
    "audio/aac": "aac", "audio/mp4": "m4a", "audio/webm": "webm",
}  # fmt: skip
_TEXTS = {
    ".csv": "text/csv", ".md": "text/markdown", ".html": "text/html", ".htm": "text/html",
    ".json": "application/json", ".xml": "application/xml",
}  # fmt: skip
_OLD_OFFICE = {".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint"}
_VAGUE: dict[str | None, dict[str, str]] = {
    None: _TEXTS,  # perhaps a text in an encoding of its own
    "text/plain": _TEXTS,
    "application/msword": _OLD_OFFICE,
    "application/zip": {},
}
"""What bytes alone can't tell apart, and what a file's name adds to it."""
_NAMES = {"application/pdf": "document.pdf", "text/html": "document.html"}


def image(
    source: Content,
    *,
    detail: Literal["auto", "low", "high", "original"] | None = None,
    media_type: str | None = None,
    cache: CacheLifetime | None = None,
) -> ImagePart:
    """A picture. `detail` says how closely to look, where the wire has a word for it.

    What it is, its first bytes say, not its name. Raises `ValueError` for bytes that are no
    picture, or another one than `media_type` says; `OSError` for a file that can't be read.
    """
    return ImagePart(_source(source, "image/", media_type)[0], detail, cache=cache)


def file(
    source: Content,
    *,
    filename: str | None = None,
    media_type: str | None = None,
    cache: CacheLifetime | None = None,
) -> FilePart:
    """A document: a PDF, a text, or what else the wire takes. Raises as `image` does.

    `filename` is the path's own, or one made from the type: some wires demand one.
    """
    found, name = _source(source, "", media_type)
    if not name and isinstance(found, BytesSource):
        name = _NAMES.get(found.media_type, "document.txt" if _textual(found) else "document")
    return FilePart(found, name if filename is None else filename, cache=cache)


def audio(source: Content, *, media_type: str | None = None) -> AudioPart:
    """Sound: WAV, MP3 and others that the wire takes. Raises as `image` does."""
    found, _ = _source(source, "audio/", media_type)
    if isinstance(found, BytesSource):
        return AudioPart(found, _FORMATS.get(found.media_type, found.media_type.partition("/")[2]))
    ending = found.url.partition("?")[0].rpartition(".")[2] if isinstance(found, UrlSource) else ""
    return AudioPart(found, ending.lower() if ending.lower() in _FORMATS.values() else "wav")


def _source(source: Any, kind: str, media_type: str | None) -> tuple[Source, str]:
    """Where the content is, and the name it had as a file."""
    if isinstance(source, BytesSource | UrlSource | FileSource):
        return source, ""
    if isinstance(source, str) and _ADDRESS.match(source):
        if source[:5].lower() != "data:":
            return UrlSource(source), ""
        said, data = _from_data(source)
        return _checked(data, "", kind, media_type or said, "the data: address"), ""
    if isinstance(source, bytes | bytearray | memoryview):
        return _checked(bytes(source), "", kind, media_type, "the content"), ""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"content is a path, bytes, an address or a source, not {source!r}")
    path = Path(source)
    with path.open("rb") as opened:
        data = opened.read(MAX_CONTENT_BYTES + 1)
    return _checked(data, path.suffix.lower(), kind, media_type, str(path)), path.name


def _checked(data: bytes, ending: str, kind: str, media_type: str | None, what: str) -> BytesSource:
    if not data:
        raise ValueError(f"{what} is empty")
    if len(data) > MAX_CONTENT_BYTES:
        raise ValueError(f"{what} has more than {megabytes(MAX_CONTENT_BYTES)}")
    found = media_type_of(data)
    if found in ("video/webm", "video/mp4") and kind == "audio/":
        found = found.replace("video", "audio")  # containers, which may hold sound alone
    said = media_type.partition(";")[0].strip().lower() if media_type else None
    said = "image/jpeg" if said == "image/jpg" else said
    if found in _VAGUE:
        found = said or _VAGUE[found].get(ending, found)
    elif said not in (None, found):
        raise ValueError(f"{what} is {found}, not {media_type}")
    if found is None:
        raise ValueError(f"what {what} is can't be told from its bytes; say it with media_type=")
    if not found.startswith(kind):
        raise ValueError(
            f"{what} is {found}, which is no {kind.rstrip('/')}; file() takes the rest"
        )
    return BytesSource(data, found)


def _textual(source: BytesSource) -> bool:
    return source.media_type.startswith("text/")


def _from_data(address: str) -> tuple[str | None, bytes]:
    """The type and the bytes of a `data:` address (RFC 2397)."""
    head, comma, text = address[5:].partition(",")
    said, *marks = head.split(";")
    if not comma:
        raise ValueError("the data: address has no comma")
    if "base64" not in [mark.strip().lower() for mark in marks]:
        return said or None, unquote_to_bytes(text)
    try:
        return said or None, base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("the data: address has broken base64") from None
