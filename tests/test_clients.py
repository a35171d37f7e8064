"""The backend over real HTTP: the default transport and every client a user may bring."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest

import llmwire.sync
from contract.cases import QUESTION, TOOLS, WIRES, model
from llmwire import (
    BackendError,
    ConfigError,
    GenericBackend,
    IncompleteStreamError,
    LLMMessage,
    ModelNotFoundError,
    ProviderConfig,
    RateLimitError,
    RetryPolicy,
    TimeoutError_,
    Timeouts,
    TransportError,
)
from llmwire.testing import Fault, LocalServer, Reply
from llmwire.transport import HTTPTransport, env_proxy

ONCE = RetryPolicy(max_attempts=1)
CLIENTS: dict[str, Callable[[], Any]] = {
    "default": lambda: None,
    "httpx": httpx.AsyncClient,
    "httpx2": httpx2.AsyncClient,
    "aiohttp": aiohttp.ClientSession,
    "lean": HTTPTransport,
}
each_wire = pytest.mark.parametrize("wire", WIRES)
each_client = pytest.mark.parametrize("client", CLIENTS)


@asynccontextmanager
async def backend_of(
    server: LocalServer, wire: str, client: str = "default", **options: Any
) -> AsyncIterator[GenericBackend]:
    own = CLIENTS[client]()
    try:
        async with GenericBackend(provider=server.provider(wire), client=own, **options) as backend:
            yield backend
    finally:
        if own is not None:
            await (own.aclose() if "httpx" in client else own.close())


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for something the server's thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


@each_wire
@each_client
async def test_a_conversation_with_tools(
    llmwire_server: LocalServer, wire: str, client: str
) -> None:
    server = llmwire_server
    async with backend_of(server, wire, client) as backend:
        server.reply(
            Reply(
                "Let me look.",
                reasoning="I need the weather.",
                tool_calls=[("weather", {"city": "Rome"})],
                chunk_size=3,
            ),
            Reply("It is sunny in Rome."),
        )
        question = LLMMessage("user", "Weather in Rome?")
        async with backend.complete_streaming(
            model=model(wire), messages=[question], tools=TOOLS, thinking="high"
        ) as stream:
            texts = [chunk.text async for chunk in stream]
        first = stream.result
        assert "".join(texts) == "Let me look." and len([t for t in texts if t]) == 4
        assert first.reasoning == "I need the weather."
        (call,) = first.tool_calls
        assert call.parsed == {"city": "Rome"}
        assert first.stop is not None and first.stop.reason == "tool_calls"
        history = [question, first.message, LLMMessage("tool", "sunny", tool_call_id=call.id)]
        second = await backend.complete(
            model=model(wire), messages=history, tools=TOOLS, thinking="high"
        )
        assert second.text == "It is sunny in Rome."
    heard = server.requests[-1].asked.messages
    assert [m.role for m in heard] == ["user", "assistant", "tool"]
    assert heard[1].tool_calls[0].parsed == {"city": "Rome"}


@each_client
async def test_statuses_and_cuts(llmwire_server: LocalServer, client: str) -> None:
    server = llmwire_server
    async with backend_of(server, "openai", client, retry=ONCE) as backend:
        server.reply(Reply(status=404, message="no such model", type="model_not_found"))
        with pytest.raises(ModelNotFoundError, match="no such model"):
            await backend.complete(model="m", messages=[QUESTION])
        server.reply(Reply("x" * 400, fault=Fault("end", events=5)))
        with pytest.raises(IncompleteStreamError) as caught:
            async with backend.complete_streaming(model="m", messages=[QUESTION]) as stream:
                async for _ in stream:
                    pass
        assert caught.value.partial is not None and caught.value.partial.text.startswith("xxx")
        server.reply(Reply("x" * 400, fault=Fault("reset", events=5)))
        with pytest.raises(BackendError) as reset:
            async with backend.complete_streaming(model="m", messages=[QUESTION]) as stream:
                async for _ in stream:
                    pass
        assert isinstance(reset.value, TransportError | IncompleteStreamError)
        server.reply(Reply("fine", gzip=True, split=1))
        assert (await backend.complete(model="m", messages=[QUESTION])).text == "fine"


@each_client
async def test_an_idle_server_runs_into_the_clock(llmwire_server: LocalServer, client: str) -> None:
    server = llmwire_server
    limits = Timeouts(idle=0.15, headers=5.0)
    async with backend_of(server, "anthropic", client, timeouts=limits) as backend:
        server.reply(Reply("y" * 400, fault=Fault("stall", events=8)))
        with pytest.raises(TimeoutError_) as caught:
            async for _ in backend.complete_streaming(
                model=model("anthropic"), messages=[QUESTION]
            ):
                pass
        assert caught.value.clock == "idle"


@each_client
async def test_leaving_early_closes_the_connection(
    llmwire_server: LocalServer, client: str
) -> None:
    server = llmwire_server
    async with backend_of(server, "openai", client) as backend:
        server.reply(Reply("z" * 4000, between=0.01))
        async with backend.complete_streaming(model="m", messages=[QUESTION]) as stream:
            async for _ in stream:
                break
        await until(lambda: server.open_connections == 0)
        server.reply(Reply("never read", delay=20))
        task = asyncio.create_task(backend.complete(model="m", messages=[QUESTION]))
        await until(lambda: server.open_connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.open_connections == 0)


async def test_a_plain_loop_that_breaks_closes_when_collected(llmwire_server: LocalServer) -> None:
    async with backend_of(llmwire_server, "openai") as backend:
        llmwire_server.reply(Reply("z" * 4000, between=0.01))
        async for _ in backend.complete_streaming(model="m", messages=[QUESTION]):
            break
        gc.collect()
        await until(lambda: llmwire_server.open_connections == 0)


async def test_connections_are_reused_and_many_run_at_once(llmwire_server: LocalServer) -> None:
    async with backend_of(llmwire_server, "openai") as backend:
        for _ in range(5):
            await backend.complete(model="m", messages=[QUESTION])
        assert llmwire_server.accepted_connections == 1
        llmwire_server.default = lambda request: Reply("slow", delay=0.05)
        replies = await asyncio.gather(
            *(backend.complete(model="m", messages=[QUESTION]) for _ in range(40))
        )
        assert [r.text for r in replies] == ["slow"] * 40


def test_several_event_loops_one_after_another(llmwire_server: LocalServer) -> None:
    """Used without entering, in loops that end: no socket and no warning stay behind."""
    backend = GenericBackend(provider=llmwire_server.provider("anthropic"))

    async def ask() -> str:
        return (await backend.complete(model=model("anthropic"), messages=[QUESTION])).text

    assert asyncio.run(ask()) == asyncio.run(ask())
    gc.collect()
    deadline = time.monotonic() + 5
    while llmwire_server.open_connections and time.monotonic() < deadline:
        time.sleep(0.005)
    assert llmwire_server.open_connections == 0


def test_several_threads_at_once(llmwire_server: LocalServer) -> None:
    backend = GenericBackend(provider=llmwire_server.provider("openai"))
    texts: list[str] = []

    def work() -> None:
        async def ask() -> None:
            for _ in range(5):
                reply = await backend.complete(model="m", messages=[QUESTION])
                texts.append(reply.text)

        asyncio.run(ask())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 20 and len(set(texts)) == 1


async def test_close_and_use_again(llmwire_server: LocalServer) -> None:
    backend = GenericBackend(provider=llmwire_server.provider("openai"))
    async with backend:
        async with backend:
            await backend.complete(model="m", messages=[QUESTION])
        await until(lambda: llmwire_server.open_connections == 0)
        await backend.complete(model="m", messages=[QUESTION])
    await until(lambda: llmwire_server.open_connections == 0)


async def test_nobody_listens() -> None:
    provider = ProviderConfig("gone", "http://127.0.0.1:9/v1")
    async with GenericBackend(provider=provider, retry=ONCE) as backend:
        with pytest.raises(TransportError) as caught:
            await backend.complete(model="m", messages=[QUESTION])
    assert caught.value.kind == "connect" and caught.value.retryable
    assert "gone" in str(caught.value)


async def test_an_error_in_an_unknown_coding_is_still_that_error(
    llmwire_server: LocalServer,
) -> None:
    # Our own transport: aiohttp refuses the coding before the status can be looked at.
    async with backend_of(llmwire_server, "openai", "lean", retry=ONCE) as backend:
        llmwire_server.reply(
            Reply(status=429, body=b"\x8b\x02", headers={"content-encoding": "br"})
        )
        with pytest.raises(RateLimitError):
            await backend.complete(model="m", messages=[QUESTION])


async def test_a_server_that_speaks_no_http(llmwire_server: LocalServer) -> None:
    async with backend_of(llmwire_server, "openai", retry=ONCE) as backend:
        llmwire_server.reply(Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n"))
        with pytest.raises(BackendError):
            await backend.complete(model="m", messages=[QUESTION])


async def test_retry_after_over_http(llmwire_server: LocalServer) -> None:
    async with backend_of(llmwire_server, "openai") as backend:
        llmwire_server.reply(
            Reply(status=429, message="slow", headers={"retry-after": "0.05"}), "ok"
        )
        assert (await backend.complete(model="m", messages=[QUESTION])).text == "ok"
        llmwire_server.reply(Reply(status=429, message="slow", headers={"retry-after": "900"}))
        with pytest.raises(RateLimitError) as caught:
            await backend.complete(model="m", messages=[QUESTION])
        assert caught.value.retry_after == 900.0


def test_a_sync_client_is_refused_by_name(llmwire_server: LocalServer) -> None:
    with httpx.Client() as client, pytest.raises(ConfigError, match="AsyncClient"):
        GenericBackend(provider=llmwire_server.provider("openai"), client=client)


def test_the_synchronous_twin(llmwire_server: LocalServer) -> None:
    with llmwire.sync.GenericBackend(provider=llmwire_server.provider("openai")) as backend:
        llmwire_server.reply("one two", "three", Reply(status=404, message="gone"))
        assert backend.complete(model="m", messages="Hi").text == "one two"
        with backend.complete_streaming(model="m", messages="Hi") as stream:
            assert "".join(chunk.text for chunk in stream) == "three"
        assert stream.result.text == "three"
        with pytest.raises(BackendError, match="gone"):
            backend.complete(model="m", messages="Hi")
        assert backend.count_tokens(model="m", messages="Hi").method == "probe"


def test_the_environments_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "localhost,.internal")
    assert env_proxy("https://api.example/v1") == "http://proxy.example:3128"
    assert env_proxy("http://api.example/v1") is None
    assert env_proxy("https://a.internal/v1") is None
    assert env_proxy("https://localhost:8000/v1") is None
