"""Chat Completions with thinking blocks in the content, as Mistral speaks it.

The wire is OpenAI's; what differs is data of the dialect (`reasoning_replay="content"`), the
server's rules, and where a reply puts its reasoning. https://docs.mistral.ai/api (mistralai
3.7.0, read 2026-11-22), wire reference 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import BackendError
from ..history import fit_id
from ..types import (
    JSON,
    AudioPart,
    FilePart,
    FileSource,
    LLMUsage,
    Native,
    Part,
    PartDelta,
    ReasoningPart,
    StopInfo,
    UrlSource,
)
from .base import ServerRequest
from .openai.adapter import OpenAIAdapter
from .openai.hear import RequestReader, refuse
from .openai.messages import thinking_block
from .openai.reasoning import OpenReasoning
from .openai.reply import from_data_uri
from .openai.say import ReplyWords, error_words, frame, made_id
from .openai.server import OpenAIServer

if TYPE_CHECKING:
    from .base import APIAdapter, ServerHalf


class ReasoningAdapter(OpenAIAdapter):
    """Chat Completions with Mistral's content blocks.

    Unless the provider has a dialect of its own, the server is taken to be Mistral's kind.
    """

    api = "reasoning"


_ORDER = "invalid_request_message_order"


class _MistralReader(RequestReader):
    api = "reasoning"
    roles = ("system", "user", "assistant", "tool")
    any_words = ("required", "any")

    def check_role(self, message: Any, i: int) -> str:
        role = message.get("role") if isinstance(message, dict) else None
        if role in self.roles:
            return str(role)
        raise refuse(
            f"Input tag '{role}' found using 'role' does not match any of the expected tags: "
            "'system', 'user', 'assistant', 'tool'",
            f"messages[{i}]",
            type="invalid_request_invalid_args",
            status=422,
        )

    def check_messages(self, messages: list[Any], own: bool) -> None:
        waiting: list[str] = []
        before = ""
        for i, message in enumerate(messages):
            role = self.check_role(message, i)
            if before == "tool" and role in ("user", "system"):
                raise refuse(f"Unexpected role '{role}' after role 'tool'", code="3230", type=_ORDER,
                             history=True)  # fmt: skip
            if role == "tool":
                call_id = message.get("tool_call_id")
                if call_id is not None:
                    self.check_id(str(call_id), f"messages[{i}].tool_call_id")
                if call_id not in waiting:
                    raise refuse(f"Unexpected tool call id {call_id} in tool results", code="3230",
                                 type=_ORDER, history=True)  # fmt: skip
                waiting.remove(call_id)
            else:
                self._all_answered(waiting)
                waiting = self.check_assistant(message, i, True) if role == "assistant" else []
            before = role
        self._all_answered(waiting)
        if before == "assistant" and not messages[-1].get("prefix"):
            raise refuse(
                "Expected last role User or Tool (or Assistant with prefix True) for serving but "
                "got assistant",
                code="3230",
                type=_ORDER,
                history=True,
            )

    def check_assistant(self, message: dict[str, Any], i: int, own: bool) -> list[str]:
        if not message.get("content") and not message.get("tool_calls"):
            raise refuse(
                "Assistant message must have either content or tool_calls, but not none.",
                f"messages[{i}]",
                "3240",
                type="invalid_request_assistant_message",
                history=True,
            )
        calls = message.get("tool_calls") or None
        return super().check_assistant({**message, "tool_calls": calls}, i, own)

    def check_id(self, call_id: str, place: str) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9]{9}", call_id):
            raise refuse(
                f"Tool call id was {call_id} but must be a-z, A-Z, 0-9, with a length of 9.",
                place,
                "3280",
                type="invalid_function_call",
                history=True,
            )

    def check_settings(self, body: dict[str, Any]) -> None:
        known = {"stream_tool_calls", "include_usage"}
        extra = set(body.get("stream_options") or ()) - known
        for name in ("max_completion_tokens", "seed", *sorted(extra)):
            if body.get(name) is not None or name in extra:
                raise refuse("Extra inputs are not permitted", name, status=422,
                             type="invalid_request_invalid_args")  # fmt: skip

    def check_schema(self, schema: dict[str, Any], name: str) -> None:
        """Mistral takes any schema; only its SDK closes the objects."""

    @staticmethod
    def _all_answered(waiting: list[str]) -> None:
        if waiting:
            raise refuse("Not the same number of function calls and responses", code="3230",
                         type=_ORDER, history=True)  # fmt: skip

    def _part(self, block: Any) -> Part:
        if isinstance(block, dict):
            kind = block.get("type")
            value = block.get(kind)
            if kind == "thinking":
                return _thinking_part(block)
            if kind == "input_audio" and isinstance(value, str):
                if value.startswith(("http://", "https://")):
                    return AudioPart(UrlSource(value))
                return super()._part({"type": kind, kind: {"data": value}})
            if kind == "file" and isinstance(block.get("file_id"), str):
                return FilePart(FileSource(block["file_id"]))
            if kind == "document_url" and isinstance(value, str):
                return FilePart(from_data_uri(value) or UrlSource(value))
        return super()._part(block)


def _thinking_part(block: dict[str, Any]) -> ReasoningPart:
    reading = OpenReasoning()
    text = reading.add_block(block)
    payload = reading.payload()
    native = Native("reasoning", payload=payload) if payload else None
    return ReasoningPart(text, signature=reading.signature, native=native)


class _MistralWords(ReplyWords):
    """Thinking in the content, usage in the last chunk, ids of 9 characters."""

    def reply_id(self, heard: ServerRequest) -> str:
        return made_id(heard)[:32]

    def call_id(self, call_id: str | None, heard: ServerRequest, number: int) -> str:
        return fit_id(call_id or made_id(heard, number), "mistral9")

    def stop_word(self, stop: StopInfo | None, has_calls: bool) -> str:
        if stop is not None and stop.reason == "context_window":
            return "model_length"
        return super().stop_word(stop, has_calls)

    def message(self, parts: Iterable[Part], heard: ServerRequest) -> dict[str, JSON]:
        out = super().message(parts, heard)
        del out["refusal"]
        if out["content"] is None:
            out["content"] = ""
        out.setdefault("tool_calls", None)
        return out

    def reasoning(self, part: ReasoningPart) -> list[dict[str, JSON]]:
        if not part.text and part.signature is None and part.native is None:
            return []
        return [{"content": [thinking_block(part)]}]

    def piece(self, d: PartDelta, heard: ServerRequest, number: int) -> list[dict[str, JSON]]:
        if d.kind != "reasoning":
            return super().piece(d, heard, number)
        told: dict[str, JSON] = {} if d.signature is None else {"signature": d.signature}
        payload = d.native.payload if d.native is not None else None
        block = payload.get("block") if isinstance(payload, dict) else None
        if isinstance(block, dict):
            told = {**told, **{k: v for k, v in block.items() if k not in ("type", "thinking")}}
        if not d.text and not told:
            return []
        text = [{"type": "text", "text": d.text}] if d.text else []
        return [{"content": [{"type": "thinking", "thinking": text, **told}]}]

    def last_events(
        self, head: dict[str, JSON], word: str, usage: LLMUsage | None, heard: ServerRequest
    ) -> Iterator[bytes]:
        choice = {"index": 0, "delta": {"content": ""}, "finish_reason": word}
        yield frame({**head, "choices": [choice], **self.report(usage)})


class ReasoningServer(OpenAIServer):
    """Hears requests and says replies as Mistral's service does."""

    api = "reasoning"
    _ears: ClassVar[RequestReader] = _MistralReader()
    _words: ClassVar[ReplyWords] = _MistralWords()

    def _error_body(self, error: BackendError) -> dict[str, object]:
        _, kind, code, message = error_words(error)
        return {"object": "error", "message": message, "type": kind, "param": None, "code": code}

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return frame({"error": self._error_body(error)})


if TYPE_CHECKING:
    _adapter: APIAdapter = ReasoningAdapter()
    _server: ServerHalf = ReasoningServer()
