"""llmwire in front of a LiteLLM proxy, which is in front of llmwire's embedded server.

So LiteLLM's server hears our adapters and its clients hear our server halves, each wire against
each. What the embedded server gets in the end is what llmwire sent in the beginning, through two
translations that others wrote.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from llmwire import ADAPTERS, ProviderConfig, RateLimitError
from llmwire.request import LLMRequest
from llmwire.testing import LocalServer, Reply, offline_reply

from .checks import Answers, Peer
from .install import FOLDER, free_port, python_with, running

PACKAGES = ("litellm[proxy]==1.108.7",)
KEY = "INTEROP_LITELLM_KEY"
WORDS = "sk-interop-0123456789abcdef0123456789abcdef"

BASES = {"openai": "/v1", "openai-responses": "/v1", "anthropic": "", "gemini": ""}
"""What the proxy speaks to its clients."""

BEHIND = {
    "openai": {"model": "openai/gpt-5.1", "api_base": "{url}/openai/v1"},
    "openai-responses": {"model": "openai/responses/gpt-5.1", "api_base": "{url}/openai/v1"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-6", "api_base": "{url}/anthropic"},
    "reasoning": {"model": "mistral/mistral-medium-3-5", "api_base": "{url}/reasoning/v1"},
    "gemini": {"model": "gemini/gemini-3.5-flash", "api_base": "{url}/gemini"},
    "bedrock-converse": {
        "model": "bedrock/converse/anthropic.claude-sonnet-4-6",
        "aws_bedrock_runtime_endpoint": "{url}/bedrock",
        "aws_region_name": "us-east-1",
        "aws_access_key_id": "AKIAINTEROP",
        "aws_secret_access_key": "none",
    },
    "ollama": {"model": "ollama_chat/offline", "api_base": "{url}/ollama"},
}
"""What it speaks to us: its words for a model, and the base address it is given."""

NO_STOP = "LiteLLM asks over Responses, which has no stop sequences"
NO_SUMMARY = "LiteLLM asks for reasoning and for no summary of it"
NO_THINKING = "LiteLLM drops thinkingConfig before any but Gemini"
CLOSED = "LiteLLM says `{}` in place of a call that was cut, as whole as any"
NOT_THERE: dict[tuple[str, str, str], str] = {
    # what is behind, what is in front, the check
    ("*", "*", "cancel"): "LiteLLM keeps its connections, whoever listens",
    ("*", "openai-responses", "stop"): "Responses has no stop sequences",
    ("openai", "openai", "stop"): "gpt-5.1 takes no stop sequences, and LiteLLM knows it",
    ("openai", "gemini", "stop"): "gpt-5.1 takes no stop sequences, and LiteLLM knows it",
    ("openai", "anthropic", "stop"): NO_STOP,
    ("openai-responses", "*", "stop"): NO_STOP,
    ("openai", "anthropic", "thinking"): NO_SUMMARY,
    ("openai-responses", "openai", "thinking"): NO_SUMMARY,
    ("openai-responses", "anthropic", "thinking"): NO_SUMMARY,
    ("reasoning", "anthropic", "thinking"): "LiteLLM passes on the first piece of a thought alone",
    ("openai", "gemini", "thinking"): NO_THINKING,
    ("openai-responses", "gemini", "thinking"): NO_THINKING,
    ("anthropic", "gemini", "thinking"): NO_THINKING,
    ("reasoning", "gemini", "thinking"): NO_THINKING,
    ("ollama", "gemini", "thinking"): NO_THINKING,
    ("bedrock-converse", "gemini", "thinking"): NO_THINKING,
    (
        "bedrock-converse",
        "anthropic",
        "thinking",
    ): "LiteLLM says the first piece of a thought twice",
    ("reasoning", "gemini", "tools"): "LiteLLM makes ids of calls that Mistral refuses",
    ("reasoning", "gemini", "tools streamed"): "LiteLLM makes ids of calls that Mistral refuses",
    ("*", "gemini", "counting"): "LiteLLM counts no generateContentRequest, so no tools",
    ("gemini", "openai-responses", "counting"): "LiteLLM lacks a package to count for Gemini",
    ("gemini", "anthropic", "counting"): "LiteLLM lacks a package to count for Gemini",
    ("anthropic", "openai-responses", "cut call"): CLOSED,
    ("openai", "gemini", "cut call"): CLOSED,
    ("openai-responses", "gemini", "cut call"): CLOSED,
    ("anthropic", "gemini", "cut call"): CLOSED,
    ("reasoning", "gemini", "cut call"): CLOSED,
    ("bedrock-converse", "gemini", "cut call"): CLOSED,
    ("bedrock-converse", "openai-responses", "cut call"): CLOSED,
    (
        "gemini",
        "openai",
        "cut call",
    ): "LiteLLM breaks at a call of Gemini's that has no arguments yet",
    ("gemini", "openai-responses", "cut call"): (
        "LiteLLM breaks at a call of Gemini's that has no arguments yet"
    ),
}


ANSWERS = Answers(
    hello=r"You asked: \"Hi\".* messages? and no tools\.",
    call={"city": "Oslo", "days": 1, "warm": True},
    # LiteLLM tells Ollama which call it was by an id that the call itself has lost.
    after_tool=r"(get_weather|the tool) answered: .*cold.*",
    thought=r"The user says: \"Think it over\".*",
    after_thought=r"You asked: \"Think it over\".* no tools\.",
    stop_at=" offline",
    stopped=r"You asked: \"Hi\"\nI am llmwire's",
    fails=("Fail", RateLimitError, {}),
)


def answer(request: LLMRequest) -> Reply:
    """What the embedded server says: the offline model's words, and an error if asked for one."""
    if request.messages and request.messages[-1].text == "Fail":
        return Reply(status=429, message="Slow down", headers={"retry-after": "7"})
    return offline_reply(request)


@contextmanager
def peers() -> Iterator[list[Peer]]:
    """Raises `NotHere` where it can't be installed."""
    python = python_with("litellm", *PACKAGES)
    port = free_port()
    os.environ[KEY] = WORDS
    with LocalServer(default=answer) as server:
        behind = [wire for wire in BEHIND if wire in ADAPTERS]
        models = [
            {
                "model_name": f"via-{wire}",
                "litellm_params": {"api_key": "k", "num_retries": 0, "max_retries": 0}
                | {"allowed_openai_params": ["reasoning_effort"]}
                | {name: value.format(url=server.url) for name, value in BEHIND[wire].items()},
            }
            for wire in behind
        ]
        config = FOLDER / "litellm.json"
        config.write_text(
            json.dumps(
                {
                    "model_list": models,
                    "litellm_settings": {"drop_params": True, "num_retries": 0, "telemetry": False},
                    "router_settings": {"num_retries": 0, "disable_cooldowns": True},
                }
            )
        )
        command = [
            str(python.with_name("litellm")), "--config", str(config),
            "--host", "127.0.0.1", "--port", str(port),
        ]  # fmt: skip
        environment = {
            "LITELLM_MASTER_KEY": WORDS,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
        }
        url = f"http://127.0.0.1:{port}"
        with running("litellm", command, f"{url}/health/liveliness", environment):
            yield [
                Peer(
                    f"LiteLLM before our {inner}",
                    wire,
                    ProviderConfig("litellm", url + BASES[wire], KEY, wire),
                    f"via-{inner}",
                    ANSWERS,
                    lacks={
                        check: why
                        for (behind_it, before_it, check), why in NOT_THERE.items()
                        if behind_it in ("*", inner) and before_it in ("*", wire)
                    },
                    counts_by="probe" if wire == "openai" else "endpoint",
                    counts_exactly=wire in ("openai", inner),
                )
                for inner in behind
                for wire in BASES
                if wire in ADAPTERS
            ]
