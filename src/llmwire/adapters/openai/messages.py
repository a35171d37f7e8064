"""Histories on the wire: from messages to the `messages` array.

Each message is built from the fields the wire knows; nothing is copied over. Source: wire
reference 1.2, 1.4, 4, 8.2 (2026-11-22).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from msgspec.structs import replace

from ...config import Dialect
from ...errors import UnsupportedError
from ...history import (
    Log,
    bridge_tool_to_user,
    close_parts,
    drop_foreign,
    fit_ids,
    issued_by,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from ...media import base64_of, data_uri
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

ATTACHED = "(attached to the next user message)"
"""What a tool result says that consists of images only, where they can't stand in it."""


class MessageWriter:
    """Writes the messages of one request for one server."""

    def __init__(
        self,
        dialect: Dialect,
        issuer: Native,
        log: Log,
        *,
        reasoning_field: str = "reasoning_content",
        developer: bool = False,
        replay: bool = True,
        marks: str = "",
    ) -> None:
        self._dialect = dialect
        self._issuer = issuer
        self._log = log
        self._field = reasoning_field
        self._developer = developer
        self._replay = replay
        self._marks = marks

    def prepare_messages(self, messages: Sequence[LLMMessage]) -> list[dict[str, JSON]]:
        """Raises `UnsupportedError` with the path of what this wire can't say."""
        for i, message in enumerate(messages):
            self._check(message, i)
        dialect, log = self._dialect, self._log
        fitted = drop_foreign(messages, self._issuer, log)
        fitted = self._without_silent_turns(close_parts(fitted, log))
        fitted = fit_ids(pair_tool_calls(fitted, log), dialect.tool_call_ids, log)
        fitted = self._with_results_apart(fitted)
        if dialect.merge_user_messages:
            fitted = merge_consecutive_user_messages(fitted)
        if dialect.assistant_after_tool:
            fitted = bridge_tool_to_user(fitted, log)
        return [entry for message in fitted for entry in self._marked(message)]

    # --- what can't be said ---

    def _check(self, message: LLMMessage, i: int) -> None:
        for j, part in enumerate(message.parts):
            path = f"messages[{i}].parts[{j}]"
            if type(part) is ToolResultPart:
                if isinstance(part.content, tuple):
                    for k, item in enumerate(part.content):
                        self._check_part(Role.tool, item, f"{path}.content[{k}]")
                if part.is_error:
                    self._log.add("dropped", f"{path}.is_error", "the wire has no word for it")
            else:
                self._check_part(message.role, part, path)
        if message.role is Role.tool and message.tool_call_id is None:
            _refuse(f"messages[{i}]", "a tool message that does not name the call it answers")
        if message.role is Role.developer and not self._developer:
            reason = "the target has no such role"
            self._log.add("substituted", f"messages[{i}].role", reason, "developer", "system")
        if message.name and not self._dialect.speaker_names and message.role is not Role.tool:
            reason = "the target takes no speaker names"
            self._log.add("dropped", f"messages[{i}].name", reason, message.name)

    def _check_part(self, role: Role, part: Part, path: str) -> None:
        kind = type(part)
        if role is Role.assistant:
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
        elif kind is OpaquePart:
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
        out = []
        for i, message in enumerate(messages):
            if message.role is not Role.assistant:
                out.append(message)
                continue
            kept: list[Part] = []
            for j, part in enumerate(message.parts):
                if isinstance(part, ReasoningPart) and not self._goes_back(part, message):
                    path = f"messages[{i}].parts[{j}]"
                    self._log.add("dropped", path, "earlier reasoning does not go back there")
                else:
                    kept.append(part)
            if all(isinstance(p, TextPart) and not p.text for p in kept):
                if not any(isinstance(p, ReasoningPart) for p in message.parts):
                    self._log.add("dropped", f"messages[{i}]", "an assistant turn without content")
                continue
            out.append(message if len(kept) == len(message.parts) else message.with_parts(kept))
        return out

    def _goes_back(self, part: ReasoningPart, message: LLMMessage) -> bool:
        policy = self._dialect.reasoning_replay
        if not self._replay or policy == "none":
            return False
        if policy == "tool_turns" and not message.tool_calls:
            return False
        return bool(part.text or part.signature is not None or part.native is not None)

    def _with_results_apart(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """Tool results in messages of their own; images that can't stand in them right after."""
        out: list[LLMMessage] = []
        images: list[Part] = []
        for i, message in enumerate(messages):
            results = [p for p in message.parts if isinstance(p, ToolResultPart)]
            if not results and images:
                out.append(new_message(Role.user, tuple(images)))
                images = []
            for result in results:
                if isinstance(result.content, tuple) and not self._dialect.tool_result_images:
                    path = self._log.path(result, i, message.parts.index(result))
                    result, lifted = _without_images(result)
                    images += lifted
                    if lifted:
                        reason = "no images in tool results: a user message after them has it"
                        self._log.add("moved", path, reason)
                out.append(new_message(Role.tool, (result,)))
            if results and message.role is Role.tool:
                out[-1] = replace(out[-1], cache=message.cache)
            rest = tuple(p for p in message.parts if not isinstance(p, ToolResultPart))
            if rest and results:
                if message.role is Role.tool:
                    images += rest
                else:
                    out.append(
                        new_message(message.role, (*images, *rest), message.name, message.cache)
                    )
                    images = []
            elif not results:
                out.append(message)
        if images:
            out.append(new_message(Role.user, tuple(images)))
        return out

    # --- one message ---

    def _marked(self, message: LLMMessage) -> list[dict[str, JSON]]:
        """The message, and the marks that it has on the last of its content."""
        entries = self._entries(message)
        if self._marks and message.cache is not None and entries:
            content = entries[-1].get("content")
            if isinstance(content, str) and content:
                content = [{"type": "text", "text": content}]
            if isinstance(content, list) and content:
                last = self._with_mark(content[-1], message.cache)
                entries[-1] = {**entries[-1], "content": [*content[:-1], last]}
            else:
                i = next((i for i, m in enumerate(self._log.original) if m is message), -1)
                path = f"messages[{i}].cache" if i >= 0 else "cache"
                self._log.add("dropped", path, "the message has no content that can be marked")
        return entries

    def _with_mark(self, block: dict[str, JSON], cache: CacheLifetime | None) -> dict[str, JSON]:
        if cache is None or not self._marks:
            return block
        name, kind = {
            "breakpoint": ("prompt_cache_breakpoint", {"mode": "explicit"}),
            "cache_control": ("cache_control", {"type": "ephemeral"}),
        }[self._marks]
        return {**block, name: kind if cache == "default" else {**kind, "ttl": cache}}

    def _entries(self, message: LLMMessage) -> list[dict[str, JSON]]:
        role = message.role
        if role is Role.assistant:
            return [self._assistant(message)]
        if role is Role.tool:
            return [self._result(p) for p in message.parts if isinstance(p, ToolResultPart)]
        word = "system" if role is Role.developer and not self._developer else str(role)
        out: dict[str, JSON] = {"role": word}
        if message.name and self._dialect.speaker_names:
            out["name"] = message.name
        if all(isinstance(p, TextPart) and not p.cache for p in message.parts):
            out["content"] = "\n\n".join(p.text for p in message.parts if isinstance(p, TextPart))
        else:
            out["content"] = [self._content(p) for p in message.parts]
        return [out]

    def _result(self, result: ToolResultPart) -> dict[str, JSON]:
        out: dict[str, JSON] = {"role": "tool", "tool_call_id": result.call_id}
        if result.name and self._dialect.tool_name_on_result:
            out["name"] = result.name
        content = result.content
        if isinstance(content, str) or all(isinstance(p, TextPart) for p in content):
            out["content"] = result.text
        else:
            out["content"] = [self._content(p) for p in content]
        if result.cache is not None and self._marks:
            blocks = out["content"]
            blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
            out["content"] = [*blocks[:-1], self._with_mark(blocks[-1], result.cache)]
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
        text = "".join(
            p.transcript if isinstance(p, AudioPart) else p.text
            for p in message.parts
            if isinstance(p, TextPart) or (isinstance(p, AudioPart) and not self._audio_id(p))
        )
        calls = [p for p in message.parts if isinstance(p, ToolCall)]
        blocks = self._blocks(message)
        if blocks is not None:
            out["content"] = blocks
        elif text or not calls or self._dialect.empty_content == "empty":
            out["content"] = text
        else:
            out["content"] = None
        if refusal := "".join(p.text for p in message.parts if isinstance(p, RefusalPart)):
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
        if calls:
            out["tool_calls"] = [self._call(c) for c in calls]
        return out

    def _blocks(self, message: LLMMessage) -> list[JSON] | None:
        """The content as a list, where text alone does not say it."""
        inline = self._dialect.reasoning_replay == "content"
        out: list[JSON] = []
        needed = False
        for part in message.parts:
            if isinstance(part, TextPart):
                if part.text:
                    out.append(self._with_mark({"type": "text", "text": part.text}, part.cache))
                    needed = needed or bool(part.cache and self._marks)
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
                name = str(payload.get("field") or self._field)
                texts[name] = texts.get(name, "") + part.text
        if details:
            out["reasoning_details"] = details
        else:
            out.update(texts)
        if self._replay and self._dialect.reasoning_replay == "always":
            out.setdefault(self._field, "")

    def _call(self, call: ToolCall) -> dict[str, JSON]:
        name, arguments = call.name, call.arguments
        out: dict[str, JSON] = {"id": call.id, "type": call.kind}
        if call.kind == "custom":
            out["custom"] = {"name": name, "input": arguments}
        else:
            out["function"] = {"name": name, "arguments": arguments if arguments.strip() else "{}"}
        if extra := _payload(call, "extra_content"):
            out["extra_content"] = extra
        return out


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
