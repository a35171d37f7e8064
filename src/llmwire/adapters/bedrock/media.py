"""Pictures, documents, films and sound: formats, names and sources. Wire reference 6.2."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from ...history import Log
from ...media import base64_of
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
    FilePart,
    ImagePart,
    Source,
    UrlSource,
)

IMAGE = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENT = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
VIDEO = {
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/mpg": "mpg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
AUDIO = (
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga",
    "pcm", "webm",
)  # fmt: skip
_ENDINGS = {"jpg": "jpeg", "htm": "html", "text": "txt", "markdown": "md", "3gp": "three_gp"}
"""Endings of names in S3 that are not the format's own word."""

_BAD_NAME = re.compile(r"[^A-Za-z0-9()\[\] -]+")
MAX_NAME = 200


class Refused(Exception):
    """Content that this wire can't say; the text says what."""


class Names:
    """The names of a request's documents: only characters that the API takes, each used once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def fitted(self, part: FilePart, kind: str, path: str, log: Log) -> str:
        asked = part.filename
        name = asked[: -len(kind) - 1] if asked.lower().endswith(f".{kind}") else asked
        name = " ".join(_BAD_NAME.sub(" ", name).split())[:MAX_NAME].strip() or "document"
        stem, n = name, 2
        while name in self._taken:
            name = f"{stem[: MAX_NAME - 8]} {n}"
            n += 1
        self._taken.add(name)
        if asked and name != asked:
            why = "this wire's document names are plain words, each used once"
            log.add("substituted", f"{path}.filename", why, asked, name)
        return name


def image_block(part: ImagePart, path: str, log: Log) -> dict[str, JSON]:
    """Raises `Refused`."""
    if part.detail not in (None, "auto"):
        log.add("dropped", f"{path}.detail", "this wire has none", part.detail)
    kind, source = _source(part.source, IMAGE, "an image")
    return {"image": {"format": kind, "source": source}}


def file_block(part: FilePart, path: str, names: Names, log: Log) -> dict[str, JSON]:
    """A document or, by its type, a film or sound. Raises `Refused`."""
    media_type = part.source.media_type if isinstance(part.source, BytesSource) else ""
    if isinstance(part.source, BytesSource) and media_type.startswith("audio/"):
        return audio_block(AudioPart(part.source, media_type[6:]))
    if media_type.startswith("video/") or _ending(part.source) in VIDEO.values():
        kind, source = _source(part.source, VIDEO, "a film")
        if part.filename:
            log.add("dropped", f"{path}.filename", "films have no name here", part.filename)
        return {"video": {"format": kind, "source": source}}
    if media_type.startswith("text/") and media_type not in DOCUMENT:
        why = "this wire knows few kinds of text"
        log.add("substituted", f"{path}.source.media_type", why, media_type, "text/plain")
        part = FilePart(BytesSource(part.source.data, "text/plain"), part.filename)  # type: ignore[union-attr]
    kind, source = _source(part.source, DOCUMENT, "a file")
    name = names.fitted(part, kind, path, log)
    return {"document": {"format": kind, "name": name, "source": source}}


def audio_block(part: AudioPart) -> dict[str, JSON]:
    """Raises `Refused`."""
    kind = {"mpeg3": "mp3", "x-wav": "wav", "wave": "wav", "x-flac": "flac"}.get(
        part.format, part.format
    )
    if kind not in AUDIO:
        raise Refused(f"sound of format {part.format}")
    return {"audio": {"format": kind, "source": _source(part.source, {"": kind}, "sound")[1]}}


def _ending(source: Source) -> str:
    place = _s3(source)
    ending = place.rpartition(".")[2].lower() if place else ""
    return _ENDINGS.get(ending, ending)


def _s3(source: Source) -> str:
    """Where content lies in S3; "" if it lies elsewhere."""
    if isinstance(source, BytesSource):
        return ""
    place = source.url if isinstance(source, UrlSource) else source.id
    return place if place.startswith("s3://") else ""


def _source(source: Source, formats: dict[str, str], what: str) -> tuple[str, dict[str, JSON]]:
    """The format's word and the source. Only bytes and S3 can be said."""
    if isinstance(source, UrlSource) and source.url.startswith("data:"):
        source = _from_data(source.url)
    if isinstance(source, BytesSource):
        media_type = "image/jpeg" if source.media_type == "image/jpg" else source.media_type
        kind = formats.get(media_type, formats.get("", ""))
        if not kind:
            raise Refused(f"{what} of type {source.media_type}")
        return kind, {"bytes": base64_of(source.data)}
    place = _s3(source)
    if not place:
        raise Refused(f"{what} at an address other than s3://: send its bytes")
    kind = _ending(source)
    if "" in formats:
        kind = formats[""]
    elif kind not in formats.values():
        raise Refused(f"{what} in S3 whose name has no known ending")
    return kind, {"s3Location": {"uri": place}}


def _from_data(url: str) -> BytesSource:
    head, _, data = url[5:].partition(",")
    if not head.endswith(";base64"):
        raise Refused("a data: address that is not base64")
    try:
        return BytesSource(base64.b64decode(data, validate=True), head.removesuffix(";base64"))
    except binascii.Error:
        raise Refused("a data: address that is not base64") from None


# --- and back ---------------------------------------------------------------------------------


def part_of(kind: str, block: Any) -> ImagePart | FilePart | AudioPart | None:
    """What an image, document, video or audio block is; None for a source that is neither bytes,
    S3 nor text. Raises `ValueError` for what is no such block."""
    word, source = block.get("format"), block.get("source")
    if not isinstance(source, dict):
        raise ValueError("a source is missing")
    table = {"image": IMAGE, "document": DOCUMENT, "video": VIDEO}.get(kind)
    media_type = f"audio/{word}"
    if table is not None:
        media_type = next((m for m, w in table.items() if w == word), "")
    elif word not in AUDIO:
        media_type = ""
    found: Source
    if isinstance(source.get("text"), str) and kind == "document":
        found = BytesSource(source["text"].encode("utf-8", "replace"), media_type or "text/plain")
    elif not media_type:
        raise ValueError(f"format {word!r} is not known")
    elif isinstance(source.get("bytes"), str):
        found = BytesSource(base64.b64decode(source["bytes"], validate=True), media_type)
    elif isinstance(source.get("s3Location"), dict):
        found = UrlSource(str(source["s3Location"].get("uri", "")))
    else:
        return None
    if kind == "image":
        return ImagePart(found)
    if kind == "audio":
        return AudioPart(found, str(word))
    return FilePart(found, str(block.get("name", "")) if kind == "document" else "")
