"""A cheap server for the measurements, in a process of its own: it repeats what was prepared.

    python -m bench.upstream EVENTS PAUSE_US

Prints its port. The last word of the path decides: `/paced` sends one event a packet with a pause
between them, `/burst` the same events in large writes, `/answer` a whole answer, `/small` a short
one. Ends when its standard input does.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

from . import wires

BURST_BYTES = 64 * 1024


def pin(core: int) -> None:
    """Keeps this process on one core, where the system lets it."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {allowed[core % len(allowed)]})


def http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class Upstream:
    def __init__(self, events: int, pause: float) -> None:
        self.pause = pause
        self.packets: dict[str, list[bytes]] = {}
        for make in (wires.openai, wires.anthropic):
            wire, short = make(events), make(20)
            chunks = [http_chunk(event) for event in wire.events]
            joined = b"".join(chunks) + b"0\r\n\r\n"
            cut = range(0, len(joined), BURST_BYTES)
            self.packets[f"{wire.style}/paced"] = [STREAM_HEAD, *chunks, b"0\r\n\r\n"]
            bursts = [joined[i : i + BURST_BYTES] for i in cut]
            self.packets[f"{wire.style}/burst"] = [STREAM_HEAD, *bursts]
            self.packets[f"{wire.style}/answer"] = [whole(wire.answer)]
            self.packets[f"{wire.style}/small"] = [whole(short.answer)]

    def serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                data = connection.recv(65536)
                if not data:
                    return
                held += data
            head, _, held = held.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n")[1:]:
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            while len(held) < length:
                held += connection.recv(65536)
            held = held[length:]
            style, what = head.split(b" ")[1].decode().split("/")[1:3]
            packets = self.packets[f"{style}/{what}"]
            pause = self.pause if what == "paced" else 0.0
            for packet in packets:
                connection.sendall(packet)
                if pause:
                    time.sleep(pause)


def _serve(upstream: Upstream, connection: socket.socket) -> None:
    with connection:
        try:
            upstream.serve(connection)
        except OSError:
            return  # the client left


def main() -> None:
    pin(1)
    upstream = Upstream(int(sys.argv[1]), int(sys.argv[2]) / 1e6)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=_accept, args=(upstream, listener), daemon=True).start()
    sys.stdin.read()


def _accept(upstream: Upstream, listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(upstream, connection), daemon=True).start()


if __name__ == "__main__":
    main()
