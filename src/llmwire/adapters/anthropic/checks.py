"""What the real API refuses with a 400, in its words. Wire reference 3.1 to 3.4.

Only what the reference or the API's published errors name; a model that the table does not know
is taken at its word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Raw

from ...errors import HistoryRejectedError
from ...schema import ANTHROPIC
from ...schema.faults import faults
from ...types import JSON, OpaquePart, Part, TextPart, ToolResultPart
from . import blocks
from .hear import Body, Heard, refusal, system_of
from .models import INTERLEAVED_BETA, UNKNOWN, ModelTraits, takes_sampling

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_THINKING = ("thinking", "redacted_thinking")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
MOST_BREAKPOINTS = 4


def check_settings(
    body: Body, traits: ModelTraits, version: str, headers: Mapping[str, str], count: bool
) -> None:
    """Raises `InvalidRequestError` for settings that the API refuses."""
    if not body.model:
        raise refusal("model: Field required")
    if body.max_tokens is None and not count:
        raise refusal("max_tokens: Field required")
    if body.max_tokens is not None and body.max_tokens < 0:
        raise refusal("max_tokens: Input should be greater than or equal to 0")
    for i, stop in enumerate(body.stop_sequences or ()):
        if not stop.strip():
            raise refusal(f"stop_sequences.{i}: each stop sequence must contain non-whitespace")
    _check_tools(body)
    _check_format(body, traits)
    _check_thinking(body, traits, headers)
    _check_sampling(body, traits, version)


def _thinks(body: Body, traits: ModelTraits) -> bool:
    if body.thinking is None:
        return traits.default_effort is not None
    return body.thinking.type != "disabled"


def _check_thinking(body: Body, traits: ModelTraits, headers: Mapping[str, str]) -> None:
    thinking = body.thinking
    effort = body.output_config.effort if body.output_config else None
    if effort is not None:
        if effort not in _EFFORTS:
            raise refusal(f"output_config.effort: Input should be {', '.join(_EFFORTS)}")
        if effort not in traits.efforts:
            raise refusal(f"output_config.effort: {effort!r} is not supported for this model")
    if thinking is None:
        return
    kind = thinking.type
    known = {
        "adaptive": traits.adaptive,
        "enabled": traits.enabled or traits is UNKNOWN,
        "disabled": traits.off in ("disabled", "omit"),
        "between_tools": traits.off == "between_tools",
    }
    if kind not in known:
        raise refusal(f"thinking: Input tag {kind!r} does not match any of the expected tags")
    if not known[kind]:
        raise refusal(
            f'"thinking.type.{kind}" is not supported for this model. Use '
            '"thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
        )
    if kind in ("disabled", "between_tools") and effort in ("xhigh", "max"):
        raise refusal(f'"thinking.type.{kind}" is not supported with effort {effort!r}')
    if kind != "enabled":
        return
    budget = thinking.budget_tokens
    if budget is None:
        raise refusal("thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise refusal(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        )
    interleaved = INTERLEAVED_BETA in headers.get("anthropic-beta", "") and body.tools
    if body.max_tokens is not None and budget >= body.max_tokens and not interleaved:
        raise refusal("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_format(body: Body, traits: ModelTraits) -> None:
    form = body.form
    if form is None:
        return
    if form.type != "json_schema":
        raise refusal(f"output_config.format: Input tag {form.type!r} does not match json_schema")
    if form.schema is None:
        raise refusal("output_config.format.json_schema.schema: Field required")
    if not traits.schema and traits is not UNKNOWN:
        raise refusal("output_config.format: not supported for this model")
    for place, what in faults(form.schema, ANTHROPIC):
        raise refusal(f"output_config.format.schema: {place}: {what}")


def _check_sampling(body: Body, traits: ModelTraits, version: str) -> None:
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(body, name)
        if value is None:
            continue
        if not takes_sampling(version) or (traits.sampling == "never" and traits is not UNKNOWN):
            raise refusal(f"{name}: not supported for this model")
        if _thinks(body, traits) and not (
            (name == "temperature" and value == 1) or (name == "top_p" and value >= 0.95)
        ):
            raise refusal(f"`{name}` may not be set like this when thinking is enabled")
    if body.temperature is not None and not 0 <= body.temperature <= 1:
        raise refusal("temperature: range: 0..1")


def _check_tools(body: Body) -> None:
    names: set[str] = set()
    for i, tool in enumerate(body.tools or ()):
        if tool.type not in (None, "custom"):
            continue
        where = f"tools.{i}.custom"
        if not _TOOL_NAME.fullmatch(tool.name):
            raise refusal(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.name in names:
            raise refusal("tools: Tool names must be unique.")
        names.add(tool.name)
        if tool.input_schema is None:
            raise refusal(f"{where}.input_schema: Field required")
        if "type" not in tool.input_schema:
            raise refusal(f"{where}.input_schema.type: Field required")
        if tool.input_schema["type"] != "object":
            raise refusal(f"{where}.input_schema.type: Input should be 'object'")
    choice = body.tool_choice
    if choice is None:
        return
    if not body.tools:
        raise refusal("tool_choice: may only be specified while providing tools.")
    if choice.type not in ("auto", "any", "tool", "none"):
        raise refusal(f"tool_choice: Input tag {choice.type!r} does not match any expected tag")
    if choice.type == "tool" and choice.name not in names:
        raise refusal(f"Tool '{choice.name}' not found in provided tools")


def check_forced(body: Body, traits: ModelTraits) -> None:
    choice = body.tool_choice
    if choice is None or choice.type not in ("any", "tool") or traits is UNKNOWN:
        return
    if traits.forced_tools == "never":
        raise refusal(f"tool_choice.type.{choice.type} is not supported for this model")
    if traits.forced_tools == "not_thinking" and _thinks(body, traits):
        raise refusal("Thinking may not be enabled when tool_choice forces tool use.")


def check_breakpoints(body: JSON) -> None:
    """`body` is the request as plain JSON."""
    found = sum(1 for block in _cacheable(body) if block.get("cache_control"))
    if found > MOST_BREAKPOINTS:
        raise refusal(
            f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. "
            f"Found {found}."
        )

    least = "5m"
    for block in reversed(list(_cacheable(body))):
        control = block.get("cache_control")
        ttl = control.get("ttl", "5m") if isinstance(control, dict) else None
        if ttl == "5m" and least == "1h":
            raise refusal(
                "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: "
                "`tools`, `system`, `messages`."
            )
        least = ttl if ttl == "1h" else least


def _cacheable(holder: JSON) -> Iterator[dict[str, JSON]]:
    """The request itself, its tools, and all blocks of prompt, messages and results."""
    if not isinstance(holder, dict):
        return
    yield holder
    for name in ("tools", "system", "messages", "content"):
        inner = holder.get(name)
        if isinstance(inner, list):
            for entry in inner:
                yield from _cacheable(entry)


def check_messages(body: Body, heard: Heard, traits: ModelTraits, version: str) -> None:
    """Raises `HistoryRejectedError` or `InvalidRequestError` for histories the API refuses."""
    if not heard:
        raise refusal("messages: at least one message is required")
    for text in system_of(body.system):
        if not text:
            raise refusal("system: text content blocks must be non-empty")
    for i, (role, entries) in enumerate(heard):
        _check_role(heard, i)
        if not entries and not (role == "assistant" and i == len(heard) - 1):
            raise refusal(
                f"messages.{i}: all messages must have non-empty content except for the optional "
                "final assistant message"
            )
        _check_texts(entries)
        for j, (kind, raw, part) in enumerate(entries):
            where = f"messages.{i}.content.{j}"
            _check_block(role, kind, raw, part, where, version, traits is UNKNOWN)
        if role == "assistant" and entries and entries[-1][0] in _THINKING:
            raise refusal(
                f"messages.{i}: The final block in an assistant message cannot be `thinking`."
            )
    _check_pairing(heard)
    _check_ending(body, heard, traits)


def _check_role(heard: Heard, i: int) -> None:
    role, entries = heard[i]
    if role not in ("user", "assistant", "system"):
        raise refusal(
            f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant".'
        )
    compacted = bool(entries) and entries[0][0] == "compaction"
    if i == 0 and role != "user" and not compacted:
        raise refusal('messages: first message must use the "user" role')
    if role != "system":
        return
    last = i == len(heard) - 1
    if heard[i - 1][0] == "system" or not (last or heard[i + 1][0] == "assistant"):
        raise refusal(
            f"messages.{i}: a `system` message must follow a user turn and be last or be followed "
            "by an assistant turn"
        )
    if any(kind != "text" for kind, _, _ in entries):
        raise refusal(f"messages.{i}: a `system` message holds text only")


def _check_texts(entries: list[tuple[str, Raw, Part | None]]) -> None:
    texts = [blocks.read_block(raw).text or "" for kind, raw, _ in entries if kind == "text"]
    if "" in texts:
        raise refusal("messages: text content blocks must be non-empty")
    if texts and not any(text.strip() for text in texts):
        raise refusal("messages: text content blocks must contain non-whitespace text")


def _check_block(
    role: str, kind: str, raw: Raw, part: Part | None, path: str, version: str, lenient: bool
) -> None:
    if kind == "thinking" and not blocks.read_block(raw).signature and not lenient:
        raise refusal(f"{path}.thinking.signature: Field required", HistoryRejectedError)
    if kind == "tool_use":
        _check_call(role, raw, path)
    elif kind == "tool_result":
        if role != "user":
            raise refusal(f"{path}: `tool_result` blocks can only be in `user` messages")
        assert isinstance(part, ToolResultPart)
        _check_result(part, path)
    elif kind == "image" and role == "assistant":
        raise refusal(f"{path}: `image` blocks are not permitted in assistant messages")
    elif kind == "document" and role == "assistant" and not takes_sampling(version):
        raise refusal(f"{path}: `document` blocks are not permitted in assistant messages")
    elif kind in _THINKING and role != "assistant":
        raise refusal(f"{path}: `{kind}` blocks can only be in `assistant` messages")
    elif (
        kind == "text" and role == "user" and isinstance(part, TextPart) and part.citations
        and not takes_sampling(version)
    ):  # fmt: skip
        raise refusal(f"{path}.text.citations: not permitted in user messages")


def _check_call(role: str, raw: Raw, path: str) -> None:
    block = blocks.read_block(raw)
    if role != "assistant":
        raise refusal(f"{path}: `tool_use` blocks can only be in `assistant` messages")
    if not block.id or not _ID.fullmatch(block.id):
        raise refusal(
            f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'",
            HistoryRejectedError,
        )
    if not block.name:
        raise refusal(f"{path}.tool_use.name: String should have at least 1 character")
    if bytes(block.input)[:1] != b"{":
        raise refusal(f"{path}.tool_use.input: Input should be a valid dictionary")


def _check_result(part: ToolResultPart, path: str) -> None:
    if isinstance(part.content, str):
        return
    if part.is_error and not all(isinstance(p, TextPart) for p in part.content):
        raise refusal(
            f'{path}.tool_result.content: all content must be type "text" if "is_error" is true'
        )
    if any(isinstance(p, OpaquePart) and p.kind in ("tool_use", *_THINKING) for p in part.content):
        raise refusal(f"{path}.tool_result.content: unexpected block")


def _check_pairing(heard: Heard) -> None:
    seen: set[str] = set()
    turns = [(i, role, entries) for i, (role, entries) in enumerate(heard) if role != "system"]
    for n, (i, role, entries) in enumerate(turns):
        after = turns[n + 1] if n + 1 < len(turns) else None
        before = turns[n - 1] if n else None
        if role == "assistant":
            ids = _ids(entries)
            for call_id in ids:
                if call_id in seen:
                    raise refusal(
                        f"messages.{i}: `tool_use` ids must be unique", HistoryRejectedError
                    )
                seen.add(call_id)
            answered = _leading_results(after[2]) if after and after[1] == "user" else []
            missing = [c for c in ids if c not in answered]
            if missing:
                raise refusal(
                    f"messages.{i}: `tool_use` ids were found without `tool_result` blocks "
                    f"immediately after: {', '.join(missing)}. Each `tool_use` block must have a "
                    "corresponding `tool_result` block in the next message.",
                    HistoryRejectedError,
                )
            continue
        asked = _ids(before[2]) if before and before[1] == "assistant" else []
        found: set[str] = set()
        for j, (_, _, part) in enumerate(entries):
            if not isinstance(part, ToolResultPart):
                continue
            if part.call_id in found:
                raise refusal(
                    f"messages.{i}.content.{j}: each tool_use must have a single result. Found "
                    f"multiple `tool_result` blocks with id: {part.call_id}",
                    HistoryRejectedError,
                )
            found.add(part.call_id)
            if part.call_id not in asked:
                raise refusal(
                    f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` "
                    f"blocks: {part.call_id}. Each `tool_result` block must have a corresponding "
                    "`tool_use` block in the previous message.",
                    HistoryRejectedError,
                )


def _ids(entries: list[tuple[str, Raw, Part | None]]) -> list[str]:
    return [blocks.read_block(raw).id or "" for kind, raw, _ in entries if kind == "tool_use"]


def _leading_results(entries: list[tuple[str, Raw, Part | None]]) -> list[str]:
    """Results come first in a turn; one after other content does not count as an answer."""
    found: list[str] = []
    for _, _, part in entries:
        if not isinstance(part, ToolResultPart):
            break
        found.append(part.call_id)
    return found


def _check_ending(body: Body, heard: Heard, traits: ModelTraits) -> None:
    role, entries = heard[-1]
    thinks = _thinks(body, traits)
    if role == "assistant" and entries and entries[-1][0] == "text":
        if (blocks.read_block(entries[-1][1]).text or "").endswith((" ", "\n", "\t")):
            raise refusal("messages: final assistant content cannot end with trailing whitespace")
        if not traits.prefill:
            raise refusal(
                "This model does not support assistant message prefill. The conversation must end "
                "with a user message."
            )
    last = next((i for i in range(len(heard) - 1, -1, -1) if heard[i][0] == "assistant"), None)
    if last is None or traits is UNKNOWN:
        return
    if body.thinking is not None and body.thinking.type == "enabled":
        _check_loop(heard, role)
    has_thinking = any(kind in _THINKING for kind, _, _ in heard[last][1])
    in_loop = last == len(heard) - 1 or bool(_leading_results(heard[-1][1]))
    if not thinks and traits.off in ("omit", "disabled") and has_thinking and in_loop:
        raise refusal(
            f"messages.{last}.content.0: When thinking is disabled, an `assistant` message in the "
            "final position cannot contain `thinking`. To use thinking blocks, enable `thinking` "
            "in your request.",
            HistoryRejectedError,
        )


def _check_loop(heard: Heard, role: str) -> None:
    """With a budget, the assistant's turn in an unfinished tool loop begins with thinking."""
    if role == "assistant":
        first: int | None = len(heard) - 1
    else:
        start = len(heard) - 1
        first = None
        while start > 0 and _leading_results(heard[start][1]):
            first = start - 1
            start -= 2
    if first is None or first < 0:
        return
    kind = heard[first][1][0][0] if heard[first][1] else "nothing"
    if kind not in _THINKING:
        raise refusal(
            f"messages.{first}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
            f"found `{kind}`. When `thinking` is enabled, a final `assistant` message must start "
            "with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` "
            "blocks).",
            HistoryRejectedError,
        )
