"""Messages to turns: what a history becomes on this wire. Wire reference 6.2, 6.4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import UnsupportedError
from ...history import Log, issued_by
from ...types import (
    JSON,
    AudioPart,
    CacheLifetime,
    CompactionPart,
    FilePart,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)
from ..anthropic.encode import THINKING
from ..anthropic.turns import OPENING
from ..base import spliced_object
from . import media
from .blocks import API
from .models import Family

LIFETIMES: tuple[CacheLifetime, ...] = ("5m", "1h")
SEE_DOCUMENT = "See the document."
"""What a user says who sends documents without a word: the API wants a text beside them."""
NOTHING_SAID = "The tool failed and said nothing."
"""What a failed result without content says: the API wants one there to be."""

_SYSTEM = (Role.system, Role.developer)
POINT = "cachePoint"

Entry = tuple[str, Any]
"""A block with its kind: a dict, or raw JSON that is replayed as it came."""


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


def cache_point(lifetime: CacheLifetime) -> dict[str, JSON]:
    """The end of a prefix that is worth caching; its lifetime is one of `LIFETIMES`."""
    point: dict[str, JSON] = {"type": "default"}
    if lifetime != "default":
        point["ttl"] = lifetime
    return {POINT: point}


class Writer:
    """Writes a request's messages as turns, and its system prompt."""

    __slots__ = ("_family", "_issuer", "_keep_thinking", "_log", "_names")

    def __init__(self, family: Family, issuer: Native, keep_thinking: bool, log: Log) -> None:
        self._family = family
        self._issuer = issuer
        self._keep_thinking = keep_thinking
        self._log = log
        self._names = media.Names()

    # --- the system prompt ----------------------------------------------------------------------

    def split_system(
        self, messages: Sequence[LLMMessage]
    ) -> tuple[list[Entry], list[tuple[int, LLMMessage]]]:
        """The system prompt's blocks, and the other messages with their places.

        All system messages that lead the list are the prompt. One in the middle becomes a user
        text: only the newest models take that role there, and this is never refused.
        """
        system: list[Entry] = []
        rest: list[tuple[int, LLMMessage]] = []
        for i, message in enumerate(messages):
            if message.role not in _SYSTEM:
                rest.append((i, message))
                continue
            texts: list[str] = []
            for j, part in enumerate(message.parts):
                path = self._log.path(part, i, j)
                if isinstance(part, TextPart):
                    if part.text.strip():
                        texts.append(part.text)
                        if not rest:
                            system.append(("text", {"text": part.text}))
                            self._point(part.cache, system, path, "system")
                elif isinstance(part, OpaquePart) and part.kind == "guardContent" and not rest:
                    system.append((part.kind, _replayed(part.data, path)))
                else:
                    raise unsupported(path, f"{_name(part)} in a system message")
            if not rest:
                self._point(message.cache, system, self._log.at(i), "system")
            elif texts:
                why = "a later system message became a user text"
                self._log.add("substituted", self._log.at(i), why)
                text = "\n\n".join(texts)
                part = TextPart(f"<system>\n{text}\n</system>", cache=message.cache)
                rest.append((i, new_message(Role.user, (part,))))
        return system, rest

    def _point(
        self, lifetime: CacheLifetime | None, to: list[Entry], path: str, place: str
    ) -> None:
        """A cache point after what was written last."""
        if lifetime is None:
            return
        if place not in self._family.cache:
            why = f"this model takes no cache points in {place}"
            self._log.add("dropped", f"{path}.cache", why, lifetime)
        elif not to or to[-1][0] in THINKING:
            self._log.add("dropped", f"{path}.cache", "there is nothing to cache", lifetime)
        else:
            point = cache_point(lifetime)
            if to[-1][0] == POINT:  # a part's, and this is its message's
                to.pop()
            to.append((POINT, point))

    # --- turns ----------------------------------------------------------------------------------

    def turns_of(self, messages: Iterable[tuple[int, LLMMessage]]) -> list[Turn]:
        """The turns of the wire: user and assistant in alternation, none of them empty."""
        turns: list[Turn] = []
        for i, message in messages:
            path = self._log.at(i)
            role = "assistant" if message.role is Role.assistant else "user"
            if message.name and message.role is not Role.tool:
                self._log.add(
                    "dropped", f"{path}.name", "this wire names no speakers", message.name
                )
            turn = turns[-1] if turns and turns[-1].role == role else Turn(role, path)
            before = len(turn.results), len(turn.others)
            for j, part in enumerate(message.parts):
                self.write(part, turn, self._log.path(part, i, j))
            after = len(turn.results), len(turn.others)
            if after == before:
                self._log.add("dropped", path, "a message without content")
                continue
            last = turn.others if after[1] > before[1] else turn.results
            self._point(message.cache, last, path, "messages")
            if not turns or turns[-1] is not turn:
                turns.append(turn)
        return self._sound(turns)

    def _sound(self, turns: list[Turn]) -> list[Turn]:
        """Without what is a 400: thinking at a turn's end, an assistant who begins, documents
        without a text."""
        out: list[Turn] = []
        for turn in turns:
            kinds = {kind for kind, _ in turn.others}
            if "document" in kinds and "text" not in kinds:
                why = "this wire wants a text beside documents"
                self._log.add("added", turn.path, why, None, SEE_DOCUMENT)
                turn.others.append(("text", {"text": SEE_DOCUMENT}))
            while self._family.claude and turn.others and turn.others[-1][0] in THINKING:
                self._log.add("dropped", turn.path, "thinking with nothing after it")
                turn.others.pop()
            if not turn.entries:
                continue
            if out and out[-1].role == turn.role:
                out[-1].results += turn.results
                out[-1].others += turn.others
            else:
                out.append(turn)
        if out and out[0].role == "assistant":
            opening = Turn("user", out[0].path)
            opening.others.append(("text", {"text": OPENING}))
            why = "the wire wants the user to speak first"
            self._log.add("added", out[0].path, why, None, OPENING)
            out.insert(0, opening)
        return out

    def write(self, part: Part, turn: Turn, path: str) -> None:
        add = turn.others.append
        assistant = turn.role == "assistant"
        if isinstance(part, TextPart):
            entry = self._text(part, assistant, path)
            if entry is not None:
                add(entry)
                self._point(part.cache, turn.others, path, "messages")
        elif isinstance(part, OpaquePart):
            if issued_by(part.native, self._issuer):
                add((part.kind, _replayed(part.data, path)))
            else:
                self._log.add("dropped", path, "state issued elsewhere")
        elif isinstance(part, AudioPart) and assistant and part.transcript:
            self._log.add("substituted", path, "spoken words became a text")
            add(("text", {"text": part.transcript}))
        elif isinstance(part, ImagePart | FilePart | AudioPart):
            if assistant and part.native is None:
                raise unsupported(path, f"{_name(part)} in an assistant message")
            add(self._media(part, path))
            if not isinstance(part, AudioPart):
                self._point(part.cache, turn.others, path, "messages")
        elif isinstance(part, ToolResultPart):
            if assistant:
                raise unsupported(path, "a tool result in an assistant message")
            turn.results.append(("toolResult", self._result(part, turn, path)))
            self._point(part.cache, turn.results, path, "messages")
        elif not assistant:
            raise unsupported(path, f"{_name(part)} in a user message")
        elif isinstance(part, ReasoningPart):
            block = self._reasoning(part, path)
            if block is not None:
                add(block)
        elif isinstance(part, ToolCall):
            add(("toolUse", self._call(part, path)))
        elif isinstance(part, RefusalPart):
            if part.text.strip():
                self._log.add("substituted", path, "a refusal became a text")
                add(("text", {"text": part.text}))
        elif isinstance(part, CompactionPart) and part.summary:
            self._log.add("substituted", path, "a summary became a text")
            add(("text", {"text": part.summary}))
        else:
            raise unsupported(path, _name(part))

    def _text(self, part: TextPart, assistant: bool, path: str) -> Entry | None:
        if part.citations and assistant:
            cited: dict[str, JSON] = {"citations": list(part.citations)}
            if part.text:
                cited["content"] = [{"text": part.text}]
            return "cited", {"citationsContent": cited}
        if part.citations:
            why = "a user's text can't have citations"
            self._log.add("dropped", f"{path}.citations", why)
        if not part.text.strip():
            if part.text:
                self._log.add("dropped", path, "text of white space only")
            return None
        return "text", {"text": part.text}

    def _media(self, part: ImagePart | FilePart | AudioPart, path: str) -> Entry:
        try:
            if isinstance(part, ImagePart):
                block = media.image_block(part, path, self._log)
            elif isinstance(part, AudioPart):
                block = media.audio_block(part)
            else:
                block = media.file_block(part, path, self._names, self._log)
        except media.Refused as e:
            raise unsupported(path, str(e)) from None
        return next(iter(block)), block

    def _reasoning(self, part: ReasoningPart, path: str) -> Entry | None:
        """Reasoning goes back as it came; what Claude could not have signed does not."""
        if self._family.claude and not self._keep_thinking:
            self._log.add("dropped", path, "earlier thinking, as this call does not think")
            return None
        if part.kind == "redacted" and part.data is not None:
            return "redacted_thinking", {"reasoningContent": {"redactedContent": part.data}}
        if part.kind == "encrypted" or (self._family.claude and not part.signature):
            self._log.add("dropped", path, "thinking without a signature")
            return None
        said: dict[str, JSON] = {"text": part.text}
        if part.signature and (self._family.signatures or part.native is not None):
            said["signature"] = part.signature
        elif part.signature:
            self._log.add("dropped", f"{path}.signature", "this model takes no signatures")
        if not part.text and "signature" not in said:
            return None
        return "thinking", {"reasoningContent": {"reasoningText": said}}

    def _call(self, part: ToolCall, path: str) -> dict[str, Any]:
        text = part.arguments
        value: Any = {}
        if part.kind == "custom":
            self._log.add("substituted", path, "free text became an object with `input`")
            value = {"input": text}
        elif text.strip():
            value = spliced_object(text)
            if value is None:
                why = "arguments that are no JSON object were wrapped"
                self._log.add("substituted", path, why)
                value = {"INVALID_JSON": text}
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": value}}

    def _result(self, part: ToolResultPart, turn: Turn, path: str) -> dict[str, Any]:
        content: list[Any] = []
        pieces = (TextPart(part.content),) if isinstance(part.content, str) else part.content
        for k, piece in enumerate(pieces):
            where = f"{path}.content[{k}]"
            if isinstance(piece, TextPart):
                if piece.text.strip():
                    content.append({"text": piece.text})
            elif isinstance(piece, OpaquePart):
                if issued_by(piece.native, self._issuer):
                    content.append(_replayed(piece.data, where))
                else:
                    self._log.add("dropped", where, "state issued elsewhere")
            elif not isinstance(piece, ImagePart | FilePart):
                raise unsupported(where, f"{_name(piece)} in a tool result")
            elif part.is_error and self._family.claude:
                why = "a failed result holds text only: moved after it"
                self._log.add("moved", where, why)
                turn.others.append(self._media(piece, where))
            else:
                content.append(self._media(piece, where)[1])
        result: dict[str, Any] = {"toolUseId": part.call_id, "content": content}
        if part.is_error:
            if not content:
                self._log.add("added", path, "a failed result needs content", None, NOTHING_SAID)
                content.append({"text": NOTHING_SAID})
            result["status"] = "error"
        return {"toolResult": result}


def cant_think(turns: Sequence[Turn]) -> str | None:
    """Why this history allows no thinking with a budget; None if it does. As in the Messages API:
    the assistant's turn of an unfinished tool loop begins with its thinking (wire reference 3.4).
    """
    if turns and turns[-1].role == "assistant":
        return "a prefilled reply can't think"
    loop: str | None = None  # how the assistant began since the user last said something
    for turn in turns:
        if turn.role == "user":
            loop = loop if turn.results else None
        elif loop is None:
            loop = turn.entries[0][0]
    if loop is not None and loop not in THINKING:
        return "the tool calls being answered were made without thinking, or it was dropped"
    return None


def fit_prefill(last: Turn, allowed: bool, path: str, log: Log) -> None:
    """A history that ends with the assistant's words: legal for few models of Claude, and without
    trailing space. A turn that ends in a block of AWS's own was paused and is continued as it is.
    """
    said = [i for i, (kind, _) in enumerate(last.others) if kind != POINT]
    if last.role != "assistant" or last.others[said[-1]][0] not in ("text", "cited"):
        return
    if not allowed:
        raise UnsupportedError(
            f"{path}: this model does not continue an assistant's message; "
            "end the history with a user message",
            path=path,
            api=API,
            phase="prepare",
        )
    kind, block = last.others[said[-1]]
    if kind == "text" and (text := block["text"].rstrip()) != block["text"]:
        log.add("substituted", path, "a prefilled reply can't end in white space")
        last.others[said[-1]] = (kind, {"text": text})


def _replayed(data: str, path: str) -> Any:
    spliced = spliced_object(data)
    if spliced is None or not data.strip():
        raise unsupported(path, "an opaque part whose data is no JSON object")
    return spliced


def _name(part: Any) -> str:
    return {
        "AudioPart": "sound",
        "FilePart": "a file",
        "ImagePart": "an image",
        "ToolCall": "a tool call",
        "ReasoningPart": "reasoning",
        "RefusalPart": "a refusal",
        "CompactionPart": "a summary of earlier turns",
        "ToolResultPart": "a tool result",
    }.get(type(part).__name__, type(part).__name__)


def unsupported(path: str, what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{path}: Converse can't say {what}", path=path, api=API, phase="prepare"
    )
