"""The error tree: its drawing, twins, defaults, text, copies."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmwire import errors
from llmwire.errors import BackendError, PayloadSummary, StreamError, clean_text, stream_twin
from llmwire.types import Adaptation, LLMChunk, LLMMessage, PartDelta


def classes() -> list[type[BackendError]]:
    return [
        c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, BackendError)
    ]  # fmt: skip


def is_twin(cls: type[BackendError]) -> bool:
    return len(cls.__bases__) == 2


def drawing() -> dict[str, str]:
    """Class to parent, as drawn at the top of the module."""
    assert errors.__doc__ is not None
    parents: dict[str, str] = {}
    above = [(0, "Exception")]  # (column, name) of the lines this one may hang from
    for line in errors.__doc__.splitlines():
        m = re.match(r"    (?:BackendError$|[ |]*[|\\\\]- )", line)
        if m is None:
            continue
        names = re.search(r"[A-Z]\w+(?: / \w+)*", line)
        assert names is not None
        while above[-1][0] >= names.start():
            above.pop()
        for name in names[0].split(" / "):
            parents[name] = above[-1][1]
        above.append((names.start(), names[0]))
    return parents


def test_the_drawing_is_the_tree() -> None:
    real = {c.__name__: c.__bases__[0].__name__ for c in classes() if not is_twin(c)}
    assert drawing() == real


def test_every_status_class_has_a_twin() -> None:
    servers_can_send = [
        c
        for c in classes()
        if not issubclass(c, StreamError)
        and (
            issubclass(
                c, errors.StatusError | errors.AuthenticationError | errors.PermissionDeniedError
            )
        )
    ]
    assert len(servers_can_send) == 15
    for cls in servers_can_send:
        twin = stream_twin(cls)
        assert twin.__bases__ == (StreamError, cls)
        assert twin.__name__ == f"Stream{cls.__name__}"
        assert twin.default_retryable == cls.default_retryable
        assert stream_twin(twin) is twin
        assert twin.detail_names() == cls.detail_names()
    assert {stream_twin(c) for c in servers_can_send} == {c for c in classes() if is_twin(c)}


def test_a_class_without_twin_becomes_a_plain_stream_error() -> None:
    assert stream_twin(errors.ConfigError) is StreamError
    assert stream_twin(errors.IncompleteStreamError) is errors.IncompleteStreamError


def test_what_may_succeed_later() -> None:
    later = {c for c in classes() if c.default_retryable and not is_twin(c)}
    assert later == {
        errors.TransportError, errors.TimeoutError_, errors.RateLimitError, errors.OverloadedError,
        errors.ServerError, errors.ConflictError, errors.IncompleteStreamError,
    }  # fmt: skip
    for cls in classes():
        assert cls("m").retryable is cls.default_retryable
        assert cls("m", retryable=not cls.default_retryable).retryable is not cls.default_retryable
        assert cls("m").is_context_too_long is issubclass(cls, errors.ContextTooLongError)


OPEN = LLMMessage("assistant", [PartDelta(0, "text", "half", True)])
FULL: dict[str, Any] = {
    "provider": "acme", "api": "openai", "endpoint": "/v1", "model": "m-1", "status": 400,
    "code": "c", "type": "t", "provider_message": "no", "request_id": "r-1", "retry_after": 1.5,
    "retryable": True, "phase": "stream", "partial": LLMChunk(OPEN) + LLMChunk(OPEN),
    "headers": {"a": "b"}, "body_excerpt": "{}", "payload_summary": PayloadSummary("m-1", 2, 30),
    "adaptations": (Adaptation("temperature", "dropped", "x"),),
}  # fmt: skip
DETAILS: dict[str, Any] = {
    "path": "messages[0]", "kind": "tls", "clock": "idle", "seconds": 3.0, "bytes_received": 5,
    "keepalives": 2, "limit": 10, "requested": 12, "offset": 7, "text": "{", "reason": "empty",
}  # fmt: skip


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_errors_can_be_copied_and_pickled(cls: type[BackendError]) -> None:
    details = {name: DETAILS[name] for name in cls.detail_names()}
    error = cls("it broke", **FULL, **details)
    error.add_note("seen in a test")
    try:
        raise error from OSError("below")
    except BackendError:
        pass
    for same in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(same) is cls
        assert str(same) == str(error)
        assert same.args == error.args
        assert vars(same) == vars(error)
        assert same.__notes__ == ["seen in a test"]
        for name, value in {**FULL, **details}.items():
            assert getattr(same, name) == value
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize("cls", classes(), ids=lambda c: c.__name__)
def test_every_attribute_has_a_default(cls: type[BackendError]) -> None:
    error = cls("m")
    for name in (*FULL, *cls.detail_names()):
        getattr(error, name)
    assert str(error) == "m"
    assert repr(error) == f"{cls.__name__}('m')"
    assert cls.__doc__ or is_twin(cls)


def test_details_have_defaults_on_the_class() -> None:
    for cls in classes():
        for name in cls.detail_names():
            assert hasattr(cls, name)


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(TypeError, match="limit"):
        errors.ServerError("m", limit=3)
    with pytest.raises(TypeError, match="nonsense"):
        errors.ContextTooLongError("m", nonsense=3)


def test_text_says_where() -> None:
    assert str(BackendError("m", provider="p")) == "m [p]"
    assert str(BackendError("m", provider="p", model="x", status=500)) == "m [p/x, HTTP 500]"
    assert str(BackendError("m", request_id="r")) == "m [request r]"
    assert str(BackendError("m", status=0)) == "m [HTTP 0]"


@given(st.text(st.characters(), max_size=300), st.text(max_size=50))
def test_texts_are_fit_for_a_terminal(text: str, provider: str) -> None:
    shown = str(BackendError(text, provider=provider))
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", shown
    )
    shown.encode()


def test_texts_are_bounded() -> None:
    assert len(str(BackendError("x" * 100_000, provider="p" * 100_000))) < 10_000
    assert clean_text("a\r\nb") == "a\nb"
    assert clean_text("abc", 2) == "ab…"


def test_errors_are_caught_by_what_they_are_and_by_where_they_happened() -> None:
    error = errors.StreamOverloadedError("m")
    for cls in (StreamError, errors.OverloadedError, errors.StatusError, BackendError):
        with pytest.raises(cls):
            raise error
    assert not isinstance(errors.TimeoutError_("m"), TimeoutError)
