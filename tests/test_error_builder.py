"""Answers with errors: bodies of every shape, statuses, wordings, waiting times, secrets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus
from llmwire import errors
from llmwire.error_body import LONGEST_WAIT, mask_secrets, parse_duration
from llmwire.error_builder import BackendErrorBuilder, parse_retry_after
from llmwire.error_tables import KINDS, WORDINGS, Kind, Wording
from llmwire.errors import BackendError, StreamError, stream_twin

CLASS_OF: dict[Kind, type[BackendError]] = {
    "too_large": errors.RequestTooLargeError,
    "quota": errors.QuotaError,
    "auth": errors.AuthenticationError,
    "filter": errors.ContentFilterError,
    "context": errors.ContextTooLongError,
    "history": errors.HistoryRejectedError,
    "model": errors.ModelNotFoundError,
    "overloaded": errors.OverloadedError,
    "maybe_quota": errors.QuotaError,
    "rate": errors.RateLimitError,
}
STATUS_OF: dict[Kind, int] = {
    "too_large": 413, "quota": 429, "auth": 400, "filter": 400, "context": 400, "history": 400,
    "model": 400, "overloaded": 500, "maybe_quota": 429, "rate": 429,
}  # fmt: skip


def http(status: int, body: Any = b"", **headers: str) -> BackendError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return BackendErrorBuilder.build_http_error(
        status=status, headers=named, body=raw, provider="acme", api="openai", model="m-1"
    )


def stream(error: Any) -> BackendError:
    return BackendErrorBuilder.build_stream_error(error=error, provider="acme", api="openai")


def says(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


# --- recorded traffic -------------------------------------------------------------------------

ALL_APIS = (
    "openai-chat", "anthropic-messages", "vertex-anthropic", "mistral-chat", "gemini",
    "bedrock-converse", "openai-responses",
)  # fmt: skip
RECORDED = [
    i for i in corpus.exchange_ids(*ALL_APIS) if (corpus.expected(i).get("error"))
]  # fmt: skip


@pytest.mark.parametrize("exchange_id", RECORDED)
def test_recorded_errors(exchange_id: str) -> None:
    exchange, wanted = corpus.load(exchange_id), corpus.expected(exchange_id)["error"]
    response = exchange["response"]
    headers = dict(response["headers"])
    body = corpus.body_of(exchange)
    if response["status"] >= 400 or not exchange["stream"]:
        error = BackendErrorBuilder.build_http_error(
            status=response["status"], headers=headers, body=body, provider=exchange["provider"]
        )
    else:
        error = stream(_error_event(body))
    assert error.status == wanted["status"]
    assert error.type == wanted["type"]
    assert error.provider_message == wanted["message"]
    assert wanted["message"][:80].split("\n")[0] in str(error)
    assert isinstance(error, StreamError) == (response["status"] == 200)


def _error_event(body: bytes) -> Any:
    for line in body.split(b"\n"):
        if line.startswith(b"data:") and b'"error"' in line:
            event = json.loads(line[5:])
            if event.get("error") or (event.get("response") or {}).get("error"):
                return event
    raise AssertionError("no error in it")


# --- bodies -----------------------------------------------------------------------------------

SHAPES = [
    ("OpenAI", says("m", type="t", code="c"), ("m", "t", "c")),
    ("Anthropic", {"type": "error", **says("m", type="t")}, ("m", "t", None)),
    ("Google", says("m", code=400, status="INVALID_ARGUMENT"), ("m", "INVALID_ARGUMENT", "400")),
    ("Google, in a list", [says("m", code=400, status="S")], ("m", "S", "400")),
    ("AWS", {"message": "m", "__type": "com.amazon#ValidationException"},
     ("m", "ValidationException", None)),
    ("AWS, upper case", {"Message": "m"}, ("m", None, None)),
    ("vLLM", {"object": "error", "message": "m", "type": "t", "code": 400}, ("m", "t", "400")),
    ("gateway", {"message": "m", "request_id": "r"}, ("m", None, None)),
    ("FastAPI", {"detail": "m"}, ("m", None, None)),
    ("FastAPI list", {"detail": [{"loc": ["body", "n", 0], "msg": "m", "type": "x"},
                                 {"loc": ["body"], "msg": "q"}]}, ("body.n.0: m; body: q", None, None)),
    ("bare FastAPI list", [{"loc": ["body"], "msg": "m"}], ("body: m", None, None)),
    ("Mistral, object message", {"object": "error", "message": {"detail": [{"msg": "m", "loc": []}]},
                                 "type": "t"}, ("m", "t", None)),
    ("xAI", {"code": "invalid-argument", "error": "m"}, ("m", "invalid-argument", "invalid-argument")),
    ("Ollama", {"error": "m"}, ("m", None, None)),
    ("DashScope", {"code": "C", "message": "m", "request_id": "r"}, ("m", "C", "C")),
    ("MiniMax", {"base_resp": {"status_code": 1008, "status_msg": "m"}}, ("m", None, "1008")),
    ("Cloudflare API", {"errors": [{"code": 7, "message": "m"}], "success": False}, ("m", None, None)),
    ("problem+json", {"title": "T", "detail": "m", "status": 400}, ("m", "400", None)),
    ("only a type", {"error": {"type": "t"}}, (None, "t", None)),
    ("Responses", {"type": "response.failed", "response": {"error": {"code": "c", "message": "m"}}},
     ("m", "c", "c")),
    ("Groq chunk", {"id": "x", "x_groq": {"error": "m"}}, ("m", None, None)),
    ("OpenRouter choice", {"choices": [{"error": {"code": 502, "message": "m"}}]}, ("m", "502", "502")),
    ("a string", "m", ("m", None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "wanted"), SHAPES, ids=[s[0] for s in SHAPES])
def test_body_shapes(name: str, body: Any, wanted: tuple[Any, ...]) -> None:
    error = http(400, body)
    message, kind, code = wanted
    assert (error.provider_message, error.code) == (message, code)
    assert error.type == kind
    assert (message or kind) in str(error)


def test_words_in_other_places() -> None:
    html = b"<!DOCTYPE html><html><head><title>502 Bad &amp; Gateway</title></head>x</html>"
    assert http(502, html).provider_message == "502 Bad & Gateway"
    assert "web page" in str(http(502, html))
    assert (
        http(502, b"<html><body><h1>Sorry <b>now</b></h1></body></html>").provider_message
        == "Sorry now"
    )
    assert http(400, b"plain words").provider_message == "plain words"
    framed = b'event: error\ndata: {"error":{"message":"m","type":"t"}}\n\n'
    assert http(400, framed).provider_message == "m"
    assert http(400, b'\xef\xbb\xbf{"error":"m"}').provider_message == "m"
    aws = http(403, {"message": "m"}, **{"X-Amzn-ErrorType": "AccessDeniedException:http://x"})
    assert aws.type == "AccessDeniedException"


@pytest.mark.parametrize(
    "body",
    [b"", b"   ", b"null", b"[]", b"{}", b"[[]]", b'{"error":null}', b'{"error":{}}', b'{"error":[]}',
     b'{"error":""}', b'{"error":true}', b'{"message":null}', b'{"message":{}}', b'{"detail":[]}',
     b'{"detail":[null,[]]}', b'{"error":{"message":"","code":null}}', b"<html></html>"],
)  # fmt: skip
def test_bodies_that_say_nothing(body: bytes) -> None:
    error = http(500, body)
    assert type(error) is errors.ServerError
    assert error.provider_message is None
    assert "Internal Server Error" in str(error)


def test_an_upstream_error_inside_the_error() -> None:
    raw = json.dumps(says("prompt is too long: 213462 tokens > 200000 maximum"))
    error = http(400, says("Provider returned error", code=400,
                           metadata={"provider_name": "Anthropic", "raw": raw}))  # fmt: skip
    assert type(error) is errors.ContextTooLongError
    assert (error.limit, error.requested) == (200000, 213462)
    assert error.provider_message == "Provider returned error"
    assert "213462" in error.message
    moderated = http(403, says("no", code=403, metadata={"reasons": ["x"], "flagged_input": "y"}))
    assert type(moderated) is errors.ContentFilterError


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "detail", "details", "code", "status", "type", "metadata", "raw",
                 "errors", "base_resp", "loc", "msg", "innererror", "response", "violations",
                 "retryDelay", "quotaId", "request_id", "x_groq", "@type", "reason"]
            ), inner, max_size=4)
    ),
    max_leaves=15,
)  # fmt: skip


@given(
    JSON_VALUES,
    st.integers(),
    st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
)
def test_nothing_breaks_the_builder(value: Any, status: int, headers: dict[str, str]) -> None:
    raw = json.dumps(value).encode()
    whole = BackendErrorBuilder.build_http_error(status=status, headers=headers, body=raw)
    inside = BackendErrorBuilder.build_stream_error(error=value)
    for error in (whole, inside):
        assert isinstance(error, BackendError)
        assert len(str(error)) < 5000
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", str(error))
    assert isinstance(inside, StreamError)


@given(st.binary(max_size=200), st.integers(100, 999))
def test_any_bytes(body: bytes, status: int) -> None:
    assert isinstance(
        BackendErrorBuilder.build_http_error(status=status, headers={}, body=body), BackendError
    )


def test_deep_and_large_bodies() -> None:
    assert isinstance(http(400, b"[" * 100_000), errors.InvalidRequestError)
    deep = b'{"error":' * 5_000 + b'"m"' + b"}" * 5_000
    assert isinstance(http(400, deep), errors.InvalidRequestError)
    error = http(400, says("x" * 1_000_000))
    assert len(str(error)) < 5000
    assert error.provider_message is not None
    assert len(error.provider_message) < 5000
    assert len(error.body_excerpt) <= 401


# --- statuses ---------------------------------------------------------------------------------

STATUSES = [
    (300, errors.StatusError, False), (307, errors.StatusError, False),
    (400, errors.InvalidRequestError, False), (401, errors.AuthenticationError, False),
    (402, errors.QuotaError, False), (403, errors.PermissionDeniedError, False),
    (404, errors.NotFoundError, False), (405, errors.InvalidRequestError, False),
    (408, errors.ServerError, True), (409, errors.ConflictError, True),
    (413, errors.RequestTooLargeError, False), (418, errors.InvalidRequestError, False),
    (422, errors.InvalidRequestError, False), (424, errors.ServerError, True),
    (425, errors.ServerError, True), (429, errors.RateLimitError, True),
    (451, errors.PermissionDeniedError, False), (498, errors.OverloadedError, True),
    (499, errors.StatusError, False), (500, errors.ServerError, True),
    (501, errors.ServerError, False), (502, errors.ServerError, True),
    (503, errors.OverloadedError, True), (504, errors.ServerError, True),
    (520, errors.ServerError, True), (524, errors.ServerError, True),
    (529, errors.OverloadedError, True), (599, errors.ServerError, True),
    (600, errors.StatusError, False), (999, errors.StatusError, False),
    (10**9, errors.StatusError, False),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "retryable"), STATUSES)
def test_status_alone(status: int, kind: type[BackendError], retryable: bool) -> None:
    error = http(status, says("m"))
    assert (type(error), error.retryable, error.status) == (kind, retryable, status)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("status", [-1, 0, 100, 200, 204])
def test_a_status_that_is_no_error_gives_the_twin(status: int) -> None:
    error = http(status, says("m", type="rate_limit_error"))
    assert type(error) is errors.StreamRateLimitError
    assert error.status == status


def test_should_retry_header_overrides() -> None:
    assert http(500, b"", x_should_retry="false").retryable is False
    assert http(400, b"", x_should_retry="true").retryable is True
    assert http(500, b"", x_should_retry="maybe").retryable is True
    assert http(402, b"", x_should_retry="true").retryable is False


def test_redirects_say_where_to() -> None:
    error = http(308, b"", location="https://new.example/v1?key=abc")
    assert "https://new.example/v1" in error.message
    assert "abc" not in str(error)


# --- wordings ---------------------------------------------------------------------------------


def rows_with_patterns() -> list[Wording]:
    return [w for w in WORDINGS if w.pattern]


@pytest.mark.parametrize("row", rows_with_patterns(), ids=lambda w: f"{w.kind}-{w.sample[:40]}")
def test_every_wording_matches_its_sample(row: Wording) -> None:
    found = re.search(row.pattern, row.sample, re.IGNORECASE | re.MULTILINE)
    assert found, "the row does not match its own sample"
    error = http(STATUS_OF[row.kind], says(row.sample))
    assert type(error) is CLASS_OF[row.kind]
    assert type(stream(says(row.sample))) is stream_twin(CLASS_OF[row.kind])
    assert error.provider_message == row.sample
    assert row.vendor
    assert row.seen
    groups = found.groupdict()
    for name in ("limit", "requested"):
        if name in groups:
            assert isinstance(getattr(error, name), int), (
                f"{name} is in the pattern, not in the sample"
            )


CODES = [(w, code) for w in WORDINGS for code in w.codes]


@pytest.mark.parametrize(("row", "code"), CODES, ids=[c for _, c in CODES])
def test_every_code_is_known(row: Wording, code: str) -> None:
    if code.startswith("base_resp "):
        body: dict[str, Any] = {"base_resp": {"status_code": int(code[10:]), "status_msg": "no"}}
    else:
        body = says("no", code=code)
    assert type(stream(body)) is stream_twin(CLASS_OF[row.kind])
    assert type(http(STATUS_OF[row.kind], body)) is CLASS_OF[row.kind]


def test_kinds_are_complete() -> None:
    assert {w.kind for w in WORDINGS} == set(KINDS)


def test_rows_of_one_kind_do_not_swallow_each_others_numbers() -> None:
    """Each sample with numbers gets both from whichever row of its kind matches first."""
    for row in WORDINGS:
        if row.kind == "context" and "(?P<requested>" in row.pattern:
            error = http(400, says(row.sample))
            assert (error.limit is not None, error.requested is not None) == (True, True), (
                row.sample
            )


NUMBERS = [
    ("prompt is too long: 213,462 tokens > 200,000 maximum", 200000, 213462),
    ("input length and `max_tokens` exceed context limit: 188059 + 20000 > 200000", 200000, 208059),
    ("This endpoint's maximum context length is 8192 tokens. However, you requested about 9000 "
     "tokens (8000 of text input, 1000 in the output).", 8192, 9000),
    ("This model's maximum context length is 4097 tokens. Please reduce the length.", 4097, None),
    ("Requested token count exceeds the model's maximum context length of 131072 tokens", 131072, None),
    ("prompt token count of 140000 exceeds the limit of 128000", 128000, 140000),
    ("The input token count exceeds the maximum number of input tokens allowed (1048576).", 1048576, None),
    ("Input length 265330 exceeds the maximum allowed input length of 262144 tokens.", 262144, 265330),
]  # fmt: skip


@pytest.mark.parametrize(("text", "limit", "requested"), NUMBERS)
def test_context_numbers(text: str, limit: int | None, requested: int | None) -> None:
    error = http(400, says(text))
    assert type(error) is errors.ContextTooLongError
    assert error.is_context_too_long
    assert (error.limit, error.requested) == (limit, requested)


NOT_CONTEXT = [
    (429, "Rate limit reached: too many tokens per minute"),
    (400, "max_tokens: 200000 > 64000, which is the maximum output tokens allowed for this model. "
          "Please reduce the length of the messages."),
    (400, "The image is too large: prompt is too long for the image"),
    (400, "thinking budget exceeds the context window"),
    (413, "413 Request Entity Too Large"),
    (500, "prompt is too long: 213462 tokens > 200000 maximum"),
    (429, "Too many tokens, please wait before trying again."),
    (401, "prompt is too long"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "text"), NOT_CONTEXT)
def test_context_guards(status: int, text: str) -> None:
    assert not http(status, says(text)).is_context_too_long


def test_context_needs_no_prose_with_a_code() -> None:
    error = http(400, says("Please check your images", code="context_length_exceeded"))
    assert type(error) is errors.ContextTooLongError


def google(message: str = "You exceeded your current quota, please check your plan and billing details.",
           *, quota: str = "", value: str = "10", delay: str = "13s") -> dict[str, Any]:  # fmt: skip
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    ]
    if quota:
        violation = {"quotaId": quota, "quotaValue": value}
        details.insert(0, {"@type": "x/google.rpc.QuotaFailure", "violations": [violation]})
    return says(message, code=429, status="RESOURCE_EXHAUSTED", details=details)


def test_google_per_minute_is_a_rate_limit_and_per_day_is_quota() -> None:
    minute = http(429, google(quota="GenerateRequestsPerMinutePerProjectPerModel-FreeTier"))
    assert (type(minute), minute.retry_after) == (errors.RateLimitError, 13.0)
    day = http(429, google(quota="GenerateRequestsPerDayPerProjectPerModel-FreeTier"))
    assert (type(day), day.retryable) == (errors.QuotaError, False)
    nothing = http(429, google(quota="GenerateRequestsPerMinute", value="0"))
    assert type(nothing) is errors.QuotaError
    assert type(http(429, google())) is errors.RateLimitError
    gone = http(429, google("Your prepayment credits are depleted."))
    assert type(gone) is errors.QuotaError


def test_openai_quota_and_rate_limit_share_words() -> None:
    words = "You exceeded your current quota, please check your plan and billing details."
    assert type(http(429, says(words, code="insufficient_quota"))) is errors.QuotaError
    assert type(http(429, says(words))) is errors.QuotaError
    fast = ("Rate limit reached for gpt-4o on requests per min (RPM): Limit 3. Please try again in "
            "20s. Add a payment method at https://platform.openai.com/account/billing")  # fmt: skip
    error = http(429, says(fast, code="rate_limit_exceeded"))
    assert (type(error), error.retry_after) == (errors.RateLimitError, 20.0)


def test_more_tokens_than_the_plan_ever_lets_through() -> None:
    text = ("Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Requested {}. The input or output tokens must be reduced.")  # fmt: skip
    error = http(429, says(text.format(45000), code="rate_limit_exceeded", type="tokens"))
    assert (type(error), error.limit, error.requested) == (
        errors.RequestTooLargeError,
        30000,
        45000,
    )
    assert error.retryable is False
    busy = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000."
    assert type(http(429, says(busy))) is errors.RateLimitError
    groq = http(413, says("Request too large for model `x` on tokens per minute (TPM): Limit 6000, "
                          "Requested 9000"))  # fmt: skip
    assert (type(groq), groq.requested) == (errors.RequestTooLargeError, 9000)


def test_wordings_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the wheels came off at 12 of 10 tokens"
    assert type(http(400, says(text))) is errors.InvalidRequestError
    pattern = r"wheels came off at (?P<requested>\d+) of (?P<limit>\d+)"
    row = Wording("context", "Acme", text, "2026-11-24", pattern)
    monkeypatch.setattr("llmwire.error_builder.WORDINGS", [*WORDINGS, row])
    error = http(400, says(text))
    assert (type(error), error.limit, error.requested) == (errors.ContextTooLongError, 10, 12)


# --- inside a 200 -----------------------------------------------------------------------------

INSIDE: list[tuple[Any, type[BackendError], bool]] = [
    ({"type": "overloaded_error", "message": "Overloaded"}, errors.OverloadedError, True),
    ({"type": "rate_limit_error", "message": "m"}, errors.RateLimitError, True),
    ({"type": "api_error", "message": "Internal server error"}, errors.ServerError, True),
    ({"type": "timeout_error", "message": "m"}, errors.ServerError, True),
    ({"type": "permission_error", "message": "m"}, errors.PermissionDeniedError, False),
    ({"type": "not_found_error", "message": "m"}, errors.NotFoundError, False),
    ({"type": "invalid_request_error", "message": "m"}, errors.InvalidRequestError, False),
    ({"type": "request_too_large", "message": "m"}, errors.RequestTooLargeError, False),
    ({"type": "billing_error", "message": "m"}, errors.QuotaError, False),
    ({"code": 502, "message": "Provider returned error"}, errors.ServerError, True),
    ({"code": "429", "message": "m"}, errors.RateLimitError, True),
    ({"code": 400, "message": "rate_limit is a bad name"}, errors.InvalidRequestError, False),
    ({"type": "invalid_request_error", "status_code": 400, "code": "tool_use_failed"},
     errors.InvalidRequestError, False),
    ({"code": "insufficient_quota", "type": "insufficient_quota"}, errors.QuotaError, False),
    ({"code": "server_error", "message": "m"}, errors.ServerError, True),
    ({"type": "throttlingException", "message": "m"}, errors.RateLimitError, True),
    ({"type": "validationException", "message": "m"}, errors.InvalidRequestError, False),
    ({"type": "modelStreamErrorException", "message": "m"}, errors.ServerError, True),
    ({"code": 1305, "message": "m"}, errors.RateLimitError, True),
    ("model is at capacity", errors.OverloadedError, True),
    ("http2 stream failed", errors.ServerError, True),
    ("prompt is too long: 9 tokens > 8 maximum", errors.ContextTooLongError, False),
    (["odd"], errors.ServerError, True),
    (None, errors.ServerError, True),
]  # fmt: skip


@pytest.mark.parametrize(("error", "kind", "retryable"), INSIDE)
def test_errors_inside_a_200(error: Any, kind: type[BackendError], retryable: bool) -> None:
    for form in (error, {"error": error}, {"type": "error", "error": error}):
        built = stream(form)
        assert type(built) is stream_twin(kind)
        assert isinstance(built, kind)
        assert built.retryable is retryable
        assert (built.status, built.phase) == (200, "stream")


# --- ids, headers, secrets --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["X-Request-Id", "request-id", "x-amzn-RequestId", "x-goog-request-id", "apim-request-id",
     "mistral-correlation-id", "CF-RAY"],
)  # fmt: skip
def test_request_ids(name: str) -> None:
    error = http(500, b"{}", **{name: "req-1"})
    assert error.request_id == "req-1"
    assert "request req-1" in str(error)


def test_request_id_in_the_body() -> None:
    assert http(500, {"error": {"message": "m"}, "request_id": "req-2"}).request_id == "req-2"
    both = http(500, {"message": "m", "request_id": "req-2"}, request_id="req-1")
    assert both.request_id == "req-1"


def test_secrets_stay_out() -> None:
    key = "sk-proj-abcdefghijklmnop1234"
    body = says(f"bad key {key}", param={"Authorization": f"Bearer {key}"}, key="AIza" + "x" * 35)
    error = BackendErrorBuilder.build_http_error(
        status=400,
        headers={"Authorization": f"Bearer {key}", "Set-Cookie": "a=b", "X-Api-Key": key,
                 "x-goog-api-key": "k", "X-Echo": f"Bearer {key}", "Content-Type": "text/x",
                 "anthropic-ratelimit-tokens-limit": "5", "X-Amz-Security-Token": "t"},
        body=json.dumps(body).encode(), provider="acme", endpoint="/v1?key=abcdef123",
    )  # fmt: skip
    everything = repr(vars(error)) + str(error) + repr(error)
    for secret in (key, "AIzax", "a=b", "abcdef123"):
        assert secret not in everything
    assert error.headers == {
        "x-echo": "Bearer ***", "content-type": "text/x", "anthropic-ratelimit-tokens-limit": "5",
    }  # fmt: skip
    assert error.provider_message == "bad key sk-***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [("Bearer k-123", "Bearer ***"), ("bearer " + "x" * 20, "bearer ***"),
     ("Basic dXNlcjpwYXNz==", "Basic ***"),
     ("https://u:p@host/x", "https://***@host/x"), ('{"api_key": "abcdefgh"}', '{"api_key": "***"}'),
     ('{\\"api_key\\": \\"abcdefgh\\"}', '{\\"api_key\\": \\"***\\"}'),
     ("password=abc123def", "password=***"), ("?key=abc&x=1", "?key=***&x=1"),
     ("eyJhbGciOiJI.eyJzdWIiOiIx.sig", "eyJ***"), ("ya29.a0Af_something-long", "ya29***"),
     ("AKIAIOSFODNN7EXAMPLE", "AKIA***"), ("gsk_abcdefghijklmnopqr1", "gsk_***")],
)  # fmt: skip
def test_masking(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


@pytest.mark.parametrize(
    "text",
    ["max_tokens: 4096 exceeds", "the task-oriented approach", "Missing bearer or basic authentication in header",
     "Your Basic plan has no access", "api_key: Field required", "body.password: Missing value",
     "Incorrect API key provided: sk-ab***yz.", "write to help@example.com", "sk-learn-based-models"],
)  # fmt: skip
def test_words_are_not_masked(text: str) -> None:
    assert mask_secrets(text) == text


def test_a_message_says_who_and_what_to_do() -> None:
    error = http(401, says("invalid x-api-key", type="authentication_error"), request_id="r-1")
    assert error.message == (
        "acme: the key was not accepted (Unauthorized): invalid x-api-key. "
        "Check the key, and that it belongs to this address."
    )
    assert str(error) == error.message + " [acme/m-1, HTTP 401, request r-1]"
    assert "Try again in 5 s" in http(429, says("slow"), retry_after="5").message


# --- waiting times ----------------------------------------------------------------------------

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:50 GMT"  # NOW + 30
WAITS: list[tuple[dict[str, str], Any, str, float | None]] = [
    ({"retry-after": "5"}, None, "", 5.0),
    ({"retry-after": " 1.5 "}, None, "", 1.5),
    ({"retry-after": "0"}, None, "", 0.0),
    ({"retry-after-ms": "1500", "retry-after": "9"}, None, "", 1.5),
    ({"retry-after-ms": "junk", "retry-after": "9"}, None, "", 9.0),
    ({"retry-after": "6m0s"}, None, "", 360.0),
    ({"retry-after": DATE}, None, "", 30.0),
    ({"retry-after": DATE, "date": "Tue, 14 Nov 2023 22:13:40 GMT"}, None, "", 10.0),
    ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, None, "", 0.0),
    ({"retry-after": "Tue, 99 Foo 2023 22:00:00 GMT"}, None, "", None),
    ({}, google(delay="34.4s"), "", 34.4),
    ({}, [google(delay="2s")], "", 2.0),
    ({}, google(delay="soon"), "", None),
    ({"retry-after": "5"}, google(delay="34.4s"), "try again in 2s", 5.0),
    ({}, None, "Please try again in 1.2s.", 1.2),
    ({}, None, "Please try again in 6m0s.", 360.0),
    ({}, None, "Please try again in 20ms. Visit", 0.02),
    ({}, None, "Please retry after 60 seconds.", 60.0),
    ({}, None, "Please retry in 34.07s.", 34.07),
    ({}, None, "Please try again in 1 hour and 2 minutes or so", 3720.0),
    ({}, None, "Try again in 5 seconds or upgrade", 5.0),
    ({}, None, "Please try again in a moment", None),
    *(({"retry-after": junk}, None, "", None) for junk in (
        "-5", "nan", "inf", "1e9", "1_000", "+5", "", "soon", "1700000000", "9" * 50, "٣", "5;6")),
]  # fmt: skip


@pytest.mark.parametrize(("headers", "body", "text", "wanted"), WAITS)
def test_retry_after(headers: dict[str, str], body: Any, text: str, wanted: float | None) -> None:
    assert parse_retry_after(headers, body, text, NOW) == pytest.approx(wanted)


def test_a_date_without_any_now_says_nothing() -> None:
    assert parse_retry_after({"retry-after": DATE}, None, "") is None


@given(st.text(max_size=60), st.text(max_size=60))
def test_retry_after_is_never_odd(header: str, prose: str) -> None:
    wait = parse_retry_after({"retry-after": header, "retry-after-ms": header}, None, prose, NOW)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("88ms", 0.088), ("1h2m3s", 3723.0), ("2 days", 172800.0), ("1.5 hrs", 5400.0), ("5", None),
     ("s", None), ("", None), ("5 parsecs", None), ("3m x", None)],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (None if seconds is None else pytest.approx(seconds))


# --- no answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [("dns", True), ("connect", True), ("tls", True), ("proxy", True), ("read", True),
     ("write", True), ("limit", False), ("closed", False), ("something new", True)],
)  # fmt: skip
def test_request_errors(kind: str, retryable: bool) -> None:
    cause = OSError("it broke")
    error = BackendErrorBuilder.build_request_error(
        cause, kind=kind, phase="connect", provider="acme", model="m-1"
    )
    assert (error.kind, error.retryable, error.phase) == (kind, retryable, "connect")
    assert error.__cause__ is cause
    assert "it broke" in error.message
    assert error.message.startswith("acme: ")


def test_request_errors_without_words_name_the_exception() -> None:
    error = BackendErrorBuilder.build_request_error(TimeoutError(), kind="read", phase="response")
    assert "TimeoutError" in error.message


def test_request_errors_leak_no_key() -> None:
    leak = ValueError("Illegal header value b'Bearer k-123\\n'")
    error = BackendErrorBuilder.build_request_error(leak, kind="write", phase="send")
    assert "k-123" not in str(error)


def test_bad_certificates_are_not_tried_again() -> None:
    cause = OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed")
    error = BackendErrorBuilder.build_request_error(cause, kind="tls", phase="connect")
    assert error.retryable is False
