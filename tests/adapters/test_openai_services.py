"""What single services put into replies of Chat Completions: Perplexity's sources, Google's
thoughts."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire.adapters.openai import OpenAIAdapter
from llmwire.config import ModelConfig
from llmwire.errors import BackendError
from llmwire.providers import PROVIDERS
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, LLMMessage, ReasoningPart, TextPart, accumulate

ADAPTER = OpenAIAdapter()
ASKED = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "q"),), stream=True)
URLS = ["https://a.example", "https://b.example"]
RESULTS = [{"title": "A", "url": URLS[0]}, {"title": "B", "url": URLS[1], "date": None}]
CITED = tuple({"url": url} for url in URLS)


def events(*values: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(v).encode() + b"\n\n" for v in values)


def delta(finish: str | None = None, top: dict[str, Any] | None = None, **delta: Any) -> Any:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    return {"id": "c", "model": "m", "choices": [choice], **(top or {})}


def streamed(service: str, data: bytes, places: list[int] | None = None) -> LLMChunk:
    decoder = ADAPTER.stream_decoder(ASKED, PROVIDERS[service])
    edges = [0, *sorted(p % (len(data) + 1) for p in places or ()), len(data)]
    chunks = [c for a, b in pairwise(edges) for c in decoder.feed(data[a:b])]
    return accumulate([*chunks, *decoder.finish()])


def whole(service: str, message: dict[str, Any], **top: Any) -> LLMChunk:
    answer = {"choices": [{"message": message, "finish_reason": "stop"}], "id": "c", "model": "m"}
    body = json.dumps({**answer, **top}).encode()
    return ADAPTER.parse_response(body, ASKED, PROVIDERS[service])


# --- Perplexity ---


@pytest.mark.parametrize(
    ("top", "citations"),
    [
        ({"citations": URLS}, CITED),
        ({"citations": URLS, "search_results": RESULTS}, tuple(RESULTS)),
        ({"search_results": RESULTS}, tuple(RESULTS)),
        ({"citations": [], "search_results": None}, ()),
        ({"citations": "odd"}, ()),
        ({"citations": [5, None, URLS[0]]}, CITED[:1]),
        ({"citations": {"a": 1}}, ()),
    ],
)
def test_sources_belong_to_the_text(top: dict[str, Any], citations: Any) -> None:
    one = whole("perplexity", {"role": "assistant", "content": "Yes[1]."}, **top)
    assert one.message.parts == (TextPart("Yes[1].", citations),)
    every = [delta(top=top, content=t) for t in ("Y", "es", "[1]", ".")]
    last = delta("stop", top=top, content="")
    assert streamed("perplexity", events(*every, last)).message == one.message
    concise = [delta(content=t) for t in ("Y", "es", "[1]", ".")]
    assert streamed("perplexity", events(*concise, last)).message == one.message
    early = [delta(top=top, content=""), *concise, delta("stop")]
    assert streamed("perplexity", events(*early)).message == one.message


def test_sources_do_not_go_back() -> None:
    reply = whole("perplexity", {"role": "assistant", "content": "Yes."}, citations=URLS)
    history = (*ASKED.messages, reply.message, *ASKED.messages)
    asked = LLMRequest(model=ASKED.model, messages=history)
    said = json.loads(ADAPTER.prepare_request(asked, PROVIDERS["perplexity"]).body)["messages"]
    assert said[1] == {"role": "assistant", "content": "Yes."}


# --- Google ---

THOUGHT = {"google": {"thought": True}}


def test_thoughts_are_no_text() -> None:
    one = whole(
        "gemini-openai", {"content": "<thought>Hm. So.</thought>Four.", "extra_content": THOUGHT}
    )
    assert [(type(p), p.text) for p in one.message.parts] == [  # type: ignore[union-attr]
        (ReasoningPart, "Hm. So."),
        (TextPart, "Four."),
    ]
    data = events(
        delta(content="<thought>Hm.", extra_content=THOUGHT),
        delta(content=""),
        delta(content=" So.", extra_content=THOUGHT),
        delta(content="</thought>Fo"),
        delta(content="ur"),
        delta("stop", content="."),
    )
    got = streamed("gemini-openai", data + b"data: [DONE]\n\n")
    assert got.message == one.message
    assert got.stop == one.stop


@given(places=st.lists(st.integers(0, 2000), max_size=6))
def test_thoughts_at_any_cut(places: list[int]) -> None:
    data = events(
        delta(content="<thought>Hm.", extra_content=THOUGHT),
        delta(content="</thought>Four"),
        delta("stop", content="."),
    )
    assert streamed("gemini-openai", data, places) == streamed("gemini-openai", data)


@pytest.mark.parametrize(
    "extra", [None, 5, [], {}, {"google": None}, {"google": {"thought": False}}, {"other": THOUGHT}]
)
def test_tags_without_the_mark_are_text(extra: Any) -> None:
    """A model may write these words itself."""
    text = "<thought>a</thought>b"
    assert whole("gemini-openai", {"content": text, "extra_content": extra}).text == text
    data = events(delta("stop", content=text, extra_content=extra))
    assert streamed("gemini-openai", data).text == text


def test_thoughts_do_not_go_back() -> None:
    reply = whole("gemini-openai", {"content": "<thought>a</thought>b", "extra_content": THOUGHT})
    history = (*ASKED.messages, reply.message, *ASKED.messages)
    asked = LLMRequest(model=ASKED.model, messages=history, thinking="high")
    made = ADAPTER.prepare_request(asked, PROVIDERS["gemini-openai"])
    assert json.loads(made.body)["messages"][1] == {"role": "assistant", "content": "b"}
    assert [(a.action, a.path) for a in made.adaptations] == [("dropped", "messages[1].parts[0]")]


def test_a_cut_thought_is_kept() -> None:
    data = events(delta(content="<thought>Hm.", extra_content=THOUGHT))
    decoder = ADAPTER.stream_decoder(ASKED, PROVIDERS["gemini-openai"])
    chunks = list(decoder.feed(data))
    with pytest.raises(BackendError):
        list(decoder.finish())
    assert accumulate(chunks).reasoning == "Hm."
