"""The client's half of the Messages API. Wire reference 3, 9, 10."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...config import Dialect, ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, ConfigError, UnsupportedError
from ...history import Log
from ...providers import dialect_of
from ...request import LLMRequest
from ...types import Adaptation, LLMChunk
from ..base import (
    Headers,
    PreparedRequest,
    StreamDecoder,
    canonical_json,
    decode_json,
    fixed_headers,
    scheme_at,
)
from . import encode, settings
from .blocks import API
from .decode import MessagesDecoder, issuer_of, parse_whole
from .models import INTERLEAVED_BETA, ModelTraits, traits_of


class Call(Struct, frozen=True):
    """A request in this wire's words, before it is addressed."""

    body: dict[str, Any]
    betas: tuple[str, ...]
    version: str
    dialect: Dialect
    adaptations: tuple[Adaptation, ...]


class _Count(Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


class AnthropicAdapter:
    """Speaks to api.anthropic.com and to servers with a Messages endpoint."""

    api = API

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for what the wire can't say, `ConfigError` for a
        provider without an address."""
        return self._addressed(self._call(request, provider), request, provider)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request (wire reference 10), None where the server has no such endpoint."""
        if not dialect_of(provider).count_endpoint:
            return None
        call = self._call(request, provider)
        counted = ("model", "messages", "system", "tools", "tool_choice", "thinking")
        body = {k: v for k, v in call.body.items() if k in (*counted, "output_config")}
        return self._addressed(replace(call, body=body), request, provider, count=True)

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return decode_json(_COUNT, body, "the token count").input_tokens

    def parse_response(
        self, body: bytes, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> LLMChunk:
        return parse_whole(body, request, provider)

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
            endpoint="/v1/messages",
            model=request.model.name if request else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> StreamDecoder:
        return MessagesDecoder(request, provider)

    # --- what Vertex says differently -----------------------------------------------------------

    def _version(self, traits: ModelTraits) -> str:
        """The API version where the dialect names none.

        2023-06-01 is understood everywhere, 2026-10-21 by Anthropic for all models; the newer one
        takes sampling away from models that still have it (wire reference 3.1). So each model is
        spoken to in the newest version that costs it nothing.
        """
        return traits.version

    def _addressed(
        self, call: Call, request: LLMRequest, provider: ProviderConfig, count: bool = False
    ) -> PreparedRequest:
        if not provider.api_base:
            raise ConfigError(
                f"provider {provider.name!r} has no api_base; for Anthropic it is "
                "https://api.anthropic.com",
                provider=provider.name,
                phase="prepare",
            )
        return PreparedRequest(
            method="POST",
            endpoint="/v1/messages/count_tokens" if count else "/v1/messages",
            headers=headers_of(call, {"anthropic-version": call.version}),
            body=canonical_json(call.body),
            base_url=base_of(provider.address),
            adaptations=call.adaptations,
            auth=scheme_at(provider.address, "bearer" if call.dialect.bearer else "x-api-key"),
        )

    # --- the body ---------------------------------------------------------------------------------

    def _call(self, request: LLMRequest, provider: ProviderConfig) -> Call:
        dialect = dialect_of(provider)
        traits = traits_of(request.model.name)
        version = dialect.anthropic_version or self._version(traits)
        issuer = issuer_of(request, provider)
        log = Log()
        messages = encode.fitted(request.messages, issuer, log)
        system, rest = encode.split_system(messages, log)

        def turns_with(keep_thinking: bool, log: Log) -> list[encode.Turn]:
            try:
                return encode.turns_of(rest, provider, dialect, issuer, keep_thinking, log)
            except UnsupportedError:
                # Fitting may have moved messages: the error is to name the caller's own.
                own = enumerate(request.messages)
                encode.turns_of(own, provider, dialect, issuer, keep_thinking, Log())
                raise

        thinking = settings.plan_thinking(request, dialect, traits, request.thinking, log)
        turns_log = Log()
        turns = turns_with(thinking.on, turns_log)
        why = cant_think(turns) if thinking.budgeted else None
        if why is not None:
            log.add("substituted", "thinking", why, request.thinking, "off")
            config = {"type": "disabled"} if traits.off == "disabled" else None
            thinking = settings.Thinking(config, max_tokens=thinking.max_tokens)
            turns_log = Log()
            turns = turns_with(False, turns_log)
        log.entries += turns_log.entries
        if not turns:
            raise UnsupportedError(
                "messages: there is no message with content besides the system prompt; "
                "add a user message",
                path="messages",
                phase="prepare",
            )
        fit_prefill(turns, traits, f"messages[{len(request.messages) - 1}]", log)

        cache = dialect.prompt_cache
        body: dict[str, Any] = {"model": request.model.name, "max_tokens": thinking.max_tokens}
        if system:
            body["system"] = encode.cached_system(system, cache)
        if request.tools:
            body["tools"] = settings.tools_of(request)
        choice = settings.tool_choice_of(request, dialect, traits, thinking, log)
        if choice is not None:
            body["tool_choice"] = choice
        if thinking.config is not None:
            body["thinking"] = thinking.config
        if thinking.effort is not None:
            body["output_config"] = {"effort": thinking.effort}
        body |= settings.sampling_of(request, dialect, traits, thinking, version, log)
        body |= settings.other_fields(request, log)
        if request.stream:
            body["stream"] = True
        body["messages"] = encode.body_of(turns, cache)
        body.update(request.extra_body)

        betas = dialect.betas
        if thinking.budgeted and traits.interleaved_beta and INTERLEAVED_BETA not in betas:
            betas = (INTERLEAVED_BETA, *betas)
        return Call(body, betas, version, dialect, log.done())


def cant_think(turns: list[encode.Turn]) -> str | None:
    """Why this history allows no thinking with a budget; None if it does.

    The assistant turn of an unfinished tool loop must begin with its thinking block, and a
    prefilled reply has none (wire reference 3.3, 3.4).
    """
    if turns and turns[-1].role == "assistant":
        return "a prefilled reply can't think"
    start = len(turns) - 1
    while start > 0 and turns[start].role == "user" and turns[start].results:
        start -= 2
    first = start + 1  # the loop's first assistant turn
    if first < len(turns) and turns[first].role == "assistant":
        kind = turns[first].entries[0][0]
        if kind not in encode.THINKING:
            return "the tool calls being answered were made without thinking, or it was dropped"
    return None


def fit_prefill(turns: list[encode.Turn], traits: ModelTraits, path: str, log: Log) -> None:
    """A history that ends with the assistant: legal for few models, and without trailing space.

    A turn that ends in a server tool's block was paused and is continued as it is.
    """
    last = turns[-1]
    if last.role != "assistant" or last.others[-1][0] != "text":
        return
    if not traits.prefill:
        raise UnsupportedError(
            f"{path}: this model does not continue an assistant's message; "
            "end the history with a user message",
            path=path,
            phase="prepare",
        )
    # A turn with text has one that is not blank, so something is left.
    while True:
        kind, block = last.others[-1]
        text = block["text"].rstrip() if kind == "text" else None
        if kind not in ("text", *encode.THINKING) or (text and text == block["text"]):
            return
        log.add("substituted", path, "a prefilled reply can't end in white space")
        last.others.pop()
        if text:
            last.others.append(("text", {**block, "text": text}))


def headers_of(call: Call, more: Mapping[str, str]) -> Headers:
    accept = "text/event-stream" if call.body.get("stream") else "application/json"
    headers = {"content-type": "application/json", "accept": accept, **more}
    if call.betas:
        headers["anthropic-beta"] = ",".join(dict.fromkeys(call.betas))
    return fixed_headers(*headers.items())


def base_of(api_base: str) -> str:
    """The address without the version that the endpoint brings along."""
    return api_base.rstrip("/").removesuffix("/v1").rstrip("/")
