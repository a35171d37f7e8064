"""What Converse refuses with a 400, as far as the reference or its published errors say.

Wire reference 6.2, 6.5; the service's model in botocore 1.44.8; wordings as reported by users of
the API (langchain-ai/langchain 26968, boto/botocore 3525, 2024 to 2025).
"""

from __future__ import annotations

import re

import msgspec

from ...errors import HistoryRejectedError
from ...types import TextPart, ToolResultPart
from ..anthropic.models import ModelTraits
from .hear import Body, Entry, Heard, ResultBlock, refusal
from .wire import TEXT, TOOL_USE

_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_DOCUMENT_NAME = re.compile(r"[A-Za-z0-9()\[\]-]+(?: [A-Za-z0-9()\[\]-]+)*")
_RESULT = msgspec.json.Decoder(ResultBlock)


MOST_CACHE_POINTS = 4


def check_body(body: Body, count: bool) -> None:
    """Raises `InvalidRequestError` for settings that the API refuses."""
    inference = body.inference_config
    if inference is not None:
        limits = (
            ("temperature", inference.temperature, 0, 1),
            ("topP", inference.top_p, 0, 1),
            ("maxTokens", inference.max_tokens, 1, None),
        )
        for name, value, least, most in limits:
            if value is not None and (value < least or (most is not None and value > most)):
                raise refusal(
                    f"1 validation error detected: Value '{value}' at 'inferenceConfig.{name}' "
                    f"failed to satisfy constraint: Member must be from {least} on"
                    + (f" to {most}" if most is not None else "")
                )
    config = body.tool_config
    if config is not None:
        if not config.tools:
            raise refusal("1 validation error detected: 'toolConfig.tools' must not be empty")
        names = [tool.tool_spec.name for tool in config.tools if tool.tool_spec is not None]
        for name in names:
            if not _TOOL_NAME.fullmatch(name):
                raise refusal(
                    f"1 validation error detected: Value '{name}' at 'toolConfig.tools' failed to "
                    "satisfy constraint: Member must satisfy regular expression pattern: "
                    "[a-zA-Z0-9_-]+"
                )
        if len(set(names)) < len(names):
            raise refusal("The toolConfig holds two tools of one name.")
        schemas = [t.tool_spec.input_schema.json for t in config.tools if t.tool_spec is not None]
        if any(schema is None or schema.get("type") != "object" for schema in schemas):
            raise refusal("The value at toolConfig.tools.input_schema.json.type must be object.")
    if not count and not body.messages:
        raise refusal("The value at messages is empty. Add a message and try again.")


def check_messages(body: Body, heard: Heard, points: int, traits: ModelTraits | None) -> None:
    """Raises `HistoryRejectedError` or `InvalidRequestError` for histories the API refuses."""
    if heard and heard[0][0] != "user":
        raise refusal(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message.",
            HistoryRejectedError,
        )
    names: set[str] = set()
    uses_tools = False
    for i, (role, entries) in enumerate(heard):
        if role not in ("user", "assistant"):
            raise refusal(f"messages.{i}.role: this model takes no {role!r} in messages")
        if i and heard[i - 1][0] == role:
            raise refusal(
                "A conversation must alternate between user and assistant roles. Make sure the "
                "conversation alternates between user and assistant roles and try again.",
                HistoryRejectedError,
            )
        if not entries:
            raise refusal(
                f"The content field in the Message object at messages.{i} is empty. Add a "
                "ContentBlock object to the content field and try again."
            )
        kinds = {entry.kind for entry in entries}
        if "document" in kinds and "text" not in kinds:
            raise refusal(f"messages.{i}: a message with a document must include a text block")
        for j, entry in enumerate(entries):
            _check_block(role, entry, f"messages.{i}.content.{j}", names)
            uses_tools = uses_tools or entry.kind in ("toolUse", "toolResult")
    if uses_tools and body.tool_config is None:
        raise refusal(
            "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    if points > MOST_CACHE_POINTS:
        raise refusal(
            f"A maximum of {MOST_CACHE_POINTS} cachePoint blocks may be provided. Found {points}."
        )
    _check_pairing(heard)
    if traits is not None and heard and heard[-1][0] == "assistant":
        _check_prefill([e for e in heard[-1][1] if e.kind != "cachePoint"], traits)


def _check_prefill(entries: list[Entry], traits: ModelTraits) -> None:
    """Claude's rules for a conversation that ends with the assistant's words."""
    last = entries[-1] if entries else None
    if last is None or last.kind not in ("text", "citationsContent"):
        return
    if not traits.prefill:
        raise refusal(
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message."
        )
    if isinstance(last.part, TextPart) and last.part.text != last.part.text.rstrip():
        raise refusal(
            "messages: final assistant content cannot end with trailing whitespace",
            HistoryRejectedError,
        )


def _check_block(role: str, entry: Entry, path: str, names: set[str]) -> None:
    kind = entry.kind
    if kind == "text":
        if not TEXT.decode(entry.inner).strip():
            raise refusal(
                f"The text field in the ContentBlock object at {path} is blank. Add text to the "
                "text field, and try again."
            )
    elif kind == "toolUse":
        call = TOOL_USE.decode(entry.inner)
        if role != "assistant":
            raise refusal(f"{path}: toolUse blocks can only be in assistant messages")
        if not _ID.fullmatch(call.tool_use_id or "") or not _TOOL_NAME.fullmatch(call.name or ""):
            raise refusal(f"{path}.toolUse: the id or name does not fit the pattern")
        if bytes(call.input)[:1] != b"{":
            raise refusal(f"The format of the value at {path}.toolUse.input is invalid.")
    elif kind == "toolResult":
        result = _RESULT.decode(entry.inner)
        if result.type is None and role != "user":
            raise refusal(f"{path}: toolResult blocks can only be in user messages")
        if result.status == "error" and not result.content:
            raise refusal(
                f"The content field at {path}.toolResult cannot be empty when status value is "
                "error."
            )
    elif kind == "reasoningContent" and role != "assistant":
        raise refusal(f"{path}: reasoningContent blocks can only be in assistant messages")
    elif kind == "document":
        name = getattr(entry.part, "filename", "") or _name_of(entry)
        if not _DOCUMENT_NAME.fullmatch(name):
            raise refusal(
                "The document file name can only contain alphanumeric characters, whitespace "
                "characters, hyphens, parentheses, and square brackets. The name can't contain "
                "more than one consecutive whitespace character."
            )
        if name in names:
            raise refusal(f"The document name {name!r} is used twice.")
        names.add(name)


def _name_of(entry: Entry) -> str:
    name = msgspec.json.decode(entry.inner).get("name")
    return name if isinstance(name, str) else ""


def _check_pairing(heard: Heard) -> None:
    """Every call is answered in the next message, and nothing else is."""
    asked: list[str] = []
    for i, (_, entries) in enumerate([*heard, ("user", [])]):
        answered = [e.part.call_id for e in entries if isinstance(e.part, ToolResultPart)]
        missing = [call for call in asked if call not in answered]
        if missing and i < len(heard):
            raise refusal(
                f"Expected toolResult blocks at messages.{i}.content for the following Ids: "
                f"{', '.join(missing)}",
                HistoryRejectedError,
            )
        if len(answered) > len(asked) or any(call not in asked for call in answered):
            raise refusal(
                f"The number of toolResult blocks at messages.{i}.content exceeds the number of "
                "toolUse blocks of previous turn.",
                HistoryRejectedError,
            )
        asked = [
            call.tool_use_id or ""
            for e in entries
            if e.kind == "toolUse" and (call := TOOL_USE.decode(e.inner)).type is None
        ]
