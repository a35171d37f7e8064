"""Histories on the wire: from messages to `instructions` and `input`.

What came from the same server goes back item by item as it came: ids, order, encrypted reasoning.
Wire reference 2.2, 2.4 (2026-11-22).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Any, NoReturn

from msgspec import Raw
from msgspec.structs import replace

from ...errors import UnsupportedError
from ...history import Log, close_parts, drop_foreign, fit_ids, issued_by, pair_tool_calls
from ...media import base64_of, data_uri
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
    UrlSource,
    load_json,
)

CONTENT = ("input_text", "input_image", "input_file", "input_audio")
"""The kinds of blocks that stand inside a user's message; every other one is an item."""
_ITEM_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class InputWriter:
    """Writes the history of one request for one server.

    `goes_on`: the server has the turns before these, so results may answer calls that are not
    here. `custom`: names of custom tools. `plain_reasoning`: reasoning that has no encrypted
    form goes back as text wherever it came from (wire reference 2.4, DeepSeek).
    """

    def __init__(
        self,
        issuer: Native,
        log: Log,
        *,
        call_ids: str = "any",
        developer: bool = True,
        plain_reasoning: bool = False,
        goes_on: bool = False,
        custom: Collection[str] = (),
    ) -> None:
        self._issuer = issuer
        self._log = log
        self._call_ids = call_ids
        self._developer = developer
        self._plain_reasoning = plain_reasoning
        self._goes_on = goes_on
        self._custom = custom
        self._custom_calls: set[str | None] = set()
        self._ids: set[str] = set()  # of the items so far; each may stand once

    def prepare_input(self, messages: Sequence[LLMMessage]) -> tuple[str | None, list[JSON]]:
        """Instructions and items. Raises `UnsupportedError` with the path of what can't be said.

        A leading system message becomes the instructions, unless there is nothing else, or it is
        marked as worth caching, which instructions can't be.
        """
        for i, message in enumerate(messages):
            self._check(message, i)
        fitted = drop_foreign(messages, self._issuer, self._log)
        fitted = self._paired(close_parts(fitted, self._log))
        fitted = fit_ids(fitted, self._call_ids, self._log)
        instructions = None
        marked = bool(fitted) and any(type(p) is TextPart and p.cache for p in fitted[0].parts)
        if len(fitted) > 1 and fitted[0].role is Role.system and not marked:
            instructions = _texts(fitted[0].parts)
            fitted = fitted[1:]
        items: list[JSON] = []
        for i, message in enumerate(fitted):
            if message.role is Role.assistant:
                items += self._turn(message, i)
            else:
                items += self._said(message)
        return instructions, items

    def _paired(self, messages: Sequence[LLMMessage]) -> list[LLMMessage]:
        if not self._goes_on:
            return pair_tool_calls(messages, self._log)
        roles = [m.role for m in messages]
        start = roles.index(Role.assistant) if Role.assistant in roles else len(roles)
        return [*messages[:start], *pair_tool_calls(messages[start:], self._log)]

    # --- what can't be said ---

    def _check(self, message: LLMMessage, i: int) -> None:
        role = message.role
        for j, part in enumerate(message.parts):
            path = f"messages[{i}].parts[{j}]"
            if type(part) is not ToolResultPart:
                self._check_part(role, part, path)
                continue
            if isinstance(part.content, tuple):
                for k, item in enumerate(part.content):
                    self._check_part(Role.tool, item, f"{path}.content[{k}]")
            if part.is_error:
                self._log.add("dropped", f"{path}.is_error", "the wire has no word for it")
        if role is Role.developer and not self._developer:
            reason = "the target has no such role"
            self._log.add("substituted", f"messages[{i}].role", reason, "developer", "system")
        if message.name and role is not Role.tool:
            reason = "the wire has no speaker names"
            self._log.add("dropped", f"messages[{i}].name", reason, message.name)

    def _check_part(self, role: Role, part: Part, path: str) -> None:
        ours = issued_by(getattr(part, "native", None), self._issuer)
        if ours and isinstance(part, OpaquePart):
            _object(part.data, path)
        if role is Role.assistant:
            if isinstance(part, ImagePart | FilePart):
                _refuse(path, "a picture or a document by the assistant")
            if isinstance(part, AudioPart) and not part.transcript:
                _refuse(path, "sound by the assistant without a transcript")
        elif isinstance(part, TextPart):
            return
        elif role in (Role.system, Role.developer):
            _refuse(path, f"a part of kind {_kind(part)} in a {role} message")
        elif isinstance(part, OpaquePart | CompactionPart):
            if not ours or (isinstance(part, CompactionPart) and part.native is None):
                _refuse(path, "content of another wire")
        elif isinstance(part, ImagePart | FilePart | AudioPart):
            content(part, path)
        else:
            _refuse(path, f"a part of kind {_kind(part)} in a {role} message")

    # --- what users, tools and systems say ---

    def _said(self, message: LLMMessage) -> Iterator[JSON]:
        role = message.role
        if message.cache is not None:
            self._log.add(
                "dropped", "cache", "the end of the message can't be marked", message.cache
            )
        word = "user" if role is Role.tool else str(role)
        if role is Role.developer and not self._developer:
            word = "system"

        def stands_alone(part: Part) -> bool:
            return isinstance(part, ToolResultPart | CompactionPart) or (
                isinstance(part, OpaquePart) and part.kind not in CONTENT
            )

        if not message.parts:
            yield {"role": word, "content": ""}
        for alone, parts in groupby(message.parts, stands_alone):
            if alone:
                yield from map(self._item, parts)
                continue
            run = list(parts)
            if len(run) == 1 and isinstance(run[0], TextPart) and not run[0].cache:
                yield {"role": word, "content": run[0].text}
            else:
                yield {"role": word, "content": [content(p) for p in run]}

    def _item(self, part: Part) -> JSON:
        if not isinstance(part, ToolResultPart):
            return _kept(part)
        custom = part.call_id in self._custom_calls or part.name in self._custom
        output: JSON = part.text
        if not isinstance(part.content, str) and not all(
            isinstance(p, TextPart) for p in part.content
        ):
            output = [content(p) for p in part.content]
        if part.cache is not None:
            blocks = part.content if isinstance(part.content, tuple) else (TextPart(part.content),)
            last: Any = blocks[-1]
            if not isinstance(last, OpaquePart):
                blocks = (*blocks[:-1], replace(last, cache=part.cache))
            output = [content(p) for p in blocks]
        return {
            "type": "custom_tool_call_output" if custom else "function_call_output",
            "call_id": part.call_id,
            "output": output,
        }

    # --- what the assistant said ---

    def _turn(self, message: LLMMessage, i: int) -> list[JSON]:
        items: list[JSON] = []
        thoughts: set[str] = set()  # the ids of the reasoning items that this turn brings back
        place = 0
        for kind, item, parts in _runs(message.parts):
            paths = [self._log.path(p, i, place + n) for n, p in enumerate(parts)]
            place += len(parts)
            if kind == "reasoning":
                entry = self._reasoning(parts, item or {})
                if entry is None:
                    for path in paths:
                        self._log.add("dropped", path, "reasoning that has no encrypted form")
                    continue
                if "id" in entry:
                    thoughts.add(entry["id"])
                items.append(entry)
            elif kind == "message":
                items += self._message(parts, item, thoughts, paths)
            else:
                for part, path in zip(parts, paths, strict=True):
                    items += self._other(part, thoughts, path)
        if not items and not any(isinstance(p, ReasoningPart) for p in message.parts):
            path = self._log.message_path(message, i)
            self._log.add("dropped", path, "an assistant turn without content")
        return items

    def _reasoning(self, parts: list[Part], item: dict[str, Any]) -> dict[str, JSON] | None:
        """The reasoning item that the parts make; None for one that does not go back."""
        out: dict[str, JSON] = {"type": "reasoning", **self._own(item), "summary": []}
        full, data = [], None
        for part in parts:
            assert isinstance(part, ReasoningPart)
            data = data if part.data is None else part.data
            payload = _payload(part)
            if not part.text:
                continue
            if payload.get("content") or (part.native is None and self._plain_reasoning):
                full.append({"type": "reasoning_text", "text": part.text})
            else:
                out["summary"].append({"type": "summary_text", "text": part.text})
        if full:
            out["content"] = full
        if data is not None:
            out["encrypted_content"] = data
        return out if full or data is not None else None

    def _message(
        self,
        parts: list[Part],
        item: dict[str, Any] | None,
        thoughts: set[str],
        paths: list[str],
    ) -> list[JSON]:
        """One message item; no item for texts without a character."""
        said = []
        for part, path in zip(parts, paths, strict=True):
            payload = _payload(part)
            more = payload.get("part") or {}
            if isinstance(part, OpaquePart):
                said.append(_kept(part, path))
            elif isinstance(part, RefusalPart):
                said.append({"type": "refusal", "refusal": part.text, **more})
            elif isinstance(part, AudioPart):
                self._log.add("substituted", path, "sound became its transcript")
                said.append({"type": "output_text", "text": part.transcript})
            elif isinstance(part, TextPart) and (part.text or part.citations):
                citations = {"annotations": list(part.citations)}
                own = citations if item is not None else {}
                said.append({"type": "output_text", "text": part.text, **own, **more})
        if not said:
            return []
        if item is None:
            only = parts[0] if len(said) == 1 else None
            alone = said[0].get("text") if isinstance(only, TextPart | AudioPart) else None
            return [{"role": "assistant", "content": said if alone is None else alone}]
        own = self._own(item, _payload(parts[0]).get("after"), thoughts)
        return [{"type": "message", "role": "assistant", **own, "content": said}]

    def _other(self, part: Part, thoughts: set[str], path: str) -> list[JSON]:
        payload = _payload(part)
        after = payload.get("after")
        if isinstance(part, ToolCall):
            own = self._own(payload.get("item") or {}, after, thoughts)
            said: dict[str, JSON] = {"call_id": part.id, "name": part.name}
            if part.kind == "custom":
                self._custom_calls.add(part.id)
                return [{"type": "custom_tool_call", **own, **said, "input": part.arguments}]
            arguments = part.arguments if part.arguments.strip() else "{}"
            return [{"type": "function_call", **own, **said, "arguments": arguments}]
        if isinstance(part, CompactionPart) and part.native is None:
            self._log.add("substituted", path, "a summary became a text")
            return [{"role": "assistant", "content": part.summary or ""}]
        assert isinstance(part, OpaquePart | CompactionPart)
        name = str(_object(_kept_text(part), path).get("id") or "")
        if after is not None and after not in thoughts:
            self._log.add("dropped", path, "its reasoning is not there, and it is refused without")
            return []
        if name and name in self._ids:
            self._log.add("dropped", path, "an item that is there already")
            return []
        self._ids.add(name)
        return [_kept(part)]

    def _own(
        self, item: dict[str, Any], after: JSON = None, thoughts: Collection[str] = ()
    ) -> dict[str, JSON]:
        """An item's own fields; its id only where the API takes it.

        An id is taken once in a request, and only with the reasoning that came before its item:
        without the id nothing is checked (wire reference 2.4).
        """
        name = item.get("id")
        taken = (
            isinstance(name, str)
            and _ITEM_ID.fullmatch(name)
            and name not in self._ids
            and (after is None or after in thoughts)
        )
        if not taken:
            return {k: v for k, v in item.items() if k != "id"}
        self._ids.add(str(name))
        return item


def _runs(parts: Sequence[Part]) -> Iterator[tuple[str, dict[str, Any] | None, list[Part]]]:
    """The parts, those of one item together, with the item's kind and what is known of it."""
    for (kind, item), run in groupby(parts, _belongs_to):
        same: list[Part] = []
        for part in run:
            same.append(part)
            if isinstance(part, ReasoningPart) and part.data is not None:  # ends its item
                yield kind, item, same
                same = []
        if same:
            yield kind, item, same


def _belongs_to(part: Part) -> tuple[str, dict[str, Any] | None]:
    """The kind of item that a part is in, and what is known of that item."""
    payload = _payload(part)
    item = payload.get("item")
    if isinstance(part, ReasoningPart):
        return "reasoning", item
    if isinstance(part, TextPart | RefusalPart | AudioPart):
        return "message", item
    return ("message" if isinstance(part, OpaquePart) and item is not None else "other"), item


def _payload(part: Part) -> dict[str, Any]:
    native = getattr(part, "native", None)
    return native.payload if native is not None and isinstance(native.payload, dict) else {}


def _kept_text(part: Part) -> JSON:
    """The text of an item or a block that was kept."""
    if isinstance(part, OpaquePart):
        return part.data
    assert isinstance(part, CompactionPart) and part.native is not None
    return part.native.payload


def _kept(part: Part, path: str = "") -> JSON:
    """What was kept, byte for byte."""
    text = _kept_text(part)
    value = _object(text, path)
    try:
        return Raw(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair: the body's writer replaces it
        return value


def _object(text: JSON, path: str = "") -> dict[str, JSON]:
    try:
        value = load_json(text)
    except (ValueError, TypeError):
        value = None
    if not isinstance(value, dict):
        _refuse(path, "an item that is no JSON object")
    return value


def content(part: Part, path: str = "") -> JSON:
    """A block of a user's message or of a result. Raises `UnsupportedError` for a source that it
    can't have."""
    if isinstance(part, TextPart | ImagePart | FilePart) and part.cache is not None:
        mark = {"mode": "explicit"} | ({} if part.cache == "default" else {"ttl": part.cache})
        unmarked: Any = content(replace(part, cache=None), path)
        return {**unmarked, "prompt_cache_breakpoint": mark}
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.text}
    if isinstance(part, OpaquePart):
        return _kept(part, path)
    if isinstance(part, ImagePart):
        image: dict[str, JSON] = {"type": "input_image"}
        if isinstance(part.source, FileSource):
            image["file_id"] = part.source.id
        else:
            image["image_url"] = _address(part.source)
        return image | ({"detail": part.detail} if part.detail is not None else {})
    if isinstance(part, AudioPart):
        if not isinstance(part.source, BytesSource):
            _refuse(path, "sound that is not in the message itself")
        data = base64_of(part.source.data)
        return {"type": "input_audio", "input_audio": {"data": data, "format": part.format}}
    assert isinstance(part, FilePart)
    file: dict[str, JSON] = {"type": "input_file"}
    if isinstance(part.source, FileSource):
        return file | {"file_id": part.source.id}
    name = {"filename": part.filename} if part.filename else {}
    if isinstance(part.source, UrlSource):
        return file | name | {"file_url": part.source.url}
    return file | name | {"file_data": _address(part.source)}


def _address(source: Source) -> str:
    if isinstance(source, BytesSource):
        return data_uri(source.data, source.media_type)
    assert isinstance(source, UrlSource)
    return source.url


def _texts(parts: Sequence[Part]) -> str:
    return "\n\n".join(p.text for p in parts if isinstance(p, TextPart))


def _kind(part: Part) -> str:
    return type(part).__name__.removesuffix("Part")


def _refuse(path: str, what: str) -> NoReturn:
    raise UnsupportedError(f"{path}: Responses can't say {what}", path=path, phase="prepare")
