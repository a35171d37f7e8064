"""The server's half of Converse: hears requests, says replies. Wire reference 6, 10."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

from ...errors import BackendError, NotFoundError
from ...eventstream import CONTENT_TYPE, event_frame
from ...types import JSON, LLMChunk
from ..anthropic.models import traits_of
from ..base import ServerRequest, canonical_json
from . import checks, errors, hear, say
from .blocks import API
from .models import family_of

_PATH = re.compile(r".*?/model/(.+)/(converse|converse-stream|count-tokens)/?")


class BedrockConverseServer:
    """Hears and answers as bedrock-runtime does; refuses what that refuses."""

    api = API
    stream_type = CONTENT_TYPE

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _match(path) is not None

    def parse_request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> ServerRequest:
        """Raises `InvalidRequestError` or `HistoryRejectedError`."""
        match = _match(path)
        if match is None:
            raise NotFoundError(f"{path} is no address of Converse", status=404, api=API)
        model, verb = unquote(match[1]), match[2]
        plain = hear.plain_body(body)
        if verb != "count-tokens":
            return self._parsed(model, body, plain, verb == "converse-stream")
        asked = plain.get("input") if isinstance(plain, dict) else None
        if isinstance(asked, dict) and "invokeModel" in asked:
            from .invoke import BedrockAnthropicServer

            return BedrockAnthropicServer().parse_request(method, path, headers, body)
        if not isinstance(asked, dict) or not isinstance(asked.get("converse"), dict):
            raise hear.refusal("The input must hold one of: invokeModel, converse.")
        return self._parsed(model, canonical_json(asked["converse"]), plain, count=True)

    def _parsed(
        self, model: str, raw: bytes, plain: JSON, stream: bool = False, count: bool = False
    ) -> ServerRequest:
        body = hear.read_body(raw)
        checks.check_body(body, count)
        system = hear.content_of(body.system or [], "system")
        if any(entry.kind not in ("text", "guardContent", "cachePoint") for entry in system):
            raise hear.refusal("system: only text, guardContent and cachePoint are taken")
        heard = [
            (message.role, hear.content_of(message.content, f"messages.{i}"))
            for i, message in enumerate(body.messages)
        ]
        traits = traits_of(model) if family_of(model).claude else None
        checks.check_messages(body, heard, _points(plain), traits)
        request = hear.request_of(model, body, system, heard, stream)
        return ServerRequest(request, count=count, body=plain)

    def prepare_response(self, reply: LLMChunk, heard: ServerRequest) -> bytes:
        """Raises `UnsupportedError` for parts that no reply of this API can hold."""
        return say.whole_body(reply, heard)

    def prepare_stream(self, chunks: Iterable[LLMChunk], heard: ServerRequest) -> Iterator[bytes]:
        return say.stream_body(chunks, heard)

    def prepare_ping(self) -> bytes:
        """An event that no client knows: this wire has no keep-alive of its own."""
        return event_frame("ping", b"{}")

    def prepare_count(self, tokens: int, heard: ServerRequest) -> bytes:
        return canonical_json({"inputTokens": tokens})

    def prepare_error(self, error: BackendError) -> tuple[int, dict[str, str], bytes]:
        return errors.prepare_error(error)

    def prepare_stream_error(self, error: BackendError) -> bytes:
        return errors.prepare_stream_error(error)


def _match(path: str) -> re.Match[str] | None:
    return _PATH.fullmatch(path.split("?")[0])


def _points(holder: JSON) -> int:
    """How many cache points a request has, wherever they stand."""
    if isinstance(holder, list):
        return sum(map(_points, holder))
    if not isinstance(holder, dict):
        return 0
    inner = sum(_points(value) for name, value in holder.items() if name != "cachePoint")
    return inner + ("cachePoint" in holder)
