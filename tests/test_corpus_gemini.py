"""Recorded traffic of generateContent, at AI Studio and at Vertex AI: every exchange, cut in four
ways. Whole answers go through the stream's decoder too: it takes one object and arrays as well."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

import corpus
from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.adapters.gemini.contents import SENTINEL
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import BackendError, IncompleteStreamError
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.request import LLMRequest
from llmwire.types import (
    AudioPart,
    ImagePart,
    LLMChunk,
    LLMMessage,
    OpaquePart,
    ReasoningPart,
    load_json,
)

IDS = corpus.exchange_ids("gemini")
if not IDS:
    pytest.skip("no corpus: set LLMWIRE_CORPUS", allow_module_level=True)

CUTS = ("whole", "line", "random", "1byte")
FIELDS = (
    "complete", "text", "reasoning", "reasoning_signatures", "refusal", "tool_calls",
    "stop_reason", "usage", "error", "extra",
)  # fmt: skip
OK = [i for i in IDS if corpus.load(i)["response"]["status"] == 200]
STREAMED = [i for i in OK if corpus.load(i)["stream"]]
ARRAYS = [i for i in OK if corpus.body_of(corpus.load(i)).lstrip().startswith(b"[")]


class Case:
    """An exchange, and what it takes to read it."""

    def __init__(self, exchange_id: str) -> None:
        self.exchange: dict[str, Any] = corpus.load(exchange_id)
        self.body = corpus.body_of(self.exchange)
        self.status: int = self.exchange["response"]["status"]
        url = urlsplit(self.exchange["request"]["url"])
        self.path = url.path
        style = "vertex-gemini" if "/publishers/" in url.path else "gemini"
        model = re.search(r"/models/([^:]+):", url.path)
        assert model is not None
        self.provider = ProviderConfig(
            self.exchange["provider"], f"{url.scheme}://{url.netloc}", api_style=style
        )
        self.adapter = ADAPTERS[style]
        self.request = LLMRequest(
            model=ModelConfig(model[1]),
            messages=(LLMMessage("user", "recorded"),),
            stream=self.exchange["stream"],
        )


def collect(case: Case, pieces: Iterable[bytes]) -> tuple[LLMChunk, BackendError | None]:
    """A stream's sum, and the error that ended it."""
    decoder = case.adapter.stream_decoder(case.request, case.provider)
    builder, error = ChunkBuilder(), None
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                builder.add(chunk)
        for chunk in decoder.finish():
            builder.add(chunk)
    except BackendError as e:
        error = e
    return builder.result(), error


def signatures_of(reply: LLMChunk) -> list[str]:
    """All thought signatures in their order, wherever they stand."""
    out = []
    for part in reply.message.parts:
        if isinstance(part, ReasoningPart):
            out.append(part.signature)
        elif isinstance(part, OpaquePart):
            out.append(load_json(part.data).get("thoughtSignature"))
        elif part.native is not None and isinstance(part.native.payload, dict):
            out.append(part.native.payload.get("thoughtSignature"))
    return [s for s in out if s is not None]


def reading(reply: LLMChunk, error: BackendError | None) -> dict[str, Any]:
    """In the form of the corpus's answers, which have a name of their own for some things here."""
    got = corpus.reading(close_open_parts(reply), error)
    got["reasoning_signatures"] = signatures_of(reply)
    got["extra"].pop("citations", None)  # the answers do not count this wire's
    got["extra"].pop("blocks", None)
    kinds = {ImagePart: "inlineData", AudioPart: "inlineData"}
    kept = [p.kind if isinstance(p, OpaquePart) else kinds.get(type(p))
            for p in reply.message.parts]  # fmt: skip
    if parts := [kind for kind in kept if kind is not None]:
        got["extra"]["parts"] = parts
    details = (reply.stop.details or {}) if reply.stop is not None else {}
    if "promptFeedback" in details:
        got["extra"]["block_reason"] = got["stop_reason"]
        got["stop_reason"] = None
    return got


def differing(case: Case, got: dict[str, Any], want: dict[str, Any]) -> dict[str, Any]:
    also = want["agrees"] if isinstance(want.get("agrees"), dict) else {}
    if isinstance(want["stop_reason"], int):  # our word is a text, of digits where it was a number
        want = {**want, "stop_reason": str(want["stop_reason"])}
    return {
        field: (got[field], want[field])
        for field in FIELDS
        if got[field] != want[field] and (field not in also or got[field] != also[field])
    }


def test_all_recorded_exchanges_are_compared() -> None:
    assert len(IDS) == 50
    assert (len(STREAMED), len(ARRAYS)) == (15, 3)


@pytest.mark.parametrize("exchange_id", IDS)
def test_reading(exchange_id: str) -> None:
    case, want = Case(exchange_id), corpus.expected(exchange_id)
    if case.status >= 400:
        headers = case.exchange["response"]["headers"]
        error = case.adapter.parse_error(
            case.status, headers, case.body, case.request, case.provider
        )
        assert not differing(case, reading(LLMChunk(), error), want)
        return
    if not case.exchange["stream"]:
        whole = case.adapter.parse_response(case.body, case.request, case.provider)
        assert not differing(case, reading(whole, None), want)
    for cut, pieces in corpus.cuts(case.body, seed=len(case.body)).items():
        reply, error = collect(case, pieces)
        assert not differing(case, reading(reply, error), want), cut
        if not case.exchange["stream"]:
            assert reply == whole, cut


@pytest.mark.parametrize("exchange_id", STREAMED)
def test_a_stream_cut_after_any_event_is_no_success(exchange_id: str) -> None:
    """Incomplete until the event with the finish reason has come."""
    case = Case(exchange_id)
    whole, failure = collect(case, [case.body])
    assert failure is None
    ends = [match.end() for match in re.finditer(rb"\r?\n\r?\n", case.body)]
    assert ends
    for end in (0, *ends):
        reply, error = collect(case, [case.body[:end]])
        if b'"finishReason"' in case.body[:end]:
            assert error is None
            assert reply.message == whole.message
        else:
            assert isinstance(error, IncompleteStreamError), end
            assert whole.text.startswith(reply.text)
            assert all(call in whole.tool_calls for call in reply.tool_calls)


@pytest.mark.parametrize("exchange_id", ARRAYS)
def test_an_array_cut_anywhere_is_no_success(exchange_id: str) -> None:
    case = Case(exchange_id)
    end = case.body.rstrip()
    for n in {*range(0, len(end), 97), len(end) - 1}:
        _, error = collect(case, [end[:n]])
        assert isinstance(error, IncompleteStreamError), n
    assert collect(case, [end])[1] is None


@pytest.mark.parametrize("exchange_id", OK)
def test_what_a_model_said_goes_back_to_it(exchange_id: str) -> None:
    """Signatures stand byte for byte on their own parts, in the recorded order; so do calls and
    what we keep without knowing it."""
    case = Case(exchange_id)
    reply, _ = collect(case, [case.body])
    calls = reply.message.tool_calls
    if not reply.message.parts:
        return
    results = [LLMMessage("tool", "done", tool_call_id=c.id or "") for c in calls]
    history = (LLMMessage("user", "recorded"), reply.message, *results, LLMMessage("user", "?"))
    provider = replace(case.provider, api_key_env_var="KEY")
    prepared = case.adapter.prepare_request(replace(case.request, messages=history), provider)
    contents = json.loads(prepared.body)["contents"]
    assert [c["role"] for c in contents[:2]] == ["user", "model"]
    said = [_comparable(p) for p in contents[1]["parts"]]
    assert said == [_comparable(p) for p in _joined(_events(case.body))]


def _events(body: bytes) -> list[dict[str, Any]]:
    if body.lstrip()[:1] in (b"[", b"{"):
        found = json.loads(body)
        return found if isinstance(found, list) else [found]
    lines = re.split(rb"\r?\n", body)
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]


def _joined(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The recorded parts by the rules of the wire: bare texts of one kind are joined, and so are
    the pieces of a call; everything else stays as it is."""
    out: list[dict[str, Any]] = []
    for event in events:
        for candidate in event.get("candidates", ()):
            for part in (candidate.get("content") or {}).get("parts") or ():
                call = part.get("functionCall")
                bare = set(part) <= {"text", "thought"}
                if bare and not part["text"]:
                    continue
                if bare and out and set(out[-1]) == set(part):
                    out[-1] = {**out[-1], "text": out[-1]["text"] + part["text"]}
                elif call is not None and "name" not in call:
                    for piece in call.get("partialArgs", ()):
                        args = out[-1]["functionCall"].setdefault("args", {})
                        key = piece["jsonPath"].removeprefix("$.")
                        args[key] = args.get(key, "") + piece["stringValue"]
                else:
                    out.append(json.loads(json.dumps(part)))
    return out


def _comparable(part: dict[str, Any]) -> dict[str, Any]:
    """A part as it is meant: without the marks of a stream, and what stands for no signature."""
    part = {k: v for k, v in part.items() if v != SENTINEL}
    if "functionCall" in part:
        call = {k: v for k, v in part["functionCall"].items() if k != "willContinue"}
        part["functionCall"] = {**call, "args": call.get("args") or {}}
    return part


@pytest.mark.parametrize("exchange_id", OK)
def test_recorded_requests_are_heard_and_said_again(exchange_id: str) -> None:
    """Our server refuses nothing that the API has answered, and our client says it again."""
    case = Case(exchange_id)
    sent = case.exchange["request"]["body"]
    if not isinstance(sent, dict):
        return
    half = SERVER_HALVES[case.provider.api_style]
    assert half.matches("POST", case.path)
    heard = half.parse_request("POST", case.path, {}, json.dumps(sent).encode()).request
    provider = replace(case.provider, name="", api_key_env_var="KEY")
    again = case.adapter.prepare_request(heard, provider)
    said = half.parse_request("POST", again.endpoint, again.headers, again.body).request
    assert said.messages == heard.messages
    assert said.tools == heard.tools
    assert said.extra_body == heard.extra_body
    assert (said.max_tokens, said.output, said.stop) == (heard.max_tokens, heard.output, heard.stop)
