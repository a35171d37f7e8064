"""Streams that are decoded where their bytes arrive: the walk from socket to chunk, end to end."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from peers import Peer, saying, until

from llmwire.backend import GenericBackend
from llmwire.config import ProviderConfig, Timeouts
from llmwire.errors import BackendError, StreamError, TimeoutError_
from llmwire.retry import RetryPolicy
from llmwire.stream import ReplyStream
from llmwire.transport.connection import HIGH_WATER, Connection
from llmwire.types import accumulate

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def event(text: str = "", **choice: Any) -> bytes:
    delta = {"content": text} if text else {}
    body = {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None, **choice}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def reply(*texts: str) -> bytes:
    """A whole answer with these deltas."""
    end = event(finish_reason="stop") + b"data: [DONE]\n\n"
    return HEAD + b"".join(framed(event(t)) for t in texts) + framed(end) + LAST


def backend(peer: Peer, **options: Any) -> GenericBackend:
    provider = ProviderConfig("p", f"http://127.0.0.1:{peer.port}/v1")
    return GenericBackend(provider=provider, retry=RetryPolicy(max_attempts=1), **options)


def ask(llm: GenericBackend) -> ReplyStream:
    return llm.complete_streaming(model="m", messages="hi")


def connection_of(stream: ReplyStream) -> Connection:
    response: Any = stream._response
    connection: Connection = response._connection
    return connection


async def texts(stream: ReplyStream) -> list[str]:
    async with stream:
        return [chunk.text async for chunk in stream if chunk.text]


async def test_every_packet_is_a_chunk_and_the_connection_is_kept() -> None:
    whole = reply("a", "b", "c")
    packets = [whole[i : i + 7] for i in range(0, len(whole), 7)]
    async with Peer(saying(packets)) as peer, backend(peer) as llm:
        for _ in range(3):
            assert await texts(ask(llm)) == ["a", "b", "c"]
        assert peer.accepted == 1


async def test_an_answer_planted_behind_a_stream_is_never_delivered() -> None:
    planted = reply("PLANTED")
    async with Peer(saying(reply("mine") + planted, reply("yours"))) as peer, backend(peer) as llm:
        assert await texts(ask(llm)) == ["mine"]
        assert await texts(ask(llm)) == ["yours"]
        assert peer.accepted == 2


async def test_events_after_the_end_of_a_reply_are_not_part_of_it() -> None:
    end = framed(event(finish_reason="stop") + b"data: [DONE]\n\n" + event("more"))
    answer = HEAD + framed(event("a")) + end + framed(event("and more")) + LAST
    async with Peer(saying(answer)) as peer, backend(peer) as llm:
        stream = ask(llm)
        assert await texts(stream) == ["a"]
        assert stream.result.text == "a" and stream.complete


async def test_what_came_before_a_fault_in_the_same_packet_comes_out_first() -> None:
    bad = b'data: {"error": {"message": "boom"}}\n\n'
    answer = HEAD + framed(event("a") + event("b") + bad + event("c")) + LAST
    async with Peer(saying(answer)) as peer, backend(peer) as llm:
        seen = []
        with pytest.raises(StreamError, match="boom") as caught:
            async for chunk in ask(llm):
                seen.append(chunk.text)
        assert seen == ["a", "b"]
        assert caught.value.partial is not None and caught.value.partial.text == "ab"


async def test_a_slow_reader_stops_the_server() -> None:
    size, count = 64 * 1024, 100
    answer = [HEAD, *(framed(event("x" * size)) for _ in range(count)), reply()[len(HEAD) :]]
    sent = 0

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        nonlocal sent
        await peer.hear(reader)
        writer.transport.set_write_buffer_limits(high=0)
        for piece in answer:
            writer.write(piece)
            await writer.drain()
            sent += 1

    async with Peer(handler) as peer, backend(peer) as llm, ask(llm) as stream:
        got = len((await anext(stream)).text)
        connection = connection_of(stream)
        await until(lambda: connection._paused)
        await asyncio.sleep(0.05)  # time for a server that does not stop to go on
        assert connection._unread < HIGH_WATER + 512 * 1024
        assert sent < len(answer)
        async for chunk in stream:
            got += len(chunk.text)
        assert got == size * count and stream.complete


async def test_a_stream_that_nobody_holds_closes_its_connection() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(HEAD + framed(event("a")))
        await reader.read()

    gc.disable()  # nothing of it may hang in a cycle
    try:
        async with Peer(handler) as peer, backend(peer) as llm:
            async for chunk in ask(llm):
                assert chunk.text == "a"
                break
            await until(lambda: peer.open == 0)
    finally:
        gc.enable()


@pytest.mark.parametrize("how", ["break", "cancel", "exception"])
async def test_leaving_closes_at_once(how: str) -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(HEAD + framed(event("a")))
        await reader.read()

    async def use(llm: GenericBackend) -> None:
        async with ask(llm) as stream:
            async for _ in stream:
                if how == "break":
                    break
                if how == "exception":
                    raise ZeroDivisionError

    async with Peer(handler) as peer, backend(peer) as llm:
        task = asyncio.create_task(use(llm))
        await until(lambda: peer.accepted == 1)
        if how == "cancel":
            await asyncio.sleep(0.02)
            task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        expected = {"break": type(None), "cancel": asyncio.CancelledError}
        assert isinstance(result, expected.get(how, ZeroDivisionError))
        await until(lambda: peer.open == 0)


async def test_keepalives_wake_nobody_and_are_told() -> None:
    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        writer.write(HEAD + framed(event("a")))
        while True:
            writer.write(framed(b": still here\n\n"))
            await writer.drain()
            await asyncio.sleep(0.01)

    async with Peer(handler) as peer, backend(peer, timeouts=Timeouts(idle=0.2)) as llm:
        stream = ask(llm)
        assert (await anext(stream)).text == "a"
        with pytest.raises(TimeoutError_) as caught:
            await anext(stream)
        assert caught.value.clock == "idle" and caught.value.keepalives > 3
        assert caught.value.partial is not None and caught.value.partial.text == "a"
        await until(lambda: peer.open == 0)


async def test_a_cancel_after_a_timeout_is_a_cancel() -> None:
    """The clock that ran out in one attempt has no say in the next."""

    async def handler(peer: Peer, reader: Reader, writer: Writer) -> None:
        await peer.hear(reader)
        await reader.read()

    provider_timeouts = Timeouts(headers=0.05)
    async with Peer(handler) as peer:
        llm = GenericBackend(
            provider=ProviderConfig("p", f"http://127.0.0.1:{peer.port}/v1"),
            retry=RetryPolicy(max_attempts=50, base=0.01),
            timeouts=provider_timeouts,
        )
        task = asyncio.create_task(llm.complete(model="m", messages="hi"))
        await until(lambda: len(peer.heads) >= 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await llm.close()


async def test_a_connection_that_breaks_after_the_end_of_the_reply() -> None:
    """What was said is whole; that the body's own end did not come does no harm."""
    answer = HEAD + framed(event("a") + event(finish_reason="stop") + b"data: [DONE]\n\n")
    async with Peer(saying(answer, end=True)) as peer, backend(peer) as llm:
        stream = ask(llm)
        assert await texts(stream) == ["a"]
        assert stream.complete


async def test_a_connection_that_breaks_before_it() -> None:
    answer = HEAD + framed(event("a")) + framed(event("b"))
    async with Peer(saying(answer, end=True)) as peer, backend(peer) as llm:
        seen = []
        with pytest.raises(BackendError) as caught:
            async for chunk in ask(llm):
                seen.append(chunk.text)
        assert seen == ["a", "b"]
        assert caught.value.partial is not None and caught.value.partial.text == "ab"


async def test_what_comes_behind_a_fault_is_not_delivered() -> None:
    bad = b'data: {"error": {"message": "boom"}}\n\n'
    pieces = [HEAD + framed(event("a")), framed(bad), framed(event("c")), LAST]
    async with Peer(saying(pieces)) as peer, backend(peer) as llm:
        seen = []
        with pytest.raises(StreamError, match="boom") as caught:
            async for chunk in ask(llm):
                seen.append(chunk.text)
                await asyncio.sleep(0.05)  # the rest arrives meanwhile
        assert seen == ["a"]
        assert caught.value.partial is not None and caught.value.partial.text == "a"


async def test_a_reply_without_content_still_says_what_it_says() -> None:
    async with Peer(saying(reply())) as peer, backend(peer) as llm:
        stream = ask(llm)
        chunks = [chunk async for chunk in stream]
        total = accumulate(chunks)
        assert chunks and total == stream.result
        assert total.response_id == "x" and total.stop is not None and total.stop.reason == "stop"
