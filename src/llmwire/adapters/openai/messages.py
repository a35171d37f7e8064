"""Histories on the wire: from messages to the `messages` array.

Each message is built from the fields the wire knows; nothing is copied over. Source: wire
reference 1.2, 1.4, 4, 8.2 (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from ...config import Dialect
from ...errors import UnsupportedError
from ...fitting import ASSISTANT, TOOL, USER, Log, ReachesBack, with_parts
from ...history import (
    are_legal,
    bridge_tool_to_user,
    close_parts,
    drop_foreign,
    fit_ids,
    issued_by,
    merge_consecutive_user_messages,
    pair_tool_calls,
    paired,
)
from ...media import base64_of, data_uri
from ...memory import Encoded, Memory, written
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
    CacheLifetime,
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
    load_json,
    new_message,
)
from ..base import canonical_json

ATTACHED = "(attached to the next user message)"
"""What a tool result says that consists of images only, where they can't stand in it."""


class Manner(Struct, frozen=True):
    """What beside the messages has a say in how they are written."""

    dialect: Dialect
    issuer: Native
    reasoning_field: str = "reasoning_content"
    developer: bool = False
    """Whether the server takes that role."""
    replay: bool = True
    """Whether reasoning goes back at all."""
    marks: str = ""
    """How content is marked as worth caching, a word of `Dialect.cache_marks`; "" if it can't be."""
    instruction: str = ""
    """One more paragraph of the system prompt."""


class MessageWriter:
    """Writes the messages of one request for one server."""

    _log: Log  # of the messages being written

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._dialect = manner.dialect
        self._issuer = manner.issuer

    def prepare_messages(
        self, messages: tuple[LLMMessage, ...], memory: Memory | None = None
    ) -> Encoded:
        """Raises `UnsupportedError` with the path of what this wire can't say."""
        return written(messages, self._manner, memory, self._write, self._write_end)

    def _write_end(self, messages: Sequence[LLMMessage], before: Encoded) -> Encoded:
        return self._write(messages, before, self._dialect.prefill)

    def _write(
        self, messages: Sequence[LLMMessage], before: Encoded, prefill: str = "plain"
    ) -> Encoded:
        log = self._log = Log(before.count, before.calls)
        fitted = self._fitted(messages)
        if before.count and (not fitted or fitted[0].role is not ASSISTANT):
            raise ReachesBack
        entries = [*map(self._entry, fitted)]
        if prefill != "plain" and entries and entries[-1]["role"] == "assistant":
            entries[-1][prefill] = True
        if self._manner.marks:
            for i, message in enumerate(fitted):
                if message.cache is not None:
                    entries[i] = self._marked(entries[i], message, i)
        if self._manner.instruction and not before.count:
            entries = _with_instruction(entries, self._manner.instruction)
        return before.after(len(messages), canonical_json(entries), log)

    def _fitted(self, messages: Sequence[LLMMessage]) -> Sequence[LLMMessage]:
        dialect, log = self._dialect, self._log
        ids = paired(messages, log.calls) if self._is_simple(messages) else None
        if ids is not None and are_legal(ids, dialect.tool_call_ids):
            log.calls = log.calls.after(ids)
            fitted = messages
        else:
            for i, message in enumerate(messages):
                self._check(message, i)
            fitted = close_parts(drop_foreign(messages, self._issuer, log), log)
            fitted = pair_tool_calls(self._without_silent_turns(fitted), log)
            fitted = self._with_results_apart(fit_ids(fitted, dialect.tool_call_ids, log))
        if dialect.merge_user_messages:
            fitted = merge_consecutive_user_messages(fitted, log)
        if dialect.assistant_after_tool:
            fitted = bridge_tool_to_user(fitted, log)
        return fitted

    def _is_simple(self, messages: Sequence[LLMMessage]) -> bool:
        """Whether nothing but calls and the order of turns can need fitting, as nearly always."""
        issuer, names = self._issuer, self._dialect.speaker_names
        for message in messages:
            role, parts = message.role, message.parts
            if role is TOOL:
                if len(parts) != 1 or type(result := parts[0]) is not ToolResultPart:
                    return False
                if result.is_error or type(result.content) is not str:
                    return False
                continue
            if message.name and not names:
                return False
            if role is ASSISTANT:
                says = False
                for part in parts:
                    if type(part) is TextPart:
                        says = says or part.text != ""
                    elif type(part) is ToolCall or (
                        type(part) is ReasoningPart and self._goes_back(part, message)
                    ):
                        says = True
                    else:
                        return False
                    if part.native is not None and not issued_by(part.native, issuer):
                        return False
                if not says:
                    return False
            elif role is Role.developer and not self._manner.developer:
                return False
            else:
                for part in parts:
                    if type(part) is not TextPart:
                        return False
        return True

    # --- what can't be said ---

    def _check(self, message: LLMMessage, i: int) -> None:
        here = self._log.at(i)
        for j, part in enumerate(message.parts):
            path = f"{here}.parts[{j}]"
            if type(part) is ToolResultPart:
                if isinstance(part.content, tuple):
                    for k, item in enumerate(part.content):
                        self._check_part(TOOL, item, f"{path}.content[{k}]")
                if part.is_error:
                    self._log.add("dropped", f"{path}.is_error", "the wire has no word for it")
            else:
                self._check_part(message.role, part, path)
        if message.role is TOOL and not message.parts:
            _refuse(here, "a tool message without a result")
        if message.role is Role.developer and not self._manner.developer:
            reason = "the target has no such role"
            self._log.add("substituted", f"{here}.role", reason, "developer", "system")
        if message.name and not self._dialect.speaker_names and message.role is not TOOL:
            reason = "the target takes no speaker names"
            self._log.add("dropped", f"{here}.name", reason, message.name)

    def _check_part(self, role: Role, part: Part, path: str) -> None:
        kind = type(part)
        if role is ASSISTANT:
            if kind is CompactionPart and issued_by(part.native, self._issuer):
                _refuse(path, "a compaction")
            if kind is FilePart:
                _refuse(path, "a file by the assistant")
            if isinstance(part, ImagePart) and (
                part.native is None
                or not issued_by(part.native, self._issuer)
                or isinstance(part.source, FileSource)
            ):
                _refuse(path, "an image by another assistant")
            if isinstance(part, AudioPart) and not (self._audio_id(part) or part.transcript):
                _refuse(path, "sound by the assistant without a transcript")
        elif isinstance(part, ImagePart | FilePart | AudioPart):
            if role in (Role.system, Role.developer):
                _refuse(path, f"a part of kind {_kind(part)} in a {role} message")
            self._media(part, path)
        elif isinstance(part, OpaquePart):
            if not issued_by(part.native, self._issuer) or role in (Role.system, Role.developer):
                _refuse(path, "content of another wire")
        elif kind is not TextPart:
            _refuse(path, f"a part of kind {_kind(part)} in a {role} message")

    def _audio_id(self, part: AudioPart) -> JSON:
        return _payload(part, "id") if issued_by(part.native, self._issuer) else None

    # --- transforms ---

    def _without_silent_turns(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """Assistant turns as this server is to see them: without the reasoning it does not take
        back, and none that say nothing."""
        log = self._log
        log.reads(messages)
        out: list[LLMMessage] = []
        origins: list[int] = []
        for i, message in enumerate(messages):
            if message.role is ASSISTANT:
                kept: list[Part] = []
                for j, part in enumerate(message.parts):
                    if isinstance(part, ReasoningPart) and not self._goes_back(part, message):
                        reason = "earlier reasoning does not go back there"
                        log.add("dropped", log.path(part, i, j), reason)
                    else:
                        kept.append(part)
                if all(isinstance(p, TextPart) and not p.text for p in kept):
                    if len(kept) == len(message.parts):
                        log.add("dropped", log.at(i), "an assistant turn without content")
                    continue
                message = with_parts(message, kept)
            out.append(message)
            origins.append(i)
        return log.gives(out, origins)

    def _goes_back(self, part: ReasoningPart, message: LLMMessage) -> bool:
        policy = self._dialect.reasoning_replay
        if not self._manner.replay or policy == "none":
            return False
        if policy == "tool_turns" and not message.tool_calls:
            return False
        return bool(part.text or part.signature is not None or part.native is not None)

    def _with_results_apart(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """Tool results in messages of their own; images that can't stand in them right after."""
        log = self._log
        log.reads(messages)
        out: list[LLMMessage] = []
        origins: list[int] = []
        images: list[Part] = []
        for i, message in enumerate(messages):
            if message.role is not TOOL:  # after pairing, results are nowhere else
                if images:
                    out.append(new_message(USER, tuple(images)))
                    images = []
                out.append(message)
            elif len(message.parts) == 1 and self._is_text(message.parts[0]):
                out.append(message)
            else:
                for result in message.parts:
                    assert type(result) is ToolResultPart
                    if not self._is_text(result):
                        path = log.path(result, i, message.parts.index(result))
                        result, lifted = _without_images(result)
                        images += lifted
                        if lifted:
                            reason = "no images in tool results: a user message after them has it"
                            log.add("moved", path, reason)
                    out.append(new_message(TOOL, (result,)))
                out[-1] = replace(out[-1], cache=message.cache)
            origins += [i] * (len(out) - len(origins))
        if images:
            out.append(new_message(USER, tuple(images)))
            origins.append(len(messages) - 1)
        return log.gives(out, origins)

    def _is_text(self, result: Part) -> bool:
        """Whether a result can stand in a tool message as it is."""
        assert type(result) is ToolResultPart
        return isinstance(result.content, str) or self._dialect.tool_result_images

    # --- one message ---

    def _entry(self, message: LLMMessage) -> dict[str, JSON]:
        role, parts = message.role, message.parts
        if role is ASSISTANT:
            return self._assistant(message)
        if role is TOOL:
            return self._result(parts[0])
        out: dict[str, JSON] = {"role": "user" if role is USER else self._role(role)}
        if message.name and self._dialect.speaker_names:
            out["name"] = message.name
        texts = [p.text for p in parts if type(p) is TextPart and p.cache is None]
        if len(texts) == len(parts):
            out["content"] = texts[0] if len(texts) == 1 else "\n\n".join(texts)
        else:
            out["content"] = [self._content(p) for p in parts]
        return out

    def _role(self, role: Role) -> str:
        return "system" if role is Role.developer and not self._manner.developer else str(role)

    def _result(self, result: Part) -> dict[str, JSON]:
        assert type(result) is ToolResultPart
        out: dict[str, JSON] = {"role": "tool", "tool_call_id": result.call_id}
        if result.name and self._dialect.tool_name_on_result:
            out["name"] = result.name
        content = result.content
        if isinstance(content, str):
            out["content"] = content
        elif all(isinstance(p, TextPart) for p in content):
            out["content"] = result.text
        else:
            out["content"] = [self._content(p) for p in content]
        if result.cache is not None:
            out["content"] = self._marked_at_end(out["content"], result.cache)
        return out

    def _content(self, part: Part) -> JSON:
        if isinstance(part, TextPart):
            return self._with_mark({"type": "text", "text": part.text}, part.cache)
        if isinstance(part, OpaquePart):
            return load_json(part.data)
        block = self._media(part, "")
        return (
            self._with_mark(block, part.cache) if isinstance(part, ImagePart | FilePart) else block
        )

    # --- marks ---

    def _marked(self, entry: dict[str, JSON], message: LLMMessage, i: int) -> dict[str, JSON]:
        """A message with its mark, on the last of its content."""
        if not entry.get("content") or message.cache is None:
            path = f"{self._log.message_path(message, i)}.cache"
            self._log.add("dropped", path, "the message has no content that can be marked")
            return entry
        return {**entry, "content": self._marked_at_end(entry["content"], message.cache)}

    def _marked_at_end(self, content: JSON, cache: CacheLifetime) -> JSON:
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        return [*blocks[:-1], self._with_mark(blocks[-1], cache)]

    def _with_mark(self, block: dict[str, JSON], cache: CacheLifetime | None) -> dict[str, JSON]:
        if cache is None:  # and where nothing can be marked no mark comes here
            return block
        name, kind = {
            "breakpoint": ("prompt_cache_breakpoint", {"mode": "explicit"}),
            "cache_control": ("cache_control", {"type": "ephemeral"}),
        }[self._manner.marks]
        return {**block, name: kind if cache == "default" else {**kind, "ttl": cache}}

    def _media(self, part: Part, path: str) -> dict[str, JSON]:
        """An image, a sound or a document. Raises `UnsupportedError` for a source it can't have."""
        mistral = self._dialect.content_parts == "mistral"
        if isinstance(part, ImagePart):
            if isinstance(part.source, FileSource):
                _refuse(path, "an image by its file id")
            image: dict[str, JSON] = {"url": _address(part.source)}
            if part.detail is not None:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        if isinstance(part, AudioPart):
            if mistral and isinstance(part.source, UrlSource):
                return {"type": "input_audio", "input_audio": part.source.url}
            if not isinstance(part.source, BytesSource):
                _refuse(path, "sound that is not in the message itself")
            data = base64_of(part.source.data)
            if mistral:
                return {"type": "input_audio", "input_audio": data}
            return {"type": "input_audio", "input_audio": {"data": data, "format": part.format}}
        assert isinstance(part, FilePart)
        if isinstance(part.source, FileSource):
            if mistral:
                return {"type": "file", "file_id": part.source.id}
            return {"type": "file", "file": {"file_id": part.source.id}}
        if mistral:
            return {"type": "document_url", "document_url": _address(part.source)}
        if isinstance(part.source, UrlSource):
            _refuse(path, "a document by its address")
        file: dict[str, JSON] = {"filename": part.filename} if part.filename else {}
        return {"type": "file", "file": {**file, "file_data": _address(part.source)}}

    # --- the assistant's messages ---

    def _assistant(self, message: LLMMessage) -> dict[str, JSON]:
        out: dict[str, JSON] = {"role": "assistant"}
        if message.name and self._dialect.speaker_names:
            out["name"] = message.name
        text = ""
        calls: list[JSON] = []
        more = self._dialect.reasoning_replay == "always"
        for part in message.parts:
            if type(part) is TextPart:
                text += part.text
                more = more or part.cache is not None
            elif type(part) is ToolCall:
                calls.append(self._call(part))
            elif type(part) is AudioPart and not self._audio_id(part):
                text += part.transcript
            else:
                more = True
        if text or not calls or self._dialect.empty_content == "empty":
            out["content"] = text
        else:
            out["content"] = None
        if more:
            self._add_more(message, text, out)
        if calls:
            out["tool_calls"] = calls
        return out

    def _add_more(self, message: LLMMessage, text: str, out: dict[str, JSON]) -> None:
        """What an assistant says beside texts and calls."""
        if (blocks := self._blocks(message)) is not None:
            out["content"] = blocks
        if refusal := "".join(p.text for p in message.parts if type(p) is RefusalPart):
            out["content"] = text or None
            out["refusal"] = refusal
        if self._dialect.reasoning_replay != "content":
            self._add_reasoning(message, out)
        for part in message.parts:
            if isinstance(part, AudioPart) and (audio_id := self._audio_id(part)):
                out["audio"] = {"id": audio_id}
            if isinstance(part, ImagePart) and not isinstance(part.source, FileSource):
                image = {"type": "image_url", "image_url": {"url": _address(part.source)}}
                out.setdefault("images", []).append(image)

    def _blocks(self, message: LLMMessage) -> list[JSON] | None:
        """The content as a list, where text alone does not say it."""
        inline = self._dialect.reasoning_replay == "content"
        out: list[JSON] = []
        needed = False
        for part in message.parts:
            if isinstance(part, TextPart):
                if part.text:
                    out.append(self._with_mark({"type": "text", "text": part.text}, part.cache))
                    needed = needed or part.cache is not None
            elif isinstance(part, OpaquePart):
                out.append(load_json(part.data))
                needed = True
            elif isinstance(part, ReasoningPart) and inline:
                out.append(thinking_block(part))
                needed = True
        return out if needed else None

    def _add_reasoning(self, message: LLMMessage, out: dict[str, JSON]) -> None:
        """Reasoning in the field it came in, else the provider's; details in place of text."""
        details: list[JSON] = []
        texts: dict[str, str] = {}
        for part in message.parts:
            if not isinstance(part, ReasoningPart):
                continue
            payload = part.native.payload if part.native is not None else None
            payload = payload if isinstance(payload, dict) else {}
            if isinstance(payload.get("details"), list):
                details += payload["details"]
                continue
            if "reasoning_opaque" in payload:
                out["reasoning_opaque"] = payload["reasoning_opaque"]
            if part.text:
                name = str(payload.get("field") or self._manner.reasoning_field)
                texts[name] = texts.get(name, "") + part.text
        if details:
            out["reasoning_details"] = details
        else:
            out.update(texts)
        if self._manner.replay and self._dialect.reasoning_replay == "always":
            out.setdefault(self._manner.reasoning_field, "")

    def _call(self, call: ToolCall) -> dict[str, JSON]:
        name, arguments = call.function.name, call.function.arguments
        out: dict[str, JSON] = {"id": call.id, "type": call.kind}
        if call.kind == "custom":
            out["custom"] = {"name": name, "input": arguments}
        else:
            out["function"] = {"name": name, "arguments": arguments if arguments.strip() else "{}"}
        if call.native is not None and (extra := _payload(call, "extra_content")):
            out["extra_content"] = extra
        return out


def _with_instruction(entries: list[dict[str, JSON]], text: str) -> list[dict[str, JSON]]:
    """The messages with one more paragraph at the end of the system prompt."""
    first = entries[0] if entries else {}
    if first.get("role") not in ("system", "developer"):
        return [{"role": "system", "content": text}, *entries]
    content = first["content"]
    if isinstance(content, str):
        content = f"{content}\n\n{text}"
    else:
        content = [*content, {"type": "text", "text": text}]
    return [{**first, "content": content}, *entries[1:]]


def thinking_block(part: ReasoningPart) -> dict[str, JSON]:
    """The thinking block that the part came as, or one that says it."""
    text: list[JSON] = [{"type": "text", "text": part.text}]
    block = _payload(part, "block")
    if isinstance(block, dict):
        return {**block, "thinking": text} if block.get("thinking") is None else dict(block)
    out: dict[str, JSON] = {"type": "thinking", "thinking": text}
    if part.signature is not None:
        out["signature"] = part.signature
    return out


def _without_images(result: ToolResultPart) -> tuple[ToolResultPart, list[Part]]:
    """A result as text, and what has to stand elsewhere, with a word on where it is from."""
    assert isinstance(result.content, tuple)
    lifted: list[Part] = [p for p in result.content if not isinstance(p, TextPart)]
    if not lifted:
        return result, []
    text = result.text or ATTACHED
    head = TextPart(f"From the result of tool call {result.call_id}:")
    return replace(result, content=text), [head, *lifted]


def _payload(part: Part, key: str) -> JSON:
    payload = part.native.payload if part.native is not None else None
    return payload.get(key) if isinstance(payload, dict) else None


def _address(source: Source) -> str:
    if isinstance(source, BytesSource):
        return data_uri(source.data, source.media_type)
    assert isinstance(source, UrlSource)
    return source.url


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part")


def _refuse(path: str, what: str) -> NoReturn:
    raise UnsupportedError(f"{path}: Chat Completions can't say {what}", path=path, phase="prepare")
