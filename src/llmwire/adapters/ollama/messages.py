"""Histories on the wire: from messages to the `messages` array. Source: wire reference 7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ...config import Dialect
from ...errors import UnsupportedError
from ...folding import is_json_object
from ...history import (
    Log,
    close_parts,
    drop_foreign,
    fit_ids,
    issued_by,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from ...media import base64_of
from ...types import (
    JSON,
    AudioPart,
    BytesSource,
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
from ..base import spliced_object

ATTACHED = "(attached to the next user message)"


class MessageWriter:
    """Writes the messages of one request."""

    def __init__(self, dialect: Dialect, issuer: Native, log: Log) -> None:
        self._dialect = dialect
        self._issuer = issuer
        self._log = log
        self._names: dict[str, str] = {}  # of the called tools, by call id

    def prepare_messages(self, messages: Sequence[LLMMessage]) -> list[dict[str, Any]]:
        """Raises `UnsupportedError` with the path of what this wire can't say."""
        for i, message in enumerate(messages):
            self._check(message, i)
        log = self._log
        fitted = close_parts(drop_foreign(messages, self._issuer, log), log)
        fitted = pair_tool_calls(self._without_silent_turns(fitted), log)
        fitted = self._with_images_apart(fit_ids(fitted, self._dialect.tool_call_ids, log))
        if self._dialect.merge_user_messages:
            fitted = merge_consecutive_user_messages(fitted)
        return [entry for message in fitted for entry in self._entries(message)]

    # --- what can't be said ---

    def _check(self, message: LLMMessage, i: int) -> None:
        log, path = self._log, f"messages[{i}]"
        if message.role is Role.tool and not message.parts:
            _refuse(path, "a tool message without a result")
        if message.role is Role.developer:
            reason = "the target has no such role"
            log.add("substituted", f"{path}.role", reason, "developer", "system")
        if message.name and message.role is not Role.tool:
            log.add("dropped", f"{path}.name", "the target takes no speaker names", message.name)
        has_text = False
        for j, part in enumerate(message.parts):
            place = f"{path}.parts[{j}]"
            if isinstance(part, ToolResultPart):
                for k, item in enumerate(part.content if isinstance(part.content, tuple) else ()):
                    self._check_part(Role.tool, item, f"{place}.content[{k}]")
                if part.is_error:
                    log.add("dropped", f"{place}.is_error", "the wire has no word for it")
                continue
            self._check_part(message.role, part, place)
            if isinstance(part, ImagePart) and has_text:
                log.add("moved", place, "images stand before the text of their message")
            has_text = has_text or (isinstance(part, TextPart) and bool(part.text))

    def _check_part(self, role: Role, part: Part, path: str) -> None:
        kind = type(part).__name__.removesuffix("Part")
        if isinstance(part, ImagePart) and role in (Role.user, Role.tool):
            if not isinstance(part.source, BytesSource):
                _refuse(path, "an image that is not in the message itself")
            if part.detail not in (None, "auto"):
                self._log.add("dropped", f"{path}.detail", "the wire has none", part.detail)
        elif role is not Role.assistant:
            if not isinstance(part, TextPart):
                _refuse(path, f"a part of kind {kind} in a {role} message")
        elif isinstance(part, RefusalPart | AudioPart):
            if isinstance(part, AudioPart) and not part.transcript:
                _refuse(path, "sound by the assistant without a transcript")
            self._log.add("substituted", path, f"a part of kind {kind} became a text")
        elif isinstance(part, ToolCall):
            if part.kind == "custom":
                self._log.add("substituted", path, "free text became an object with `input`")
            elif not is_json_object(part.arguments):
                self._log.add("substituted", path, "arguments that are no JSON object were wrapped")
        elif isinstance(part, ImagePart | FilePart) or (
            isinstance(part, OpaquePart | CompactionPart) and issued_by(part.native, self._issuer)
        ):
            _refuse(path, f"a part of kind {kind} by the assistant")

    # --- transforms ---

    def _without_silent_turns(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """Assistant turns without the reasoning that is not to go back, and none that say nothing."""
        out = []
        for i, message in enumerate(messages):
            if message.role is not Role.assistant:
                out.append(message)
                continue
            kept: list[Part] = []
            for j, part in enumerate(message.parts):
                if isinstance(part, ReasoningPart) and not self._goes_back(part, message):
                    path = self._log.path(part, i, j)
                    self._log.add("dropped", path, "earlier reasoning does not go back there")
                else:
                    kept.append(part)
            if all(isinstance(p, TextPart) and not p.text for p in kept):
                if kept:
                    path = self._log.path(kept[0], i, 0).partition(".")[0]
                    self._log.add("dropped", path, "an assistant turn without content")
                continue
            out.append(message if len(kept) == len(message.parts) else message.with_parts(kept))
        return out

    def _goes_back(self, part: ReasoningPart, message: LLMMessage) -> bool:
        policy = self._dialect.reasoning_replay
        if policy == "none" or (policy == "tool_turns" and not message.tool_calls):
            return False
        return bool(part.text)

    def _with_images_apart(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        """Images of tool results in a user message after them."""
        out: list[LLMMessage] = []
        images: list[Part] = []
        for i, message in enumerate(messages):
            if message.role is not Role.tool and images:
                out.append(new_message(Role.user, tuple(images)))
                images = []
            parts: list[Part] = []
            for j, part in enumerate(message.parts):
                if isinstance(part, ToolCall) and part.id:
                    self._names[part.id] = part.name
                if isinstance(part, ToolResultPart) and isinstance(part.content, tuple):
                    lifted = [p for p in part.content if isinstance(p, ImagePart)]
                    if lifted:
                        images.append(TextPart(f"From the result of tool call {part.call_id}:"))
                        images += lifted
                        reason = "no images in tool results: a user message after them has it"
                        self._log.add("moved", self._log.path(part, i, j), reason)
                    part = ToolResultPart(part.call_id, part.text or ATTACHED, part.name)
                parts.append(part)
            out.append(message.with_parts(parts))
        if images:
            out.append(new_message(Role.user, tuple(images)))
        return out

    # --- one message ---

    def _entries(self, message: LLMMessage) -> list[dict[str, Any]]:
        role = message.role
        if role is Role.tool:
            return [self._result(p) for p in message.parts if isinstance(p, ToolResultPart)]
        if role is Role.assistant:
            return [self._assistant(message)]
        word = "system" if role is Role.developer else str(role)
        texts = [p.text for p in message.parts if isinstance(p, TextPart)]
        out: dict[str, Any] = {"role": word, "content": "\n\n".join(texts)}
        images = [_base64(p) for p in message.parts if isinstance(p, ImagePart)]
        if images:
            out["images"] = images
        return [out]

    def _result(self, result: ToolResultPart) -> dict[str, JSON]:
        out: dict[str, JSON] = {"role": "tool", "content": result.text}
        # Older versions and templates know the tool's name only, newer ones the call.
        if name := result.name or self._names.get(result.call_id):
            out["tool_name"] = name
        out["tool_call_id"] = result.call_id
        return out

    def _assistant(self, message: LLMMessage) -> dict[str, Any]:
        text = thinking = ""
        calls = []
        for part in message.parts:
            if isinstance(part, TextPart | RefusalPart):
                text += part.text
            elif isinstance(part, AudioPart):
                text += part.transcript
            elif isinstance(part, ReasoningPart):
                thinking += part.text
            elif isinstance(part, ToolCall):
                function = {"name": part.name, "arguments": _arguments(part)}
                calls.append({"id": part.id, "function": function})
        out: dict[str, Any] = {"role": "assistant", "content": text}
        if thinking:
            out["thinking"] = thinking
        if calls:
            out["tool_calls"] = calls
        return out


def _arguments(call: ToolCall) -> Any:
    if call.kind == "custom":
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    spliced = spliced_object(call.arguments)
    return {"INVALID_JSON": call.arguments} if spliced is None else spliced


def _base64(image: ImagePart) -> str:
    assert isinstance(image.source, BytesSource)
    return base64_of(image.source.data)


def _refuse(path: str, what: str) -> NoReturn:
    raise UnsupportedError(f"{path}: Ollama's chat can't say {what}", path=path, phase="prepare")
