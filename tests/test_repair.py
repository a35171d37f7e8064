"""After a server rejected a history: what goes out the second time, and when there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.cases import SIGNING, WIRES, model, provider
from llmwire import (
    GenericBackend,
    HistoryRejectedError,
    InvalidRequestError,
    LLMMessage,
    LLMRequest,
    ModelConfig,
    Native,
    OpaquePart,
    Part,
    ProviderConfig,
    ReasoningPart,
    TextPart,
    ToolCall,
    repaired_after,
)
from llmwire.adapters import ADAPTERS
from llmwire.error_builder import BackendErrorBuilder
from llmwire.error_tables import WORDINGS
from llmwire.errors import BackendError
from llmwire.types import FunctionCall, Role
from strategies import histories

SAMPLES = [row.sample for row in WORDINGS if row.kind == "history"]
HI = LLMMessage("user", "Hi")
AGAIN, MORE = LLMMessage("user", "Again"), LLMMessage("user", "More")


def request(*messages: LLMMessage, **more: Any) -> LLMRequest:
    return LLMRequest(model=ModelConfig("m"), messages=messages, **more)


def rejected(text: str, code: str | None = None) -> BackendError:
    return HistoryRejectedError(text, provider_message=text, code=code, status=400)


def signed(issuer: Native | None, *parts: Part) -> LLMMessage:
    thought = ReasoningPart("Hm.", signature="c2ln", native=issuer)
    return LLMMessage("assistant", [thought, *parts])


REJECTIONS = [
    "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a "
    "different conversation. Remove the block, or set ...",
    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
    "The encrypted content gAAA could not be verified.",
    "Could not decrypt the provided encrypted_content.",
    "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
    "Corrupted thought signature",
]


@pytest.mark.parametrize("text", REJECTIONS)
def test_state_that_was_rejected_is_left_out(text: str) -> None:
    issuer = Native("a", "p", "m", {"id": "rs_1"})
    call = ToolCall("c", FunctionCall("f", "{}"), native=issuer)
    block = OpaquePart("server_tool_use", "{}", issuer)
    asked = request(HI, signed(issuer, TextPart("Yes.", native=issuer), call, block), HI)
    repaired = repaired_after(asked, rejected(text))
    assert repaired is not None
    assert repaired.request.messages[1].parts == (
        TextPart("Yes."), ToolCall("c", FunctionCall("f", "{}")), block,
    )  # fmt: skip
    assert [(a.action, a.path) for a in repaired.adaptations] == [
        ("dropped", "messages[1].parts[0]"),
        ("dropped", "messages[1].parts[1].native"),
        ("dropped", "messages[1].parts[2].native"),
    ]


@pytest.mark.parametrize("wire", SIGNING)
def test_what_goes_out_then_has_no_signature(wire: str) -> None:
    where, what = provider(wire), model(wire)
    issuer = Native(ADAPTERS[wire].api, where.name, what.name)
    asked = LLMRequest(
        model=what, messages=(HI, signed(issuer, TextPart("Yes.")), HI), thinking="high"
    )
    assert b"c2ln" in ADAPTERS[wire].prepare_request(asked, where).body
    repaired = repaired_after(asked, rejected(REJECTIONS[0]))
    assert repaired is not None
    body = ADAPTERS[wire].prepare_request(repaired.request, where).body
    assert b"c2ln" not in body and b"Hm." not in body and b"Yes." in body


def test_thinking_that_is_missing_turns_thinking_off() -> None:
    text = "Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    repaired = repaired_after(request(HI, thinking="high"), rejected(text))
    assert repaired is not None and repaired.request.thinking == "off"
    assert [(a.path, a.before, a.after) for a in repaired.adaptations] == [
        ("thinking", "high", "off")
    ]
    assert repaired_after(request(HI), rejected(text)) is None


TOOL_ROUND = (
    HI,
    LLMMessage("assistant", tool_calls=[ToolCall("c", FunctionCall("f", "{}"))]),
    LLMMessage("tool", "ok", tool_call_id="c"),
)


@pytest.mark.parametrize(
    ("text", "messages", "roles", "paths"),
    [
        (
            "Unexpected role 'user' after role 'tool'",
            (*TOOL_ROUND, AGAIN),
            "user assistant tool assistant user",
            ["messages[3]"],
        ),
        (
            "Conversation roles must alternate user/assistant/user/assistant/...",
            (*TOOL_ROUND, AGAIN, MORE),
            "user assistant tool assistant user",
            ["messages[4]", "messages[3]"],
        ),
        (
            "System message must be at the beginning.",
            (HI, LLMMessage("system", "S"), HI),
            "system user user",
            ["messages[1]"],
        ),
        (
            "messages.2: `tool_use` ids were found without `tool_result` blocks",
            (*TOOL_ROUND[:2], HI),
            "user assistant tool user",
            ["messages[1].parts[0]"],
        ),
        (
            "No tool output found for function call call_a.",
            (HI, LLMMessage("tool", "ok", tool_call_id="c")),
            "user user",
            ["messages[1].parts[0]"],
        ),
    ],
)
def test_the_order_that_was_rejected_is_mended(
    text: str, messages: tuple[LLMMessage, ...], roles: str, paths: list[str]
) -> None:
    repaired = repaired_after(request(*messages), rejected(text))
    assert repaired is not None
    assert " ".join(m.role for m in repaired.request.messages) == roles
    assert sorted(a.path for a in repaired.adaptations) == sorted(paths)


@pytest.mark.parametrize("text", [*SAMPLES, *REJECTIONS, "Something else about the history"])
def test_where_there_is_nothing_to_change_there_is_no_second_try(text: str) -> None:
    assert repaired_after(request(HI), rejected(text)) is None


def test_only_a_rejected_history_is_mended() -> None:
    asked = request(HI, signed(None), HI)
    error = InvalidRequestError(REJECTIONS[0], provider_message=REJECTIONS[0])
    assert repaired_after(asked, error) is None


def test_most_rejections_that_are_known_have_a_cure() -> None:
    """A history with everything wrong: every known wording but those on missing state."""
    asked = request(
        LLMMessage("user", "a"), HI, *TOOL_ROUND[1:], HI, LLMMessage("system", "S"),
        signed(Native("a")), TOOL_ROUND[1], thinking="high",
    )  # fmt: skip
    without = [text for text in SAMPLES if repaired_after(asked, _built(text)) is None]
    assert without == [
        "Function call is missing a thought_signature in functionCall parts.",
        "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "thinking is enabled but reasoning_content is missing in assistant tool call message at "
        "index 2",
    ]


def _built(text: str) -> BackendError:
    code = "invalid_encrypted_content" if "encrypted" in text else None
    body = {"error": {"message": text, "code": code}}
    import json

    error = BackendErrorBuilder.build_http_error(
        status=400, headers={}, body=json.dumps(body).encode()
    )
    assert isinstance(error, HistoryRejectedError), text
    return error


@given(histories, st.sampled_from([*SAMPLES, *REJECTIONS]))
def test_a_second_try_differs_and_says_how(history: list[LLMMessage], text: str) -> None:
    asked = request(*history, thinking="low")
    repaired = repaired_after(asked, rejected(text))
    if repaired is not None:
        assert repaired.request != asked
        assert repaired.adaptations
        users = [m for m in history if m.role is Role.user]
        assert len(repaired.request.messages) >= bool(users)


async def test_a_backend_that_refuses_mends_nothing() -> None:
    asked = request(HI, signed(None, TextPart("Yes.")), HI)
    where = ProviderConfig("p", "http://127.0.0.1:1")
    async with GenericBackend(provider=where) as backend:
        assert backend.repaired(asked, rejected(REJECTIONS[0])) is not None
    async with GenericBackend(provider=where, history="refuse") as backend:
        assert backend.repaired(asked, rejected(REJECTIONS[0])) is None


def test_every_wire_is_known() -> None:
    assert set(SIGNING) <= set(WIRES)
