"""Parts to blocks: what a message becomes on this wire. Wire reference 3.2, 3.4, 3.5."""

from __future__ import annotations

from typing import Any

from ...config import Dialect, ProviderConfig
from ...errors import UnsupportedError
from ...fitting import Log
from ...history import issued_by
from ...media import base64_of
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
    CacheLifetime,
    CompactionPart,
    FilePart,
    FileSource,
    ImagePart,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Source,
    TextPart,
    ToolCall,
    ToolResultPart,
)
from ..base import spliced_object

THINKING = ("thinking", "redacted_thinking")
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

_CACHED: dict[str, JSON] = {"type": "ephemeral"}


def marked(block: dict[str, JSON], cache: CacheLifetime | None) -> dict[str, JSON]:
    """The block as the end of a prefix that is worth caching, if it is marked so."""
    if cache is not None:
        block["cache_control"] = _CACHED if cache == "default" else {**_CACHED, "ttl": cache}
    return block


Kind = str
Entry = tuple[Kind, Any]
"""A block with its type: a dict, or raw JSON that is replayed as it came."""


class Turn:
    """One message of the wire, with tool results ahead of everything else."""

    __slots__ = ("assistant", "at", "others", "results")

    def __init__(self, assistant: bool, at: int) -> None:
        self.assistant = assistant
        """Whose it is: the assistant's, or the user's."""
        self.at = at
        """The first of the fitted messages that it says."""
        self.results: list[Entry] = []
        self.others: list[Entry] = []

    @property
    def entries(self) -> list[Entry]:
        return self.results + self.others


class BlockWriter:
    """Writes parts as blocks of a turn."""

    __slots__ = ("_dialect", "_issuer", "_keep_thinking", "_log", "_provider")

    def __init__(
        self,
        provider: ProviderConfig,
        dialect: Dialect,
        issuer: Native,
        keep_thinking: bool,
        log: Log,
    ) -> None:
        self._provider = provider
        self._dialect = dialect
        self._issuer = issuer
        self._keep_thinking = keep_thinking
        self._log = log

    def write(self, part: Part, turn: Turn, i: int, j: int) -> None:
        """Part `j` of message `i`."""
        if type(part) is ToolResultPart and not turn.assistant:
            turn.results.append(("tool_result", self._result(part, turn, i, j)))
        elif type(part) is ToolCall and turn.assistant:
            turn.others.append(("tool_use", self._call(part, i, j)))
        elif type(part) is TextPart:
            self._text(part, turn, i, j)
        else:
            self._write(part, turn, self._log.path(part, i, j))

    def _write(self, part: Part, turn: Turn, path: str) -> None:
        """Any other part."""
        add = turn.others.append
        assistant = turn.assistant
        if type(part) is ToolResultPart:
            raise _unsupported(path, "a tool result in an assistant message")
        if type(part) is ImagePart:
            if assistant:
                raise _unsupported(path, "an image in an assistant message")
            add(("image", self._image(part, path)))
        elif type(part) is FilePart:
            if assistant:
                raise _unsupported(path, "a document in an assistant message")
            add(("document", self._document(part, path)))
        elif type(part) is OpaquePart:
            if issued_by(part.native, self._issuer):
                add((part.kind, _replayed(part.data, path)))
            else:
                self._log.add("dropped", path, "state issued elsewhere")
        elif type(part) is AudioPart and assistant and part.transcript:
            self._log.add("substituted", path, "spoken words became a text")
            add(("text", {"type": "text", "text": part.transcript}))
        elif not assistant:
            raise _unsupported(path, f"{_name(part)} in a user message")
        elif type(part) is ReasoningPart:
            block = self._thinking(part, path)
            if block is not None:
                add((block["type"], block))
        elif type(part) is RefusalPart:
            if part.text:
                self._log.add("substituted", path, "a refusal became a text")
                add(("text", {"type": "text", "text": part.text}))
        elif type(part) is CompactionPart:
            add(("compaction", self._compaction(part, path)))
        else:
            raise _unsupported(path, _name(part))

    def _text(self, part: TextPart, turn: Turn, i: int, j: int) -> None:
        if not part.text:
            return
        block: dict[str, JSON] = {"type": "text", "text": part.text}
        if part.citations and turn.assistant:
            block["citations"] = list(part.citations)
        elif part.citations:  # a 400 from API version 2026-10-21 on
            path = f"{self._log.path(part, i, j)}.citations"
            self._log.add("dropped", path, "a user's text can't have citations")
        turn.others.append(("text", marked(block, part.cache)))

    def _thinking(self, part: ReasoningPart, path: str) -> dict[str, JSON] | None:
        unsigned = self._dialect.replay_unsigned_thinking
        if not self._keep_thinking and not unsigned:
            self._log.add("dropped", path, "earlier thinking, as this call does not think")
            return None
        if part.kind == "redacted" and part.data is not None:
            return {"type": "redacted_thinking", "data": part.data}
        if part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        if unsigned and part.text:
            return {"type": "thinking", "thinking": part.text}
        self._log.add("dropped", path, "thinking without a signature")
        return None

    def _call(self, part: ToolCall, i: int, j: int) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_use", "id": part.id, "name": part.name}
        text = part.function.arguments
        if part.kind == "function" and (value := spliced_object(text)) is not None:
            block["input"] = value
        else:
            block["input"] = self._input(part, self._log.path(part, i, j))
        if part.native is not None and isinstance(part.native.payload, dict):
            block.update(part.native.payload)
        return block

    def _input(self, part: ToolCall, path: str) -> dict[str, JSON]:
        """What stands for arguments that are no JSON object."""
        if part.kind == "custom":
            self._log.add("substituted", path, "free text became an object with `input`")
            return {"input": part.arguments}
        # The key that Anthropic's guide to streamed tool input gives for this (2025).
        self._log.add("substituted", path, "arguments that are no JSON object were wrapped")
        return {"INVALID_JSON": part.arguments}

    def _compaction(self, part: CompactionPart, path: str) -> Any:
        if part.native is not None and isinstance(part.native.payload, str):
            return _replayed(part.native.payload, path)
        return {"type": "compaction", "content": part.summary}

    def _image(self, part: ImagePart, path: str) -> dict[str, JSON]:
        if part.detail not in (None, "auto"):
            self._log.add("dropped", f"{path}.detail", "this wire has none", part.detail)
        source = part.source
        if isinstance(source, BytesSource) and source.media_type not in IMAGE_TYPES:
            raise _unsupported(path, f"an image of type {source.media_type}")
        return marked({"type": "image", "source": self._source(source, path)}, part.cache)

    def _document(self, part: FilePart, path: str) -> dict[str, JSON]:
        source = part.source
        made: dict[str, JSON]
        if isinstance(source, BytesSource) and source.media_type.startswith("text/"):
            try:
                text = source.data.decode()
            except UnicodeDecodeError:
                raise _unsupported(path, "a text file that is not UTF-8") from None
            made = {"type": "text", "media_type": "text/plain", "data": text}
        elif isinstance(source, BytesSource) and source.media_type != "application/pdf":
            raise _unsupported(path, f"a file of type {source.media_type}")
        else:
            made = self._source(source, path)
        block: dict[str, JSON] = {"type": "document", "source": made}
        if part.filename:
            block["title"] = part.filename
        return marked(block, part.cache)

    def _source(self, source: Source, path: str) -> dict[str, JSON]:
        if isinstance(source, BytesSource):
            data = base64_of(source.data)
            return {"type": "base64", "media_type": source.media_type, "data": data}
        if isinstance(source, FileSource):
            if source.provider not in ("", self._provider.name):
                raise _unsupported(path, f"a file uploaded to {source.provider}")
            return {"type": "file", "file_id": source.id}
        if source.url.startswith("data:"):
            head, _, data = source.url[5:].partition(",")
            if not head.endswith(";base64"):
                raise _unsupported(path, "a data: address that is not base64")
            return {"type": "base64", "media_type": head.removesuffix(";base64"), "data": data}
        return {"type": "url", "url": source.url}

    def _result(self, part: ToolResultPart, turn: Turn, i: int, j: int) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id}
        if isinstance(part.content, str):
            if part.content.strip():
                block["content"] = part.content
        else:
            content = self._result_content(part, turn, self._log.path(part, i, j))
            if content:
                block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return marked(block, part.cache)

    def _result_content(self, part: ToolResultPart, turn: Turn, path: str) -> list[Any]:
        content: list[Any] = []
        for k, piece in enumerate(part.content):
            where = f"{path}.content[{k}]"
            if isinstance(piece, TextPart):
                if piece.text.strip():
                    content.append({"type": "text", "text": piece.text})
                continue
            if isinstance(piece, OpaquePart):
                if not issued_by(piece.native, self._issuer):
                    self._log.add("dropped", where, "state issued elsewhere")
                    continue
                entry: Entry = (piece.kind, _replayed(piece.data, where))
            elif isinstance(piece, ImagePart):
                entry = ("image", self._image(piece, where))
            elif isinstance(piece, FilePart):
                entry = ("document", self._document(piece, where))
            else:
                raise _unsupported(where, f"{_name(piece)} in a tool result")
            if part.is_error:
                self._log.add("moved", where, "a failed result holds text only: moved after it")
                turn.others.append(entry)
            else:
                content.append(entry[1])
        return content


def _replayed(data: str, path: str) -> Any:
    spliced = spliced_object(data)
    if not spliced:
        raise _unsupported(path, "an opaque part whose data is no JSON object")
    return spliced


def _name(part: Any) -> str:
    return {
        "AudioPart": "audio",
        "ToolCall": "a tool call",
        "ReasoningPart": "reasoning",
        "RefusalPart": "a refusal",
        "CompactionPart": "a summary of earlier turns",
    }.get(type(part).__name__, type(part).__name__)


def _unsupported(path: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{path}: the Messages API can't say {what}", path=path, api="anthropic", phase="prepare"
    )
