"""Histories on the wire: from messages to systemInstruction and contents.

Wire reference 5.2, 5.4 (2026-11-22). Results stand in a content of their own: beside them, a text
makes the API read the content as the model's (answers of the live API in
github.com/deepnoodle-ai/dive pull 287, read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import urlsplit

from ...config import ProviderConfig
from ...errors import UnsupportedError
from ...history import Log, close_parts, drop_foreign, issued_by, pair_tool_calls
from ...media import base64_of
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
    CompactionPart,
    FilePart,
    FileSource,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    Source,
    TextPart,
    ToolCall,
    ToolResultPart,
    UrlSource,
)
from ..base import spliced_object
from .models import ModelTraits

SENTINEL = "skip_thought_signature_validator"
"""What Google documents for calls that Gemini did not make (ai.google.dev/gemini-api/docs/
thought-signatures; wire reference 5.4)."""

OPENING = "Begin."
"""What the user says first where the history has the assistant speak first."""

ATTACHED = "(attached to the next message)"
"""What a result says that consists of media only, where they can't stand in it."""

MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp",
    "gif": "image/gif", "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf",
    "wav": "audio/wav", "mp3": "audio/mp3", "aac": "audio/aac", "ogg": "audio/ogg",
    "flac": "audio/flac", "mp4": "video/mp4", "mov": "video/mov", "webm": "video/webm",
    "txt": "text/plain", "md": "text/markdown", "html": "text/html", "csv": "text/csv",
}  # fmt: skip
"""By the ending of an address, for content that the API fetches itself. A type that is not known
is left out: AI Studio knows its own files, and YouTube."""

_SYSTEM = (Role.system, Role.developer)
_Media = ImagePart | AudioPart | FilePart


class _Content:
    """One content of the wire, its parts with their places in the caller's messages."""

    __slots__ = ("parts", "path", "results", "role")

    def __init__(self, role: str, path: str, results: bool = False) -> None:
        self.role = role
        self.path = path
        self.results = results
        self.parts: list[tuple[Any, str]] = []


class ContentWriter:
    """Writes the history of one request."""

    def __init__(
        self, provider: ProviderConfig, issuer: Native, traits: ModelTraits, log: Log
    ) -> None:
        self._provider = provider
        self._issuer = issuer
        self._traits = traits
        self._log = log
        self._contents: list[_Content] = []
        self._moved: list[tuple[Any, str]] = []  # media of results that wait for their content
        self._calls: dict[str, tuple[int, ToolCall]] = {}  # by id, with their order
        self._nameless: set[str] = set()  # ids that we made: the API gave none, and gets none

    def prepare(self, messages: Sequence[LLMMessage]) -> tuple[list[JSON], list[JSON]]:
        """The parts of systemInstruction, and the contents.

        Raises `UnsupportedError` with the path of what this wire can't say.
        """
        for i, message in enumerate(messages):
            for j, part in enumerate(message.parts):
                self._check(message.role, part, f"messages[{i}].parts[{j}]")
        fitted = self._fitted(messages)
        system: list[JSON] = []
        started = False
        for i, message in enumerate(fitted):
            started = started or message.role not in _SYSTEM
            self._write(message, i, None if started else system)
        self._place_media()
        self._finish(messages)
        contents = [{"role": c.role, "parts": [p for p, _ in c.parts]} for c in self._contents]
        return system, contents

    def _fitted(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        log = self._log
        fitted = drop_foreign(close_parts(messages, log), self._issuer, log)
        had_id = [bool(p.id) for m in fitted for p in m.parts if isinstance(p, ToolCall)]
        fitted = pair_tool_calls(fitted, log)
        calls = [p for m in fitted for p in m.parts if isinstance(p, ToolCall)]
        self._calls = {c.id or "": (n, c) for n, c in enumerate(calls)}
        self._nameless = {c.id or "" for c, had in zip(calls, had_id, strict=True) if not had}
        return fitted

    # --- what can't be said ---

    def _check(self, role: Role, part: Part, path: str) -> None:
        if isinstance(part, TextPart):
            return
        if role in _SYSTEM:
            _refuse(path, f"{_kind(part)} in a {role} message")
        if isinstance(part, ToolResultPart):
            for k, piece in enumerate(part.content if isinstance(part.content, tuple) else ()):
                if isinstance(piece, ImagePart | FilePart):
                    self._check_source(piece.source, f"{path}.content[{k}]")
        elif isinstance(part, _Media):
            self._check_source(part.source, path)
        elif isinstance(part, OpaquePart):
            ours = issued_by(part.native, self._issuer)
            if not ours and role is not Role.assistant:
                _refuse(path, "content of another wire")
            if ours and spliced_object(part.data or "-") is None:
                _refuse(path, "an opaque part whose data is no JSON object")
        elif role is not Role.assistant:
            _refuse(path, f"{_kind(part)} in a {role} message")

    def _check_source(self, source: Source, path: str) -> None:
        if isinstance(source, FileSource):
            if source.provider not in ("", self._provider.name):
                _refuse(path, f"a file uploaded to {source.provider}")
        elif isinstance(source, UrlSource):
            head = source.url.partition(",")[0]
            if head.startswith("data:") and not head.endswith(";base64"):
                _refuse(path, "a data: address that is not base64")

    # --- messages ---

    def _write(self, message: LLMMessage, i: int, system: list[JSON] | None) -> None:
        """`system` is where a leading system message goes; None for all that comes later."""
        log, role = self._log, message.role
        path = log.message_path(message, i)
        if message.name and role is not Role.tool:
            log.add("dropped", f"{path}.name", "this wire names no speakers", message.name)
        if role is Role.tool:
            self._write_results(message, i)
            return
        self._place_media()
        if role in _SYSTEM:
            texts = [p.text for p in message.parts if isinstance(p, TextPart) and p.text.strip()]
            if system is not None and self._traits.system:
                system += [{"text": text} for text in texts]
            elif texts:
                why = "a later system message" if system is None else "a system message"
                log.add("substituted", path, f"{why} became a user text")
                said = "\n\n".join(texts)
                self._add("user", [({"text": f"<system>\n{said}\n</system>"}, path)], path)
            return
        entries = []
        for j, part in enumerate(message.parts):
            place = log.path(part, i, j)
            entry = self._part(part, place)
            if entry is not None:
                entries.append((entry, place))
        if entries:
            self._add("model" if role is Role.assistant else "user", entries, path)
        else:
            log.add("dropped", path, "a message without content")

    def _add(
        self, role: str, entries: list[tuple[Any, str]], path: str, results: bool = False
    ) -> None:
        last = self._contents[-1] if self._contents else None
        if last is None or last.role != role or last.results != results:
            last = _Content(role, path, results)
            self._contents.append(last)
        last.parts += entries

    def _place_media(self) -> None:
        if self._moved:
            self._add("user", self._moved, self._moved[0][1])
            self._moved = []

    def _finish(self, messages: Sequence[LLMMessage]) -> None:
        """Sees that the contents are what the API takes: their order, signatures, both ends."""
        contents, log = self._contents, self._log
        if not contents:
            raise UnsupportedError(
                "messages: there is no message with content besides the system prompt; "
                "add a user message",
                path="messages",
                phase="prepare",
            )
        for content in contents:
            if content.results:
                self._in_order(content)
            elif content.role == "model" and self._traits.gemini3:
                self._sign(content)
        if contents[0].role == "model":
            opening = _Content("user", contents[0].path)
            opening.parts.append(({"text": OPENING}, opening.path))
            why = "the wire wants the user to speak first"
            log.add("added", opening.path, why, None, OPENING)
            contents.insert(0, opening)
        if contents[-1].role == "model" and not self._traits.prefill:
            path = f"messages[{len(messages) - 1}]"
            raise UnsupportedError(
                f"{path}: this model does not continue its own message; "
                "end the history with a user message",
                path=path,
                phase="prepare",
            )

    def _in_order(self, content: _Content) -> None:
        """Results in the order of their calls: without ids it is what tells them apart."""
        before = list(content.parts)
        content.parts.sort(key=lambda entry: entry[0].pop("order"))
        if before != content.parts:
            why = "results stand in the order of their calls"
            self._log.add("moved", content.path, why)

    def _sign(self, content: _Content) -> None:
        """The first call of a step must be signed, even if it is not Gemini's own."""
        for part, path in content.parts:
            if isinstance(part, dict) and "functionCall" in part:
                if "thoughtSignature" not in part:
                    part["thoughtSignature"] = SENTINEL
                    why = "the model wants a signature on a step's first call; this stands for none"
                    self._log.add("added", f"{path}.signature", why, None, SENTINEL)
                return

    # --- parts ---

    def _part(self, part: Part, path: str) -> Any:
        """A part of a user's or the model's content; None if there is nothing to say."""
        if isinstance(part, TextPart):
            extras = self._extras(part)
            return {"text": part.text, **extras} if part.text or extras else None
        if isinstance(part, _Media):
            if isinstance(part, AudioPart) and part.transcript:
                self._log.add("substituted", path, "spoken words became a text")
                return {"text": part.transcript}
            return {**self._media(part, path), **self._extras(part)}
        if isinstance(part, OpaquePart):
            return spliced_object(part.data)
        if isinstance(part, ReasoningPart):
            return self._thought(part, path)
        if isinstance(part, ToolCall):
            return self._call(part, path)
        if isinstance(part, RefusalPart):
            self._log.add("substituted", path, "a refusal became a text")
            return {"text": part.text} if part.text else None
        if isinstance(part, CompactionPart) and part.summary:
            self._log.add("substituted", path, "a summary became a text")
            return {"text": part.summary}
        self._log.add("dropped", path, f"this wire has no {_kind(part)}")
        return None

    def _extras(self, part: Part) -> dict[str, JSON]:
        """What the part came with beside its content."""
        native = part.native if not isinstance(part, ToolResultPart) else None
        if native is None or not issued_by(native, self._issuer):
            return {}
        return native.payload if isinstance(native.payload, dict) else {}

    def _thought(self, part: ReasoningPart, path: str) -> dict[str, JSON] | None:
        if part.kind in ("redacted", "encrypted") and not part.text and part.signature is None:
            self._log.add("dropped", path, "hidden reasoning, which this wire has no place for")
            return None
        extras = self._extras(part)
        if part.signature is not None:
            extras = {"thoughtSignature": part.signature, **extras}
        if not part.text and not extras:
            return None
        return {"text": part.text, "thought": True, **extras}

    def _call(self, call: ToolCall, path: str) -> dict[str, JSON]:
        said: dict[str, JSON] = {"name": call.name}
        if call.id not in self._nameless:
            said = {"id": call.id, **said}
        arguments: Any = {}
        if call.kind == "custom":
            self._log.add("substituted", path, "free text became an object with `input`")
            arguments = {"input": call.arguments}
        elif call.arguments.strip():
            arguments = spliced_object(call.arguments)
            if arguments is None:
                why = "arguments that are no JSON object were wrapped"
                self._log.add("substituted", path, why)
                arguments = {"INVALID_JSON": call.arguments}
        return {"functionCall": {**said, "args": arguments}, **self._extras(call)}

    def _media(self, part: _Media, path: str) -> dict[str, JSON]:
        if isinstance(part, ImagePart) and part.detail not in (None, "auto"):
            self._log.add("dropped", f"{path}.detail", "this wire has none", part.detail)
        if isinstance(part, FilePart) and part.filename:
            self._log.add("dropped", f"{path}.filename", "this wire has none", part.filename)
        source = part.source
        if isinstance(source, BytesSource):
            data = base64_of(source.data)
            return {"inlineData": {"mimeType": source.media_type, "data": data}}
        address = source.url if isinstance(source, UrlSource) else source.id
        if address.startswith("data:"):
            head, _, data = address[5:].partition(",")
            return {"inlineData": {"mimeType": head.removesuffix(";base64"), "data": data}}
        named = part.filename if isinstance(part, FilePart) and part.filename else address
        ending = urlsplit(named).path.rpartition(".")[2].lower()
        kind = {"mimeType": MEDIA_TYPES[ending]} if ending in MEDIA_TYPES else {}
        return {"fileData": {**kind, "fileUri": address}}

    # --- results ---

    def _write_results(self, message: LLMMessage, i: int) -> None:
        for j, part in enumerate(message.parts):
            if isinstance(part, ToolResultPart):
                path = self._log.path(part, i, j)
                self._add("user", [(self._result(part, path), path)], path, results=True)

    def _result(self, result: ToolResultPart, path: str) -> dict[str, Any]:
        order, call = self._calls[result.call_id]
        said: dict[str, Any] = {"name": result.name or call.name}
        if result.call_id not in self._nameless:
            said = {"id": result.call_id, **said}
        media = self._media_of(result, path)
        text = result.text
        if media and not self._traits.gemini3:
            self._log.add("moved", path, "media of a result went into a message after it")
            head = {"text": f"From the result of {call.name}:"}
            self._moved += [(entry, path) for entry in (head, *media)]
            text, media = text or ATTACHED, []
        said["response"] = {"error" if result.is_error else "output": text}
        if media:
            said["parts"] = media
        return {"functionResponse": said, "order": order}

    def _media_of(self, result: ToolResultPart, path: str) -> list[Any]:
        out: list[Any] = []
        for k, piece in enumerate(result.content if isinstance(result.content, tuple) else ()):
            where = f"{path}.content[{k}]"
            if isinstance(piece, OpaquePart):
                self._log.add("dropped", where, "a result holds text and media only")
            elif not isinstance(piece, TextPart):
                out.append(self._media(piece, where))
        return out


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part")


def _refuse(path: str, what: str) -> NoReturn:
    raise UnsupportedError(f"{path}: generateContent can't say {what}", path=path, phase="prepare")
