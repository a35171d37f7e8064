"""Prompt caching: what a caller marks as worth caching, made to fit a wire; and why a cached prefix
was not found again.

A provider caches prefixes: tools, then the system prompt, then the messages, byte for byte. A mark
(`cache=` on a part, a message or a tool) says: everything up to here is worth keeping.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, TypeAlias, Union

from msgspec import Struct
from msgspec.structs import replace

from .fitting import Log
from .plain import JSON, load_json, to_builtins
from .request import LLMRequest
from .types import (
    CacheLifetime,
    FilePart,
    ImagePart,
    LLMMessage,
    Part,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
)

_SECONDS: dict[str, int] = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43_200, "24h": 86_400}
_MARKABLE = (TextPart, ImagePart, FilePart, ToolResultPart)

Place: TypeAlias = tuple[int, int]
"""A tool is (-1, i); a part (message, part); a message as a whole (message, -1)."""


class Mark(Struct, frozen=True):
    """One mark of a request."""

    place: Place
    path: str
    lifetime: CacheLifetime


def cache_of(part: Part) -> CacheLifetime | None:
    """The mark on a part; one inside a tool's result counts as the result's own."""
    if type(part) not in _MARKABLE:
        return None
    found: CacheLifetime | None = part.cache  # type: ignore[union-attr]
    if found is None and type(part) is ToolResultPart and not isinstance(part.content, str):
        found = next((c for p in part.content if (c := cache_of(p))), None)
    return found


def is_marked(request: LLMRequest, unmarked: int = 0) -> bool:
    """Whether anything in it is marked; so many messages at its beginning are known not to be."""
    messages = request.messages[unmarked:]
    return any(tool.cache for tool in request.tools) or any_marked(messages)


def any_marked(messages: Sequence[LLMMessage]) -> bool:
    """Whether a message or a part is marked. Quick, as every request is asked."""
    for message in messages:
        if message.cache is not None:
            return True
        for part in message.parts:
            if type(part) is TextPart:
                if part.cache is not None:
                    return True
            elif type(part) is not ToolCall and cache_of(part):
                return True
    return False


def marks_of(request: LLMRequest) -> list[Mark]:
    """The marks in the order of the prefix: tools, then messages.

    A message's own mark is left out where its last part has one: they mean the same place.
    """
    found = [
        Mark((-1, i), f"tools[{i}].cache", tool.cache)
        for i, tool in enumerate(request.tools)
        if tool.cache
    ]
    for i, message in enumerate(request.messages):
        last: CacheLifetime | None = None
        for j, part in enumerate(message.parts):
            last = cache_of(part)
            if last:
                found.append(Mark((i, j), f"messages[{i}].parts[{j}].cache", last))
        if message.cache and not last:
            found.append(Mark((i, -1), f"messages[{i}].cache", message.cache))
    return found


def fit_marks(
    request: LLMRequest,
    lifetimes: Sequence[CacheLifetime],
    log: Log,
    *,
    most: int = 4,
    tools: bool = True,
    assistant: bool = True,
    longest_first: bool = False,
    unmarked: int = 0,
) -> LLMRequest:
    """The request with the marks that a wire takes; itself if it has none or all fit.

    `lifetimes` are the wire's, shortest first; none: it caches by itself, and the marks go. One it
    lacks becomes the next longer one, else the longest. Of more than `most` the ones in the middle
    go: the first cover what never changes, the last what was just said. `tools`, `assistant`:
    whether tools, and what the assistant said, may be marked. A message's own mark goes to its
    last part where parts of that kind have one. `longest_first`: an earlier mark may not end before a later one. Each change is a
    record. `unmarked` is as in `is_marked`.
    """
    if not is_marked(request, unmarked):
        return request
    marks = marks_of(request)
    kept: dict[Place, CacheLifetime | None] = {m.place: m.lifetime for m in marks}
    if not lifetimes:
        log.add("dropped", "cache", "the server caches by itself", [m.path for m in marks])
        return _marked(request, dict.fromkeys(kept))
    for mark in marks:
        i = mark.place[0]
        what = "tools" if i < 0 else "the assistant's words"
        said = i >= 0 and request.messages[i].role is Role.assistant
        if (i < 0 and not tools) or (said and not assistant):
            log.add("dropped", mark.path, f"{what} can't be marked: later marks cover them")
            kept[mark.place] = None
    marks = [m for m in marks if kept[m.place] is not None]
    if len(marks) > most:
        middle = marks[most - most // 2 : len(marks) - most // 2]
        for mark in middle:
            log.add("dropped", mark.path, f"the wire takes up to {most} marks", mark.lifetime)
            kept[mark.place] = None
        marks = [m for m in marks if m not in middle]
    least = 0
    for mark in reversed(marks):
        word = _nearest(mark.lifetime, lifetimes)
        if word != mark.lifetime:
            reason = "the wire has no such lifetime"
            log.add("clamped", mark.path, reason, mark.lifetime, word)
        seconds = _SECONDS.get(word, _SECONDS[lifetimes[0]])
        if longest_first and seconds < least:
            longer = next(w for w in lifetimes if _SECONDS[w] >= least)
            reason = "a mark may not end before a later one"
            log.add("substituted", mark.path, reason, word, longer)
            word, seconds = longer, least
        least = max(least, seconds)
        i, j = mark.place
        if (
            i >= 0
            and j < 0
            and (parts := request.messages[i].parts)
            and type(parts[-1]) in _MARKABLE
        ):
            kept[mark.place], j = None, len(parts) - 1
        kept[i, j] = word
    return _marked(request, kept)


def _nearest(lifetime: CacheLifetime, lifetimes: Sequence[CacheLifetime]) -> CacheLifetime:
    if lifetime == "default" or lifetime in lifetimes:
        return lifetime
    longer = (w for w in lifetimes if _SECONDS[w] >= _SECONDS[lifetime])
    return next(longer, lifetimes[-1])


def _marked(request: LLMRequest, marks: dict[Place, CacheLifetime | None]) -> LLMRequest:
    """The request with these marks, and no others where these places are."""
    tools = tuple(
        replace(t, cache=marks[-1, i]) if marks.get((-1, i), t.cache) != t.cache else t
        for i, t in enumerate(request.tools)
    )
    messages: list[LLMMessage] = list(request.messages)
    for i in {i for i, _ in marks if i >= 0}:
        message = messages[i]
        parts = [
            _with_mark(p, marks[i, j]) if (i, j) in marks else p
            for j, p in enumerate(message.parts)
        ]
        whole = marks.get((i, -1))
        if message.cache != whole or any(
            a is not b for a, b in zip(parts, message.parts, strict=True)
        ):
            messages[i] = replace(message.with_parts(parts), cache=whole)
    same = all(a is b for a, b in zip(messages, request.messages, strict=True))
    if same and all(a is b for a, b in zip(tools, request.tools, strict=True)):
        return request
    return replace(request, tools=tools, messages=tuple(messages))


def _with_mark(part: Any, lifetime: CacheLifetime | None) -> Any:
    inner = isinstance(part, ToolResultPart) and not isinstance(part.content, str)
    if inner and any(cache_of(p) for p in part.content):
        part = replace(part, content=tuple(_with_mark(p, None) for p in part.content))
    if type(part) not in _MARKABLE or part.cache == lifetime:
        return part
    return replace(part, cache=lifetime)


# --- why a prefix was not found -----------------------------------------------------------------


class CacheBreak(Struct, frozen=True):
    """The first thing that keeps a request from using what an earlier one left in the cache."""

    block: str
    """Where: `model`, `tools[1]`, `system[0]`, `tool_choice`, `messages[3]` (and `.parts[0]`)."""
    path: str
    """The very place: `messages[3].parts[0].text`."""
    what: str
    """What happened to it, in words."""
    before: str | None = None
    """An excerpt; None: there was nothing."""
    after: str | None = None

    def __str__(self) -> str:
        shown = ""
        if self.before is not None and self.after is not None:
            shown = f": {self.before} became {self.after}"
        elif self.before is not None or self.after is not None:
            shown = f": {self.before or self.after}"
        return f"{self.path} {self.what}{shown}. Everything from {self.block} on is read anew."


Prepared: TypeAlias = Union[bytes, str, Any]
"""A body as JSON, or a `PreparedRequest`."""


def explain_cache(
    previous: LLMRequest | Prepared, following: LLMRequest | Prepared
) -> CacheBreak | None:
    """The first thing that breaks the prefix of `previous` in `following`; None if nothing does.

    Takes two requests (`LLMRequest`), or two bodies as they were sent (bytes, or what
    `GenericBackend.prepare` gives), of any wire. What does not belong to the prefix (temperature,
    limits, marks) is not looked at. A conversation that goes on breaks nothing.
    """
    before, after = _blocks(previous), _blocks(following)
    for group in _GROUPS:
        grows = group == "messages"
        ours, theirs = before.get(group, []), after.get(group, [])
        for i, (a, b) in enumerate(zip_longest(ours, theirs)):
            if a is None and grows:
                break
            if b is None and grows:
                return None  # a shorter conversation: its whole is in the prefix
            if found := _broken(a, b, last=grows and i == len(ours) - 1):
                return found
    return None


_Block: TypeAlias = tuple[str, JSON]  # its place, its value
_GROUPS = ("model", "cache_key", "tools", "output", "system", "settings", "messages")
_KEYS: dict[str, str] = {
    "model": "model",
    "prompt_cache_key": "cache_key",
    "tools": "tools",
    "toolConfig": "tools",
    "response_format": "output",
    "outputConfig": "output",
    "text": "output",
    "system": "system",
    "instructions": "system",
    "systemInstruction": "system",
    "system_instruction": "system",
    "tool_choice": "settings",
    "thinking": "settings",
    "output_config": "settings",
    "reasoning": "settings",
    "reasoning_effort": "settings",
    "toolConfiguration": "settings",
    "messages": "messages",
    "contents": "messages",
    "input": "messages",
}
"""The parts of a body that belong to the prefix, on every wire (wire reference 1 to 7)."""
_MARKS = frozenset(("cache", "cache_control", "prompt_cache_breakpoint"))
_MODEL_IN_PATH = re.compile(r"/models?/([^/:?]+)")


def _blocks(given: Any) -> dict[str, list[_Block]]:
    """The prefix in blocks, by group."""
    if isinstance(given, LLMRequest):
        return _blocks_of_request(given)
    body = given if isinstance(given, bytes | str) else given.body
    try:
        tree = load_json(body)
    except ValueError as e:
        raise ValueError(f"not a request's body: {e}") from None
    if not isinstance(tree, dict):
        raise ValueError("not a request's body: no JSON object")
    out: dict[str, list[_Block]] = {}
    if named := _MODEL_IN_PATH.search(getattr(given, "endpoint", "")):
        out["model"] = [("model", named[1])]
    for key, value in tree.items():
        group = _KEYS.get(key)
        if group is None:
            continue
        value = _without_marks(value)
        if isinstance(value, list) and group in ("tools", "system", "messages"):
            out.setdefault(group, []).extend((f"{key}[{i}]", v) for i, v in enumerate(value))
        else:
            out.setdefault(group, []).append((key, value))
    return out


def _blocks_of_request(request: LLMRequest) -> dict[str, list[_Block]]:
    def plain(value: Any) -> JSON:
        return _without_marks(to_builtins(value))

    leading = 0
    for message in request.messages:
        if message.role not in (Role.system, Role.developer):
            break
        leading += 1
    told = [(f"messages[{i}]", plain(m)) for i, m in enumerate(request.messages)]
    choice = request.tool_choice
    settings: list[_Block] = [
        ("tool_choice", choice if choice is None or isinstance(choice, str) else plain(choice)),
        ("thinking", request.thinking),
    ]
    form = request.output
    return {
        "model": [("model", request.model.name)],
        "cache_key": [("cache_key", request.cache_key)],
        "tools": [(f"tools[{i}]", plain(t)) for i, t in enumerate(request.tools)],
        "output": [("output", form and {"schema": form.schema, "name": form.name})],
        "system": told[:leading],
        "settings": settings,
        "messages": told[leading:],
    }


def _without_marks(value: JSON) -> JSON:
    if isinstance(value, dict):
        return {k: _without_marks(v) for k, v in value.items() if k not in _MARKS}
    if isinstance(value, list):
        return [_without_marks(v) for v in value if not _is_cache_point(v)]
    return value


def _is_cache_point(value: JSON) -> bool:
    return isinstance(value, dict) and list(value) == ["cachePoint"]  # Bedrock's


def _broken(a: _Block | None, b: _Block | None, last: bool) -> CacheBreak | None:
    if a is None and b is not None:
        return CacheBreak(b[0], b[0], "is new", None, _shown(b[1]))
    if b is None and a is not None:
        return CacheBreak(a[0], a[0], "is gone", _shown(a[1]), None)
    assert a is not None and b is not None
    if a[0].partition("[")[0] != b[0].partition("[")[0]:
        return CacheBreak(a[0], a[0], f"is {b[0]} now", _shown(a[1]), _shown(b[1]))
    found = _difference(a[1], b[1], a[0], last)
    if found is None:
        return None
    path, what, before, after = found
    inner = re.match(r"(messages\[\d+\]\.parts\[\d+\]|[^.]+)", path)
    return CacheBreak(inner[1] if inner else a[0], path, what, before, after)


_Found: TypeAlias = tuple[str, str, Union[str, None], Union[str, None]]


def _difference(a: JSON, b: JSON, path: str, last: bool = False) -> _Found | None:
    """The first place where two values differ. `last`: lists in `b` may go on where `a` ends."""
    a, b = _spelled(a, b)
    if isinstance(a, str) and isinstance(b, str):
        if a == b:
            return None
        at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), -1)
        at = min(len(a), len(b)) if at < 0 else at
        return path, f"changed at character {at}", _excerpt(a, at), _excerpt(b, at)
    if isinstance(a, dict) and isinstance(b, dict):
        for key, value in a.items():
            if key not in b:
                return f"{path}.{key}", "is gone", _shown(value), None
            if found := _difference(value, b[key], f"{path}.{key}", last):
                return found
        new = next((key for key in b if key not in a), None)
        return None if new is None else (f"{path}.{new}", "is new", None, _shown(b[new]))
    if isinstance(a, list) and isinstance(b, list):
        for i, (x, y) in enumerate(zip(a, b, strict=False)):
            if found := _difference(x, y, f"{path}[{i}]"):
                return found
        if len(a) > len(b):
            return f"{path}[{len(b)}]", "is gone", _shown(a[len(b)]), None
        if len(b) > len(a) and not last:
            return f"{path}[{len(a)}]", "is new", None, _shown(b[len(a)])
        return None
    return None if a == b and type(a) is type(b) else (path, "changed", _shown(a), _shown(b))


def _spelled(a: JSON, b: JSON) -> tuple[JSON, JSON]:
    """A text and a list of one text part are the same: a mark turns the one into the other."""

    def text_of(value: JSON) -> JSON:
        only = value[0] if isinstance(value, list) and len(value) == 1 else None
        is_text = (
            isinstance(only, dict)
            and only.get("type") in ("text", "input_text")
            and set(only) == {"type", "text"}
        )
        return only["text"] if is_text and only is not None else value

    if isinstance(a, str) != isinstance(b, str):
        return text_of(a), text_of(b)
    return a, b


def _excerpt(text: str, at: int, around: int = 20) -> str:
    start, end = max(0, at - around), at + around
    shown = text[start:end]
    return repr(f"{'…' if start else ''}{shown}{'…' if end < len(text) else ''}")


def _shown(value: JSON) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
