"""Throws broken bytes at every decoder and parser: out may come a value or an error of the tree.

    python scripts/fuzz.py                         ten seconds, every target
    python scripts/fuzz.py --seconds 600 --target openai-stream
    python scripts/fuzz.py --engine atheris --seconds 600      coverage-guided (pip install atheris)

Seeds are what the server halves write and, where LLMWIRE_CORPUS names recordings, what real
servers wrote. Each input is cut at random places. A crash, another exception, a reply from a cut
stream that was none, or an input that takes longer than a second ends the run with exit code 1,
and the input is printed so that it can become a test.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmwire.adapters import ADAPTERS, SERVER_HALVES
from llmwire.config import ModelConfig, ProviderConfig
from llmwire.error_body import parse_duration, parse_retry_after
from llmwire.errors import BackendError
from llmwire.folding import ChunkBuilder, close_open_parts
from llmwire.request import LLMRequest
from llmwire.sse import SSEDecoder
from llmwire.types import LLMChunk, LLMMessage, LLMUsage, PartDelta, StopInfo, to_json

SLOW_SECONDS = 1.0
TOKENS = (
    b"\n\n", b"\r\n", b"\r", b"data: ", b"data:", b"event: error\n", b": c\n", b"[DONE]", b"{", b"}",
    b"[", b"]", b'"', b"\\", b"\\ud83d", b"null", b"true", b"-1", b"1e999", b"NaN", b"\xff\xfe", b"\x00",
    b"\xef\xbb\xbf", b'"error":{"message":"x"}', b'"choices":[]', b'"finish_reason":"stop"', b",", b":",
    b'"index":99999999999999999999', b'"content":', b'"usage":{}', b"<html>", b"[" * 2000,
)  # fmt: skip


class Target(NamedTuple):
    name: str
    run: Callable[[bytes, random.Random], None]
    """Raises anything but an error of the tree where something is wrong."""
    seeds: list[bytes]


def _provider(wire: str) -> ProviderConfig:
    return ProviderConfig(
        "fuzz", "http://127.0.0.1/v1", api_style=wire, project_id="p", region="us-east-1"
    )


def _request(wire: str, stream: bool) -> LLMRequest:
    model = "claude-sonnet-4-6" if "anthropic" in wire else "model-1"
    return LLMRequest(model=ModelConfig(model), messages=(LLMMessage("user", "hi"),), stream=stream)


def _pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3, 20))))
    for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True):
        if b > a:
            yield data[a:b]


def _stream(wire: str) -> Callable[[bytes, random.Random], None]:
    adapter, request, provider = ADAPTERS[wire], _request(wire, True), _provider(wire)

    def run(data: bytes, rng: random.Random) -> None:
        decoder, builder = adapter.stream_decoder(request, provider), ChunkBuilder()
        try:
            for piece in _pieces(data, rng):
                for chunk in decoder.feed(piece):
                    builder.add(chunk)
            for chunk in decoder.finish():
                builder.add(chunk)
        except BackendError:
            pass
        to_json(close_open_parts(builder.result()))

    return run


def _whole(wire: str) -> Callable[[bytes, random.Random], None]:
    adapter, request, provider = ADAPTERS[wire], _request(wire, False), _provider(wire)

    def run(data: bytes, rng: random.Random) -> None:
        with contextlib.suppress(BackendError):
            to_json(adapter.parse_response(data, request, provider))

    return run


def _error(wire: str) -> Callable[[bytes, random.Random], None]:
    adapter = ADAPTERS[wire]

    def run(data: bytes, rng: random.Random) -> None:
        text = data[:200].decode("latin-1").replace("\r", "").replace("\n", "")
        headers = {"retry-after": text, "content-type": "application/json"}
        error = adapter.parse_error(rng.choice((400, 404, 413, 429, 500, 529)), headers, data)
        assert isinstance(error, BackendError)
        assert len(str(error)) < 20_000

    return run


def _sse(data: bytes, rng: random.Random) -> None:
    """However the bytes are cut, the frames are the same."""
    whole, cut = SSEDecoder(), SSEDecoder()
    expected = [*whole.feed(data), *whole.finish()]
    found = [frame for piece in _pieces(data, rng) for frame in cut.feed(piece)]
    assert [*found, *cut.finish()] == expected


def _waits(data: bytes, rng: random.Random) -> None:
    text = data.decode("utf-8", "replace")
    parse_duration(text[:500])
    found = parse_retry_after({"retry-after": text[:90]}, None, text)
    assert found is None or found >= 0


def _spoken(text: str) -> Iterator[LLMChunk]:
    from llmwire.adapters.base import chunk_of

    yield chunk_of([PartDelta(0, "reasoning", "hm", True, True, signature="c2ln")])
    yield chunk_of([PartDelta(1, "text", start=True)])
    for word in text.split(" "):
        yield chunk_of([PartDelta(1, "text", word + " ")])
    yield chunk_of([PartDelta(1, "text", end=True)])
    yield chunk_of([PartDelta(2, "tool_call", start=True, id="call00001", name="f")])
    yield chunk_of([PartDelta(2, "tool_call", '{"a":1', end=False)])
    yield chunk_of([PartDelta(2, "tool_call", "}", end=True)])
    yield chunk_of(stop=StopInfo("tool_calls"), usage=LLMUsage(12, 7, 12))


def _said(wire: str) -> tuple[list[bytes], list[bytes]]:
    """Streams and whole answers as the wire's own server half writes them."""
    from llmwire.folding import ChunkBuilder as Builder

    streams, wholes = [], []
    for stream in (True, False):
        prepared = ADAPTERS[wire].prepare_request(_request(wire, stream), _provider(wire))
        path = "/" + prepared.url.split("/", 3)[3]
        half = SERVER_HALVES[wire]
        heard = half.parse_request(prepared.method, path, prepared.headers, prepared.body)
        if stream:
            streams.append(b"".join(half.prepare_stream(_spoken("So it is, é 😀."), heard)))
        else:
            builder = Builder()
            for chunk in _spoken("So it is."):
                builder.add(chunk)
            wholes.append(half.prepare_response(builder.result(), heard))
    return streams, wholes


def _recorded() -> dict[tuple[str, bool], list[bytes]]:
    folder = os.environ.get("LLMWIRE_CORPUS")
    found: dict[tuple[str, bool], list[bytes]] = {}
    for file in sorted(Path(folder, "exchanges").glob("*.json")) if folder else ():
        exchange: dict[str, Any] = json.loads(file.read_text("utf-8"))
        answer = exchange["response"]
        if "body_base64" in answer:
            body = base64.b64decode(answer["body_base64"])
        else:
            body = answer["body"]
            body = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        if len(body) < 20_000:
            found.setdefault((exchange["api"], exchange["stream"]), []).append(body)
    return found


_APIS = {
    "openai": "openai-chat",
    "reasoning": "mistral-chat",
    "anthropic": "anthropic-messages",
    "openai-responses": "openai-responses",
    "gemini": "gemini",
    "bedrock-converse": "bedrock-converse",
}


def targets() -> list[Target]:
    recorded = _recorded()
    found = [
        Target("sse", _sse, [b"".join(s for w in ("openai", "anthropic") for s in _said(w)[0])]),
        Target("waits", _waits, [b"6m0s", b"Please try again in 1.2s.", b"2 minutes", b"88ms"]),
    ]
    for wire in ADAPTERS:
        streams, wholes = _said(wire)
        api = _APIS.get(wire, wire)
        streams += recorded.get((api, True), [])
        wholes += recorded.get((api, False), [])
        found.append(Target(f"{wire}-stream", _stream(wire), streams))
        found.append(Target(f"{wire}-whole", _whole(wire), wholes))
        found.append(Target(f"{wire}-error", _error(wire), wholes + streams[:1]))
    return found


def mutated(data: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """A few small changes."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(8)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[at : at + rng.choice((1, 2, 10, 100))]
        elif kind == 2:
            out[at:at] = rng.choice(TOKENS)
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            length = rng.choice((1, 5, 50, 500))
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + length]
        elif kind == 5:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            out[at:at] = other[start : start + rng.choice((1, 20, 200))]
        elif kind == 6:
            out[at : at + 1] = bytes([rng.randrange(256)])
        else:
            lines = bytes(out).split(b"\n")
            i = rng.randrange(len(lines))
            lines.insert(rng.randrange(len(lines) + 1), lines.pop(i))
            out = bytearray(b"\n".join(lines))
    return bytes(out[:40_000])


def once(target: Target, data: bytes, seed: int) -> str:
    """What was wrong with an input; "" for nothing."""
    start = time.perf_counter()
    try:
        target.run(data, random.Random(seed))
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    took = time.perf_counter() - start
    return f"it took {took:.1f} s" if took > SLOW_SECONDS else ""


def fuzz(target: Target, seconds: float, seed: int) -> tuple[int, str, bytes]:
    """Executions, and the first failure with its input."""
    rng = random.Random(seed)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(50):
            data = mutated(rng.choice(target.seeds), target.seeds, rng)
            wrong = once(target, data, count)
            count += 1
            if wrong:
                return count, wrong, data
    return count, "", b""


def with_atheris(target: Target, seconds: float) -> None:
    """Coverage-guided; libFuzzer prints its own account and ends the process."""
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]

    atheris.instrument_all()

    def one(data: bytes) -> None:
        wrong = once(target, data, len(data))
        if wrong:
            raise AssertionError(wrong)

    folder = Path(".fuzz", target.name)
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(target.seeds):
        (folder / f"seed{i}").write_bytes(seed)
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", str(folder)], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description="Throws broken bytes at decoders and parsers.")
    parser.add_argument("--seconds", type=float, default=10.0, help="in all (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", action="append", help="only this; repeatable")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    args = parser.parse_args()
    chosen = [t for t in targets() if not args.target or t.name in args.target]
    if args.engine == "atheris":
        with_atheris(chosen[0], args.seconds)
    total, failed = 0, False
    for target in chosen:
        count, wrong, data = fuzz(target, args.seconds / len(chosen), args.seed)
        total += count
        print(f"{target.name:28}{count:12,}  {wrong}", flush=True)
        if wrong:
            failed = True
            print(f"    {data!r}")
    print(f"{'in all':28}{total:12,}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
