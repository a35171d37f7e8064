"""Some servers give calls no ids. A program that answers them by `call.id` works on every wire."""

from __future__ import annotations

import pytest

from contract.cases import WIRES, provider, request
from contract.support import heard
from llmwire.types import FunctionCall, LLMMessage, ToolCall, ToolResultPart


@pytest.mark.parametrize("wire", WIRES)
def test_a_result_that_names_no_call_answers_the_call_without_an_id(wire: str) -> None:
    call = ToolCall(None, FunctionCall("weather", '{"city":"Oslo"}'))
    asked = request(
        wire,
        messages=(
            LLMMessage("user", "Oslo?"),
            LLMMessage("assistant", tool_calls=[call]),
            LLMMessage("tool", "cold", tool_call_id=call.id),
        ),
    )
    messages = heard(asked, provider(wire)).request.messages
    (again,) = [c for m in messages for c in m.tool_calls]
    (result,) = [p for m in messages for p in m.parts if type(p) is ToolResultPart]
    assert (again.name, again.parsed) == ("weather", {"city": "Oslo"})
    assert result.text == "cold" and result.call_id == (again.id or "")
    assert messages[-1].parts[-1] == result
