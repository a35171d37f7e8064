"""Replies: from events to chunks. A whole answer goes through the same machine as one event.

Wire reference 5.3, 5.4 (2026-11-22). Texts and thoughts are joined while they come bare; a part
with anything beside its text (a thought signature above all) stands alone, so that it can go back
in its place. What a part has beside its content is its native payload.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError
from ...folding import is_json_object
from ...request import LLMRequest
from ...types import (
    JSON,
    Adaptation,
    AudioPart,
    BytesSource,
    DeltaKind,
    FunctionCall,
    ImagePart,
    IncompleteReason,
    IncompleteToolCall,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    PartDelta,
    ReasoningPart,
    StopInfo,
    StopReason,
    TextPart,
    ToolCall,
    load_json,
)
from ..base import ReplyWriter, canonical_json, chunk_of
from ..streaming import piece_chunk
from .arguments import ArgumentWriter
from .models import API
from .usage import STOP_WORDS, UNFINISHED, usage_of
from .wire import (
    ANY,
    BLOB,
    CALL,
    EVENT,
    FIELDS,
    NAMELESS_TEXT_EVENT,
    NOT_AS_EXPECTED,
    PLAIN_PART,
    TEXT,
    TEXT_EVENT,
    Call,
    Candidate,
    Event,
    TextEvent,
)

_CUT: dict[StopReason, IncompleteReason] = {
    "length": "length",
    "content_filter": "content_filter",
}
"""Stops that cut an open call short; any other leaves it without an end."""

_BESIDE = frozenset((
    "thought", "thoughtSignature", "partMetadata", "videoMetadata", "mediaResolution",
))  # fmt: skip
"""Fields of a part that are not its content."""

Extras = dict[str, JSON]


class ReplyReader:
    """All memory of one reply: `read` events, then `close`.

    `failure` is the error that an event brought; what came with it has been said before.
    `finished` says that the reply came to its own end, `content_seen` that anything came.
    """

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        self._request = request
        self._provider = provider.name if provider is not None else ""
        self._issuer = Native(API, self._provider, request.model.name)
        self.failure: BackendError | None = None
        self.finished = False
        self.content_seen = False
        self._writer = ReplyWriter()
        self._at = -1  # the index of the open text or thought
        self._kind: DeltaKind = "text"
        self._arguments: ArgumentWriter | None = None  # of the call that is open
        self._calls = False  # whether a whole call came
        self._word: str | None = None
        self._details: dict[str, JSON] = {}
        self._stop: StopInfo | None = None
        self._id: str | None = None
        self._model: str | None = None
        self._usage = Raw(b"")  # the newest report
        self._untold = False  # it was not said yet
        self._begun = False  # an earlier one was
        self._candidates = 1

    # --- events ---

    def decode(self, data: bytes) -> Event:
        """Raises `DecodeError` for what is no event, unless it is an error in an odd form."""
        try:
            return EVENT.decode(data)
        except NOT_AS_EXPECTED:
            pass
        try:
            value = load_json(data)
        except ValueError as e:
            raise self.undecodable(f"it is not JSON: {e}", data) from None
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and value.get("error"):
            return Event(error=value["error"])
        try:
            return EVENT.decode(canonical_json(value))  # without lone surrogates
        except (*NOT_AS_EXPECTED, TypeError) as e:
            raise self.undecodable(str(e), data) from None

    def undecodable(self, why: str, data: bytes = b"") -> DecodeError:
        """The error for bytes of theirs that are no reply."""
        return DecodeError(
            f"{self._provider or 'the server'} sent what is no reply of generateContent: {why}",
            provider=self._provider,
            api=API,
            model=self._request.model.name,
            status=200,
            phase="stream",
            path=why.rpartition(" - at `")[2].rstrip("`") if " - at `" in why else "",
            body_excerpt=data[:200].decode("utf-8", "replace"),
        )

    def read_text(self, data: bytes) -> LLMChunk | None:
        """What an event with nothing but more of the open text says; None for any other.

        Its usage is kept until somebody needs to know: it comes with every event, and grows.
        """
        if self._at < 0:
            return None
        try:
            if self._id is None or self._model is None:
                event: TextEvent = NAMELESS_TEXT_EVENT.decode(data)
            else:
                event = TEXT_EVENT.decode(data)
        except NOT_AS_EXPECTED:
            return None
        part = event.candidates[0].content.parts[0]
        if not part.text or part.thought is not (self._kind == "reasoning"):
            return None
        if bytes(event.usage_metadata) not in (b"", b"null"):
            if self.finished or not self._begun:  # the first and the last report are told
                return None
            self._usage, self._untold = event.usage_metadata, True
        return piece_chunk(self._at, self._kind, part.text)

    def read(self, event: Event) -> LLMChunk | None:
        """What an event says; None if that is nothing."""
        parts: list[Part] = []
        for position, candidate in enumerate(event.candidates or ()):
            if candidate is None:
                continue
            index = position if candidate.index is None else candidate.index
            if index:  # another answer to the same question: not ours
                self._candidates = max(self._candidates, index + 1)
            else:
                self._on_candidate(candidate, parts)
        blocked = event.prompt_feedback
        if isinstance(blocked, dict) and blocked.get("blockReason"):
            self._word = str(blocked["blockReason"])
            self._details["promptFeedback"] = blocked
        if event.error:
            self.fail(event.error)
        if self._word is not None:
            self.finished = True
        counted = bytes(event.usage_metadata) not in (b"", b"null")
        if counted:
            self._usage, self._untold = event.usage_metadata, True
        response_id = model = None
        if self._id is None and event.response_id:
            response_id = self._id = event.response_id
        if self._model is None and event.model_version:
            model = self._model = event.model_version
        usage = None
        if self._untold and (self.finished or not self._begun):
            usage = self._report(final=self.finished and counted)
        stop = self._stop_changed() if self.finished else None
        if parts:
            self.content_seen = True
        elif stop is None and usage is None and response_id is None and model is None:
            return None
        return chunk_of(parts, usage=usage, stop=stop, response_id=response_id, model=model)

    def fail(self, error: JSON) -> None:
        if self.failure is None:
            self.failure = BackendErrorBuilder.build_stream_error(
                error=error,
                provider=self._provider,
                api=API,
                endpoint="generateContent",
                model=self._request.model.name,
            )

    def _report(self, final: bool) -> LLMUsage | None:
        """The newest usage, as far as it counts anything; `final` if it came with the end."""
        if not bytes(self._usage):
            return None
        raw = ANY.decode(self._readable(self._usage))
        usage = usage_of(raw, "reported" if final else "partial")
        if usage is None or (not final and usage.input_total is None):
            return None
        self._untold, self._begun = False, True
        return usage

    def rest_of_usage(self) -> LLMChunk | None:
        """What is known of the usage of a reply that breaks off; None if it was told."""
        usage = self._report(final=False) if self._untold else None
        return None if usage is None else chunk_of(usage=usage)

    def _readable(self, raw: bytes | Raw) -> bytes:
        """The same JSON, sure to be some: decoding what is around it did not look at its bytes."""
        try:
            ANY.decode(raw)
        except NOT_AS_EXPECTED:
            try:
                return canonical_json(load_json(bytes(raw)))
            except ValueError as e:
                raise self.undecodable(f"a part of it is not JSON: {e}", bytes(raw)) from None
        return bytes(raw)

    # --- content ---

    def _on_candidate(self, candidate: Candidate, parts: list[Part]) -> None:
        if candidate.content is not None:
            for raw in candidate.content.parts or ():
                if bytes(raw) != b"null":
                    self._on_part(raw, parts)
        if citations := _citations_of(candidate):
            self._cite(citations, parts)
        if candidate.continuation_token:
            self._details["continuationToken"] = candidate.continuation_token
        if candidate.finish_message:
            self._details["finishMessage"] = candidate.finish_message
        word = candidate.finish_reason
        if word is not None and str(word) not in UNFINISHED:
            self._word = str(word)
            if STOP_WORDS.get(self._word) == "content_filter" and candidate.safety_ratings:
                self._details["safetyRatings"] = candidate.safety_ratings

    def _on_part(self, raw: Raw, parts: list[Part]) -> None:
        try:
            plain = PLAIN_PART.decode(raw)
        except NOT_AS_EXPECTED:
            pass
        else:
            self._on_text(plain.text, plain.thought, {}, parts)
            return
        data = self._readable(raw)
        try:
            fields = {k: v for k, v in FIELDS.decode(data).items() if bytes(v) != b"null"}
            thought = bytes(fields.get("thought", b"")) == b"true"
            if "text" in fields:
                self._on_text(TEXT.decode(fields["text"]), thought, _extras(fields, "text"), parts)
                return
            if "functionCall" in fields:
                call = CALL.decode(fields["functionCall"])
                self._on_call(call, _extras(fields, "functionCall"), parts)
                return
        except NOT_AS_EXPECTED as e:
            raise self.undecodable(f"a part of it is not what the format says: {e}", data) from None
        if "inlineData" in fields and not thought and self._on_inline(fields, parts):
            return
        kind = next((k for k in fields if k not in _BESIDE), "")
        if kind or "thoughtSignature" in fields:
            text = data.decode()
            self._whole(OpaquePart(kind or "thoughtSignature", text, self._issuer), parts)

    def _whole(self, part: Part, parts: list[Part]) -> None:
        self._at = -1
        parts += self._writer.whole(part)

    def _native(self, extras: Extras) -> Native:
        return replace(self._issuer, payload=extras or None)

    def _on_text(self, text: str, thought: bool, extras: Extras, parts: list[Part]) -> None:
        if extras and thought:
            signed = isinstance(extras.get("thoughtSignature"), str)
            signature = extras.pop("thoughtSignature") if signed else None
            part = ReasoningPart(text, signature=signature, native=self._native(extras))
            self._whole(part, parts)
        elif extras:
            self._whole(TextPart(text, native=self._native(extras)), parts)
        elif text:
            kind: DeltaKind = "reasoning" if thought else "text"
            made = self._writer.text_like(kind, text, self._issuer if thought else None)
            self._at, self._kind = cast(PartDelta, made[-1]).index, kind
            parts += made

    def _on_inline(self, fields: dict[str, Raw], parts: list[Part]) -> bool:
        """A picture or a sound; False for what is neither."""
        try:
            blob = BLOB.decode(fields["inlineData"])
            data = b64decode(blob.data, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError):
            return False
        family, _, form = blob.mime_type.partition("/")
        source = BytesSource(data, blob.mime_type)
        native = self._native(_extras(fields, "inlineData"))
        if family == "image":
            self._whole(ImagePart(source, native=native), parts)
        elif family == "audio":
            self._whole(AudioPart(source, re.split("[;,]", form)[0], native=native), parts)
        else:
            return False
        return True

    def _cite(self, citations: Sequence[dict[str, JSON]], parts: list[Part]) -> None:
        """Puts citations on the text they came with or after, else on a text of their own."""
        for n in range(len(parts) - 1, -1, -1):
            part = parts[n]
            if isinstance(part, TextPart) and part.text:
                parts[n] = replace(
                    part,
                    citations=(*part.citations, *citations),
                    native=part.native or self._issuer,
                )
                return
            if isinstance(part, PartDelta) and part.kind == "text":
                parts[n] = replace(part, citations=tuple(citations), native=self._issuer)
                return
        if self._at >= 0 and self._kind == "text":
            piece = PartDelta(self._at, citations=tuple(citations), native=self._issuer)
            parts.append(piece)
        else:
            self._whole(TextPart("", tuple(citations), self._issuer), parts)

    # --- calls ---

    def _on_call(self, call: Call, extras: Extras, parts: list[Part]) -> None:
        pieces = call.partial_args or ()
        goes_on = bool(call.will_continue) or any(p.will_continue for p in pieces)
        if call.name and not goes_on and call.partial_args is None:
            self._end_call(parts, "cut")
            self._on_whole_call(call, extras, parts)
            return
        self._at = -1
        if call.name:
            self._end_call(parts, "cut")
            self._arguments = ArgumentWriter()
            native = self._native(extras) if extras else None
            parts += self._writer.tool(0, id=call.id or None, name=call.name, native=native)
        elif self._arguments is None:
            if bytes(call.args) or pieces:
                self._on_whole_call(call, extras, parts)
            return
        assert self._arguments is not None
        text = "".join([self._arguments.write(piece) for piece in pieces])
        if text:
            parts += self._writer.tool(0, text)
        if not goes_on:
            self._end_call(parts)

    def _end_call(self, parts: list[Part], incomplete: IncompleteReason | None = None) -> None:
        """Ends the open call if there is one; without a reason its end is known to have come."""
        arguments, self._arguments = self._arguments, None
        if arguments is None:
            return
        if incomplete is None and arguments.broken:
            incomplete = "invalid_json"
        if incomplete is None:
            parts += self._writer.tool(0, arguments.end())
            self._calls = True
        parts += self._writer.end_tool(0, incomplete)

    def _on_whole_call(self, call: Call, extras: Extras, parts: list[Part]) -> None:
        arguments = self._arguments_of(call.args)
        native = self._native(extras) if extras else None
        name = call.name or ""
        if name and is_json_object(arguments):
            self._calls = True
            part: Part = ToolCall(call.id or None, FunctionCall(name, arguments), native=native)
        else:
            part = IncompleteToolCall(call.id or None, name, arguments, "invalid_json", native)
        self._whole(part, parts)

    def _arguments_of(self, raw: Raw) -> str:
        """The text of `args`, written once: in the order it came, without white space.

        Some servers put the text into a JSON string.
        """
        if bytes(raw) in (b"", b"null"):
            return "{}"
        value = ANY.decode(self._readable(raw))
        return value if isinstance(value, str) else canonical_json(value).decode()

    # --- the end ---

    def _stop_now(self) -> StopInfo:
        word = self._word or ""
        reason: StopReason = STOP_WORDS.get(word, "other")
        if "promptFeedback" in self._details:
            reason = "content_filter"
        elif reason == "stop" and self._calls:
            reason = "tool_calls"
        details = dict(self._details)
        if reason != "continuation":  # tokens come before the end, too
            details.pop("continuationToken", None)
        return StopInfo(reason, word, details or None)

    def _stop_changed(self) -> StopInfo | None:
        stop = self._stop_now()
        if stop == self._stop:
            return None
        self._stop = stop
        return stop

    def close(self) -> LLMChunk | None:
        """The end of a whole reply: ends what is open, and says why it stopped."""
        parts: list[Part] = self._writer.end_text()
        self._at = -1
        if self._arguments is not None:
            self._end_call(parts, _CUT.get(self._stop_now().reason, "cut"))
        stop = self._stop_changed() if self.finished else None
        usage = None
        if self._untold or not self.finished:  # a document ends without a finish reason, too
            usage = self._report(final=not self.finished)
        records: tuple[Adaptation, ...] = ()
        if self._candidates > 1:
            reason = "several answers came; the first is kept"
            records = (Adaptation("candidates", "dropped", reason, self._candidates, 1),)
        if not parts and stop is None and usage is None and not records:
            return None
        return chunk_of(parts, usage=usage, stop=stop, adaptations=records)


def _extras(fields: dict[str, Raw], content: str) -> Extras:
    """What a part has beside its content: in this order it goes back."""
    return {
        name: msgspec.json.decode(raw)
        for name, raw in fields.items()
        if name not in (content, "thought") and bytes(raw) != b'""'
    }


def _citations_of(candidate: Candidate) -> list[dict[str, JSON]]:
    """Citations as they came, and each kind of metadata about sources under its own name."""
    out: list[dict[str, JSON]] = []
    quoted = candidate.citation_metadata
    if isinstance(quoted, dict) and isinstance(found := quoted.get("citations"), list):
        out += [c for c in found if isinstance(c, dict) and c]
    if candidate.grounding_metadata:
        out.append({"groundingMetadata": candidate.grounding_metadata})
    if candidate.url_context_metadata:
        out.append({"urlContextMetadata": candidate.url_context_metadata})
    return out
