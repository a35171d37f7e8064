"""The client's half of Converse and ConverseStream. Wire reference 6, 10.

Settings that the API has and we do not (guardrailConfig, performanceConfig, serviceTier,
promptVariables, system tools in toolConfig) go through `extra_body`, which replaces ours key by key
at the body's top level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ...caching import fit_marks
from ...config import Dialect, ProviderConfig
from ...error_builder import BackendErrorBuilder
from ...errors import BackendError, ConfigError, UnsupportedError
from ...eventstream import CONTENT_TYPE
from ...history import Log, fit
from ...output import plan_output
from ...providers import dialect_of
from ...request import LLMRequest
from ...schema import ANTHROPIC, PLAIN
from ...types import Adaptation, LLMChunk
from ..anthropic import settings as claude
from ..anthropic.models import ModelTraits, traits_of
from ..base import (
    Headers,
    ModelPage,
    PreparedRequest,
    StreamDecoder,
    canonical_body,
    decode_json,
    fixed_headers,
    scheme_at,
)
from . import encode, listing, settings
from .blocks import API
from .decode import ConverseDecoder, issuer_of, parse_whole
from .models import Family, family_of, foundation_id, model_path

_NO_TRAITS = ModelTraits()


class _Count(Struct, rename="camel"):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


class BedrockConverseAdapter:
    """Speaks to Amazon Bedrock in the language that all its models share."""

    api = API

    def prepare_request(self, request: LLMRequest, provider: ProviderConfig) -> PreparedRequest:
        """Raises `UnsupportedError` with a path for what the wire can't say, `ConfigError` for a
        provider without an address or region."""
        body, notes = _body_of(request, provider)
        body.update(request.extra_body)
        verb = "converse-stream" if request.stream else "converse"
        endpoint = model_path(request.model.name, verb)
        return addressed(provider, endpoint, body, notes, stream=request.stream)

    def prepare_count(
        self, request: LLMRequest, provider: ProviderConfig
    ) -> PreparedRequest | None:
        """The counting request; None for models that CountTokens does not know."""
        model = foundation_id(request.model.name)
        if not (dialect_of(provider).count_endpoint and family_of(request.model.name).counts):
            return None
        if model is None:
            return None
        body, notes = _body_of(request, provider)
        body.update(request.extra_body)
        counted = ("messages", "system", "toolConfig", "additionalModelRequestFields")
        asked = {name: body[name] for name in counted if name in body}
        endpoint = model_path(model, "count-tokens")
        return addressed(provider, endpoint, {"input": {"converse": asked}}, notes)

    def parse_count(self, body: bytes, request: LLMRequest) -> int:
        return decode_json(_COUNT, body, "the token count").input_tokens

    def prepare_models(self, provider: ProviderConfig, after: str = "") -> PreparedRequest | None:
        """None where it is not known whom to ask, as behind a private endpoint."""
        return listing.prepare_models(provider, after)

    def parse_models(self, body: bytes) -> ModelPage:
        return listing.parse_models(body)

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
            model=request.model.name if request else "",
        )

    def stream_decoder(
        self, request: LLMRequest, provider: ProviderConfig | None = None
    ) -> StreamDecoder:
        return ConverseDecoder(request, provider)


def addressed(
    provider: ProviderConfig,
    endpoint: str,
    body: dict[str, Any],
    notes: tuple[Adaptation, ...],
    *,
    stream: bool = False,
) -> PreparedRequest:
    """A request to one of Bedrock's addresses."""
    if not provider.api_base:
        raise ConfigError(
            f"provider {provider.name!r} has no api_base; for Bedrock it is "
            "https://bedrock-runtime.{region}.amazonaws.com",
            provider=provider.name,
            phase="prepare",
        )
    address = provider.address.rstrip("/")
    return PreparedRequest(
        method="POST",
        endpoint=endpoint,
        headers=_headers(stream),
        body=canonical_body(body),
        base_url=address,
        adaptations=notes,
        auth=scheme_at(dialect_of(provider), address, "bearer"),
    )


def _headers(stream: bool) -> Headers:
    given = [("content-type", "application/json")]
    if stream:
        # Compressing servers hold events back.
        given += [("accept", CONTENT_TYPE), ("accept-encoding", "identity")]
    else:
        given.append(("accept", "application/json"))
    return fixed_headers(*given)


# --- the body -----------------------------------------------------------------------------------


def _body_of(
    request: LLMRequest, provider: ProviderConfig
) -> tuple[dict[str, Any], tuple[Adaptation, ...]]:
    log, dialect = Log(), dialect_of(provider)
    if provider.region.startswith("us-gov-"):  # refuses thinking.display
        dialect = replace(dialect, thinking_display=None)
    family = family_of(request.model.name)
    traits = traits_of(request.model.name) if family.claude else _NO_TRAITS
    issuer = issuer_of(request, provider)
    if family.cache:
        tools = "tools" in family.cache
        request = fit_marks(request, encode.LIFETIMES, log, tools=tools, longest_first=True)
    ids = family.ids if dialect.tool_call_ids == "any" else dialect.tool_call_ids

    def written(keep_thinking: bool) -> tuple[list[encode.Entry], list[encode.Turn], Log]:
        log = Log()
        messages = fit(request.messages, issuer, ids, log)
        writer = encode.Writer(family, issuer, keep_thinking, log)
        system, rest = writer.split_system(messages)
        return system, writer.turns_of(rest), log

    thinking = claude.Thinking()
    if family.claude:
        thinking = claude.plan_thinking(request, dialect, traits, request.thinking, log)
    system, turns, writing = written(thinking.on)
    why = encode.cant_think(turns) if thinking.budgeted else None
    if why is not None:
        log.add("substituted", "thinking", why, request.thinking, "off")
        config: Any = {"type": "disabled"} if traits.off == "disabled" else None
        thinking = claude.Thinking(config, max_tokens=thinking.max_tokens)
        system, turns, writing = written(False)
    log.entries += writing.entries
    if not turns:
        raise UnsupportedError(
            "messages: there is no message with content besides the system prompt; "
            "add a user message",
            path="messages",
            api=API,
            phase="prepare",
        )
    if family.claude:
        path = f"messages[{len(request.messages) - 1}]"
        encode.fit_prefill(turns[-1], traits.prefill, path, log)
    return _assembled(request, dialect, family, traits, thinking, system, turns, log), log.done()


def _assembled(
    request: LLMRequest,
    dialect: Dialect,
    family: Family,
    traits: ModelTraits,
    thinking: claude.Thinking,
    system: list[encode.Entry],
    turns: list[encode.Turn],
    log: Log,
) -> dict[str, Any]:
    if family.claude:
        made = settings.of_claude(request, dialect, traits, thinking, log)
        forced_ok = claude.allowed(traits.forced_tools, thinking)
    else:
        made = settings.of_others(request, family, log)
        forced_ok = True
    if dialect.forced_tool_choice is not None:
        forced_ok = dialect.forced_tool_choice
    if stops := settings.stops_of(request, log):
        made.inference["stopSequences"] = stops
    used = [
        str(block["toolUse"]["name"])
        for turn in turns
        for kind, block in turn.others
        if kind == "toolUse" and isinstance(block, dict)
    ]
    tools = settings.tools_of(request, family, forced_ok, used, made, system, log)
    word = dialect.json_schema or ("prompt" if family.claude and not traits.schema else "strict")
    rules = {"strict": ANTHROPIC, "closed": ANTHROPIC, "plain": PLAIN}.get(word)
    plan = plan_output(request.output, rules, log, object_mode=False)
    if plan is not None and plan.instruction:
        system.append(("text", {"text": plan.instruction}))

    body: dict[str, Any] = {}
    if system:
        body["system"] = [block for _, block in system]
    if (config := tools.config) is not None:
        body["toolConfig"] = config
    if made.inference:
        body["inferenceConfig"] = made.inference
    if made.extra:
        body["additionalModelRequestFields"] = made.extra
    body |= settings.fields_of(request, plan, log)
    body["messages"] = [
        {"role": turn.role, "content": [block for _, block in turn.entries]} for turn in turns
    ]
    return body
