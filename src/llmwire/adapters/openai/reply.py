"""Replies: from events to chunks. A whole answer goes through the same machine as one event.

Source: wire reference 1.3, 4, 8.2, 9.4 (2026-11-22).
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import msgspec

from ...config import Dialect, ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import (
    JSON,
    Adaptation,
    AudioPart,
    BytesSource,
    ImagePart,
    LLMChunk,
    LLMUsage,
    Native,
    OpaquePart,
    Part,
    ReasoningPart,
    StopInfo,
    StopReason,
    UrlSource,
    load_json,
)
from ..base import ReplyWriter, canonical_json, chunk_of, without_surrogates
from ..streaming import NOT_AN_EVENT, Piece
from .calls import CallCollector
from .pieces import CallPiece, ThinkingPiece, call_piece, decoder, text_piece, thinking_piece
from .reasoning import OpenReasoning
from .usage import STOP_WORDS, usage_of
from .wire import KNOWN_REASONING, Delta, Event, ToolCallDelta, event_decoder

DEFAULT_FIELD = "reasoning_content"


class ReplyReader:
    """All memory of one reply: `read` events, then `close`.

    `failure` is the error that an event brought; what came with it has been said before.
    """

    def __init__(self, api: str, request: LLMRequest, provider: ProviderConfig | None) -> None:
        self._api = api
        self._request = request
        self._provider = provider.name if provider is not None else ""
        self._dialect: Dialect = dialect_of(provider)
        own = provider.reasoning_field_name if provider is not None else DEFAULT_FIELD
        names = self._dialect.reasoning_fields
        if own != DEFAULT_FIELD:
            names = (own, *(n for n in names if n != own))
        self.decoder = event_decoder("" if own in KNOWN_REASONING else own)
        self._fields = tuple(
            (n if n in KNOWN_REASONING else "custom_reasoning", n)
            for n in names
            if n in KNOWN_REASONING or n == own
        )
        self._reasoning_names = tuple(dict.fromkeys((*KNOWN_REASONING, own)))
        self.failure: BackendError | None = None
        self.finish_reason: str | None = None
        self.content_seen = False
        self._writer = ReplyWriter()
        self._calls = CallCollector(self._writer)
        self._reasoning: OpenReasoning | None = None
        self._text_open = False
        self._refused = False
        self._audio: list[dict[str, Any]] = []
        self._id: str | None = None
        self._model: str | None = None
        self._usage: LLMUsage | None = None
        self._stop: StopInfo | None = None
        self._field = ""  # the name that reasoning came under last
        self._choices = 1
        self._others = False
        self._in_thought = False
        self._sources: tuple[dict[str, JSON], ...] = ()
        self._cited = False

    # --- events ---

    def decode(self, data: bytes) -> Event:
        """Raises `DecodeError` for what is no event, unless it is an error in an odd form."""
        try:
            return self.decoder.decode(data)
        except NOT_AN_EVENT:
            return self.decode_odd(data)

    def decode_odd(self, data: bytes) -> Event:
        """Errors in a list (Google) or beside odd fields; texts with lone surrogates."""
        try:
            value = load_json(data)
        except ValueError as e:
            raise self.undecodable(f"it is not JSON: {e}", data) from None
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and (value.get("error") or value.get("object") == "error"):
            return Event(error=value.get("error") or value)
        try:
            event: Event = msgspec.convert(without_surrogates(value), self.decoder.type)
        except msgspec.ValidationError as e:
            raise self.undecodable(str(e), data) from None
        return event

    def undecodable(self, why: str, data: bytes = b"") -> DecodeError:
        """The error for bytes of theirs that are no reply."""
        return DecodeError(
            f"{self._provider or 'the server'} sent what is no Chat Completions reply: {why}",
            provider=self._provider,
            api=self._api,
            model=self._request.model.name,
            status=200,
            phase="stream",
            path=why.rpartition(" - at `")[2].rstrip("`") if " - at `" in why else "",
            body_excerpt=data[:200].decode("utf-8", "replace"),
        )

    def continuing(self) -> Piece | None:
        """What reads the events that only continue the part that came last; None if none can."""
        if self._in_thought:
            return None
        absent, field = self._reasoning_names, self._field
        empty: tuple[str, ...] = (field,) if field in absent else ()
        unknown = tuple(n for n, v in (("id", self._id), ("model", self._model)) if v is None)
        if not self._cited:
            unknown += ("citations", "search_results")
        if self._writer.open_text is None:
            calls = self._calls.by_index
            if not calls:
                return None
            decode = decoder("tool_calls", tuple[CallPiece], absent, empty, unknown)
            return call_piece(decode, calls)
        index, kind = self._writer.open_text
        reasoning = self._reasoning
        if reasoning is None:
            name = "content" if kind == "text" else "refusal"
        elif reasoning.is_block:
            texts = reasoning.growing
            if texts is None:
                return None
            decode = decoder("content", tuple[ThinkingPiece], absent, empty, unknown)
            return thinking_piece(decode, index, texts)
        elif empty:
            # The first name with a text is the one that is read.
            order = [n for _, n in self._fields]
            name, absent, empty = field, (), tuple(order[: order.index(field)])
        else:
            return None
        return text_piece(decoder(name, str, absent, empty, unknown), index, kind)

    def read(self, event: Event) -> LLMChunk | None:
        """What an event says; None if that is nothing."""
        parts: list[Part] = []
        usage = event.usage
        word: str | None = None
        choices = event.choices
        if choices:
            if len(choices) > self._choices:
                self._choices = len(choices)
            for choice in choices:
                if choice is None:
                    continue
                if choice.index:  # another answer to the same question: not ours
                    self._others = True
                    self._choices = max(self._choices, choice.index + 1)
                    continue
                delta = choice.delta or choice.message
                if delta is not None:
                    self._on_delta(delta, parts)
                if choice.finish_reason:
                    word = choice.finish_reason
                if choice.usage:
                    usage = usage or choice.usage
                if choice.error:
                    self._fail(choice.error)
        elif event.message or event.delta:
            self._on_bare(event, parts)
        if event.error or event.x_groq is not None or event.base_resp is not None:
            usage = self._on_extras(event, usage)
        if not self._cited and (event.citations or event.search_results):
            self._sources = self._sources or _sources_of(event)
            self._cite(parts)
        if parts or word or usage or self._id is None or self._model is None:
            return self._chunk(event, parts, usage, word)
        return None

    def _chunk(
        self, event: Event, parts: list[Part], usage: dict[str, Any] | None, word: str | None
    ) -> LLMChunk | None:
        response_id = model = None
        if self._id is None and event.id:
            response_id = self._id = str(event.id)
        if self._model is None and event.model:
            model = self._model = event.model
        stop = None
        if word:
            self.finish_reason = word
            stop = self._stop_changed()
            if STOP_WORDS.get(word.lower()) == "error" and self.failure is None:
                self._fail({"message": f"the server broke off the reply ({word})", "code": word})
        report = self._on_usage(event, usage) if usage else None
        if parts:
            self.content_seen = True
        elif stop is None and report is None and response_id is None and model is None:
            return None
        return chunk_of(parts, usage=report, stop=stop, response_id=response_id, model=model)

    def _on_usage(self, event: Event, usage: dict[str, Any]) -> LLMUsage | None:
        final = self.finish_reason is not None or not event.choices
        report = usage_of(
            usage,
            reasoning_outside_output=self._dialect.reasoning_outside_output,
            provenance="reported" if final else "partial",
            service_tier=event.service_tier,
        )
        if report is not None:
            self._usage = report
        return report

    def _on_extras(self, event: Event, usage: dict[str, Any] | None) -> dict[str, Any] | None:
        if event.error:
            self._fail(event.error)
        if event.x_groq:
            groq = event.x_groq
            if groq.get("error"):
                self._fail(groq["error"])
            if isinstance(groq.get("usage"), dict):
                usage = usage or groq["usage"]
        if event.base_resp and event.base_resp.get("status_code"):
            told = event.base_resp
            self._fail({"code": told["status_code"], "message": told.get("status_msg")})
        return usage

    def _on_bare(self, event: Event, parts: list[Part]) -> None:
        """An answer without choices: a message at the top, or an error without an envelope."""
        bare = event.message or event.delta
        if event.object == "error" or isinstance(bare, str):
            if not event.error:
                self._fail({"message": bare, "type": event.type, "code": event.code})
        elif isinstance(bare, dict):
            try:
                self._on_delta(msgspec.convert(bare, Delta), parts)
            except msgspec.ValidationError as e:
                raise self.undecodable(str(e)) from None

    def _fail(self, error: JSON) -> None:
        if self.failure is None:
            self.failure = BackendErrorBuilder.build_stream_error(
                error=error,
                provider=self._provider,
                api=self._api,
                model=self._request.model.name,
            )

    # --- content ---

    def _on_delta(self, delta: Delta, parts: list[Part]) -> None:
        """In this order, whatever the server's: reasoning, text, refusal, calls."""
        if (
            delta.reasoning_content is not None
            or delta.reasoning is not None
            or delta.reasoning_text is not None
            or delta.custom_reasoning is not None
            or delta.reasoning_details
        ):
            self._on_reasoning(delta, parts)
        content = delta.content
        if delta.extra_content is not None or self._in_thought:
            content = self._without_thought(delta, parts)
        if content:
            if type(content) is str:
                self._on_text(content, parts)
            else:
                for block in content:
                    self._on_block(block, parts)
        if delta.annotations:
            self._on_text("", parts, tuple(a for a in delta.annotations if isinstance(a, dict)))
        if delta.refusal:
            self._refused = True
            if self._text_open or self._reasoning is not None:
                self._end_text(parts)
            parts += self._writer.text_like("refusal", delta.refusal, self._native(None))
        if delta.reasoning_opaque:
            self._end_text(parts)
            native = self._native(
                {"field": "reasoning_text", "reasoning_opaque": delta.reasoning_opaque}
            )
            parts += self._writer.whole(ReasoningPart("", native=native))
        if delta.images:
            self._on_images(delta.images, parts)
        if delta.audio is not None:
            self._audio.append(msgspec.structs.asdict(delta.audio))
        function = delta.function_call
        if function is not None and (function.name or function.arguments):
            self._on_call(ToolCallDelta(0, function=function), parts)
        if delta.tool_calls:
            for call in delta.tool_calls:
                if call is not None:
                    self._on_call(call, parts)

    def _on_text(
        self, text: str, parts: list[Part], citations: tuple[dict[str, JSON], ...] = ()
    ) -> None:
        if self._reasoning is not None:
            self._end_text(parts)
        made = self._writer.text_like("text", text)
        self._text_open = True
        if citations:
            made[-1] = msgspec.structs.replace(made[-1], citations=citations)
        parts += made

    def _cite(self, parts: list[Part]) -> None:
        """What the answer rests on belongs to its text; each event of the stream repeats it."""
        if self._sources and self._text_open and not self._cited:
            self._on_text("", parts, self._sources)
            self._cited = True

    def _without_thought(self, delta: Delta, parts: list[Part]) -> Any:
        """The content without the thought in it, which Google marks and puts between tags."""
        text, extra = delta.content, delta.extra_content
        if not text or not isinstance(text, str):
            return text
        google = extra.get("google") if isinstance(extra, dict) else None
        if not (isinstance(google, dict) and google.get("thought")):
            self._in_thought = False
            return text.removeprefix("</thought>")
        thought, end, rest = text.removeprefix("<thought>").partition("</thought>")
        if thought:
            self._ensure_reasoning("", parts)
            parts += self._writer.text_like("reasoning", thought)
        self._in_thought = not end
        return rest

    def _on_call(self, call: ToolCallDelta, parts: list[Part]) -> None:
        native = None
        if call.extra_content:
            native = self._native({"extra_content": call.extra_content})
        if self._text_open or self._reasoning is not None:
            self._end_text(parts)
        parts += self._calls.add(call, native)

    def _on_block(self, block: Any, parts: list[Part]) -> None:
        """A block of list content: text, thinking, or what we do not know."""
        if isinstance(block, str):
            block = {"type": "text", "text": block}
        if not isinstance(block, dict):
            return
        kind = block.get("type")
        text = block.get("text")
        if kind == "text" and (text is None or isinstance(text, str)):
            if text:
                self._on_text(text, parts)
        elif kind == "thinking":
            self._on_thinking(block, parts)
        else:
            self._end_text(parts)
            data = canonical_json(block).decode()
            opaque = OpaquePart(str(kind or ""), data, self._native(None))
            parts += self._writer.whole(opaque)

    def _on_thinking(self, block: dict[str, Any], parts: list[Part]) -> None:
        current = self._reasoning
        if current is None or not current.is_block or current.signature is not None:
            current = self._open_reasoning(OpenReasoning(), parts)
        text = current.add_block(block)
        parts += self._writer.text_like("reasoning", text)

    def _on_reasoning(self, delta: Delta, parts: list[Part]) -> None:
        text, field = "", ""
        for attribute, name in self._fields:
            value = getattr(delta, attribute)
            if isinstance(value, str):
                field = field or name
                if value:
                    text, field = value, name
                    break
        entries = [e for e in delta.reasoning_details or () if isinstance(e, dict)]
        told = "".join(_entry_text(e) for e in entries)
        # The field repeats what the entries say; where it does not, it is the text.
        own = not text or told == text
        if text and not (own and entries):
            self._ensure_reasoning(field, parts)
            parts += self._writer.text_like("reasoning", text)
        field = self._field = field or self._field or "reasoning_details"
        for n, entry in enumerate(entries):
            if entry.get("type") == "reasoning.encrypted":
                self._end_text(parts)
                data = entry.get("data")
                native = self._native({"field": field, "details": [entry]})
                part = ReasoningPart(
                    "", "encrypted", data=data if isinstance(data, str) else None, native=native
                )
                parts += self._writer.whole(part)
                continue
            current = self._reasoning
            if current is None or not current.takes(entry, n == 0):
                current = self._open_reasoning(OpenReasoning(field), parts)
            current.add_entry(entry, n == 0)
            if own and (piece := _entry_text(entry)):
                parts += self._writer.text_like("reasoning", piece)

    def _ensure_reasoning(self, field: str, parts: list[Part]) -> None:
        if self._reasoning is None or self._reasoning.is_block:
            self._open_reasoning(OpenReasoning(field), parts)

    def _open_reasoning(self, reasoning: OpenReasoning, parts: list[Part]) -> OpenReasoning:
        self._end_text(parts)
        self._reasoning = reasoning
        native = self._native({"field": reasoning.field} if reasoning.field else None)
        parts += self._writer.text_like("reasoning", "", native)
        return reasoning

    def _end_text(self, parts: list[Part]) -> None:
        reasoning, self._reasoning = self._reasoning, None
        self._text_open = False
        if reasoning is None:
            parts += self._writer.end_text()
            return
        payload = reasoning.payload()
        changed = payload is not None and payload.keys() != {"field"}
        parts += self._writer.end_text(
            signature=reasoning.signature,
            reasoning_kind=reasoning.kind,
            native=self._native(payload) if changed else None,
        )

    def _on_images(self, images: list[Any], parts: list[Part]) -> None:
        for image in images:
            url = image.get("image_url") if isinstance(image, dict) else None
            address = url.get("url") if isinstance(url, dict) else url
            if not isinstance(address, str):
                continue
            self._end_text(parts)
            source = from_data_uri(address) or UrlSource(address)
            parts += self._writer.whole(ImagePart(source, native=self._native(None)))

    def _audio_part(self) -> AudioPart | None:
        pieces = [a["data"] for a in self._audio if a["data"]]
        transcript = "".join(a["transcript"] for a in self._audio if a["transcript"])
        last = {k: v for a in self._audio for k, v in a.items() if v}
        if not last:
            return None
        payload = {k: last[k] for k in ("id", "expires_at") if k in last}
        try:
            data = b"".join(b64decode(p, validate=True) for p in pieces)
        except (binascii.Error, ValueError):
            raise self.undecodable("its sound is not base64") from None
        asked = self._request.extra_body.get("audio")
        form = asked.get("format") if isinstance(asked, dict) else None
        form = form if isinstance(form, str) else "wav"
        source = BytesSource(data, f"audio/{form}")
        return AudioPart(source, form, transcript, self._native(payload or None))

    def _native(self, payload: JSON) -> Native:
        return Native(self._api, self._provider, self._request.model.name, payload)

    # --- the end ---

    @property
    def anything_seen(self) -> bool:
        return self.content_seen or self.finish_reason is not None or self._usage is not None

    def _stop_now(self) -> StopInfo:
        word = self.finish_reason
        reason: StopReason = STOP_WORDS.get(word.lower(), "other") if word else "other"
        if reason in ("stop", "other") and self._calls.any_whole:
            if reason == "stop" or word is None:
                reason = "tool_calls"
        elif reason == "stop" and self._refused:
            reason = "refusal"
        return StopInfo(reason, word)

    def _stop_changed(self) -> StopInfo | None:
        stop = self._stop_now()
        if stop == self._stop:
            return None
        self._stop = stop
        return stop

    def close(self) -> LLMChunk | None:
        """The end of a whole reply: ends what is open, and says why it stopped."""
        stop = self._stop_now()
        parts: list[Part] = []
        self._cite(parts)
        self._end_text(parts)
        parts += self._calls.end(stop.reason)
        audio = self._audio_part() if self._audio else None
        if audio is not None:
            parts += self._writer.whole(audio)
            self.content_seen = True
        records: tuple[Adaptation, ...] = ()
        if self._choices > 1:
            action: Any = "dropped" if self._others else "moved"
            reason = "several answers came; the first is kept"
            if not self._others:  # Copilot's way with Claude
                reason = "one message came in several choices; its parts were put together"
            records = (Adaptation("choices", action, reason, self._choices, 1),)
        changed = self._stop_changed()
        if not parts and changed is None and not records:
            return None
        return chunk_of(parts, stop=changed, adaptations=records)


def _sources_of(event: Event) -> tuple[dict[str, JSON], ...]:
    told = event.search_results or event.citations
    listed = told if isinstance(told, list) else []
    found = [{"url": s} if isinstance(s, str) else s for s in listed]
    return tuple(s for s in found if isinstance(s, dict))


def _entry_text(entry: dict[str, Any]) -> str:
    text = entry.get("text") or entry.get("summary")
    return text if isinstance(text, str) else ""


def from_data_uri(uri: str) -> BytesSource | None:
    """The content of a base64 data URI; None for any other address."""
    head, comma, data = uri.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        return None
    try:
        return BytesSource(b64decode(data, validate=True), head[5:-7])
    except (binascii.Error, ValueError):
        return None
