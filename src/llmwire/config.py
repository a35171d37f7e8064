"""Providers, models and dialects: frozen data, with no secret inside.

A *provider* is an address with a key variable and a wire format. A *dialect* is what one server
does differently from its wire format, one documented field a quirk. A *model* is a name at a
provider with prices, limits and defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from .errors import ConfigError
from .plain import JSON

ThinkingLevel = Literal["off", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much the model should think. A wire without a level takes the nearest lower one it has,
and the reply's `adaptations` say so."""

THINKING_LEVELS: tuple[ThinkingLevel, ...] = (
    "off",
    "minimal",
    "low",
    "medium",
    "high",
    "xhigh",
    "max",
)


class Timeouts(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits on waiting, in seconds; None waits for ever. Each is one clock of its own.

    Keep-alives and comments reset none of them; only content does. `total` spans all attempts
    of one call, the waits between them included.
    """

    connect: float | None = 10.0
    """Name look-up, TCP and TLS. A server that is there answers within seconds."""
    headers: float | None = 600.0
    """Request sent until status line. A whole (not streamed) answer is generated before it."""
    first_content: float | None = 600.0
    """Status line until first content. Large prompts and model loads take minutes."""
    idle: float | None = 300.0
    """Between two events with content. Long thinking can be silent for minutes."""
    total: float | None = 3600.0
    """The whole call, all attempts and waits included. The longest turns of agents stay below it."""


class Dialect(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a server does differently from the plain wire format. Who needs what is said beside.

    A field None means: decide by the model's data, or leave it out.
    """

    # Chat Completions: the request
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """None: by model on api.openai.com's names, else max_tokens. Ollama, Together, Mistral know
    only max_tokens; o-series and later refuse it."""
    stream_usage: bool = True
    """Ask for usage by stream_options.include_usage. Mistral sends it always and unasked."""
    stream_tool_calls: bool | None = None
    """Mistral: stream_options.stream_tool_calls streams the arguments instead of whole calls, as
    does streamFunctionCallArguments for Gemini 3 and later on Vertex AI."""
    developer_role: bool | None = None
    """Whether `developer` messages keep their role. None: only for OpenAI's reasoning models."""
    any_word: Literal["required", "any"] = "required"
    """The tool choice that forces some tool. Old Mistral deployments know only `any`."""
    tool_choices: tuple[str, ...] = ("auto", "none", "required", "named")
    """The tool choices the server takes. Z.ai takes only auto; Ollama ignores all."""
    efforts: tuple[ThinkingLevel, ...] | None = None
    """Levels of reasoning_effort the server takes (`off` is sent as "none"). None: by model."""
    families: Literal["openai", "mistral"] = "openai"
    """Whose model names say what a model takes, where nothing else does."""
    reasoning_control: Literal[
        "effort", "thinking_type", "adaptive", "enable_thinking", "reasoning", "none"
    ] = "effort"
    """How thinking is asked for: reasoning_effort; thinking {type} with effort (DeepSeek, Z.ai,
    Moonshot); thinking {type: adaptive} (MiniMax); enable_thinking (Qwen); reasoning {effort}
    (OpenRouter); not at all."""
    thinking_extra: dict[str, JSON] = {}
    """What is said beside switching thinking on: clear_thinking false (Z.ai), preserve_thinking
    (Qwen), which keep the thinking of earlier turns in the context."""
    thinking_default: bool = False
    """Whether the server thinks unless told not to, so that `off` has to be said in so many
    words (DeepSeek V4, Z.ai, Qwen, MiniMax)."""
    reasoning_replay: Literal["issuer", "none", "tool_turns", "always", "content"] = "issuer"
    """What of earlier reasoning goes back. `issuer`: to the server it came from, in the field it
    came in. `none`: never (OpenAI). `tool_turns`: on turns with tool calls (Moonshot).
    `always`: on every assistant turn, "" where there is none (DeepSeek V4). `content`: as
    thinking blocks inside content (Mistral)."""
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning", "reasoning_text")
    """Names read in replies, first match wins; the provider's reasoning_field_name goes first."""
    temperature_with_thinking: float | None = None
    """Mistral asks for 1.0 while reasoning."""
    sampling: bool | None = None
    """Whether temperature, top_p and the like are taken. None: by model."""
    top_k: bool = True
    """Whether the body takes top_k. OpenAI, Mistral, Groq, DeepSeek, xAI and Cerebras do not."""
    seed_field: str = "seed"
    """Mistral calls it random_seed."""
    parallel_tool_calls: bool = True
    """Whether parallel_tool_calls may be sent."""
    metadata: bool = False
    """Whether the body takes `metadata` (OpenAI, Mistral); strict servers answer 400."""
    body: dict[str, JSON] = {}
    """What every request says beside: reasoning_split (MiniMax: thinking in a field of its own),
    context_length_exceeded_behavior (Fireworks: an error instead of a silent cut). A call's
    extra_body goes over it."""

    # Structured output, on every wire
    json_schema: Literal["strict", "closed", "plain", "json_object", "prompt"] | None = None
    """How the server holds a reply to a JSON Schema. `strict`: as its vendor's own API does
    (OpenAI's strict mode, which imitators take too; Anthropic's). `closed`: any schema whose
    objects are closed (Mistral). `plain`: any schema (vLLM, llama.cpp, Ollama). `json_object`: it
    only knows a mode for any JSON (DeepSeek, Z.ai, Qwen, MiniMax), so the prompt has the schema.
    `prompt`: not even that. None: strict, but for models known to lack it."""

    # Prompt caching
    prompt_cache_key: bool = False
    """Whether the body takes prompt_cache_key (OpenAI, Azure, Mistral, Fireworks)."""
    affinity_header: str = ""
    """A header that gets the cache key too, so that calls with it meet on one machine (Mistral)."""
    cache_marks: Literal["breakpoint", "cache_control"] | None = None
    """How parts of a chat are marked as worth caching: prompt_cache_breakpoint, or Anthropic's
    cache_control (OpenRouter, Qwen). None: by model, GPT-5.6 and later; others cache by themselves."""
    store: bool = False
    """Whether the service can store replies of this wire (OpenAI); else `store` is dropped."""

    # Sizes, on every wire: what is larger is refused here, with its place, before it is sent
    max_image_bytes: int | None = None
    """The largest image inside a request, in bytes before base64. Anthropic: 10 MiB of base64."""
    max_file_bytes: int | None = None
    """The largest document or sound inside a request, in bytes before base64. Bedrock: 4.5 MB."""
    max_request_bytes: int = 512 * 1024 * 1024
    """The largest body. Anthropic: 32 MB. By default a bound that only stops mistakes."""

    # Chat Completions: the history
    merge_user_messages: bool = False
    """Perplexity, and chat templates of Mistral, Gemma, Llama 2, want strict alternation."""
    assistant_after_tool: bool = False
    """Mistral models: a user turn right after a tool result is a 400."""
    prefill: Literal["plain", "prefix", "partial"] = "plain"
    """What marks a last message by the assistant as the beginning of the reply: nothing, prefix
    (Mistral, DeepSeek), partial (Moonshot)."""
    tool_call_ids: Literal["any", "openai40", "openai64", "mistral9", "anthropic64"] = "any"
    """Which ids the server takes: up to 40 characters (OpenAI's chat), up to 64 (its Responses),
    exactly 9 alphanumerics (Mistral), up to 64 of A-Za-z0-9_- (Anthropic)."""
    empty_content: Literal["null", "empty"] = "null"
    """What stands for the content of an assistant turn that has only tool calls."""
    speaker_names: bool = True
    """Whether user, system and assistant messages may carry a name. Mistral answers 422."""
    content_parts: Literal["openai", "mistral"] = "openai"
    """The form of documents and sound in user messages: Mistral has its own."""
    tool_name_on_result: bool = False
    """Whether tool messages carry the function's name."""
    tool_result_images: bool = False
    """Whether images may stand in tool messages (Mistral); else they move to a user message."""

    # Chat Completions: the reply
    stream_end: Literal["done", "finish_reason"] = "finish_reason"
    """What proves that a stream was whole. `done`: only the `[DONE]` line (Converse: the
    metadata), for services known to send it always. `finish_reason`: that is enough, for unknown servers and for those seen to
    close without `[DONE]` (Cerebras, MiniMax, Copilot, Perplexity, GPUStack, Mistral)."""
    reasoning_outside_output: bool = False
    """xAI's chat counts reasoning tokens beside completion_tokens, not in them."""

    # Responses
    encrypted_reasoning: bool = True
    """Whether to ask for reasoning in encrypted form, so that it can be sent back. DeepSeek gives
    it as text."""
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = "auto"
    """Which summary of its reasoning the model is asked for when it thinks; None: none. OpenAI
    shows no reasoning otherwise."""
    hosted_custom_calls: bool = False
    """Whether calls of the server's own tools come as custom tool calls, under names that nobody
    offered (xAI's search on X). They are kept for the server and are no calls to run."""

    # All wires
    auth: Literal["bearer", "x-api-key", "api-key", "google"] | None = None
    """How the credential travels: the key as `Authorization: Bearer`, in `x-api-key` or in
    `api-key` (Azure), or Google's token, which goes to googleapis.com only (Claude on Google
    Cloud). None: as the wire's own service takes it."""
    endpoint: str | None = None
    """The path of a call, `{model}` in it for the model's name (Azure's deployments). None: the
    wire's own."""
    api_version: str = ""
    """The `api-version` in the query of every address (Azure)."""
    model_list: bool = True
    """Whether the server lists its models. Z.ai, DashScope and Perplexity have no reliable list."""

    # Anthropic Messages
    anthropic_version: str | None = None
    """The anthropic-version header (or body field on Vertex). None: by model, 2026-10-21 for
    Claude 4.7 and later, the older one for older models and for ids that are no Claude's."""
    betas: tuple[str, ...] = ()
    """More values for anthropic-beta."""
    bearer: bool = False
    """Send the key as `Authorization: Bearer` instead of `x-api-key`."""
    prompt_cache: bool = True
    """Put cache_control on the system prompt and on the last user block, unless the request marks
    itself what is worth caching."""
    replay_unsigned_thinking: bool = False
    """Kimi's and DeepSeek's Messages endpoints want thinking back though it has no signature."""
    thinking_display: Literal["summarized", "omitted"] | None = "summarized"
    """Newer Claude models show no thinking unless asked."""
    anthropic_thinking: Literal["adaptive", "enabled"] | None = None
    """Messages servers that know only one form of thinking: adaptive with an effort, or enabled
    with a budget. None: by model."""
    forced_tool_choice: bool | None = None
    """Whether tool_choice any or tool is taken. None: by model, and not while one thinks that
    refuses it then."""
    count_endpoint: bool = True
    """Whether the server has /v1/messages/count_tokens, or /responses/input_tokens, or :countTokens
    (Gemini)."""

    def __post_init__(self) -> None:
        # Both end up in the address that a key is sent to.
        if self.endpoint is not None and not re.fullmatch(
            r"/[\w.:/{}@-]*", self.endpoint, re.ASCII
        ):
            raise ConfigError(
                f"dialect: endpoint {self.endpoint!r} must be a path, beginning with a slash"
            )
        if self.api_version and not re.fullmatch(r"[\w.-]+", self.api_version, re.ASCII):
            raise ConfigError(f"dialect: api_version {self.api_version!r} is no version")


class ProviderConfig(Struct, frozen=True, omit_defaults=True):
    """Who answers: an address, the variable that holds the key, and the wire format.

    `api_base` is what the wire's endpoint is appended to: `https://api.openai.com/v1` for Chat
    Completions, `https://api.anthropic.com` for Messages (with or without `/v1`),
    `https://generativelanguage.googleapis.com` for Gemini (with or without `/v1` or `/v1beta`).
    `{resource}`, `{project_id}` and `{region}` in it stand for those fields. Raises `ConfigError`
    for an address that is no http(s) URL.
    """

    name: str
    api_base: str = ""
    api_key_env_var: str = ""
    """The environment variable with the key; "" for servers that need none."""
    api_style: str = "openai"
    """The wire format: a key of `ADAPTERS`."""
    reasoning_field_name: str = "reasoning_content"
    """What this server calls reasoning, both ways."""
    project_id: str = ""
    region: str = ""
    """Where Google Cloud and AWS are to answer."""
    resource: str = ""
    """The account's own part of the address: a resource of Azure's, a workspace of Anthropic's."""
    extra_headers: dict[str, str] = {}
    """Sent with every request; they replace ours of the same name, whatever its case."""
    timeouts: Timeouts = Timeouts()
    dialect: Dialect | None = None
    """None: the known dialect of the address's host (`providers.dialect_of`), else the plain one."""

    def __post_init__(self) -> None:
        if self.api_base:
            check_url(self.api_base, f"provider {self.name!r}: api_base")

    @property
    def address(self) -> str:
        """`api_base` with what its placeholders stand for.

        Raises `ConfigError` if one of them is missing, or can't stand in an address.
        """
        address = self.api_base
        for field in ("resource", "project_id", "region") if "{" in address else ():
            value: str = getattr(self, field)
            if f"{{{field}}}" not in address:
                continue
            if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?", value):
                problem = (
                    f"has a {field} that can't be one: {value!r}" if value else f"needs {field}"
                )
                raise ConfigError(
                    f"provider {self.name!r} {problem}; its address is {self.api_base}",
                    provider=self.name,
                    phase="prepare",
                )
            address = address.replace(f"{{{field}}}", value)
            if field == "region":
                address = _in_partition(address, value)
        return address


_AWS_PARTITIONS = (
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
)
"""Regions of AWS that are not under amazonaws.com. Wire reference 1.1."""


def _in_partition(address: str, region: str) -> str:
    domain = next((d for start, d in _AWS_PARTITIONS if region.startswith(start)), None)
    plain = f".{region}.amazonaws.com"
    return address if domain is None else address.replace(plain, f".{region}.{domain}")


class ModelConfig(Struct, frozen=True, omit_defaults=True):
    """A model at a provider. Prices are in dollars per million tokens."""

    name: str
    provider: str = ""
    """The `name` of its ProviderConfig."""
    alias: str = ""
    """A short name for people; the model's name if none is given."""
    temperature: float | None = 0.2
    """None sends none. Dropped, with a record, for models that refuse it."""
    input_price: float | None = None
    output_price: float | None = None
    thinking: ThinkingLevel = "off"
    context_window: int | None = None
    """In tokens, input and output together."""
    max_output_tokens: int | None = None
    """The most the model can write. Used where a wire demands a limit and the call has none."""
    cache_read_price: float | None = None
    cache_write_price: float | None = None
    """Of writes with the wire's shorter lifetime: 5 or 30 minutes."""
    cache_write_long_price: float | None = None
    """Of writes with its longer lifetime: 1 or 12 hours."""
    vision: bool | None = None
    """Whether the model sees images. None: what the catalogue says."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a model needs a name")
        if not self.alias:
            msgspec.structs.force_setattr(self, "alias", self.name)
        if self.thinking not in THINKING_LEVELS:
            raise ConfigError(
                f"model {self.name!r}: thinking must be one of {', '.join(THINKING_LEVELS)}, "
                f"not {self.thinking!r}"
            )


class ModelInfo(Struct, frozen=True, omit_defaults=True):
    """A model that a provider lists, as far as the list tells; None: it does not say."""

    name: str
    """What calls name it by."""
    context_window: int | None = None
    """In tokens, input and output together."""
    max_output_tokens: int | None = None


def check_url(url: str, where: str) -> None:
    """Raises `ConfigError` naming `where` unless `url` is an http(s) URL with a sound host."""
    from urllib.parse import urlsplit

    shown = _without_secrets(url)
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or 0 < parts.port < 65536
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode()
    except (ValueError, UnicodeError) as e:
        why = f": {e}" if shown == url else ""  # the reason may quote what must not be shown
        raise ConfigError(f"{where}: {shown!r} is not a URL{why}") from None
    if parts.scheme not in ("http", "https") or not host or not port_ok:
        raise ConfigError(f"{where}: {shown!r} must start with http:// or https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{where}: put credentials in api_key_env_var, not in the address")
    if parts.query or parts.fragment or any(c.isspace() or ord(c) < 32 for c in url):
        raise ConfigError(f"{where}: {shown!r} has a query, a fragment or white space in it")
    labels = [host] if ":" in host else host.removesuffix(".").split(".")  # IPv6 has no labels
    if len(host) > 253 or any(not 0 < len(n) < 64 or n == "xn--" for n in labels):
        raise ConfigError(f"{where}: {host!r} is not a host name")


def _without_secrets(url: str) -> str:
    """The URL without what may hold a key: user information, query, fragment."""
    before, at, _ = (
        re.split(r"([?#])", url, maxsplit=1) if re.search(r"[?#]", url) else (url, "", "")
    )
    return re.sub(r"//.*@", "//…@", before, flags=re.DOTALL) + (f"{at}…" if at else "")


def from_mapping(kind: type[Any], data: Mapping[str, Any], where: str) -> Any:
    """A config value from a plain mapping (TOML, JSON); unknown keys are errors.

    Raises `ConfigError` with the path of what does not fit.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: expected a table of settings, got {type(data).__name__}")
    unknown = set(data) - {f.name for f in msgspec.structs.fields(kind)}
    if unknown:
        names = ", ".join(sorted(map(repr, unknown)))
        raise ConfigError(f"{where}: unknown setting {names}")
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as e:
        raise ConfigError(f"{where}: {e}") from None
    except ConfigError as e:
        raise ConfigError(f"{where}: {e.message}") from None
