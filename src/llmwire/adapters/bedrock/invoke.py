"""Claude over InvokeModel: the Messages language in AWS's envelope. Wire reference 3.1, 10.

Model and verb stand in the path, version and betas in the body; a stream's events come base64
inside binary frames.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...config import ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, DecodeError, NotFoundError
from ...eventstream import CONTENT_TYPE, BinaryFrame, BinaryFrameDecoder, event_frame
from ...providers import dialect_of
from ...request import LLMRequest
from ...sse import Frame, SSEDecoder
from ...types import LLMChunk, accumulate
from ..anthropic import AnthropicAdapter, AnthropicServer
from ..anthropic import hear as messages
from ..anthropic.adapter import Call
from ..anthropic.decode import MessagesDecoder
from ..anthropic.models import ModelTraits
from ..base import (
    Headers,
    ModelPage,
    PreparedRequest,
    ServerRequest,
    StreamDecoder,
    canonical_body,
    canonical_json,
)
from . import errors, listing
from .adapter import BedrockConverseAdapter, addressed
from .decode import frame_error
from .framing import BinaryFraming
from .hear import plain_body, refusal
from .models import foundation_id, model_path

OLD_VERSION = "bedrock-2023-05-31"
"""What Bedrock calls 2023-06-01."""


class BedrockAnthropicAdapter(AnthropicAdapter):
    """The same language; only the envelope is AWS's."""

    def _version(self, traits: ModelTraits) -> str:
        return OLD_VERSION if traits.version == "2023-06-01" else traits.version

    def _headers(self, version: str) -> dict[str, str]:
        return {}  # the body has it

    def _addressed(
        self, call: Call, request: LLMRequest, provider: ProviderConfig, count: bool = False
    ) -> PreparedRequest:
        verb = "invoke-with-response-stream" if request.stream else "invoke"
        endpoint = model_path(request.model.name, verb)
        body, notes = _enveloped(call), call.adaptations
        return addressed(provider, endpoint, body, notes, stream=request.stream)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request; None for profiles that do not say which model they are."""
        model = foundation_id(request.model.name)
        if model is None or not dialect_of(provider).count_endpoint:
            return None
        call = self._call(replace(request, stream=False), provider, None)
        body = base64.b64encode(canonical_body(_enveloped(call))).decode()
        asked = {"input": {"invokeModel": {"body": body}}}
        return addressed(provider, model_path(model, "count-tokens"), asked, call.adaptations)

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return BedrockConverseAdapter().parse_count(body, request)

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        """As Converse's list, of Anthropic's models only."""
        return listing.prepare_models(provider, after, "anthropic")

    def parse_models(self, body: bytes) -> ModelPage:
        return listing.parse_models(body, "anthropic")

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        if body[:1] == b"\x00":  # asked for a whole answer, it streams all the same
            decoder = self.stream_decoder(request, provider)
            return accumulate([*decoder.feed(body), *decoder.finish()])
        return super().parse_response(body, request, provider)

    def parse_error(
        self,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        request: LLMRequest | None = None,
        provider: ProviderConfig | None = None,
    ) -> BackendError:
        return BackendErrorBuilder.build_http_error(
            status=status,
            headers=headers,
            body=body,
            provider=provider.name if provider else "",
            api=self.api,
            model=request.model.name if request else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> StreamDecoder:
        return InvokeDecoder(request, provider)


def _enveloped(call: Call) -> dict[str, Any]:
    body: dict[str, Any] = {"anthropic_version": call.plan.version}
    if betas := call.plan.headers.get("anthropic-beta"):
        body["anthropic_beta"] = betas.split(",")
    body |= call.body
    del body["model"]
    body.pop("stream", None)
    return body


class _Chunk(Struct, gc=False):
    event: bytes = msgspec.field(name="bytes")


_CHUNK = msgspec.json.Decoder(_Chunk)


class InvokeDecoder(BinaryFraming, MessagesDecoder):
    """All memory of one streamed reply: the frames' payloads are events of the Messages API."""

    __slots__ = ("_frames",)

    def __init__(self, request: LLMRequest, provider: ProviderConfig | None) -> None:
        super().__init__(request, provider)
        self._frames = BinaryFrameDecoder()

    def _on_binary(self, frame: BinaryFrame, out: list[LLMChunk]) -> None:
        if frame.kind != "event":
            raise frame_error(frame, self._request, self._provider, self._issuer.api)
        if frame.event != "chunk":
            return
        event = _event_of(frame.data)
        piece = self._piece
        if piece is not None and (chunk := piece(event)) is not None:
            out.append(chunk)
        else:
            self._on_frame(Frame(event), out)


def _event_of(payload: bytes) -> bytes:
    try:
        return _CHUNK.decode(payload).event
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise DecodeError(
            f"a frame of the stream holds no bytes: {e}",
            body_excerpt=payload[:200].decode("utf-8", "replace"),
            phase="stream",
        ) from None


# --- the server ---------------------------------------------------------------------------------

_PATH = re.compile(r".*?/model/(.+)/(invoke|invoke-with-response-stream|count-tokens)/?")


class BedrockAnthropicServer(AnthropicServer):
    """Hears and answers as bedrock-runtime does for Claude."""

    stream_type = CONTENT_TYPE

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _match(path) is not None

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        match = _match(path)
        if match is None:
            raise NotFoundError(f"{path} is no address of InvokeModel", status=404, api=self.api)
        count = match[2] == "count-tokens"
        if count:
            body = _counted(body)
        heard = messages.read_body(body)
        plain = plain_body(body)
        if not heard.anthropic_version:
            raise refusal("anthropic_version: Field required")
        for name in ("model", "stream"):
            if name in plain:
                raise refusal(f"{name}: Extra inputs are not permitted")
        heard.model = unquote(match[1])
        heard.stream = match[2] == "invoke-with-response-stream"
        betas = plain.get("anthropic_beta")
        given = {"anthropic-beta": ",".join(map(str, betas))} if isinstance(betas, list) else {}
        return self._parsed(body, heard, heard.anthropic_version, Headers(given), count)

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        for events in super().prepare_stream(chunks, heard):
            for frame in SSEDecoder().feed(events):
                yield _chunk_frame(frame.data)

    def prepare_ping(self) -> bytes:
        return _chunk_frame(b'{"type":"ping"}')

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        return canonical_json({"inputTokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        return errors.prepare_error(error)

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return errors.prepare_stream_error(error)


def _chunk_frame(event: bytes) -> bytes:
    return event_frame("chunk", canonical_json({"bytes": base64.b64encode(event).decode()}))


def _counted(body: bytes) -> bytes:
    """The request inside a counting request."""
    asked = plain_body(body)
    inner = asked.get("input") if isinstance(asked, dict) else None
    invoke = inner.get("invokeModel") if isinstance(inner, dict) else None
    try:
        return base64.b64decode(invoke["body"], validate=True)  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        raise refusal("The input must hold one of: invokeModel, converse.") from None


def _match(path: str) -> re.Match[str] | None:
    return _PATH.fullmatch(path.split("?")[0])
