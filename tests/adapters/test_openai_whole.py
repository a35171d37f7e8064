"""Whole answers: the short way to plain ones says what the general one says, or stands aside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus
from llmwire.adapters.openai.reply import ReplyReader
from llmwire.adapters.openai.stream import read_whole
from llmwire.adapters.openai.whole import plain_answer
from llmwire.config import Dialect, ModelConfig, ProviderConfig
from llmwire.request import LLMRequest
from llmwire.types import LLMChunk, LLMMessage, accumulate

PROVIDER = ProviderConfig("p", "http://127.0.0.1/v1")
REQUEST = LLMRequest(model=ModelConfig("m"), messages=(LLMMessage("user", "hi"),))


def general(body: bytes, provider: ProviderConfig = PROVIDER) -> LLMChunk:
    return accumulate(read_whole(ReplyReader("openai", REQUEST, provider), body))


def answer(message: dict[str, Any], choice: dict[str, Any] | None = None, **top: Any) -> bytes:
    message = {"role": "assistant", "content": "Hello", **message}
    entry = {"index": 0, "message": message, "finish_reason": "stop", **(choice or {})}
    return json.dumps({"id": "x", "model": "m", "choices": [entry], **top}).encode()


COUNTS = st.one_of(st.none(), st.integers(0, 10**9), st.booleans(), st.just("7"), st.just(1.5))
DETAILS = st.one_of(
    st.none(),
    st.dictionaries(
        st.sampled_from(("cached_tokens", "cache_write_tokens", "reasoning_tokens", "other")),
        COUNTS,
    ),
)
USAGE = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "prompt_tokens": COUNTS,
            "completion_tokens": COUNTS,
            "total_tokens": COUNTS,
            "cached_tokens": COUNTS,
            "prompt_tokens_details": DETAILS,
            "completion_tokens_details": DETAILS,
            "list": st.lists(COUNTS, max_size=2),
        },
    ),
)


@given(
    text=st.text(min_size=1),
    word=st.sampled_from(("stop", "length", "STOP", "content_filter", "never_seen", "tool_calls")),
    usage=USAGE,
    outside=st.booleans(),
    more=st.dictionaries(
        st.sampled_from(("service_tier", "system_fingerprint", "created", "object")), st.text()
    ),
)
def test_plain_answers_mean_the_same(
    text: str, word: str, usage: Any, outside: bool, more: dict[str, str]
) -> None:
    provider = ProviderConfig(
        "p", "http://127.0.0.1/v1", dialect=Dialect(reasoning_outside_output=outside)
    )
    body = answer({"content": text}, {"finish_reason": word, "logprobs": None}, usage=usage, **more)
    plain = plain_answer(body, provider)
    assert plain == general(body, provider)


NOT_PLAIN = {
    "a tool call": answer({"tool_calls": [{"id": "c", "function": {"name": "f"}}]}),
    "reasoning": answer({"reasoning_content": "hm"}),
    "reasoning by another name": answer({"thoughts": "hm"}),
    "a refusal": answer({"refusal": "no"}),
    "citations": answer({"annotations": [{"type": "url_citation"}]}),
    "a sound": answer({"audio": {"id": "a"}}),
    "no text": answer({"content": ""}),
    "blocks": answer({"content": [{"type": "text", "text": "x"}]}),
    "an error beside it": answer({}, error={"message": "boom"}),
    "an error in the choice": answer({}, {"error": {"message": "boom"}}),
    "usage in the choice": answer({}, {"usage": {"prompt_tokens": 1}}),
    "a word for an error": answer({}, {"finish_reason": "error"}),
    "no finish reason": answer({}, {"finish_reason": None}),
    "another answer": answer({}, {"index": 1}),
    "Groq's box": answer({}, x_groq={"usage": {}}),
    "MiniMax's box": answer({}, base_resp={"status_code": 1004}),
    "two answers": json.dumps({"choices": [json.loads(answer({}))["choices"][0]] * 2}).encode(),
    "no JSON": b"<html>",
}


@pytest.mark.parametrize("case", NOT_PLAIN)
def test_what_is_more_is_left_to_the_general_reader(case: str) -> None:
    assert plain_answer(NOT_PLAIN[case], PROVIDER) is None


WHOLE = [
    i
    for i in corpus.exchange_ids("openai-chat")
    if not (x := corpus.load(i))["stream"] and x["response"]["status"] == 200
]


@pytest.mark.parametrize("exchange_id", WHOLE)
def test_recorded_answers_mean_the_same(exchange_id: str) -> None:
    exchange = corpus.load(exchange_id)
    body, provider = corpus.body_of(exchange), corpus.provider_of(exchange)
    plain = plain_answer(body, provider)
    if plain is not None:
        reader = ReplyReader("openai", corpus.request_of(exchange), provider)
        assert plain == accumulate(read_whole(reader, body))
