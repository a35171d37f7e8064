"""What a server, or our own sending, would object to in a history: found offline, with edits.

`check_history` asks the adapter itself what it would change, so that it can't say anything else
than what sending does: it prepares the request, reads the record of adaptations, makes the same
edits on the messages, and asks again, until there is nothing left to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from .adapters import ADAPTERS
from .catalogue import facts_of
from .config import ModelConfig, ProviderConfig, ThinkingLevel
from .draft import Draft, Target, left_out, target_of
from .errors import ConfigError, UnsupportedError
from .history import (
    Log,
    bridge_tool_to_user,
    close_parts,
    drop_foreign,
    merge_consecutive_user_messages,
    pair_tool_calls,
)
from .providers import dialect_of
from .request import LLMRequest
from .types import (
    Adaptation,
    AudioPart,
    CompactionPart,
    FilePart,
    ImagePart,
    LLMMessage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolResultPart,
)

FindingKind = Literal[
    "pairing", "id", "foreign", "thinking", "empty", "incomplete", "order", "media", "content"
]
Severity = Literal["error", "warning", "note"]

GO_ON = "Go on."
"""What the user says last where a model does not continue an assistant's message."""

_GROWTH = 4
"""How many times longer a history may get by its edits: a call may need a result, a turn a bridge."""

_ROUNDS = 50  # and two a message: each makes an edit, and no edit makes work for many others


class Finding(Struct, frozen=True, omit_defaults=True):
    """One thing that can't go to the target as it is, and what goes instead.

    `kind`: `pairing` of calls and results, `id` of a call, state that is `foreign`, `thinking`
    that does not go back, `empty` turns and texts, `incomplete` calls and pieces, `order` of roles
    (who begins, who ends, who follows whom), `media` that the model or the wire does not take, and
    other `content`.
    """

    kind: FindingKind
    path: str
    """In the messages that were given: `messages[3].parts[0]`."""
    what: str
    severity: Severity
    """`error`: sending refuses it. `warning`: sending changes what is said. `note`: sending changes
    the form, or leaves out what only its issuer could read."""
    edit: Adaptation | None = None
    """The edit in `HistoryCheck.messages` that cures it. None: none does; a setting may."""


class HistoryCheck(Struct, frozen=True):
    """What was found, and the messages with all edits made: those can be sent as they are."""

    findings: tuple[Finding, ...]
    messages: tuple[LLMMessage, ...]

    @property
    def ok(self) -> bool:
        return not self.findings


def check_history(
    messages: Sequence[LLMMessage],
    provider: ProviderConfig,
    model: ModelConfig | str,
    *,
    thinking: ThinkingLevel | None = None,
) -> HistoryCheck:
    """What of a history does not fit a model at a provider. Does no I/O.

    The edits are the ones that sending makes, and where sending refuses, the least that lets it
    pass. `thinking` is that of the call (None: the model's own). Raises `ConfigError` for a
    provider that can't be spoken to.
    """
    if provider.api_style not in ADAPTERS:
        raise ConfigError(f"provider {provider.name!r}: unknown api_style {provider.api_style!r}")
    if isinstance(model, str):
        model = ModelConfig(model, provider.name)
    request = LLMRequest(model=model, messages=tuple(messages), thinking=thinking or model.thinking)
    check = _Check(request, provider)
    check.run()
    return HistoryCheck(tuple(sorted(check.findings, key=_place)), tuple(check.draft.messages))


def _place(finding: Finding) -> tuple[int, int]:
    at = target_of(finding.path)
    return (-1, -1) if at is None else (at.message, -1 if at.part is None else at.part)


class _Check:
    """What was found so far, and the draft with what was edited so far."""

    def __init__(self, request: LLMRequest, provider: ProviderConfig) -> None:
        self.request = request
        self.provider = provider
        self.adapter = ADAPTERS[provider.api_style]
        self.issuer = Native(self.adapter.api, provider.name, request.model.name)
        self.dialect = dialect_of(provider)
        self.findings: list[Finding] = []
        self.draft = Draft(request.messages)

    def run(self) -> None:
        facts = facts_of(self.request.model, self.provider.name)
        if facts.vision is False and facts.like is None:  # what is only like a model may see
            self.without_images()
        most = _GROWTH * len(self.draft.messages) + _ROUNDS
        before: list[Adaptation] | None = None
        for _ in range(_ROUNDS + 2 * len(self.draft.messages)):
            try:
                records = self.records()
                if records == before or len(self.draft.messages) > most:
                    # No edit of ours can say what this wire does with it: it is told all the same.
                    self.findings += [self.finding(r, None) for r in records]
                    break
                before = records
            except UnsupportedError as e:
                if not self.allow(e):
                    return
                continue
            if not any(step(records) for step in (self.shared, self.merge, self.edit_all)):
                self.findings += [self.finding(r, None) for r in records]
                break
        self.settings()

    def prepared(self, messages: Iterable[LLMMessage]) -> tuple[Adaptation, ...]:
        request = replace(self.request, messages=tuple(messages))
        try:
            return self.adapter.prepare_request(request, self.provider).adaptations
        except (TypeError, RecursionError) as e:
            raise UnsupportedError(f"the request can't be written as JSON: {e}") from None

    def records(self) -> list[Adaptation]:
        """What sending the draft would change in it."""
        return [a for a in self.prepared(self.draft.messages) if a.changes_history]

    def settings(self) -> None:
        """Settings that give way to the history: what a bare question would not change."""
        try:
            here = self.prepared(self.draft.messages)
            bare = self.prepared([LLMMessage("user", GO_ON)])
        except UnsupportedError:
            return
        self.findings += [
            Finding("thinking" if a.path == "thinking" else "content", a.path, a.reason, "warning")
            for a in here
            # Converse wants the tools of old calls: the call has them, this check has not.
            if a not in bare and not a.path.startswith(("messages[", "tools"))
        ]

    # --- steps that wires share ---

    def shared(self, records: list[Adaptation]) -> bool:
        """Makes a step of `history` if the adapter's record has all that the step records."""
        said = {(a.path, a.action, a.reason) for a in records}
        steps: tuple[tuple[FindingKind, Callable[..., list[LLMMessage]]], ...] = (
            ("incomplete", close_parts),
            ("foreign", partial(_drop_foreign, self.issuer)),
            ("pairing", pair_tool_calls),
            ("order", bridge_tool_to_user),
        )
        for kind, step in steps:
            log = Log()
            out = step(self.draft.messages, log=log)
            found = list(log.entries)
            if found and all((a.path, a.action, a.reason) in said for a in found):
                self.findings += [self.finding(a, a, kind) for a in found]
                self.draft.replace_all(out, log)
                return True
        return False

    def merge(self, records: list[Adaptation]) -> bool:
        """Neighbouring user messages, where the server wants them to be one."""
        if not self.dialect.merge_user_messages:
            return False
        merged = merge_consecutive_user_messages(self.draft.messages)
        for i in range(1, len(self.draft.messages)):
            if (
                self.draft.messages[i].role is Role.user
                and self.draft.messages[i - 1].role is Role.user
            ):
                what = "the server wants user and assistant to alternate"
                edit = Adaptation(self.draft.places[i], "moved", what)
                self.findings.append(Finding("order", self.draft.places[i], what, "note", edit))
        if len(merged) == len(self.draft.messages):
            return False
        self.draft.replace_all(merged, Log())
        return True

    # --- edits of single places ---

    def edit_all(self, records: list[Adaptation]) -> bool:
        """Makes the edits of all parts, or else of one message: those shift what follows."""
        placed = [(at, r) for r in records if (at := target_of(r.path)) is not None]
        placed = [(at, r) for at, r in placed if at.message < len(self.draft.messages)]
        parts = [(at, r) for at, r in placed if at.part is not None]
        # From the end, since what is dropped shifts only what stands behind it.
        parts.sort(key=lambda pair: (pair[0].message, pair[0].part or 0, pair[0].piece or 0))
        done = [self.edited(at, r) for at, r in reversed(parts)]
        return any(done) or any(self.edited(at, r) for at, r in placed if at.part is None)

    def edited(self, at: Target, record: Adaptation) -> bool:
        finding = self.finding(record, record)
        if not self.draft.edit(record, at):
            return False
        if finding.path:
            self.findings.append(finding)
        return True

    # --- what sending refuses ---

    def allow(self, e: UnsupportedError) -> bool:
        """The least edit that lets the draft pass; False, with a finding, if there is none."""
        at = target_of(e.path)
        if at is None or at.message >= len(self.draft.messages):
            self.findings.append(Finding("content", e.path, e.message, "error"))
            return False
        i, message = at.message, self.draft.messages[at.message]
        path, kind = self.draft.original(e.path), self.kind(at)
        if at.part is None or at.part >= len(message.parts):
            if message.role is Role.assistant and i == len(self.draft.messages) - 1:
                edit = Adaptation(path, "added", e.message, None, GO_ON)
                self.draft.insert(i + 1, LLMMessage("user", GO_ON), self.draft.places[i])
            elif message.role is Role.tool:
                log = Log()
                out = pair_tool_calls(self.draft.messages, log=log)
                edit = Adaptation(path, "moved", e.message)
                self.draft.replace_all(out, log)
            else:
                edit = Adaptation(path, "dropped", e.message)
                self.draft.remove(i)
        else:
            part = message.parts[at.part]
            word = left_out(part, at)
            new: list[Part] = [] if message.role is Role.assistant else [word]
            if at.piece is not None and type(part) is ToolResultPart:
                assert isinstance(part.content, tuple)
                pieces = part.content
                content = (*pieces[: at.piece], word, *pieces[at.piece + 1 :])
                new = [replace(part, content=content)]
            edit = Adaptation(path, "substituted" if new else "dropped", e.message)
            if type(part) is TextPart or (new and new[0] == part):
                self.findings.append(Finding(kind, path, e.message, "error"))
                return False
            self.draft.put(at, new)
        self.findings.append(Finding(kind, path, e.message, "error", edit))
        return True

    def without_images(self) -> None:
        """Images become a word on what is missing, for a model without eyes."""
        what = "the model does not see images"
        for i, message in enumerate(self.draft.messages):
            for j, part in enumerate(message.parts):
                at = Target(i, j, None, None)
                path = self.draft.original(f"messages[{i}].parts[{j}]")
                if type(part) is ImagePart:
                    self.draft.put(at, [left_out(part, at)])
                elif type(part) is ToolResultPart and isinstance(part.content, tuple):
                    seen = [left_out(p, at) if type(p) is ImagePart else p for p in part.content]
                    if seen == list(part.content):
                        continue
                    self.draft.put(at, [replace(part, content=tuple(seen))])
                else:
                    continue
                edit = Adaptation(path, "substituted", what)
                self.findings.append(Finding("media", path, what, "warning", edit))

    # --- findings ---

    def finding(
        self, record: Adaptation, edit: Adaptation | None, kind: FindingKind | None = None
    ) -> Finding:
        at = target_of(record.path)
        path = self.draft.original(record.path)
        if at is not None and (kind is None or at.field == "id"):
            kind = self.kind(at, record.action)
        if edit is not None:
            edit = replace(edit, path=path)
        return Finding(kind or "content", path, record.reason, self.severity(record, at), edit)

    def severity(self, record: Adaptation, at: Target | None) -> Severity:
        """A note, unless the target hears something else than was said."""
        if at is None or at.field in ("id", "role", "detail"):
            return "note"
        part = self.draft.part_at(at)
        if isinstance(part, ReasoningPart | OpaquePart):
            return "note"
        if isinstance(part, TextPart) and at.field is None and record.action == "dropped":
            return "warning" if part.text.strip() else "note"
        if part is None and record.action in ("added", "dropped", "substituted"):
            return "note"
        return "warning"

    def kind(self, at: Target, action: str = "") -> FindingKind:
        if at.field == "id":
            return "id"
        part = self.draft.part_at(at)
        if part is None:
            if action != "dropped" or at.field is not None:
                return "order"
            turn = [p for n in self.draft.turn_of(at.message) for p in self.draft.messages[n].parts]
            texts = [p for p in turn if type(p) is TextPart]
            blank = texts and not any(p.text.strip() for p in texts)
            thought = turn and type(turn[-1]) is ReasoningPart
            return "thinking" if thought and not blank else "empty"
        if isinstance(part, ReasoningPart):
            return "thinking"
        if isinstance(part, OpaquePart | CompactionPart):
            return "foreign"
        if isinstance(part, ImagePart | AudioPart | FilePart):
            return "media"
        return "content"


def _drop_foreign(issuer: Native, messages: Sequence[LLMMessage], *, log: Log) -> list[LLMMessage]:
    return drop_foreign(messages, issuer, log)
