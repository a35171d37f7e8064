"""A history that is being edited, with the places that its parts had in the one that was given."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from .history import NO_RESULT, Log
from .types import (
    Adaptation,
    AudioPart,
    CompactionPart,
    FilePart,
    ImagePart,
    LLMMessage,
    Part,
    PartDelta,
    ReasoningPart,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResultPart,
    new_message,
)

_PATH = re.compile(r"messages\[(\d+)\](?:\.parts\[(\d+)\])?(?:\.content\[(\d+)\])?(?:\.(\w+))?")


class Target(NamedTuple):
    """A path, taken apart."""

    message: int
    part: int | None
    piece: int | None
    field: str | None


def target_of(path: str) -> Target | None:
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    message, part, piece, field = match.groups()
    return Target(
        int(message),
        None if part is None else int(part),
        None if piece is None else int(piece),
        field,
    )


def _substitute(part: Part) -> Part | None:
    """What a wire that has no word for a part says instead."""
    if type(part) is CompactionPart and part.summary:
        return TextPart(part.summary)
    if type(part) is RefusalPart:
        return TextPart(part.text)
    if type(part) is AudioPart and part.transcript:
        return TextPart(part.transcript)
    if type(part) is PartDelta and part.kind == "text":
        return TextPart(part.text)
    if type(part) is ToolCall:
        key = "input" if part.kind == "custom" else "INVALID_JSON"
        arguments = json.dumps({key: part.arguments}, ensure_ascii=False, separators=(",", ":"))
        function = replace(part.function, arguments=arguments)
        return ToolCall(part.id, function, native=part.native)
    return None


class Draft:
    """Messages that can be edited. Each edit is one that sending makes, by its record."""

    def __init__(self, messages: Sequence[LLMMessage]) -> None:
        self.messages = list(messages)
        self._origins = [
            [f"messages[{i}].parts[{j}]" for j in range(len(m.parts))]
            for i, m in enumerate(self.messages)
        ]
        self.places = [f"messages[{i}]" for i in range(len(self.messages))]

    def replace_all(self, out: list[LLMMessage], log: Log) -> None:
        """Takes another draft; its parts are traced back by identity, or as the log says."""
        known: dict[int, deque[str]] = {}  # an object may stand in several places, in this order
        places: dict[int, deque[str]] = {}
        for message, where, origins in zip(self.messages, self.places, self._origins, strict=True):
            places.setdefault(id(message), deque()).append(where)
            for part, origin in zip(message.parts, origins, strict=True):
                known.setdefault(id(part), deque()).append(origin)
        last = "messages[0]"
        new_origins: list[list[str]] = []
        new_places: list[str] = []
        for i, message in enumerate(out):
            mine = []
            for j, part in enumerate(message.parts):
                if here := known.get(id(part)):
                    mine.append(here.popleft())
                elif type(part) is ToolResultPart and part.content == NO_RESULT:
                    mine.append("")  # made here
                else:
                    mine.append(self.original(log.path(part, i, j)))
            if same := places.get(id(message)):
                last = same.popleft()
            elif mine and mine[0]:
                last = mine[0].partition(".")[0]
            new_origins.append(mine)
            new_places.append(last)
        self.messages, self._origins, self.places = out, new_origins, new_places

    def original(self, path: str) -> str:
        """A path in the draft as one in what was given; "" for what was made here."""
        at = target_of(path)
        if at is None or at.message >= len(self.messages):
            return path
        where = self.places[at.message]
        if at.part is None:
            rest = path.partition("]")[2]
        elif at.part < len(self._origins[at.message]):
            where = self._origins[at.message][at.part]
            if not where:
                return ""
            rest = path[path.index("].parts[") + 1 :].partition("]")[2]
        else:
            rest = ""
        return where + rest

    def part_at(self, at: Target) -> Part | None:
        if at.part is None or at.message >= len(self.messages):
            return None
        parts = self.messages[at.message].parts
        part = parts[at.part] if at.part < len(parts) else None
        if at.piece is not None and type(part) is ToolResultPart:
            content = part.content
            return content[at.piece] if isinstance(content, tuple) else part
        return part

    # --- edits, by the record of them ---

    def edit(self, record: Adaptation, at: Target) -> bool:
        message = self.messages[at.message]
        if at.part is None:
            return self.edit_message(record, at, message)
        if at.part >= len(message.parts):
            return False
        part = message.parts[at.part]
        if at.field is not None:
            if at.field == "id":
                return self.rename(part, record)
            return self.set_field(part, at, record)
        if at.piece is not None:
            return self.edit_piece(record, at, part)
        if record.action == "dropped" or (type(part) is CompactionPart and not part.summary):
            self.put(at, [])
            return True
        new = _substitute(part)
        if new is None or new == part:
            return False
        self.put(at, [new])
        return True

    def edit_message(self, record: Adaptation, at: Target, message: LLMMessage) -> bool:
        i = at.message
        if at.field == "name" and message.name:
            self.messages[i] = new_message(message.role, message.parts, None, message.cache)
        elif at.field == "role":
            self.messages[i] = new_message(Role.system, message.parts, message.name, message.cache)
        elif at.field is not None:
            return False
        elif record.action == "dropped":
            return self.drop_of_turn(i)
        elif record.action == "added" and isinstance(record.after, str):
            self.insert(i, LLMMessage("user", record.after))
        elif message.role in (Role.system, Role.developer):
            texts = [p.text for p in message.parts if type(p) is TextPart and p.text.strip()]
            inner = "\n\n".join(texts)
            self.messages[i] = LLMMessage("user", f"<system>\n{inner}\n</system>")
            self._origins[i] = [self.places[i] + ".parts[0]"]
        else:
            return self.strip_end(i)
        return True

    def turn_of(self, i: int) -> range:
        """The messages that the wire joins with message `i`: its neighbours of the same side."""
        side = self.messages[i].role is Role.assistant
        end = i
        while end < len(self.messages) and (self.messages[end].role is Role.assistant) is side:
            end += 1
        return range(i, end)

    def drop_of_turn(self, i: int) -> bool:
        """What makes a turn illegal: no content, blank texts alone, or thinking at its end."""
        turn = self.turn_of(i)
        parts = [(n, j, p) for n in turn for j, p in enumerate(self.messages[n].parts)]
        if all(type(p) is TextPart and not p.text for p in self.messages[i].parts):
            self.remove(i)
            return True
        texts = [(n, j) for n, j, p in parts if type(p) is TextPart]
        if texts and not any(p.text.strip() for _, _, p in parts if type(p) is TextPart):
            for n, j in reversed(texts):
                self.put(Target(n, j, None, None), [])
            return True
        if parts and type(parts[-1][2]) is ReasoningPart:
            self.put(Target(parts[-1][0], parts[-1][1], None, None), [])
            return True
        self.remove(i)
        return True

    def strip_end(self, i: int) -> bool:
        """The white space, and what stands after the last text, of a prefilled reply."""
        last = self.turn_of(i)[-1]
        parts = self.messages[last].parts
        if not parts:
            return False
        at = Target(last, len(parts) - 1, None, None)
        part = parts[-1]
        if type(part) is TextPart and (text := part.text.rstrip()):
            if text == part.text:
                return False
            self.put(at, [replace(part, text=text)])
        elif type(part) in (TextPart, ReasoningPart):
            self.put(at, [])
        else:
            return False
        return True

    def edit_piece(self, record: Adaptation, at: Target, part: Part) -> bool:
        """A piece of a result's content: dropped, or moved behind the results of its turn."""
        if type(part) is not ToolResultPart or isinstance(part.content, str):
            return False
        assert at.piece is not None
        piece = part.content[at.piece]
        rest = part.content[: at.piece] + part.content[at.piece + 1 :]
        if record.action not in ("dropped", "moved"):
            return False
        self.put(at, [replace(part, content=rest)])
        if record.action == "moved":
            after = at.message
            while after + 1 < len(self.messages) and self.messages[after + 1].role is Role.tool:
                after += 1
            self.insert(after + 1, new_message(Role.user, (piece,)), self.places[at.message])
        return True

    def set_field(self, part: Part, at: Target, record: Adaptation) -> bool:
        """A field that the wire has no word for, back to its default."""
        empty: dict[str, Any] = {"citations": (), "detail": None, "is_error": False}
        holder: Any = part
        if at.piece is not None and type(part) is ToolResultPart:
            holder = part.content[at.piece]
        if at.field not in empty or getattr(holder, at.field, None) in (None, (), False):
            return False
        new = replace(holder, **{at.field: empty[at.field]})
        if holder is not part:
            assert type(part) is ToolResultPart and isinstance(part.content, tuple)
            assert at.piece is not None
            content = (*part.content[: at.piece], new, *part.content[at.piece + 1 :])
            new = replace(part, content=content)
        self.put(at, [new])
        return True

    def rename(self, part: Part, record: Adaptation) -> bool:
        """An id on its call and on what answers it."""
        old, new = record.before, record.after
        if type(part) is not ToolCall or part.id != old or not isinstance(new, str):
            return False
        for i, message in enumerate(self.messages):
            for j, other in enumerate(message.parts):
                if other is part:
                    self.put(Target(i, j, None, None), [replace(part, id=new)])
                elif type(other) is ToolResultPart and other.call_id == old:
                    self.put(Target(i, j, None, None), [replace(other, call_id=new)])
        return True

    def put(self, at: Target, parts: list[Part]) -> None:
        """Other parts in the place of one; a message that is left with none goes too."""
        i, j = at.message, at.part
        assert j is not None
        message = self.messages[i]
        now = (*message.parts[:j], *parts, *message.parts[j + 1 :])
        if not now:
            self.remove(i)
            return
        self.messages[i] = message.with_parts(now)
        self._origins[i][j : j + 1] = [self._origins[i][j]] * len(parts)

    def insert(self, i: int, message: LLMMessage, place: str = "") -> None:
        place = place or (self.places[i] if i < len(self.places) else self.places[-1])
        self.messages.insert(i, message)
        self.places.insert(i, place)
        self._origins.insert(i, [place] * len(message.parts))

    def remove(self, i: int) -> None:
        del self.messages[i], self.places[i], self._origins[i]


def left_out(part: Part, at: Target) -> TextPart:
    if at.piece is not None and type(part) is ToolResultPart and isinstance(part.content, tuple):
        part = part.content[at.piece]
    names = {ImagePart: "an image", AudioPart: "a sound", FilePart: "a document"}
    return TextPart(f"({names.get(type(part), 'content')} was left out here)")
