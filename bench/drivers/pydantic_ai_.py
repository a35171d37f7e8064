"""pydantic-ai's direct model requests, the layer below its agents."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from typing import Any

from ..wires import Turn
from .base import Driver, Place

Asked = tuple[list[Any], list[Any]]


class PydanticAI(Driver):
    package = "pydantic-ai-slim"

    def __init__(self) -> None:
        self._direct: Any = importlib.import_module("pydantic_ai.direct")
        self._values: Any = importlib.import_module("pydantic_ai.messages")
        self._tools: Any = importlib.import_module("pydantic_ai.tools")
        self._models: Any = importlib.import_module("pydantic_ai.models")
        self._openai: Any = importlib.import_module("pydantic_ai.models.openai")
        self._providers: Any = importlib.import_module("pydantic_ai.providers.openai")
        self._made: dict[Place, Any] = {}

    def _model(self, place: Place) -> Any:
        if place not in self._made:
            provider = self._providers.OpenAIProvider(base_url=f"{place.url}/v1", api_key="none")
            self._made[place] = self._openai.OpenAIChatModel("bench-1", provider=provider)
        return self._made[place]

    def _parameters(self, asked: Asked) -> Any:
        return self._models.ModelRequestParameters(function_tools=asked[1])

    def _streaming(self, place: Place, asked: Asked) -> Any:
        return self._direct.model_request_stream(
            self._model(place), asked[0], model_request_parameters=self._parameters(asked)
        )

    async def stream(self, place: Place, asked: Asked) -> str:
        texts = []
        async with self._streaming(place, asked) as stream:
            async for event in stream:
                if event.event_kind == "part_start":
                    part = event.part
                    texts.append(part.args if part.part_kind == "tool-call" else part.content)
                elif event.event_kind == "part_delta":
                    delta = event.delta
                    is_call = delta.part_delta_kind == "tool_call"
                    texts.append(delta.args_delta if is_call else delta.content_delta)
        return "".join(text or "" for text in texts)

    async def gather(self, place: Place, asked: Asked) -> str:
        async with self._streaming(place, asked) as stream:
            async for _ in stream:
                pass
            return str(stream.get().text)

    async def call(self, place: Place, asked: Asked) -> str:
        answer = await self._direct.model_request(
            self._model(place), asked[0], model_request_parameters=self._parameters(asked)
        )
        return str(answer.text)

    def conversation(self, style: str, turns: Sequence[Turn], tools: list[dict[str, Any]]) -> Asked:
        definitions = [
            self._tools.ToolDefinition(
                name=tool["function"]["name"],
                description=tool["function"]["description"],
                parameters_json_schema=tool["function"]["parameters"],
            )
            for tool in tools
        ]
        return [self._message(turn) for turn in turns], definitions

    def extended(self, asked: Asked, style: str, turns: Sequence[Turn]) -> Asked:
        return [*asked[0], *map(self._message, turns)], asked[1]

    def _message(self, turn: Turn) -> Any:
        values = self._values
        if turn.role == "tool" and turn.call:
            part = values.ToolReturnPart("search", turn.text, tool_call_id=turn.call[0])
            return values.ModelRequest(parts=[part])
        if turn.role == "user":
            return values.ModelRequest(parts=[values.UserPromptPart(turn.text)])
        parts = [values.TextPart(turn.text)] if turn.text else []
        if turn.call:
            arguments = json.loads(turn.call[1])
            parts.append(values.ToolCallPart("search", arguments, tool_call_id=turn.call[0]))
        return values.ModelResponse(parts=parts)


def make(option: str) -> Driver:
    return PydanticAI()
