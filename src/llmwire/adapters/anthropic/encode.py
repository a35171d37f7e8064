"""Messages to turns: what a history becomes on this wire. Wire reference 3.2, 3.4, 3.5."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from ...config import Dialect, ProviderConfig
from ...errors import UnsupportedError
from ...history import (
    Log,
    close_parts,
    drop_foreign,
    fit_ids,
    issued_by,
    pair_tool_calls,
)
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
    new_message,
)
from ..base import spliced_object

THINKING = ("thinking", "redacted_thinking")
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
OPENING = "Begin."
"""What the user says first where the history has the assistant speak first: the wire wants it."""

_CACHED = {"type": "ephemeral"}
_CACHEABLE = ("text", "image", "tool_result", "document")
_SYSTEM = (Role.system, Role.developer)

Kind = str
Entry = tuple[Kind, Any]
"""A block with its type: a dict, or raw JSON that is replayed as it came."""


class Turn:
    """One message of the wire, with tool results ahead of everything else."""

    __slots__ = ("others", "path", "results", "role")

    def __init__(self, role: str, path: str) -> None:
        self.role = role
        self.path = path
        self.results: list[Entry] = []
        self.others: list[Entry] = []

    @property
    def entries(self) -> list[Entry]:
        return self.results + self.others


def fitted(messages: Sequence[LLMMessage], issuer: Native, log: Log) -> tuple[LLMMessage, ...]:
    """The history with its calls paired, its ids legal and foreign state gone."""
    found = close_parts(messages, log)
    found = drop_foreign(found, issuer, log)
    found = pair_tool_calls(found, log)
    return tuple(fit_ids(found, "anthropic64", log))


def split_system(
    messages: Sequence[LLMMessage], log: Log
) -> tuple[list[dict[str, JSON]], list[tuple[int, LLMMessage]]]:
    """The system prompt's blocks, and the other messages with their places.

    All system messages that lead the list are the prompt. One in the middle becomes a user text:
    only some models take that role there, and this is never refused.
    """
    system: list[dict[str, JSON]] = []
    rest: list[tuple[int, LLMMessage]] = []
    for i, message in enumerate(messages):
        if message.role not in _SYSTEM:
            rest.append((i, message))
            continue
        texts = [p.text for p in message.parts if type(p) is TextPart and p.text.strip()]
        if not rest:
            system += [{"type": "text", "text": text} for text in texts]
        elif texts:
            log.add("substituted", f"messages[{i}]", "a later system message became a user text")
            text = "\n\n".join(texts)
            part = TextPart(f"<system>\n{text}\n</system>")
            rest.append((i, new_message(Role.user, (part,))))
    return system, rest


def turns_of(
    messages: Iterable[tuple[int, LLMMessage]],
    provider: ProviderConfig,
    dialect: Dialect,
    issuer: Native,
    keep_thinking: bool,
    log: Log,
) -> list[Turn]:
    """The turns of the wire: user and assistant in alternation, none of them empty."""
    writer = _Writer(provider, dialect, issuer, keep_thinking, log)
    turns: list[Turn] = []
    for i, message in messages:
        path = f"messages[{i}]"
        role = "assistant" if message.role is Role.assistant else "user"
        if message.name and message.role is not Role.tool:
            log.add("dropped", f"{path}.name", "this wire names no speakers", message.name)
        turn = turns[-1] if turns and turns[-1].role == role else Turn(role, path)
        before = len(turn.results) + len(turn.others)
        for j, part in enumerate(message.parts):
            writer.write(part, turn, f"{path}.parts[{j}]")
        if len(turn.results) + len(turn.others) == before:
            log.add("dropped", path, "a message without content")
        elif not turns or turns[-1] is not turn:
            turns.append(turn)
    return _sound(turns, log)


def _sound(turns: list[Turn], log: Log) -> list[Turn]:
    """Without what is a 400: blank turns, thinking at a turn's end, an assistant who begins."""
    out: list[Turn] = []
    for turn in turns:
        # Blank texts are taken beside others, not alone (seen on the API in 2026).
        if not any(kind == "text" and block["text"].strip() for kind, block in turn.others):
            kept = [e for e in turn.others if e[0] != "text"]
            if len(kept) < len(turn.others):
                log.add("dropped", turn.path, "text of white space only")
                turn.others = kept
        while turn.others and turn.others[-1][0] in THINKING:
            log.add("dropped", turn.path, "thinking with nothing after it")
            turn.others.pop()
        if not turn.entries:
            continue
        if out and out[-1].role == turn.role:
            out[-1].results += turn.results
            out[-1].others += turn.others
        else:
            out.append(turn)
    if out and out[0].role == "assistant" and out[0].entries[0][0] != "compaction":
        opening = Turn("user", out[0].path)
        opening.others.append(("text", {"type": "text", "text": OPENING}))
        log.add("added", out[0].path, "the wire wants the user to speak first", None, OPENING)
        out.insert(0, opening)
    return out


def body_of(turns: Sequence[Turn], cache: bool) -> list[dict[str, Any]]:
    """The turns as the body has them; `cache` puts a breakpoint on the last user block."""
    out: list[dict[str, Any]] = [
        {"role": t.role, "content": [block for _, block in t.entries]} for t in turns
    ]
    if cache and turns and turns[-1].role == "user":
        kind, block = turns[-1].entries[-1]
        if kind in _CACHEABLE and isinstance(block, dict):
            out[-1]["content"][-1] = {**block, "cache_control": _CACHED}
    return out


def cached_system(system: list[dict[str, JSON]], cache: bool) -> list[dict[str, JSON]]:
    if cache and system:
        system[-1] = {**system[-1], "cache_control": _CACHED}
    return system


class _Writer:
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

    def write(self, part: Part, turn: Turn, path: str) -> None:
        add = turn.others.append
        assistant = turn.role == "assistant"
        if type(part) is TextPart:
            if part.text:
                add(("text", self._text(part, assistant, path)))
        elif type(part) is ToolResultPart:
            if assistant:
                raise _unsupported(path, "a tool result in an assistant message")
            turn.results.append(("tool_result", self._result(part, turn, path)))
        elif type(part) is ImagePart:
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
            raise _unsupported(path, f"{_name(part)} in a {turn.role} message")
        elif type(part) is ReasoningPart:
            block = self._thinking(part, path)
            if block is not None:
                add((block["type"], block))
        elif type(part) is ToolCall:
            add(("tool_use", self._call(part, path)))
        elif type(part) is RefusalPart:
            if part.text:
                self._log.add("substituted", path, "a refusal became a text")
                add(("text", {"type": "text", "text": part.text}))
        elif type(part) is CompactionPart:
            add(("compaction", self._compaction(part, path)))
        else:
            raise _unsupported(path, _name(part))

    def _text(self, part: TextPart, assistant: bool, path: str) -> dict[str, JSON]:
        block: dict[str, JSON] = {"type": "text", "text": part.text}
        if part.citations and assistant:
            block["citations"] = list(part.citations)
        elif part.citations:  # a 400 from API version 2026-10-21 on
            self._log.add("dropped", f"{path}.citations", "a user's text can't have citations")
        return block

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

    def _call(self, part: ToolCall, path: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_use", "id": part.id, "name": part.name}
        block["input"] = self._input(part, path)
        if part.native is not None and isinstance(part.native.payload, dict):
            block.update(part.native.payload)
        return block

    def _input(self, part: ToolCall, path: str) -> Any:
        text = part.arguments
        if part.kind == "custom":
            self._log.add("substituted", path, "free text became an object with `input`")
            return {"input": text}
        if not text.strip():
            return {}
        spliced = spliced_object(text)
        if spliced is not None:
            return spliced
        # The key that Anthropic's guide to streamed tool input gives for this (2025).
        self._log.add("substituted", path, "arguments that are no JSON object were wrapped")
        return {"INVALID_JSON": text}

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
        return {"type": "image", "source": self._source(source, path)}

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
        return block

    def _source(self, source: Source, path: str) -> dict[str, JSON]:
        if isinstance(source, BytesSource):
            data = base64.b64encode(source.data).decode()
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

    def _result(self, part: ToolResultPart, turn: Turn, path: str) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": part.call_id}
        if isinstance(part.content, str):
            if part.content.strip():
                block["content"] = part.content
        else:
            content = self._result_content(part, turn, path)
            if content:
                block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return block

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
    spliced = spliced_object(data) if data.strip() else None
    if spliced is None:
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
