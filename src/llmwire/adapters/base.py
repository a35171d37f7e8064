"""What every wire format provides, and the tools its codecs share.

An adapter translates between our values and one wire format and remembers nothing. The memory of
one streamed reply is a `StreamDecoder`, made for one attempt and thrown away. Both directions are
here: `APIAdapter` is the client's half, `ServerHalf` the server's; what one says the other hears.

How a decoder keeps the ordinary event cheap. Nearly every event only continues the part that came
last, and the state of the reply says how such an event looks. So after each other event the decoder
sets its `_piece` (see `streaming.EventStreamDecoder`): a function from an event's bytes to its chunk
through one typed msgspec decoder, or to None for whatever is more than that.

- A field that the general way looks at is declared in its empty form (`None`, `Literal[""]`), so
  that msgspec refuses an event where it says something; fields that nobody looks at stay undeclared.
- A piece is tried only where it is likely to fit: a refusal costs as much as a decoding.
- The general way alone decides what opens, ends or changes; what a piece takes, the general way
  would turn into an equal chunk, and remember nothing else of it. A law over all recordings and
  generated streams says so (`tests/contract/test_ordinary.py`): add your wire to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Raw, Struct

from ..config import Dialect, ModelInfo, ProviderConfig
from ..errors import BackendError, ConfigError, DecodeError
from ..folding import is_json_object
from ..memory import Memory
from ..request import LLMRequest
from ..sigv4 import scope_of
from ..types import (
    JSON,
    Adaptation,
    DeltaKind,
    IncompleteReason,
    LLMChunk,
    LLMUsage,
    Native,
    Part,
    PartDelta,
    Role,
    StopInfo,
    load_json,
    new_message,
)

T = TypeVar("T")

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BAD_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class Headers(Mapping[str, str]):
    """HTTP headers: names match whatever their case, and are sent as first written.

    Raises `ValueError`, naming the header and never its value, for one that could smuggle in
    another (line breaks, control characters, non-ASCII names or values beyond Latin-1).
    """

    __slots__ = ("_items", "wire")

    def __init__(self, *sources: Mapping[str, str]) -> None:
        self.wire: Any = None
        """What a transport made of them, kept by it so that it is made once."""
        self._items: dict[str, tuple[str, str]] = {}
        for source in sources:
            for name, value in source.items():
                self._items[_checked(name, value).lower()] = (name, value)

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    @property
    def by_lower_name(self) -> Mapping[str, tuple[str, str]]:
        """Name as written and value, by the name in lower case."""
        return self._items

    def replaced(self, other: Mapping[str, str]) -> Headers:
        """These headers with `other` over them; a name of `other` replaces ours in any case."""
        return Headers(self, other) if other else self

    def __repr__(self) -> str:
        return f"Headers({', '.join(self)})"


def endpoint_at(dialect: Dialect, own: str, model: str = "") -> str:
    """The path of a call (and its query): the dialect's, else the wire's own."""
    path = own
    if dialect.endpoint is not None:
        path = dialect.endpoint.replace("{model}", quote(model, safe=""))
    return at_version(dialect, path)


def at_version(dialect: Dialect, path: str) -> str:
    """Any path with the query that the server wants on each."""
    return f"{path}?api-version={dialect.api_version}" if dialect.api_version else path


def scheme_at(dialect: Dialect, address: str, own: AuthScheme) -> AuthScheme:
    """How the credential travels: as the dialect says, to Bedrock's addresses as AWS takes it, else
    as the wire's own service does.

    Raises `ConfigError` where Google's token would go elsewhere.
    """
    if dialect.auth == "google":
        parts = urlsplit(address)
        host = parts.hostname or ""
        if parts.scheme != "https" or not f".{host}".endswith(".googleapis.com"):
            raise ConfigError(f"Google's token does not go to {host}", phase="prepare")
    return dialect.auth or ("aws" if scope_of(address) is not None else own)


@lru_cache(maxsize=256)
def fixed_headers(*headers: tuple[str, str]) -> Headers:
    """The same object for the same headers, so that what is made of them is made once.

    For an adapter's own headers: nothing here may be a secret or differ from call to call.
    """
    return Headers(dict(headers))


def _checked(name: str, value: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a header name")
    if _BAD_VALUE.search(value):
        raise ValueError(f"the value of header {name} has characters that no header may have")
    return name


AuthScheme = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "google", "aws", "none"]


class PreparedRequest(Struct, frozen=True):
    """A request ready for the wire, without credentials: `auth` adds those last."""

    method: str
    endpoint: str
    """The path (and query) after the base address."""
    headers: Headers
    body: bytes
    base_url: str
    adaptations: tuple[Adaptation, ...] = ()
    auth: AuthScheme = "bearer"
    """How the credential travels; what it is, `auth` finds out."""

    @property
    def url(self) -> str:
        return self.base_url.rstrip("/") + self.endpoint


class StreamDecoder(Protocol):
    """All memory of one streamed reply."""

    keepalives: int
    """Comments and pings so far: evidence for timeouts."""
    done: bool
    """The terminal marker was seen: nothing that counts can follow."""

    def feed(self, data: bytes) -> Iterable[LLMChunk]:
        """The chunks that these bytes complete; what came before a fault comes out before it.

        Raises a `StreamError` for an error the server reports, `DecodeError` for bytes that are
        not this format. The bytes are read by the call itself, and all chunks come in a sequence
        that is made already: for one event in a packet and for hundreds in a block that costs
        least. Only chunks before a fault come out of an iterator, which raises it behind them.
        """
        ...

    def finish(self) -> Iterable[LLMChunk]:
        """The end of the bytes. Raises `IncompleteStreamError` unless the reply was whole."""
        ...


class APIAdapter(Protocol):
    """The client's half of a wire format. Stateless; `api` tags what its providers issue."""

    api: str

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for what the wire can't say."""
        ...

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        """A whole reply. Raises as a decoder's `feed` and `finish` do."""
        ...

    def parse_error(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        request: LLMRequest | None = None,
        provider: ProviderConfig | None = None,
    ) -> BackendError:
        """The error that an answer amounts to; returned, not raised."""
        ...

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> StreamDecoder: ...


class OwnFraming(Protocol):
    """An adapter whose streams are no server-sent events.

    Whatever comes in answer to a request for a stream goes to its decoder, which alone can tell
    what it is.
    """

    stream_type: str
    """The content type of its streams."""


@runtime_checkable
class Remembering(Protocol):
    """An adapter that can go on from what it wrote for earlier calls."""

    def prepare_next(
        self,
        request: LLMRequest,
        provider: ProviderConfig,
        memory: Memory | None,
    ) -> PreparedRequest:
        """What `prepare_request` gives, faster where `memory` knows how the request begins."""
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """An adapter whose wire has an endpoint that counts."""

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """None where this provider is known to lack the endpoint."""
        ...

    def parse_count(self, body: bytes, request: LLMRequest) -> int: ...


class ModelPage(Struct, frozen=True):
    """A list of models, or a part of one."""

    models: tuple[ModelInfo, ...]
    after: str = ""
    """The mark of the next page; "": there is none."""


@runtime_checkable
class ModelLister(Protocol):
    """An adapter whose wire can list models (wire reference 11)."""

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        """A request for the list, or for the page that `after` marks; None where this provider
        is known to have none."""
        ...

    def parse_models(self, body: bytes) -> ModelPage:
        """Raises `DecodeError` for what is no list."""
        ...


class ServerRequest(Struct, frozen=True):
    """What a server half heard: the request, whether only counting was asked, the raw body."""

    request: LLMRequest
    count: bool = False
    include_usage: bool = True
    """Whether a stream is to report usage (Chat Completions asks for it)."""
    body: JSON = None
    framing: Literal["events", "array"] = "events"
    """The form of a stream: server-sent events, or one JSON array (Gemini without `alt=sse`)."""


class ServerHalf(Protocol):
    """The server's half of a wire format: hears requests, says replies. Stateless and pure."""

    api: str

    def matches(self, method: str, path: str) -> bool:
        """Whether a request to this path is in this wire format."""
        ...

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` (or another StatusError) as the real server would."""
        ...

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """The body of a whole answer. `reply` needs no ids: what is missing is made from it."""
        ...

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        """The events of a streamed answer, each with its framing, the terminal marker last."""
        ...

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes: ...

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an error answer."""
        ...

    def prepare_stream_error(self, error: BackendError) -> bytes:
        """The event that reports an error inside a 200."""
        ...


@runtime_checkable
class FramedServer(Protocol):
    """A server half whose streams are no server-sent events: `prepare_stream` gives whole frames."""

    stream_type: str
    """The content type of its streams."""

    def prepare_ping(self) -> bytes:
        """A frame that says nothing, to keep a stream alive."""
        ...


class ReplyWriter:
    """Makes the deltas of one reply: numbers its parts, marks their starts and ends.

    One text-like part is open at a time (`text`, `reasoning`, `refusal`); tool calls are open
    side by side, each under a key of the wire's. `close` ends everything.
    """

    __slots__ = ("_next", "_tools", "open_text")

    def __init__(self) -> None:
        self._next = 0
        self.open_text: tuple[int, DeltaKind] | None = None
        """The open text-like part: its index and kind."""
        self._tools: dict[Any, int] = {}

    def open_index(self) -> int:
        """A number for a part that starts now."""
        self._next += 1
        return self._next - 1

    def text_like(self, kind: DeltaKind, text: str, native: Native | None = None) -> list[Part]:
        """Text of `kind`; ends the open part of another kind first."""
        if self.open_text is not None and self.open_text[1] == kind:
            return [PartDelta(self.open_text[0], kind, text)]
        out = self.end_text()
        index = self.open_index()
        self.open_text = (index, kind)
        out.append(PartDelta(index, kind, text, True, native=native))
        return out

    def end_text(self, **last: Any) -> list[Part]:
        """Ends the open text-like part, with last attributes (a signature) if given."""
        if self.open_text is None:
            return []
        index, kind = self.open_text
        self.open_text = None
        return [PartDelta(index, kind, end=True, **last)]

    def whole(self, part: Part) -> list[Part]:
        """A part that comes in one piece."""
        self.open_index()
        return [*self.end_text(), part]

    def tool(self, key: Any, arguments: str = "", **attributes: Any) -> list[Part]:
        """A piece of the tool call known as `key`; the first one opens it."""
        index = self._tools.get(key)
        if index is not None:
            return [PartDelta(index, "tool_call", arguments, **attributes)]
        out = self.end_text()
        index = self._tools[key] = self.open_index()
        out.append(PartDelta(index, "tool_call", arguments, True, **attributes))
        return out

    def end_tool(self, key: Any, incomplete: IncompleteReason | None = None) -> list[Part]:
        index = self._tools.pop(key, None)
        if index is None:
            return []
        return [PartDelta(index, "tool_call", end=True, incomplete=incomplete)]

    def close(self, incomplete: IncompleteReason | None = None) -> list[Part]:
        """Ends every open part; with `incomplete`, open tool calls must not be run."""
        out = self.end_text()
        for key in list(self._tools):
            out += self.end_tool(key, incomplete)
        return out


def chunk_of(
    parts: Iterable[Part] = (),
    *,
    usage: LLMUsage | None = None,
    stop: StopInfo | None = None,
    response_id: str | None = None,
    model: str | None = None,
    adaptations: tuple[Adaptation, ...] = (),
) -> LLMChunk:
    """An assistant's chunk."""
    message = new_message(Role.assistant, tuple(parts))
    return LLMChunk(message, usage, stop, response_id, model, None, adaptations)


def decode_json(decoder: msgspec.json.Decoder[T], data: bytes, what: str) -> T:
    """A typed value from bytes. Raises `DecodeError` naming `what` and the place."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        excerpt = data[:200].decode("utf-8", "replace")
        raise DecodeError(
            f"{what} is not what the format says: {e or 'nested too deeply'}",
            path=str(e).rpartition(" - at `")[2].rstrip("`") if " - at `" in str(e) else "",
            body_excerpt=excerpt,
            phase="stream",
        ) from None


def canonical_json(value: Any) -> bytes:
    """JSON in insertion order, UTF-8, without white space; the same value gives the same bytes.

    Lone surrogates, which no UTF-8 has, become U+FFFD (wire reference 0).
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(without_surrogates(value))


def spliced_object(text: str) -> Any:
    """A JSON object for the body: its text as it is, if the wire can take that; None if it is none.

    No text at all is the empty object. Escaped lone surrogates make a body that servers refuse:
    such text is written anew.
    """
    try:
        raw = text.encode()
        _OBJECT.decode(raw)
        return Raw(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    if not text.strip():
        return {}
    return load_json(text) if is_json_object(text) else None


_OBJECT = msgspec.json.Decoder(dict)


class Pieces(tuple[bytes, ...]):
    """A JSON array in the place of a body's value: its entries, in pieces without brackets."""

    def between(self, before: bytes, after: bytes = b"") -> bytes:
        """The array in what stands around it; copied once."""
        out = [before, b"["]
        for piece in self:
            out += (piece, b",")
        if self:
            out.pop()
        return b"".join((*out, b"]", after))


def canonical_body(body: dict[str, Any]) -> bytes:
    """`canonical_json` of an object one of whose values may be `Pieces`."""
    sides: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    pieces: Pieces | None = None
    for name, value in body.items():
        if type(value) is Pieces:
            pieces = value
            sides[0][name] = None
        else:
            sides[pieces is not None][name] = value
    before = canonical_json(sides[0])
    if pieces is None:
        return before
    after = canonical_json(sides[1])
    return pieces.between(before[: -len(b"null}")], b"," + after[1:] if sides[1] else b"}")


def without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        # UTF-16 joins pairs that came as two surrogates; what is still alone is replaced.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {without_surrogates(k): without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [without_surrogates(v) for v in value]
    return value
