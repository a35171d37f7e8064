"""llmwire as the client of llama.cpp's own server, with a model made on the spot."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from llmwire import PROVIDERS, ContextTooLongError, Dialect, ProviderConfig

from .checks import Answers, Peer
from .install import FOLDER, HERE, free_port, python_with, running

PACKAGES = ("xllamacpp==2026.10.11549", "gguf==0.19.0")
"""xllamacpp is llama.cpp with its server, built; gguf writes its models."""

ANSWERS = Answers(
    hello="Hello from a very small model, naïve ☃\\.",
    call={"city": "Oslo", "days": 7, "warm": True},
    after_tool="Hello from a very small model, naïve ☃\\.",
    thought="Let me see",
    stop_at=" model",
    stopped="Hello from a very small",
    cut_call=60,  # room for the name and a part of the arguments
    fails=("word " * 20_000, ContextTooLongError, {"limit": 65536}),
)

LACKS = {
    "anthropic": {"output": "the server does not hear output_config.format"},
    "openai-responses": {
        "output": "the server does not hear text.format",
        "stop": "the wire has no stop sequences",
        "length": "the server says `completed` where max_output_tokens cut the reply",
    },
}


@contextmanager
def peers() -> Iterator[list[Peer]]:
    """Raises `NotHere` where it can't be installed."""
    python = python_with("llamacpp", *PACKAGES)
    model = FOLDER / "tiny.gguf"
    subprocess.run([python, HERE / "tiny_model.py", model], check=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(python), str(HERE / "llama_server.py"), str(model), str(port)]
    with running("llamacpp", command, f"{url}/health"):
        yield list(_wires(url))


def _wires(url: str) -> Iterator[Peer]:
    async def idle() -> bool:
        slots = await asyncio.to_thread(_get, f"{url}/slots")
        return not any(slot["is_processing"] for slot in slots)

    # What is known to be no Claude is asked as the newest are; this server takes more.
    dialect = replace(
        PROVIDERS["llamacpp"].dialect or Dialect(), sampling=True, forced_tool_choice=True
    )
    for wire, base, counts in (
        ("openai", "/v1", "probe"),
        ("openai-responses", "/v1", "endpoint"),
        ("anthropic", "", "endpoint"),
    ):
        provider = ProviderConfig("llamacpp", url + base, "", wire, dialect=dialect)
        yield Peer(
            "llama.cpp",
            wire,
            provider,
            "tiny",
            ANSWERS,
            counts_by=counts,
            idle=idle,
            lacks=LACKS.get(wire, {}),
        )


def _get(url: str) -> list[dict[str, bool]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as answer:
        slots: list[dict[str, bool]] = json.load(answer)
        return slots
