"""Recorded provider traffic, where `LLMWIRE_CORPUS` says: exchanges, and what they mean.

`reading` puts a decoded reply into the form of the corpus's answers, so that a test can compare
them field by field.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from llmwire.config import ModelConfig, ProviderConfig
from llmwire.errors import BackendError
from llmwire.request import LLMRequest
from llmwire.types import (
    AvailableFunction,
    AvailableTool,
    CompactionPart,
    IncompleteToolCall,
    LLMChunk,
    LLMMessage,
    OpaquePart,
    ReasoningPart,
    TextPart,
    ToolCall,
)

ROOT = Path(os.environ["LLMWIRE_CORPUS"]).resolve() if "LLMWIRE_CORPUS" in os.environ else None
STYLES = {
    "openai-chat": "openai",
    "openai-responses": "openai-responses",
    "anthropic-messages": "anthropic",
    "vertex-anthropic": "vertex-anthropic",
    "mistral-chat": "reasoning",
    "bedrock-converse": "bedrock-converse",
    "bedrock-anthropic": "bedrock-anthropic",
}


def exchange_ids(*apis: str) -> list[str]:
    """The ids of all exchanges of these apis; none without a corpus."""
    if ROOT is None:
        return []
    lines = (ROOT / "index.jsonl").read_text(encoding="utf-8").splitlines()
    return [x["id"] for x in map(json.loads, lines) if x["api"] in apis]


def load(exchange_id: str) -> dict[str, Any]:
    assert ROOT is not None
    return json.loads((ROOT / "exchanges" / f"{exchange_id}.json").read_text(encoding="utf-8"))


def expected(exchange_id: str) -> dict[str, Any]:
    assert ROOT is not None
    return json.loads((ROOT / "expected" / f"{exchange_id}.json").read_text(encoding="utf-8"))


def body_of(exchange: dict[str, Any]) -> bytes:
    response = exchange["response"]
    if "body_base64" in response:
        return base64.b64decode(response["body_base64"])
    return (response.get("body") or "").encode("utf-8", "surrogatepass")


def request_of(exchange: dict[str, Any]) -> LLMRequest:
    """A request that asks in our words for what the recorded one asked for, as far as replies
    depend on it."""
    body = exchange["request"]["body"] if isinstance(exchange["request"]["body"], dict) else {}
    tools = tuple(
        AvailableTool(AvailableFunction(name))
        for t in body.get("tools") or ()
        if (name := (t.get("function") or t).get("name"))
    )
    in_path = re.search(r"/model/([^/]+)/", exchange["request"]["url"])
    return LLMRequest(
        model=ModelConfig(body.get("model") or (unquote(in_path[1]) if in_path else "recorded")),
        messages=(LLMMessage("user", "recorded"),),
        tools=tools,
        stream=exchange["stream"],
    )


def provider_of(exchange: dict[str, Any]) -> ProviderConfig:
    """The provider as a user would configure it: its address without the endpoint."""
    url = exchange["request"]["url"].split("?")[0].split("#")[0]
    base = re.sub(r"/(chat/completions|responses(/.*)?|messages|projects/.*|model/.*)$", "", url)
    return ProviderConfig(
        exchange["provider"],
        base,
        api_style=STYLES[exchange["api"]],
        project_id="example-project",
        region="global",
    )


def cuts(body: bytes, seed: int) -> dict[str, Iterator[bytes]]:
    """The four ways of cutting a body: whole, by line, at random, byte by byte."""
    return {
        "whole": iter([body] if body else []),
        "line": iter(re.findall(rb"[^\n]*\n|[^\n]+\Z", body)),
        "random": _random_pieces(body, seed),
        "1byte": (body[i : i + 1] for i in range(len(body))),
    }


def _random_pieces(body: bytes, seed: int) -> Iterator[bytes]:
    rnd, i = random.Random(seed), 0
    while i < len(body):
        n = rnd.choice((1, 1, 2, 3, 5, 8, 21, 89, 377, 1597))
        yield body[i : i + n]
        i += n


def reading(reply: LLMChunk, error: BackendError | None = None) -> dict[str, Any]:
    """A reply, and the error that ended it if one did, in the form of the corpus's answers."""
    parts = reply.message.parts
    reasoning = [p for p in parts if isinstance(p, ReasoningPart)]
    calls: list[dict[str, Any]] = []
    for p in parts:
        if isinstance(p, ToolCall):
            calls.append({"id": p.id, "name": p.name, "arguments": p.parsed})
        elif isinstance(p, IncompleteToolCall):
            calls.append({"id": p.id, "name": p.name, "arguments": _maybe_json(p.arguments)})
    extra: dict[str, Any] = {}
    if redacted := [p.data for p in reasoning if p.kind == "redacted"]:
        extra["redacted"] = redacted
    if blocks := [
        p.kind if isinstance(p, OpaquePart) else "compaction"
        for p in parts
        if isinstance(p, OpaquePart | CompactionPart)
    ]:
        extra["blocks"] = blocks
    if citations := sum(len(p.citations) for p in parts if isinstance(p, TextPart)):
        extra["citations"] = citations
    for adaptation in reply.adaptations:
        if adaptation.path == "choices":
            extra["choices"] = adaptation.before
    for p in reasoning:
        if p.native is not None and isinstance(p.native.payload, dict):
            extra.setdefault("reasoning_field", p.native.payload.get("field"))
    text = "".join(p.text for p in parts if isinstance(p, TextPart))
    if re.match(r"\s*<think>", text):
        extra["inline_think"] = True
    return {
        "complete": error is None or not type(error).__name__.startswith("Incomplete"),
        "text": text,
        "reasoning": "".join(p.text for p in reasoning),
        "reasoning_signatures": [
            s
            for p in reasoning
            if (s := p.signature or (p.data if p.kind == "encrypted" else None)) is not None
        ],
        "refusal": reply.message.refusal,
        "tool_calls": calls,
        "stop_reason": reply.stop.raw if reply.stop else None,
        "usage": reply.usage.raw if reply.usage else None,
        "error": _error(error),
        "extra": {k: v for k, v in extra.items() if v is not None},
    }


def _error(error: BackendError | None) -> dict[str, Any] | None:
    if error is None or type(error).__name__.startswith("Incomplete"):
        return None
    return {
        "status": error.status,
        "type": error.type or error.code,
        "message": error.provider_message,
    }


def _maybe_json(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text
