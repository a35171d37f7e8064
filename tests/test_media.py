"""Pictures, documents and sound: what they are, where they come from, how large they may be."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contract.cases import PNG, QUESTION, WIRES, provider, request
from contract.support import heard
from llmwire import audio, file, image, media
from llmwire.adapters import ADAPTERS
from llmwire.backend import GenericBackend
from llmwire.config import Dialect
from llmwire.errors import UnsupportedError
from llmwire.media import base64_of, media_type_of
from llmwire.testing import LocalServer
from llmwire.types import (
    AudioPart,
    BytesSource,
    FilePart,
    FileSource,
    FunctionCall,
    ImagePart,
    LLMMessage,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
OFFICE = "application/vnd.openxmlformats-officedocument."


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, "x" * 50)
    return out.getvalue()


def ftyp(brand: bytes) -> bytes:
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\x00" * 8


KINDS: list[tuple[bytes, str | None]] = [
    (PNG, "image/png"),
    (JPEG, "image/jpeg"),
    (b"GIF89a\x01\x00", "image/gif"),
    (b"GIF87a\x01\x00", "image/gif"),
    (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
    (b"BM\x46\x00\x00\x00\x00\x00\x00\x00\x36\x00", "image/bmp"),
    (b"II*\x00\x08\x00", "image/tiff"),
    (b"MM\x00*\x00\x08", "image/tiff"),
    (ftyp(b"heic"), "image/heic"),
    (ftyp(b"avif"), "image/avif"),
    (PDF, "application/pdf"),
    (b"\xef\xbb\xbf\n%PDF-1.4", "application/pdf"),
    (WAV, "audio/wav"),
    (b"RIFF\x24\x00\x00\x00AVI LIST", None),
    (b"ID3\x04\x00\x00", "audio/mpeg"),
    (b"\xff\xfb\x90\x44", "audio/mpeg"),
    (b"\xff\xf3\x40\xc4", "audio/mpeg"),
    (b"fLaC\x00\x00", "audio/flac"),
    (b"OggS\x00\x02", "audio/ogg"),
    (b"\xff\xf1\x50\x80", "audio/aac"),
    (ftyp(b"M4A "), "audio/mp4"),
    (ftyp(b"isom"), "video/mp4"),
    (b"\x1aE\xdf\xa3\x9fB", "video/webm"),
    (zipped("[Content_Types].xml", "word/document.xml"), f"{OFFICE}wordprocessingml.document"),
    (zipped("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}spreadsheetml.sheet"),
    (zipped("ppt/presentation.xml"), f"{OFFICE}presentationml.presentation"),
    (zipped("a.txt"), "application/zip"),
    (b"{\\rtf1\\ansi", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
    (b"<!DOCTYPE html>\n<p>", "text/html"),
    (b"\n<html lang=en>", "text/html"),
    (b"a,b\n1,2\n", "text/plain"),
    ("Grüße \u2028 \U0001f600".encode(), "text/plain"),
    (b"\xef\xbb\xbfwith a mark", "text/plain"),
    (b"BMW is a car, and ID3 a tag", "text/plain"),
    (b"ID3 is a tag", "text/plain"),
    (b"see %PDF-1.7", "text/plain"),
    (b"\xff\xfet\x00e\x00x\x00t\x00", None),
    (b"Gr\xfc\xdfe", None),
    (b"text\x00with a nul", None),
    (b"\x00\x01\x02", None),
    (b"", None),
    (b"\xff", None),
]


@pytest.mark.parametrize(("data", "expected"), KINDS, ids=lambda v: str(v)[:24])
def test_bytes_say_what_they_are(data: bytes, expected: str | None) -> None:
    assert media_type_of(data) == expected


@given(st.binary(max_size=40))
def test_any_bytes_are_something_or_unknown(data: bytes) -> None:
    found = media_type_of(data)
    assert found is None or found.count("/") == 1


# --- parts ---------------------------------------------------------------------------------------


def test_from_a_path_the_content_counts_and_not_the_name(tmp_path: Path) -> None:
    wrong = tmp_path / "photo.png"
    wrong.write_bytes(JPEG)
    for source in (wrong, str(wrong)):
        part = image(source, detail="high", cache="1h")
        assert part == ImagePart(BytesSource(JPEG, "image/jpeg"), "high", cache="1h")
    (tmp_path / "report").write_bytes(PDF)
    assert file(tmp_path / "report") == FilePart(BytesSource(PDF, "application/pdf"), "report")
    (tmp_path / "talk.mp3").write_bytes(WAV)
    assert audio(tmp_path / "talk.mp3") == AudioPart(BytesSource(WAV, "audio/wav"), "wav")


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.csv", b"a,b", "text/csv"),
        ("a.md", b"# a", "text/markdown"),
        ("a.JSON", b"{}", "application/json"),
        ("a.txt", b"a", "text/plain"),
        ("a.unknown", b"a", "text/plain"),
        ("a.html", b"<p>", "text/html"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/vnd.ms-excel"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/msword"),
        ("a.csv", PDF, "application/pdf"),
        ("a.csv", zipped("a.txt"), "application/zip"),
    ],
)
def test_a_name_tells_kinds_of_text_apart(
    tmp_path: Path, name: str, data: bytes, expected: str
) -> None:
    (tmp_path / name).write_bytes(data)
    part = file(tmp_path / name)
    assert isinstance(part.source, BytesSource)
    assert (part.source.media_type, part.filename) == (expected, name)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_from_bytes(kind: Any) -> None:
    assert image(kind(PNG)) == ImagePart(BytesSource(PNG, "image/png"))
    assert file(kind(PDF)).filename == "document.pdf"
    assert file(kind(b"text")).filename == "document.txt"
    assert file(kind(PDF), filename="mine").filename == "mine"
    assert file(kind(zipped("a"))).filename == "document"
    assert audio(kind(b"ID3\x04\x00")).format == "mp3"


def test_from_addresses() -> None:
    assert image("https://x/y.png") == ImagePart(UrlSource("https://x/y.png"))
    assert file("gs://bucket/a.pdf") == FilePart(UrlSource("gs://bucket/a.pdf"))
    assert audio("https://x/y.mp3?a=b.wav").format == "mp3"
    assert audio("https://x/y").format == "wav"
    data = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert image(data) == image(PNG)
    assert image(data.replace("image/png", "")) == image(PNG)
    assert file("data:text/csv;charset=utf-8,a%2Cb").source == BytesSource(b"a,b", "text/csv")
    assert file("data:,a").source == BytesSource(b"a", "text/plain")


def test_from_a_provider_s_file() -> None:
    source = FileSource("file-1", "openai")
    assert image(source) == ImagePart(source)
    assert file(source, cache="5m") == FilePart(source, cache="5m")
    assert audio(source) == AudioPart(source)
    assert image(BytesSource(b"?", "image/x")).source == BytesSource(b"?", "image/x")


WRONG: list[tuple[Any, Any, dict[str, Any], str]] = [
    (image, PDF, {}, "application/pdf, which is no image"),
    (image, b"plain", {}, "text/plain, which is no image"),
    (audio, PNG, {}, "image/png, which is no audio"),
    (image, PNG, {"media_type": "image/jpeg"}, "is image/png, not image/jpeg"),
    (image, b"\x00\x01", {}, "media_type="),
    (image, b"\x00\x01", {"media_type": "audio/wav"}, "no image"),
    (file, b"", {}, "is empty"),
    (image, "data:image/png;base64,????", {}, "broken base64"),
    (image, "data:image/png", {}, "no comma"),
    (image, "data:image/jpeg;base64," + base64.b64encode(PNG).decode(), {}, "not image/jpeg"),
]


@pytest.mark.parametrize(("make", "source", "options", "why"), WRONG)
def test_content_that_is_something_else(make: Any, source: Any, options: Any, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        make(source, **options)
    assert why in str(caught.value)


def test_what_the_bytes_do_not_say_can_be_said() -> None:
    assert image(b"\x00raw", media_type="image/x-raw").source == BytesSource(
        b"\x00raw", "image/x-raw"
    )
    assert image(b"<svg/>", media_type="image/svg+xml; charset=utf-8").source == BytesSource(
        b"<svg/>", "image/svg+xml"
    )
    assert image(JPEG, media_type="image/jpg") == image(JPEG)
    assert audio(b"\x1aE\xdf\xa3").format == "webm"
    assert audio(b"\x00", media_type="audio/x-odd").format == "x-odd"


def test_what_can_not_be_read_is_said_as_python_says_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        image(tmp_path / "none.png")
    with pytest.raises(OSError):
        image(tmp_path)
    with pytest.raises(TypeError, match="a path, bytes, an address"):
        image(3)  # type: ignore[arg-type]


def test_a_wrong_path_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmwire.content.MAX_CONTENT_BYTES", 10)
    (tmp_path / "big").write_bytes(b"x" * 11)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        file(tmp_path / "big")
    (tmp_path / "big").write_bytes(b"x" * 10)
    assert isinstance(file(tmp_path / "big").source, BytesSource)


def test_texts_may_stand_between_parts() -> None:
    picture = image(PNG)
    message = LLMMessage("user", ["What is", picture, TextPart("this?")])
    assert message.parts == (TextPart("What is"), picture, TextPart("this?"))
    result = LLMMessage("tool", ["see", picture], tool_call_id="c").parts[0]
    assert result == ToolResultPart("c", (TextPart("see"), picture))


# --- base64 --------------------------------------------------------------------------------------


def test_base64_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(data: bytes) -> bytes:
        made.append(len(data))
        return base64.b64encode(data)

    monkeypatch.setattr(media, "b64encode", counted)
    monkeypatch.setattr(media, "_encoded", {})
    data = bytes(range(256)) * 40
    asked = request("anthropic", (LLMMessage("user", [file(b"%PDF-" + data), "read"]),))
    text = base64.b64encode(b"%PDF-" + data)
    for wire in ("anthropic", "openai", "anthropic"):
        assert text in ADAPTERS[wire].prepare_request(asked, provider(wire)).body
    assert made == [len(data) + 5], "one encoding for all turns and wires"
    equal = bytes(bytearray(data))
    assert base64_of(equal) is base64_of(data), "equal bytes are the same content"
    assert base64_of(data) == base64.b64encode(data).decode()


def test_the_memory_of_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    memory: dict[bytes, str] = {}
    monkeypatch.setattr(media, "_encoded", memory)
    monkeypatch.setattr(media, "CACHED_CHARACTERS", 30_000)
    pieces = [bytes([n]) * 6000 for n in range(9)]
    for piece in pieces:
        assert base64_of(piece) == base64.b64encode(piece).decode()
        assert sum(map(len, memory.values())) <= 30_000
    assert list(memory) == pieces[-3:], "the oldest goes first"
    huge = b"x" * 60_000
    assert base64_of(huge) == base64.b64encode(huge).decode()
    small = b"x" * 100
    assert base64_of(small) == base64.b64encode(small).decode()
    assert huge not in memory and small not in memory


# --- on the wires --------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_a_picture_arrives(wire: str) -> None:
    asked = request(wire, (LLMMessage("user", ["What is this?", image(PNG)]),))
    ours = replace(provider(wire), dialect=Dialect(prompt_cache=False))
    assert image(PNG) in heard(asked, ours).request.messages[-1].parts


@pytest.mark.parametrize("wire", WIRES)
def test_a_picture_in_a_tool_result_follows_the_wire(wire: str) -> None:
    """Chat Completions has no place for it: it moves, and that is recorded."""
    messages = (
        QUESTION,
        LLMMessage("assistant", tool_calls=[ToolCall("call00001", FunctionCall("weather", "{}"))]),
        LLMMessage("tool", ["see:", image(PNG)], tool_call_id="call00001"),
    )
    prepared = ADAPTERS[wire].prepare_request(request(wire, messages), provider(wire))
    got = heard(request(wire, messages), provider(wire)).request
    moved = [(a.action, a.path) for a in prepared.adaptations if a.action == "moved"]
    result = next(p for m in got.messages for p in m.parts if isinstance(p, ToolResultPart))
    if wire in ("openai", "ollama"):
        assert moved == [("moved", "messages[2].parts[0]")]
        assert result.text == "see:"
        assert image(PNG) in got.messages[-1].parts and got.messages[-1].role == "user"
    else:
        assert moved == []
        assert isinstance(result.content, tuple) and image(PNG) in result.content


LIMITED = Dialect(max_image_bytes=len(PNG), max_file_bytes=20, max_request_bytes=4000)
BIG_PNG = PNG + b"\0"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("part", "ok"),
    [
        (image(PNG), True),
        (image(BIG_PNG), False),
        (file(PDF), True),
        (file(PDF + b" " * 20), False),
        (image("https://example.com/large.png"), True),
    ],
)
def test_what_is_too_large_is_refused_with_its_place(wire: str, part: Any, ok: bool) -> None:
    if wire == "ollama" and ok and part != image(PNG):
        return  # it takes neither files nor addresses, whatever their size
    if wire == "bedrock-converse" and part == image("https://example.com/large.png"):
        return  # of addresses it takes those of S3 only
    ours = replace(provider(wire), dialect=replace(LIMITED, tool_result_images=True))
    for messages, path in (
        ((QUESTION, LLMMessage("user", ["see", part])), "messages[1].parts[1]"),
        (
            (
                QUESTION,
                LLMMessage("assistant", tool_calls=[ToolCall("call00001", FunctionCall("f"))]),
                LLMMessage("tool", ["see", part], tool_call_id="call00001"),
            ),
            "messages[2].parts[0].content[1]",
        ),
    ):
        asked, backend = request(wire, messages), GenericBackend(provider=ours)
        if ok:
            assert backend.prepare(asked).body
            continue
        with pytest.raises(UnsupportedError) as caught:
            backend.prepare(asked)
        assert caught.value.path == path
        assert "bytes; this server takes up to" in caught.value.message


async def test_a_request_that_is_too_large_is_not_sent() -> None:
    with LocalServer() as server:
        small = replace(server.provider("openai"), dialect=LIMITED)
        async with GenericBackend(provider=small) as backend:
            await backend.complete(model="m", messages="a" * 3000)
            with pytest.raises(UnsupportedError, match="this server takes up to 4,000 bytes"):
                await backend.complete(model="m", messages="a" * 5000)
        assert len(server.requests) == 1


def test_the_known_limits_are_data() -> None:
    from llmwire.providers import PROVIDERS

    dialect = PROVIDERS["anthropic"].dialect
    assert dialect is not None and dialect.max_image_bytes == 10 * 1024 * 1024 * 3 // 4
