"""The backend: one provider, three calls. The rest of the package serves this page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeAlias, TypedDict, TypeVar, Unpack

from msgspec.structs import replace

from .adapters import ADAPTERS
from .adapters.base import Headers, PreparedRequest, Remembering, TokenCounter
from .auth import BY_KEY, GoogleTokens, authorize, key_now
from .aws import AWSCredentials
from .clocks import Watch
from .config import ModelConfig, ModelInfo, ProviderConfig, ThinkingLevel, Timeouts
from .errors import (
    BackendError,
    ConfigError,
    DecodeError,
    NotFoundError,
    OutputError,
    UnsupportedError,
)
from .gate import RateGate, RateLimits
from .listing import list_models
from .media import check_body, check_content
from .memory import Memory
from .output import output_format
from .providers import dialect_of
from .repair import Repaired, repaired_after
from .request import LLMRequest
from .retry import RetryBudget, RetryPolicy
from .stream import ReplyStream
from .tools import FunctionTool, definitions_of
from .transport import HTTPTransport, Transport, TransportResponse, transport_for
from .types import JSON, AvailableTool, LLMChunk, LLMMessage, Retry, StrToolChoice

PROBE_TOKENS = 16
"""What a counting probe lets the model write: the least that all known servers take (some
OpenAI-compatible upstreams refuse less; wire reference 8.1)."""

T = TypeVar("T")

_USER_AGENT = {"User-Agent": "llmwire/0.1.0"}
_CREDENTIALS = ("authorization", "x-api-key", "x-goog-api-key", "api-key")
_MAX_REMEMBERED = 64
"""How many sets of headers are kept ready; a backend has a handful, one a wire format and form."""


class _Known(NamedTuple):
    """Headers to send, and what they were made of."""

    given: Headers
    variable: str
    key: str
    headers: Headers


Messages: TypeAlias = Sequence[LLMMessage] | LLMMessage | str
"""A history; one message or plain text (of the user) stands for a history of one."""


HistoryPolicy: TypeAlias = Literal["repair", "refuse"]
"""What becomes of a history that does not fit the wire as it is."""


class CallOptions(TypedDict, total=False):
    """What every call takes beside model and messages. All of it is optional."""

    temperature: float | None
    """None: the model's own default."""
    tools: Sequence[AvailableTool | FunctionTool[..., Any]] | None
    """What the model may call; `llmwire.tool` makes one of a function."""
    max_tokens: int | None
    """The most tokens to write, reasoning included. None: the model's or the wire's own limit."""
    tool_choice: StrToolChoice | AvailableTool | FunctionTool[..., Any] | None
    """`auto`, `none`, `any` or `required` (some tool), or one tool. Not sent without tools."""
    extra_headers: Mapping[str, str] | None
    """Replace ours (and the provider's) of the same name, whatever its case."""
    metadata: Mapping[str, str] | None
    """Sent where the wire has a place for it; else dropped, and the reply says so."""
    thinking: ThinkingLevel | None
    """None: the model's own default."""
    top_p: float | None
    """Only the likeliest tokens that together have this probability."""
    top_k: int | None
    """Only so many of the likeliest tokens."""
    stop: Sequence[str] | None
    """Texts that end the reply; they are not part of it."""
    seed: int | None
    """For repeatable sampling, where the provider tries."""
    parallel_tool_calls: bool | None
    """False: at most one call a turn. None: the provider's default."""
    output: Any
    """What the text is to be: a type (msgspec Struct, dataclass, TypedDict, pydantic model,
    `list[...]` and others), a JSON Schema, or `"json"` for any object. The value is `reply.output`."""
    cache_key: str | None
    """Calls with the same key share a cached prefix, where the wire has such a key."""
    previous_response_id: str | None
    """Go on from a reply that the provider stored, with new messages only (Responses)."""
    store: bool | None
    """Whether the provider may store the reply. None: no, where the wire can say so."""
    extra_body: Mapping[str, JSON] | None
    """Merged over the request body's top level, unchecked."""


_OPTIONS = frozenset(CallOptions.__annotations__)


class TokenCount(int):
    """A number of tokens, and how it was found: `endpoint`: the provider counted, for nothing;
    `probe`: read from the usage of the smallest legal call, which is billed."""

    method: Literal["endpoint", "probe"]

    def __new__(cls, value: int, method: Literal["endpoint", "probe"]) -> Self:
        self = super().__new__(cls, value)
        self.method = method
        return self

    def __repr__(self) -> str:
        return f"TokenCount({int(self)}, {self.method!r})"


class GenericBackend:
    """Calls the models of one provider.

    Works without being entered; entering it, or `close`, frees its connections at a known time.
    One backend may be used from several event loops and threads at once. `client` brings your own
    `httpx.AsyncClient`, `httpx2.AsyncClient`, `aiohttp.ClientSession` or `Transport`, which stays
    yours to close. `timeouts` (seconds, one number for the total) replaces the provider's; `rate`
    says how often the key may be used. A call that is told to wait holds back the others. `on_retry`
    is told of every attempt that is followed by another, before the wait. `history="repair"` makes
    histories fit the wire, with a record on the reply; `"refuse"` raises `UnsupportedError` with the
    first place that would be changed, before any I/O.

    Raises `ConfigError` for an unknown `api_style` or client.
    """

    def __init__(
        self,
        *,
        provider: ProviderConfig,
        client: Any = None,
        timeouts: Timeouts | float | None = None,
        retry: RetryPolicy | None = None,
        history: HistoryPolicy = "repair",
        rate: RateLimits | None = None,
        on_retry: Callable[[Retry], None] | None = None,
    ) -> None:
        if history not in ("repair", "refuse"):
            raise ConfigError(f'history must be "repair" or "refuse", not {history!r}')
        if provider.api_style not in ADAPTERS:
            raise ConfigError(
                f"provider {provider.name!r}: api_style {provider.api_style!r} is not one of "
                f"{', '.join(ADAPTERS)}"
            )
        if isinstance(timeouts, int | float):
            timeouts = Timeouts(total=float(timeouts))
        self.provider = provider
        self.adapter = ADAPTERS[provider.api_style]
        self.timeouts = timeouts or provider.timeouts
        self.retry = retry or RetryPolicy()
        self.history = history
        self.budget = RetryBudget()
        self.gate = RateGate(rate)
        self.on_retry = on_retry
        self._own = HTTPTransport() if client is None else None
        self.transport: Transport = self._own or transport_for(client)
        self._tokens = GoogleTokens()
        self._aws = AWSCredentials()
        self._remembering = self.adapter if isinstance(self.adapter, Remembering) else None
        self._memory = Memory()
        self._known: dict[tuple[int, str], _Known] = {}
        self._watches: dict[asyncio.AbstractEventLoop, Watch] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Frees the connections. The backend can be used again; a client you brought stays open."""
        self._memory.clear()
        if self._own is not None:
            await self._own.close()

    async def complete(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> LLMChunk:
        """One whole reply.

        Raises the errors of `llmwire.errors`; before any I/O for what is wrong with the call.
        With `output=`, the value is in the reply's `output`, or it is an `OutputError`.
        """
        return await self._reply(model, messages, False, options).whole()

    def complete_streaming(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> ReplyStream:
        """The reply as it comes: `async with` it, or iterate it directly.

        Nothing is sent before the first chunk is asked for. Raises as `complete` does, while
        iterating, with what had come in `error.partial`.
        """
        return self._reply(model, messages, True, options)

    async def count_tokens(
        self,
        *,
        model: ModelConfig | str,
        messages: Messages,
        **options: Unpack[CallOptions],
    ) -> TokenCount:
        """How many input tokens these messages (and tools) are.

        Asks the provider's counting endpoint where the wire has one, else sends the smallest
        legal call; the result's `method` says which. Raises `DecodeError` if the provider tells
        no usage.
        """
        request = self._request(model, messages, False, options)
        adapter = self.adapter
        if isinstance(adapter, TokenCounter):
            prepared = adapter.prepare_count(request, self.provider)
            if prepared is not None:
                call = _Question(self, request, _headers_of(options), prepared)
                try:
                    count = await call.answer(lambda body: adapter.parse_count(body, request))
                    return TokenCount(count, "endpoint")
                except NotFoundError:
                    pass  # a compatible server without the endpoint
        probe: CallOptions = {**options, "max_tokens": PROBE_TOKENS, "thinking": "off"}
        try:
            reply = await self.complete(model=model, messages=messages, **probe)
        except OutputError as e:  # so few tokens are no whole value, but they were counted
            reply = e.partial or LLMChunk()
        if reply.usage is None or reply.usage.input_total is None:
            raise DecodeError(
                "the provider reported no usage, so the tokens can't be counted",
                provider=self.provider.name,
                model=request.model.name,
                phase="response",
                partial=reply,
            )
        return TokenCount(reply.usage.input_total, "probe")

    async def list_models(
        self, *, extra_headers: Mapping[str, str] | None = None
    ) -> tuple[ModelInfo, ...]:
        """The models that the provider lists, in its order, as far as it tells about them.

        Raises `UnsupportedError` where there is no list to ask for, else as `complete` does.
        """
        return await list_models(self, dict(extra_headers or {}))

    # --- for ReplyStream ---

    def prepare(self, request: LLMRequest) -> PreparedRequest:
        """The request as it would be sent, without credentials. Does no I/O."""
        dialect = dialect_of(self.provider)
        check_content(request.messages, dialect.max_image_bytes, dialect.max_file_bytes)
        try:
            if self._remembering is not None:
                prepared = self._remembering.prepare_next(request, self.provider, self._memory)
            else:
                prepared = self.adapter.prepare_request(request, self.provider)
        except (TypeError, RecursionError) as e:
            raise UnsupportedError(f"the request can't be written as JSON: {e}") from None
        if not prepared.base_url:
            raise ConfigError(f"provider {self.provider.name!r} has no api_base")
        check_body(prepared.body, dialect.max_request_bytes)
        if self.history == "refuse":
            for a in prepared.adaptations:
                if a.changes_history:
                    raise UnsupportedError(
                        f"{a.path}: {a.reason}; this backend sends histories as they are or not at "
                        "all (`check_history` finds and mends what does not fit)",
                        path=a.path,
                        phase="prepare",
                    )
        return prepared

    def repaired(self, request: LLMRequest, error: BackendError) -> Repaired | None:
        """What to send instead, once, after the server rejected the history; None: nothing."""
        return None if self.history == "refuse" else repaired_after(request, error)

    async def authorized(
        self, prepared: PreparedRequest, extra_headers: Mapping[str, str]
    ) -> Headers:
        """The headers to send, credentials and the caller's own included."""
        scheme = prepared.auth
        try:
            extra = Headers(self.provider.extra_headers, extra_headers)
            if any(name in extra for name in _CREDENTIALS):
                prepared = replace(prepared, auth="none")
            elif scheme == "aws":  # its signature covers the caller's headers too
                prepared = replace(prepared, headers=prepared.headers.replaced(extra))
            headers = await authorize(prepared, self.provider, tokens=self._tokens, aws=self._aws)
            headers = Headers(_USER_AGENT, headers, extra)
        except ValueError as e:
            raise ConfigError(f"provider {self.provider.name!r}: {e}") from None
        if not extra_headers and prepared.auth in BY_KEY:
            if len(self._known) >= _MAX_REMEMBERED:
                self._known.clear()
            given = prepared.headers
            variable = "" if prepared.auth == "none" else self.provider.api_key_env_var
            known = _Known(given, variable, key_now(variable), headers)
            self._known[id(given), scheme] = known  # which keeps `given`, and so its id
        return headers

    def known_headers(
        self, prepared: PreparedRequest, extra_headers: Mapping[str, str]
    ) -> Headers | None:
        """What `authorized` gave before for the same headers and the same key, or None."""
        known = self._known.get((id(prepared.headers), prepared.auth))
        if known is None or extra_headers or known.given is not prepared.headers:
            return None
        if known.variable and key_now(known.variable) != known.key:
            return None
        return known.headers

    def watch(self) -> Watch:
        """The running loop's timer."""
        loop = asyncio.get_running_loop()
        watch = self._watches.get(loop)
        if watch is None:
            for other in [other for other in self._watches if other.is_closed()]:
                self._watches.pop(other, None)
            watch = self._watches[loop] = Watch(loop)
        return watch

    # --- requests ---

    def _reply(
        self,
        model: ModelConfig | str,
        messages: Messages,
        stream: bool,
        options: CallOptions,
    ) -> ReplyStream:
        request = self._request(model, messages, stream, options)
        return ReplyStream(self, request, _headers_of(options))

    def _request(
        self,
        model: ModelConfig | str,
        messages: Messages,
        stream: bool,
        options: CallOptions,
    ) -> LLMRequest:
        if not options.keys() <= _OPTIONS:
            unknown = options.keys() - _OPTIONS
            raise TypeError(f"unexpected argument {', '.join(sorted(unknown))}")
        if isinstance(model, str):
            model = ModelConfig(model, self.provider.name)
        temperature, choice = options.get("temperature"), options.get("tool_choice")
        return LLMRequest(
            model=model,
            messages=_checked(messages, self._memory),
            temperature=model.temperature if temperature is None else temperature,
            tools=definitions_of(options.get("tools") or ()),
            max_tokens=options.get("max_tokens"),
            tool_choice=choice.definition if isinstance(choice, FunctionTool) else choice,
            stream=stream,
            thinking=options.get("thinking") or model.thinking,
            top_p=options.get("top_p"),
            top_k=options.get("top_k"),
            stop=tuple(options.get("stop") or ()),
            seed=options.get("seed"),
            parallel_tool_calls=options.get("parallel_tool_calls"),
            metadata=dict(options.get("metadata") or {}),
            output=output_format(options.get("output")),
            cache_key=options.get("cache_key"),
            previous_response_id=options.get("previous_response_id"),
            store=options.get("store"),
            extra_body=dict(options.get("extra_body") or {}),
        )


class _Question(ReplyStream):
    """The same walk (retries, clocks, errors) for a call that is answered by one document."""

    def __init__(
        self,
        backend: GenericBackend,
        request: LLMRequest,
        headers: Mapping[str, str],
        prepared: PreparedRequest,
    ) -> None:
        super().__init__(backend, request, headers)
        self._prepared = prepared

    async def answer(self, parse: Callable[[bytes], T]) -> T:
        found: list[T] = []
        self._take: Callable[[bytes], Any] = lambda body: found.append(parse(body))
        await self.whole()
        return found[-1]

    def _parse_document(self, response: TransportResponse, body: bytes) -> LLMChunk:
        self._take(body)
        return LLMChunk()

    def _finished(self, whole: LLMChunk) -> LLMChunk:
        return whole


def _headers_of(options: CallOptions) -> Mapping[str, str]:
    return dict(options.get("extra_headers") or {})


def _checked(messages: Messages, memory: Memory) -> tuple[LLMMessage, ...]:
    if type(messages) is not list and isinstance(messages, LLMMessage | str | Mapping):
        messages = [messages]  # type: ignore[list-item]
    messages = tuple(messages)
    new = messages[memory.recognised(messages) :]
    if messages and [*map(type, new)].count(LLMMessage) == len(new):
        return messages
    out = []
    for i, message in enumerate(messages):
        if isinstance(message, Mapping):
            try:
                message = LLMMessage.from_dict(message)
            except ValueError as e:
                raise UnsupportedError(f"messages[{i}]: {e}", path=f"messages[{i}]") from None
        elif isinstance(message, str):
            message = LLMMessage("user", message)
        elif not isinstance(message, LLMMessage):
            raise UnsupportedError(
                f"messages[{i}]: must be an LLMMessage, not {type(message).__name__}",
                path=f"messages[{i}]",
            )
        out.append(message)
    if not out:
        raise UnsupportedError("messages: there must be at least one", path="messages")
    return tuple(out)
