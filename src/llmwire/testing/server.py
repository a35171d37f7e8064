"""`LocalServer`: a real HTTP server on loopback that speaks every wire format."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias, Union

from msgspec.structs import replace

from ..adapters import SERVER_HALVES
from ..adapters.base import Headers, ServerHalf, ServerRequest
from ..config import ProviderConfig
from ..errors import (
    BackendError,
    ConfigError,
    InvalidRequestError,
    RequestTooLargeError,
    ServerError,
)
from ..providers import GOOGLE_STYLES
from ..request import LLMRequest
from .answer import Answer, answer_with, error_answer, json_answer, merged
from .connection import Connection
from .counting import offline_count
from .http1 import MAX_BODY_BYTES, MAX_HEAD_BYTES, HTTPError, HTTPRequest
from .offline import offline_reply
from .routes import Heard, check_key, model_list, route, split_target, understand
from .script import Reply

Scripted: TypeAlias = Union[
    Reply, str, BackendError, Callable[[LLMRequest], Union[Reply, str, BackendError]]
]
"""What can be answered: a reply, a text, an error, or a function of the request that gives one."""

_BASES = {
    "openai": "/openai/v1",
    "openai-responses": "/openai/v1",
    "anthropic": "/anthropic",
    "vertex-anthropic": "/vertex",
    "reasoning": "/reasoning/v1",
    "gemini": "/gemini",
    "vertex-gemini": "/vertex-gemini",
    "ollama": "/ollama",
    "bedrock-converse": "/bedrock",
    "bedrock-anthropic": "/bedrock-anthropic",
}
_log = logging.getLogger(__name__)


class LocalServer:
    """The embedded server, in a thread of its own.

        with LocalServer() as server:
            server.reply("Hello!", Reply(status=429, message="Slow down"))
            provider = server.provider("openai")
            ...
            assert server.requests[0].asked.messages[-1].text == "Hi"

    Queued replies are used up in order, one a request; then `default` answers, at first the
    offline model. `/openai/v1/chat/completions`, `/openai/v1/responses` (and input_tokens),
    `/anthropic/v1/messages` (and count_tokens), `/vertex/projects/...`,
    `/reasoning/v1/chat/completions`, `/ollama/api/chat`, `/gemini/v1beta/models/...`,
    `/vertex-gemini/v1beta1/projects/...`, `/bedrock/model/.../converse` (and converse-stream) and
    `/bedrock-anthropic/model/.../invoke` speak their wires; bare `/v1/chat/completions`,
    `/v1/responses`, `/v1/messages`, `/api/chat`, `/v1/models/...` and `/model/...` work too, as do
    `/health` and the model lists.

    - `host`, `port`: where it listens; port 0 takes a free one. Only 127.0.0.1 unless told.
    - `default`: what answers when nothing is queued (`Scripted`). It runs in the server's thread.
    - `require_key`: the only key that is let in (`Authorization: Bearer`, `x-api-key`,
      `api-key` or `x-goog-api-key`).
    - `models`: the names in the model lists; any model is answered.
    - `halves`: the wire formats by name, if not those of `SERVER_HALVES`.
    - `keep`: how many requests `requests` remembers, the newest.
    - `max_head`, `max_body`: the largest request, in bytes (431 and 413 beyond).

    `start` and the `with` statement raise `ConfigError` if it can't listen there. All methods may
    be called from any thread.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        default: Scripted = offline_reply,
        require_key: str | None = None,
        models: Sequence[str] = ("offline",),
        halves: Mapping[str, ServerHalf] | None = None,
        keep: int = 1000,
        max_head: int = MAX_HEAD_BYTES,
        max_body: int = MAX_BODY_BYTES,
    ) -> None:
        self.default: Scripted = default
        self.require_key = require_key
        self.models = tuple(models)
        self.max_head = max_head
        self.max_body = max_body
        self.on_request: Callable[[Heard], None] | None = None
        """Called with each request, in the server's thread, before it is answered."""
        self._host = host
        self._port = port
        self._halves = SERVER_HALVES if halves is None else halves
        self._heard: deque[Heard] = deque(maxlen=keep)
        self._heard_count = 0
        self._replies: deque[Scripted] = deque()
        self._counts: deque[int | Scripted] = deque()
        self._news = threading.Condition()
        self._connections: set[Connection] = set()
        self._accepted = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._address: tuple[str, int] | None = None

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> LocalServer:
        """Starts to listen; nothing if it does already. Raises `ConfigError` if it can't."""
        if self._thread is not None:
            return self
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            sock = socket.create_server((self._host, self._port), family=family, backlog=128)
        except (OSError, OverflowError) as e:
            raise ConfigError(f"can't listen on {self._host} port {self._port}: {e}") from None
        self._address = sock.getsockname()[:2]
        # The plain loop, whatever policy the program under test has set.
        loop = self._loop = asyncio.SelectorEventLoop()
        stop = self._stop = asyncio.Event()
        self._thread = threading.Thread(
            target=self._run, args=(loop, sock, stop), name="llmwire-server", daemon=True
        )
        self._thread.start()
        return self

    def close(self) -> None:
        """Closes every connection and the thread; nothing if it is closed already."""
        thread, loop, stop = self._thread, self._loop, self._stop
        if thread is None or loop is None or stop is None:
            return
        self._thread = self._loop = self._stop = None
        loop.call_soon_threadsafe(stop.set)
        if thread is not threading.current_thread():
            thread.join()

    def serve_forever(self) -> None:
        """Serves until Ctrl-C, or until another thread calls `close`."""
        self.start()
        thread = self._thread
        try:
            while thread is not None and thread.is_alive():
                thread.join(0.5)  # with a limit: else Ctrl-C is not heard on every platform
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> LocalServer:
        return self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- where --------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return self._listening()[1]

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`. Raises `ConfigError` before the server was started."""
        host, port = self._listening()
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _listening(self) -> tuple[str, int]:
        if self._address is None:
            raise ConfigError("the server is not started: use `with LocalServer() as server:`")
        return self._address

    def provider(self, style: str = "openai", **settings: Any) -> ProviderConfig:
        """A provider that points here, in a wire format; `settings` are more of its fields.

        Raises `ConfigError` for a style that this server does not speak.
        """
        if style not in _BASES or style not in self._halves:
            known = ", ".join(sorted(set(_BASES) & set(self._halves)))
            raise ConfigError(f"unknown style {style!r}; this server speaks {known}")
        fields: dict[str, Any] = {
            "name": f"local-{style}",
            "api_base": self.url + _BASES[style],
            "api_style": style,
        }
        if style in GOOGLE_STYLES:
            fields |= {"project_id": "local", "region": "global"}
        return ProviderConfig(**(fields | settings))

    # --- what it says -------------------------------------------------------------------------

    def reply(self, *replies: Scripted) -> None:
        """Queues answers: each is given once, in order, whatever the wire format."""
        with self._news:
            self._replies.extend(replies)

    def reply_count(self, *counts: int | Scripted) -> None:
        """Queues answers to requests that only count: numbers of tokens, or errors and faults.

        With none queued, counting requests get `offline_count`; they never use up a `reply`.
        """
        with self._news:
            self._counts.extend(counts)

    @property
    def queued(self) -> int:
        """How many queued answers are left; 0 says that a script was played to its end."""
        with self._news:
            return len(self._replies) + len(self._counts)

    # --- what it heard ------------------------------------------------------------------------

    @property
    def requests(self) -> list[Heard]:
        """What was heard so far, oldest first: a list of the caller's own."""
        with self._news:
            return list(self._heard)

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[Heard]:
        """Waits until `count` requests were heard since the start or `clear`.

        Raises `TimeoutError` after `timeout` seconds.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._heard_count >= count, timeout):
                raise TimeoutError(f"{self._heard_count} of {count} requests in {timeout:g} s")
            return list(self._heard)

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    @property
    def accepted_connections(self) -> int:
        """Since the start; more than before says that a client did not reuse one."""
        return self._accepted

    def wait_for_connections(self, count: int, timeout: float = 10.0) -> None:
        """Waits until exactly `count` connections are open, as after a client left a stream.

        Raises `TimeoutError` after `timeout` seconds.
        """
        with self._news:
            if not self._news.wait_for(lambda: len(self._connections) == count, timeout):
                raise TimeoutError(f"{len(self._connections)} connections open, not {count}")

    def clear(self) -> None:
        """Forgets what was heard and what is queued."""
        with self._news:
            self._heard.clear()
            self._heard_count = 0
            self._replies.clear()
            self._counts.clear()

    # --- the thread ---------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, stop: Any) -> None:
        try:
            loop.run_until_complete(self._main(sock, stop))
        finally:
            loop.close()

    async def _main(self, sock: socket.socket, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), sock=sock)
        await stop.wait()
        server.close()
        for _ in range(3):  # connections that were accepted a moment ago come to be
            await asyncio.sleep(0)
        while self._connections:
            tasks = [c.abort() for c in self._connections]
            await asyncio.gather(*(t for t in tasks if t is not None), return_exceptions=True)
            await asyncio.sleep(0)  # the transports say goodbye
        await server.wait_closed()

    def _opened(self, connection: Connection) -> None:
        with self._news:
            self._connections.add(connection)
            self._accepted += 1
            self._news.notify_all()

    def _closed(self, connection: Connection) -> None:
        with self._news:
            self._connections.discard(connection)
            self._news.notify_all()

    # --- from a request to an answer ----------------------------------------------------------

    def _answer(self, request: HTTPRequest) -> Answer:
        """The answer to a request; never fails."""
        path, query = split_target(request.target)
        headers = Headers(dict(request.headers))
        heard = Heard(request.method, path, query, headers, request.headers, request.body)
        half = None
        try:
            style, half, inner = route(self._halves, path)
            heard = replace(heard, style=style)
            got = self._understand(heard, half, inner)
        except Exception as e:
            got = self._failure(e, heard, half)
        if isinstance(got, ServerRequest):
            heard = replace(heard, request=got)
        number = self._remember(heard)
        try:
            if self.on_request is not None:
                self.on_request(heard)
            answer = got if isinstance(got, Answer) else self._reply_to(got, half)
        except Exception as e:
            answer = self._failure(e, heard, half)
        ids = {"server": "llmwire", "request-id": number, "x-request-id": number}
        return replace(answer, headers=merged(ids, dict(answer.headers)))

    def _refusal(self, error: HTTPError, target: str) -> Answer:
        """The answer to what is no acceptable HTTP."""
        _, half, _ = route(self._halves, split_target(target)[0])
        kind = RequestTooLargeError if error.status == 413 else InvalidRequestError
        said = error.message
        return self._error(kind(said, status=error.status, provider_message=said), half)

    def _understand(
        self, heard: Heard, half: ServerHalf | None, path: str
    ) -> ServerRequest | Answer:
        """What is asked of the model, or the answer where no model is needed."""
        if path == "/health" and heard.method in ("GET", "HEAD"):
            return json_answer({"status": "ok"})
        if self.require_key is not None:
            check_key(heard.headers, self.require_key)
        return model_list(heard, path, self.models) or understand(heard, half, path)

    def _remember(self, heard: Heard) -> str:
        """Gives the request its id."""
        with self._news:
            self._heard.append(heard)
            self._heard_count += 1
            number = f"req_{self._heard_count:08d}"
            self._news.notify_all()
        return number

    def _reply_to(self, heard: ServerRequest, half: ServerHalf | None) -> Answer:
        assert half is not None  # it made `heard`
        if heard.count:
            with self._news:
                counted = self._counts.popleft() if self._counts else None
            if counted is None:
                counted = offline_count(heard.request)
            if not isinstance(counted, int):
                return answer_with(_as_reply(counted, heard), half, heard)
            body = half.prepare_count(counted, heard)
            return Answer(headers=(("content-type", "application/json"),), events=(body,))
        with self._news:
            scripted = self._replies.popleft() if self._replies else self.default
        return answer_with(_as_reply(scripted, heard), half, heard)

    def _failure(self, error: Exception, heard: Heard, half: ServerHalf | None) -> Answer:
        if not isinstance(error, BackendError):
            # The author of a failing `default` needs the traceback; the client gets one line.
            _log.error("no answer to %s %s", heard.method, heard.path, exc_info=error)
            said = f"the test server failed: {type(error).__name__}: {error}"
            error = ServerError(said, provider_message=said)
        return self._error(error, half)

    def _error(self, error: BackendError, half: ServerHalf | None) -> Answer:
        if half is None:
            half = self._halves.get("openai")
        allow = {"allow": "POST"} if error.status == 405 else {}
        if half is not None:
            return error_answer(error, half, Reply(headers=allow))
        body = {"error": {"message": error.message, "type": error.type or "invalid_request_error"}}
        return json_answer(body, error.status or 500)


def _as_reply(scripted: Scripted, heard: ServerRequest) -> Reply:
    if isinstance(scripted, str):
        return Reply(scripted)
    if isinstance(scripted, Reply):
        return scripted
    if isinstance(scripted, BackendError):
        return Reply(error=scripted)
    return _as_reply(scripted(heard.request), heard)
