"""A cheap server for the measurements, in a process of its own: it repeats what was prepared.

    python -m bench.upstream [CERTIFICATE KEY]

Prints its port and, with a certificate, the port for TLS. A path begins with `/STYLE/WHAT/`; what
else stands in it is the client's own affair. WHAT is

    small, answer-N                 a whole answer of 20 or N words
    burst-KIND-N                    a stream of N deltas, in large writes
    paced-KIND-N-US                 each event a packet of its own, so many microseconds apart
    slow-KIND-N-MS                  the same from one thread for all connections, for many at once

Ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
import ssl
import sys
import threading
import time
from functools import lru_cache

from . import wires

BURST_BYTES = 64 * 1024
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
ANSWER_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


def pin(core: int) -> None:
    """Keeps this process on one core, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


@lru_cache(maxsize=64)
def packets_of(style: str, what: str) -> list[bytes]:
    """The writes that make up an answer."""
    name, *rest = what.split("-")
    if name in ("small", "answer"):
        body = wires.answer(style, int(rest[0]) if rest else wires.SMALL_WORDS)
        return [ANSWER_HEAD % len(body) + body]
    chunks = [
        b"%x\r\n%b\r\n" % (len(e), e) for e in wires.stream(style, rest[0], int(rest[1])).events
    ]
    if name != "burst":
        return [STREAM_HEAD, *chunks, b"0\r\n\r\n"]
    joined = STREAM_HEAD + b"".join(chunks) + b"0\r\n\r\n"
    return [joined[i : i + BURST_BYTES] for i in range(0, len(joined), BURST_BYTES)]


class Ticker:
    """Sends many slow streams from one thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Slow]] = []
        self._lock = threading.Lock()
        self._number = 0
        threading.Thread(target=self._run, daemon=True).start()

    def play(self, connection: socket.socket, packets: list[bytes], interval: float) -> None:
        """Returns when all was sent. The start is spread over one interval."""
        slow = Slow(connection, packets, interval)
        with self._lock:
            self._number += 1
            spread = (self._number * 0.618) % 1 * interval
            heapq.heappush(self._due, (time.monotonic() + spread, self._number, slow))
        slow.done.wait()

    def _run(self) -> None:
        while True:
            with self._lock:
                now = time.monotonic()
                ready = []
                while self._due and self._due[0][0] <= now:
                    ready.append(heapq.heappop(self._due))
            again = [(at + slow.interval, n, slow) for at, n, slow in ready if slow.step()]
            with self._lock:
                for entry in again:
                    heapq.heappush(self._due, entry)
            time.sleep(0.0005)


class Slow:
    def __init__(self, connection: socket.socket, packets: list[bytes], interval: float) -> None:
        self.connection, self.packets, self.interval = connection, packets, interval
        self.at = 0
        self.done = threading.Event()

    def step(self) -> bool:
        """Sends the next packet; whether more are to come."""
        try:
            self.connection.sendall(self.packets[self.at])
            self.at += 1
            if self.at < len(self.packets):
                return True
        except OSError:
            pass  # the client left; its own thread sees it too
        self.done.set()
        return False


class Upstream:
    def __init__(self) -> None:
        self._ticker = Ticker()

    def serve(self, connection: socket.socket) -> None:
        """Answers requests on one connection until the client leaves."""
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                data = connection.recv(65536)
                if not data:
                    return
                held += data
            head, _, held = held.partition(b"\r\n\r\n")
            lowered = head.lower()
            at = lowered.find(b"\r\ncontent-length:")
            if at >= 0:
                length = int(lowered[at + 17 :].partition(b"\r\n")[0])
                while len(held) < length:
                    length -= len(held)
                    held = connection.recv(1 << 20)
                    if not held:
                        return
                held = held[length:]
            elif b"\r\ntransfer-encoding: chunked" in lowered:
                while not held.endswith(b"0\r\n\r\n"):
                    held = held[-5:] + connection.recv(1 << 20)
                held = b""
            style, what = head.split(b" ", 2)[1].decode().split("/")[1:3]
            self._answer(connection, style, what)

    def _answer(self, connection: socket.socket, style: str, what: str) -> None:
        packets = packets_of(style, what)
        kind = what.partition("-")[0]
        if kind == "slow":
            self._ticker.play(connection, packets, int(what.rpartition("-")[2]) / 1e3)
            return
        pause = int(what.rpartition("-")[2]) / 1e6 if kind == "paced" else 0.0
        for packet in packets:
            connection.sendall(packet)
            if pause:
                time.sleep(pause)


def _serve(upstream: Upstream, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), connection:  # the client left
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            upstream.serve(connection)
        else:
            with tls.wrap_socket(connection, server_side=True) as wrapped:
                upstream.serve(wrapped)


def _accept(upstream: Upstream, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(upstream, connection, tls), daemon=True).start()


def main() -> None:
    pin(1)
    threading.stack_size(256 * 1024)
    upstream = Upstream()
    contexts: list[ssl.SSLContext | None] = [None]
    if len(sys.argv) > 2:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
        contexts.append(tls)
    ports = []
    for context in contexts:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports.append(listener.getsockname()[1])
        threading.Thread(target=_accept, args=(upstream, listener, context), daemon=True).start()
    print(*ports, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
