"""The client's half of the Messages API. Wire reference 3, 9, 10."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ...caching import fit_marks, is_marked
from ...config import Dialect, ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, ConfigError, UnsupportedError
from ...fitting import Log
from ...memory import Memory
from ...output import plan_output
from ...providers import dialect_of
from ...request import LLMRequest
from ...schema import ANTHROPIC, PLAIN
from ...types import Adaptation, LLMChunk, Native
from ..base import (
    Headers,
    ModelPage,
    Pieces,
    PreparedRequest,
    StreamDecoder,
    canonical_body,
    canonical_json,
    decode_json,
    endpoint_at,
    fixed_headers,
    scheme_at,
)
from ..listing import get, parse_models
from . import settings, turns
from .blocks import API
from .decode import MessagesDecoder, issuer_of, parse_whole
from .models import INTERLEAVED_BETA, NEWEST, ModelTraits, traits_of


class Plan(Struct, frozen=True):
    """All that a request says beside its history, in this wire's words."""

    dialect: Dialect
    traits: ModelTraits
    issuer: Native
    thinking: settings.Thinking
    version: str
    headers: Headers
    body: dict[str, Any]
    """What stands between the system prompt and the messages."""
    instruction: str
    """What the system prompt has to say beside its own."""
    adaptations: tuple[Adaptation, ...]


class Call(Struct, frozen=True):
    """A request in this wire's words, before it is addressed."""

    body: dict[str, Any]
    plan: Plan
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
        return self.prepare_next(request, provider, None)

    def prepare_next(
        self, request: LLMRequest, provider: ProviderConfig, memory: Memory | None
    ) -> PreparedRequest:
        return self._addressed(self._call(request, provider, memory), request, provider)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request (wire reference 10), None where the server has no such endpoint."""
        if not dialect_of(provider).count_endpoint:
            return None
        call = self._call(replace(request, stream=False), provider, None)
        counted = ("model", "messages", "system", "tools", "tool_choice", "thinking")
        body = {k: v for k, v in call.body.items() if k in (*counted, "output_config")}
        return self._addressed(replace(call, body=body), request, provider, count=True)

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return decode_json(_COUNT, body, "the token count").input_tokens

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        """None where the server has no such endpoint, as on Vertex AI."""
        dialect = dialect_of(provider)
        if not dialect.model_list:
            return None
        base = base_of(provider.address)
        mark = f"&after_id={quote(after, safe='')}" if after else ""
        version = dialect.anthropic_version or NEWEST.version
        return replace(
            get(f"/v1/models?limit=1000{mark}", base),
            headers=fixed_headers(("accept", "application/json"), ("anthropic-version", version)),
            auth=scheme_at(dialect, base, "bearer" if dialect.bearer else "x-api-key"),
        )

    def parse_models(self, body: bytes) -> ModelPage:
        return parse_models(body)

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

    def _headers(self, version: str) -> dict[str, str]:
        return {"anthropic-version": version}

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
        own = "/v1/messages"
        dialect, base = call.plan.dialect, base_of(provider.address)
        path = f"{own}/count_tokens" if count else endpoint_at(dialect, own, request.model.name)
        return PreparedRequest(
            method="POST",
            endpoint=path,
            headers=call.plan.headers,
            body=canonical_body(call.body),
            base_url=base,
            adaptations=call.adaptations,
            auth=scheme_at(dialect, base, "bearer" if dialect.bearer else "x-api-key"),
        )

    # --- the body ---------------------------------------------------------------------------------

    def _plan(self, request: LLMRequest, provider: ProviderConfig, why: str | None = None) -> Plan:
        """`why`: the history allows no thinking."""
        dialect = dialect_of(provider)
        traits = traits_of(request.model.name)
        version = dialect.anthropic_version or self._version(traits)
        log = Log()
        thinking = settings.plan_thinking(request, dialect, traits, request.thinking, log)
        if why is not None:
            log.add("substituted", "thinking", why, request.thinking, "off")
            config = {"type": "disabled"} if traits.off == "disabled" else None
            thinking = settings.Thinking(config, max_tokens=thinking.max_tokens)
        body: dict[str, Any] = {}
        if request.tools:
            body["tools"] = Raw(canonical_json(settings.tools_of(request, log)))
        choice = settings.tool_choice_of(request, dialect, traits, thinking, log)
        if choice is not None:
            body["tool_choice"] = choice
        if thinking.config is not None:
            body["thinking"] = thinking.config
        if thinking.effort is not None:
            body["output_config"] = {"effort": thinking.effort}
        word = dialect.json_schema or ("strict" if traits.schema else "prompt")
        rules = {"strict": ANTHROPIC, "closed": ANTHROPIC, "plain": PLAIN}.get(word)
        plan = plan_output(request.output, rules, log, object_mode=False)
        if plan is not None and plan.mode == "schema":
            form = {"type": "json_schema", "schema": plan.schema}
            body["output_config"] = {**body.get("output_config", {}), "format": form}
        body |= settings.sampling_of(request, dialect, traits, thinking, version, log)
        body |= settings.other_fields(request, log)
        if request.stream:
            body["stream"] = True

        betas = dialect.betas
        if thinking.budgeted and traits.interleaved_beta and INTERLEAVED_BETA not in betas:
            betas = (INTERLEAVED_BETA, *betas)
        accept = "text/event-stream" if request.stream else "application/json"
        headers = {"content-type": "application/json", "accept": accept, **self._headers(version)}
        if betas:
            headers["anthropic-beta"] = ",".join(dict.fromkeys(betas))
        issuer = issuer_of(request, provider)
        return Plan(
            dialect,
            traits,
            issuer,
            thinking,
            version,
            fixed_headers(*headers.items()),
            body,
            "" if plan is None else plan.instruction,
            log.done(),
        )

    def _call(self, request: LLMRequest, provider: ProviderConfig, memory: Memory | None) -> Call:
        log = Log()
        # Marks of the caller's own replace the automatic ones (wire reference 3.5).
        unmarked = memory.unmarked(request.messages) if memory is not None else 0
        automatic = not is_marked(request, unmarked)
        if not automatic:
            request = fit_marks(request, ("5m", "1h"), log, longest_first=True)
        make = memory.settings if memory is not None else _made
        plan = make(request, provider, self._plan)
        history = self._history(request, provider, plan, memory)
        why = cant_think(history) if plan.thinking.budgeted else None
        if why is not None:
            plan = self._plan(request, provider, why)
            history = self._history(request, provider, plan, memory)
        if not history.turns:
            raise UnsupportedError(
                "messages: there is no message with content besides the system prompt; "
                "add a user message",
                path="messages",
                phase="prepare",
            )
        fit_prefill(history, plan.traits, f"messages[{len(request.messages) - 1}]")
        cache = plan.dialect.prompt_cache and automatic
        messages = history.encoded(cache)
        body: dict[str, Any] = {"model": request.model.name, "max_tokens": plan.thinking.max_tokens}
        system = history.system
        if plan.instruction:
            system = (*system, {"type": "text", "text": plan.instruction})
        if system:
            body["system"] = turns.cached_system(system, cache)
        body |= plan.body
        body["messages"] = Pieces(messages.pieces)
        body |= request.extra_body
        return Call(body, plan, log.done() + plan.adaptations + messages.adaptations)

    def _history(
        self, request: LLMRequest, provider: ProviderConfig, plan: Plan, memory: Memory | None
    ) -> turns.Turns:
        writer = turns.HistoryWriter(provider, plan.dialect, plan.issuer, plan.thinking.on)
        return writer.turns(request.messages, memory)


def _made(
    request: LLMRequest,
    provider: ProviderConfig,
    make: Callable[[LLMRequest, ProviderConfig], Plan],
) -> Plan:
    return make(request, provider)


def cant_think(history: turns.Turns) -> str | None:
    """Why this history allows no thinking with a budget; None if it does.

    The assistant turn of an unfinished tool loop must begin with its thinking block, and a
    prefilled reply has none (wire reference 3.3, 3.4).
    """
    if history.turns and history.turns[-1].assistant:
        return "a prefilled reply can't think"
    if history.loop is not None and history.loop not in turns.THINKING:
        return "the tool calls being answered were made without thinking, or it was dropped"
    return None


def fit_prefill(history: turns.Turns, traits: ModelTraits, path: str) -> None:
    """A history that ends with the assistant: legal for few models, and without trailing space.

    A turn that ends in a server tool's block was paused and is continued as it is.
    """
    last, log = history.turns[-1], history.log
    if not last.assistant or last.others[-1][0] != "text":
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
        if kind not in ("text", *turns.THINKING) or (text and text == block["text"]):
            return
        log.add("substituted", path, "a prefilled reply can't end in white space")
        last.others.pop()
        if text:
            last.others.append(("text", {**block, "text": text}))


def base_of(api_base: str) -> str:
    """The address without the version that the endpoint brings along."""
    return api_base.rstrip("/").removesuffix("/v1").rstrip("/")
