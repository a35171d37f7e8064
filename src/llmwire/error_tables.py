"""Vendors' words for what went wrong: one row each, with a sample and where it was seen.

A row matches a provider's error by `codes` (the whole of a code, type or reason, whatever its
case) or by `pattern` (somewhere in its text, whatever its case). Named groups capture numbers:
`requested`, `extra` (added to requested) and `limit`, in tokens. Rows are tried in the order of
`KINDS` and, within a kind, in the order here.

Users extend the table with `WORDINGS.append(Wording(...))`. Sources: wire reference 9 and the
vendors' pages and SDKs, read 2026-11-22.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal[
    "too_large",  # more bytes than they take, or more tokens than the plan lets through at once
    "quota",  # money or plan
    "auth",
    "filter",
    "context",  # the prompt does not fit; `codes` are proof, a `pattern` must pass `NOT_CONTEXT`
    "history",
    "model",
    "overloaded",
    "maybe_quota",  # general words of money that pure rate limits also use; see `NOT_QUOTA`
    "rate",
]

# Where the words count: the status of the answer or the one the error itself names. Errors inside
# a 200 that name none match in every row.
KINDS: dict[Kind, frozenset[int]] = {
    "too_large": frozenset((400, 413, 422, 429)),
    "quota": frozenset((400, 402, 403, 429)),
    "auth": frozenset((400, 401, 403)),
    "filter": frozenset((400, 403, 421, 422, 451)),
    "context": frozenset((400, 403, 413, 422)),  # 403: Together
    "history": frozenset((400, 422)),
    "model": frozenset((400, 403, 404, 422)),
    "overloaded": frozenset((429, 500, 502, 503, 504, 529)),
    "maybe_quota": frozenset((429,)),
    "rate": frozenset((429, 503)),
}

NOT_CONTEXT = (
    r"rate.?limit|too many requests|per (?:min|minute|day)\b|\bTPM\b|throttl|timed? ?out|deadline|"
    r"overloaded|entity too large|body (?:exceeds|too)|(?<![-\w])images?\b|"
    r"max_tokens.{0,80}maximum output|budget|please wait"
)
"""Words near "too long" and "limit" that mean something else."""

NOT_QUOTA = (
    r"RESOURCE_EXHAUSTED|\b(?:try again|retry) (?:in|after)\b|"
    r"per[ -_]?(?:second|min|minute|hour)\b|\b[RT]PM\b"
)
"""Words beside "quota" and "billing" that say that waiting helps."""


class Wording(NamedTuple):
    """One way in which one vendor says one thing. `sample` is its text, `seen` where and when."""

    kind: Kind
    vendor: str
    sample: str
    seen: str
    pattern: str = ""
    codes: tuple[str, ...] = ()


_DOC = "wire reference 9, 2026-11-22"
_N = r"[\d,]+"

WORDINGS: list[Wording] = [
    # --- too_large ----------------------------------------------------------------------------
    Wording("too_large", "Anthropic", "Request exceeds the maximum size", _DOC,
            r"request exceeds the maximum (?:allowed )?(?:size|number of bytes)",
            ("request_too_large",)),
    Wording("too_large", "OpenAI", "string too long. Expected a string with maximum length "
            "10485760, but got a string with length 11000000 instead.", _DOC,
            r"string too long\. Expected a string with maximum length",
            ("string_above_max_length",)),
    # --- quota --------------------------------------------------------------------------------
    Wording("quota", "OpenAI", "You exceeded your current quota, please check your plan and "
            "billing details.", "openai-python, 2026-11-22", "",
            ("insufficient_quota", "credit_balance_exhausted",
             "organization_spend_limit_exceeded", "project_spend_limit_exceeded",
             "organization_usage_limit_exceeded", "billing_hard_limit_reached",
             "billing_not_active")),
    Wording("quota", "ChatGPT plan", "The usage limit has been reached", _DOC, "",
            ("subscription_sharing_usage_limit_exceeded", "usage_limit_reached")),
    Wording("quota", "Anthropic", "Your credit balance is too low to access the Anthropic API.",
            _DOC, r"credit balance is too low", ("billing_error",)),
    Wording("quota", "Anthropic", "You have reached your specified API usage limits. You will "
            "regain access on 2026-12-01 at 00:00 UTC.", _DOC,
            r"reached your specified (?:workspace )?API usage limits",
            ("enforced_spend_limit_reached", "contract_spend_limit_reached",
             "ramp_limit_exceeded")),
    Wording("quota", "Google", "Your prepayment credits are depleted.", _DOC,
            r"prepay(?:ment)? credits?(?: balance)? (?:is|are) depleted", ("payment_required",)),
    Wording("quota", "Google", "Quota exceeded for metric: generate_content_free_tier_requests, "
            "limit: 0, model: gemini-2.5-pro", _DOC,
            r"quota exceeded for metric[^\n]{0,200}limit: 0\b"),
    Wording("quota", "Google", "GenerateRequestsPerDayPerProjectPerModel-FreeTier", _DOC,
            r"\bGenerate\w*PerDay"),
    Wording("quota", "DashScope", "Access denied, please make sure your account is in good "
            "standing.", _DOC, "", ("arrearage",)),
    Wording("quota", "Moonshot", "Your account is suspended, please check your plan and billing "
            "details", _DOC, "", ("exceeded_current_quota_error",)),
    Wording("quota", "Z.ai", "Your account is in arrears, please recharge",
            "docs.z.ai/api-reference/api-code, 2026-11-24", "",
            ("1113", "1304", "1308", "1309", "1310", "1315")),
    Wording("quota", "MiniMax", "insufficient balance",
            "platform.minimax.io/docs/api-reference/errorcode, 2026-11-24",
            r"\binsufficient[ _](?:account )?(?:balance|credits?|funds)\b",
            ("base_resp 1008", "insufficient_balance", "insufficient_credits")),
    Wording("quota", "OpenRouter", "Rate limit exceeded: free-models-per-day. Add 10 credits to "
            "unlock 1000 free model requests per day", "openrouter.ai/docs, 2026-11-22",
            r"free-models-per-day"),
    Wording("quota", "several", "Monthly usage limit reached", _DOC,
            r"\bmonthly (?:usage|spend(?:ing)?) limit (?:reached|exceeded)|\bout of budget\b|"
            r"\bno available balance\b|\bavailable balance (?:is )?(?:insufficient|exhausted|0\b)|"
            r"\bexceeds? (?:your )?available balance\b|\bbudget has been exceeded\b"),
    Wording("quota", "Bedrock", "Your request exceeds the service quota for your account.",
            "botocore 1.44.8, 2026-11-24", "", ("ServiceQuotaExceededException",)),
    # --- auth ---------------------------------------------------------------------------------
    Wording("auth", "OpenAI, xAI", "Incorrect API key provided. You can obtain an API key from "
            "https://console.x.ai.", _DOC, r"\b(?:incorrect|invalid) API[ -]?key\b",
            ("invalid_api_key", "invalid_authentication_error")),
    Wording("auth", "Google", "API key not valid. Please pass a valid API key.", _DOC,
            r"\bAPI key (?:not valid|expired|not found)\b",
            ("API_KEY_INVALID", "API_KEY_EXPIRED", "UNAUTHENTICATED")),
    Wording("auth", "Anthropic", "invalid x-api-key", _DOC, r"\binvalid x-api-key\b",
            ("authentication_error",)),
    Wording("auth", "AWS", "The security token included in the request is expired",
            "recorded answer of bedrock-runtime, 2026-11-22",
            r"security token included in the request is (?:expired|invalid)",
            ("ExpiredTokenException", "UnrecognizedClientException", "ExpiredToken",
             "InvalidSignatureException", "MissingAuthenticationTokenException")),
    Wording("auth", "MiniMax", "login fail: Please carry the API secret key in the "
            "'Authorization' field of the request header",
            "platform.minimax.io/docs/api-reference/errorcode, 2026-11-24",
            r"\blogin fail: please carry the API secret key",
            ("base_resp 1004", "base_resp 2049")),
    # --- filter -------------------------------------------------------------------------------
    Wording("filter", "OpenAI", "Your request was rejected as a result of our safety system.",
            _DOC, r"rejected as a result of our safety system",
            ("content_policy_violation", "image_content_policy_violation", "bio_policy",
             "misalignment_policy_violation")),
    Wording("filter", "Azure", "The response was filtered due to the prompt triggering Azure "
            "OpenAI's content management policy.", _DOC,
            r"prompt triggering (?:Microsoft |Azure )?(?:Azure )?(?:OpenAI's )?content management",
            ("content_filter", "ResponsibleAIPolicyViolation")),
    Wording("filter", "Anthropic", "Output blocked by content filtering policy", _DOC,
            r"blocked by content filtering policy"),
    Wording("filter", "xAI", "Content violates usage guidelines. Failed check: "
            "SAFETY_CHECK_TYPE_DATA_LEAKAGE", "recorded answer, 2026-11-22",
            r"content violates usage guidelines|\bSAFETY_CHECK_TYPE_"),
    Wording("filter", "OpenRouter", "openai/gpt-4o requires moderation on OpenAI. Your input was "
            "flagged for \"harassment\".", _DOC, r"\byour input was flagged\b",
            ("flagged_input",)),
    Wording("filter", "DashScope", "Input data may contain inappropriate content.", _DOC,
            r"(?:input|output) (?:text )?data may contain inappropriate content",
            ("data_inspection_failed", "DataInspectionFailed")),
    Wording("filter", "Z.ai", "System detected potentially unsafe or sensitive content in input "
            "or generation", "docs.z.ai/api-reference/api-code, 2026-11-24",
            r"potentially unsafe or sensitive content", ("1301",)),
    Wording("filter", "Google", "The prompt was blocked: PROHIBITED_CONTENT", _DOC, "",
            ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "MODEL_ARMOR")),
    Wording("filter", "MiniMax", "input new_sensitive", _DOC, r"\b(?:in|out)put new_sensitive\b"),
    # --- context ------------------------------------------------------------------------------
    Wording("context", "OpenAI", "This model's maximum context length is 128000 tokens. However, "
            "your messages resulted in 131072 tokens.", _DOC,
            rf"maximum context length is (?P<limit>{_N})(?: tokens)?(?:\. However, (?:your messages "
            rf"resulted in|you requested)(?: about)? (?P<requested>{_N}))?"),
    Wording("context", "Anthropic", "prompt is too long: 213462 tokens > 200000 maximum", _DOC,
            rf"prompt (?:is )?too long(?:: (?P<requested>{_N}) tokens > (?P<limit>{_N}))?"),
    Wording("context", "Anthropic", "input length and `max_tokens` exceed context limit: 188059 + "
            "20000 > 200000, decrease input length or `max_tokens` and try again", _DOC,
            rf"exceed context limit(?:: (?P<requested>{_N}) \+ (?P<extra>{_N}) > (?P<limit>{_N}))?"),
    Wording("context", "Google", "The input token count (1196265) exceeds the maximum number of "
            "tokens allowed (1048575).", _DOC,
            rf"input token count \(?(?P<requested>{_N})?\)? ?exceeds the maximum number of (?:input )?"
            rf"tokens allowed(?: \(?(?P<limit>{_N})\)?)?"),
    Wording("context", "Bedrock", "Input is too long for requested model. Max input token count: "
            "200000, actual token count: 250000", _DOC,
            rf"input is too long(?: for requested model)?(?:\.? Max input token count: "
            rf"(?P<limit>{_N}), actual token count: (?P<requested>{_N}))?"),
    Wording("context", "Mistral", "Prompt contains 300000 tokens and 0 draft tokens, too large "
            "for model with 131072 maximum context length", _DOC,
            rf"prompt contains (?P<requested>{_N}) tokens.{{0,80}}too large for model with "
            rf"(?P<limit>{_N}) maximum context length"),
    Wording("context", "Mistral", "The prompt couldn't fit with truncation", _DOC,
            r"couldn.t fit with truncation|context too long|\binput too large\b",
            ("model_context_exceeded", "prompt_too_long")),
    Wording("context", "xAI", "This model's maximum prompt length is 131072 but the request "
            "contains 537812 tokens.", _DOC,
            rf"maximum prompt length is (?P<limit>{_N})(?: but the request contains "
            rf"(?P<requested>{_N}))?"),
    Wording("context", "LiteLLM, vLLM", "Input length (265330) exceeds model's maximum context "
            "length (262144).", _DOC,
            rf"input length \(?(?P<requested>{_N})\)? exceeds (?:the )?(?:model'?s )?maximum (?:"
            rf"context|allowed input) length(?: of)? ?\(?(?P<limit>{_N})\)?"),
    Wording("context", "SGLang", "Requested token count exceeds the model's maximum context "
            "length of 131072 tokens. You requested a total of 140000 tokens", _DOC,
            rf"exceeds? (?:the )?(?:model'?s )?maximum context (?:length|limit)(?: of (?P<limit>{_N})"
            rf"(?: tokens\. You requested a total of (?P<requested>{_N}))?)?"),
    Wording("context", "Together, SGLang", "The input (265330 tokens) is longer than the model's "
            "context length (262144 tokens).", _DOC,
            rf"\((?P<requested>{_N}) tokens\) is longer than the model'?s context length "
            rf"\((?P<limit>{_N})"),
    Wording("context", "vLLM", "The decoder prompt (length 5951) is longer than the maximum model "
            "length of 4096", _DOC,
            rf"\(length (?P<requested>{_N})\) is longer than the maximum model length of "
            rf"(?P<limit>{_N})"),
    Wording("context", "vLLM", "You passed 130000 input tokens and requested 4096 output tokens. "
            "However, the model's context length is only 131072 tokens", _DOC,
            rf"you passed (?P<requested>{_N}) input tokens and requested (?P<extra>{_N}) output "
            rf"tokens\. However, the model'?s context length is only (?P<limit>{_N})"),
    Wording("context", "llama.cpp", "request (9000 tokens) exceeds the available context size "
            "(8192 tokens), try increasing it", _DOC,
            rf"\((?P<requested>{_N}) tokens\) exceeds the available context size \((?P<limit>{_N})",
            ("exceed_context_size_error",)),
    Wording("context", "Cerebras, Groq", "Please reduce the length of the messages or completion. "
            "Current length is 9000 while limit is 8192", _DOC,
            rf"reduce the length of the (?:messages|input prompt|prompt)(?:.{{0,60}}current length is "
            rf"(?P<requested>{_N}) while limit is (?P<limit>{_N}))?"),
    Wording("context", "Moonshot", "Your request exceeded model token limit: 262144 (requested: "
            "300000)", _DOC,
            rf"exceeded model token limit(?:: (?P<limit>{_N}) \(requested: (?P<requested>{_N}))?"),
    Wording("context", "DashScope", "Range of input length should be [1, 129024]", _DOC,
            rf"range of input length should be \[\d+, ?(?P<limit>{_N})\]"),
    Wording("context", "DashScope, Ollama", "the input length exceeds the context length", _DOC,
            r"input length exceeds the (?:context|maximum) length"),
    Wording("context", "Z.ai", "Prompt exceeds max length", _DOC, r"prompt exceeds max length",
            ("1261",)),
    Wording("context", "MiniMax", "invalid params, context window exceeds limit", _DOC,
            r"context window exceeds limit"),
    Wording("context", "OpenAI", "Your input exceeds the context window of this model. Please "
            "adjust your input and try again.", _DOC,
            r"exceeds? the context window|input tokens exceed the configured limit",
            ("context_length_exceeded", "model_context_window_exceeded")),
    Wording("context", "LiteLLM", "litellm.ContextWindowExceededError: Context Window exceeded "
            "for given call.", _DOC, r"context window exceeded|ContextWindowExceededError"),
    Wording("context", "Ollama", "prompt too long; exceeded max context length by 120 tokens",
            _DOC, r"exceeded (?:max )?context length"),
    Wording("context", "LM Studio", "The number of tokens to keep from the initial prompt is "
            "greater than the context length", _DOC, r"greater than the context length"),
    Wording("context", "TGI", "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 "
            "`inputs` tokens and 20 `max_new_tokens`", _DOC,
            rf"max_new_tokens. must be <= (?P<limit>{_N})(?:\. Given: (?P<requested>{_N}) .inputs. "
            rf"tokens and (?P<extra>{_N}))?"),
    Wording("context", "GitHub Copilot", "prompt token count of 140000 exceeds the limit of "
            "128000", _DOC,
            rf"token count of (?P<requested>{_N}) exceeds the limit of (?P<limit>{_N})"),
    Wording("context", "Cohere", "too many tokens: total number of tokens in the prompt cannot "
            "exceed 4081 - received 5000", _DOC,
            rf"too many tokens(?:.{{0,80}}cannot exceed (?P<limit>{_N})"
            rf"(?:\D{{1,20}}(?P<requested>{_N}))?)?"),
    Wording("context", "llama.cpp front ends", "Prompt has 265330 tokens, but the configured "
            "context size is 131072 tokens", _DOC,
            rf"prompt has (?P<requested>{_N}) tokens, but the configured context size is "
            rf"(?P<limit>{_N})"),
    Wording("context", "others", "tokens in request more than max tokens allowed", _DOC,
            r"tokens in request more than max tokens allowed|token limit exceeded|"
            r"context[_ ]length[_ ]exceeded|longer than the (?:model'?s context length|maximum model "
            r"length)|maximum allowed input length|exceeds the available context size|"
            r"context length is only \d+"),
    # --- history ------------------------------------------------------------------------------
    Wording("history", "Anthropic", "messages.1.content.0: Invalid `signature` in `thinking` "
            "block. The block is bound to a different conversation.", _DOC,
            r"invalid .?signature.? in .?thinking.? block|bound to a different conversation"),
    Wording("history", "Anthropic", "Expected `thinking` or `redacted_thinking`, but found "
            "`tool_use`.", _DOC, r"expected .?thinking.? or .?redacted_thinking.?, but found"),
    Wording("history", "Anthropic", "`thinking` or `redacted_thinking` blocks in the latest "
            "assistant message cannot be modified", _DOC,
            r"blocks in the latest assistant message cannot be modified"),
    Wording("history", "Anthropic", "messages.2: `tool_use` ids were found without `tool_result` "
            "blocks immediately after: toolu_01", _DOC,
            r"tool_use.? ids were found without .?tool_result|unexpected .?tool_use_id.? found in|"
            r"each tool_use must have a single result"),
    Wording("history", "Bedrock", "Expected toolResult blocks at messages.2.content for the "
            "following Ids: tooluse_x", _DOC,
            r"expected toolResult blocks at messages|reasoningText\.signature field"),
    Wording("history", "OpenAI", "The encrypted content gAAA could not be verified.", _DOC,
            r"encrypted content .{0,200}could not be (?:verified|decrypted)",
            ("invalid_encrypted_content",)),
    Wording("history", "xAI", "Could not decrypt the provided encrypted_content.", _DOC,
            r"could not decrypt the provided encrypted_content"),
    Wording("history", "OpenAI", "No tool output found for function call call_a.", _DOC,
            r"no tool (?:output|call) found for|without its required (?:following|.reasoning.) item|"
            r"duplicate item found with id|expected an ID that begins with"),
    Wording("history", "OpenAI", "An assistant message with 'tool_calls' must be followed by tool "
            "messages responding to each 'tool_call_id'.", _DOC,
            r".tool_calls. must be followed by tool messages|role .tool. must be a response to a "
            r"prece?eding message|tool_call_ids? (?:did|does) not have (?:a )?response"),
    Wording("history", "Google", "Function call is missing a thought_signature in functionCall "
            "parts.", _DOC,
            r"missing a thought_signature|function call turn comes immediately after|number of "
            r"function response parts"),
    Wording("history", "DeepSeek", "The `reasoning_content` in the thinking mode must be passed "
            "back to the API.", _DOC, r"in the thinking mode must be passed back"),
    Wording("history", "Moonshot", "thinking is enabled but reasoning_content is missing in "
            "assistant tool call message at index 2", _DOC,
            r"reasoning_content is missing in assistant"),
    Wording("history", "Mistral", "Unexpected role 'user' after role 'tool'", _DOC,
            r"unexpected role .{1,20} after role|not the same number of function calls and "
            r"responses|expected last role|assistant message must have either content or tool_calls"),
    Wording("history", "chat templates", "Conversation roles must alternate user/assistant/"
            "user/assistant/...", _DOC,
            r"roles must alternate|system message must be at the beginning"),
    # --- model --------------------------------------------------------------------------------
    Wording("model", "OpenAI", "The model `gpt-9` does not exist or you do not have access to it.",
            _DOC, r"\bmodel [`'\"]?[^\s`'\"]{1,120}[`'\"]? (?:does not exist|not found|is not found)",
            ("model_not_found", "model_not_exist", "invalid_model")),
    Wording("model", "Anthropic", "model: claude-sonet-4-5", "recorded answer, 2026-11-22",
            r"^model: \S{1,120}$"),
    Wording("model", "Azure", "The API deployment for this resource does not exist.", _DOC, "",
            ("DeploymentNotFound",)),
    Wording("model", "Google", "models/gemini-9 is not found for API version v1beta",
            "recorded answer, 2026-11-22",
            r"\bmodels/\S{1,120} is not found|Publisher Model .{1,200} (?:was )?not found"),
    Wording("model", "Bedrock", "The provided model identifier is invalid.", _DOC,
            r"model identifier is invalid"),
    Wording("model", "Mistral", "Invalid model: mistral-huge", _DOC, r"\binvalid model\b"),
    Wording("model", "DeepSeek", "Model Not Exist", _DOC,
            r"\bmodel (?:does )?not exist\b|\bunknown model\b|\bis not a valid model ID\b|"
            r"\bno endpoints found for\b"),
    Wording("model", "Z.ai", "Unknown Model, please check the model code.",
            "docs.z.ai/api-reference/api-code, 2026-11-24", "", ("1211",)),
    # --- overloaded ---------------------------------------------------------------------------
    Wording("overloaded", "Anthropic, OpenAI, Moonshot", "Overloaded", _DOC, r"\boverloaded\b",
            ("overloaded_error", "server_is_overloaded", "engine_overloaded_error",
             "server_overloaded")),
    Wording("overloaded", "DeepSeek", "Our servers are currently busy", _DOC,
            r"servers? (?:is|are) (?:currently )?busy|\bserver_busy\b",
            ("insufficient_system_resource", "server_busy")),
    Wording("overloaded", "Bedrock", "Bedrock is unable to process your request.", _DOC, "",
            ("ServiceUnavailableException",)),
    Wording("overloaded", "several", "The model is currently experiencing high demand", _DOC,
            r"currently experiencing high demand|\bmodel is at capacity\b"),
    Wording("overloaded", "llama.cpp", "Loading model", _DOC, r"^loading model$"),
    # --- maybe_quota --------------------------------------------------------------------------
    Wording("maybe_quota", "several", "Quota exceeded for this project", _DOC,
            r"\bquota exceeded\b|\bexceeded your (?:current )?quota\b|\bbilling\b|"
            r"\bavailable balance\b"),
    # --- rate ---------------------------------------------------------------------------------
    Wording("rate", "several", "Rate limit reached for requests", _DOC,
            r"\brate.?limit|\btoo many requests\b",
            ("rate_limit_error", "rate_limit_exceeded", "rate_limit_reached_error", "slow_down",
             "too_many_requests", "RESOURCE_EXHAUSTED")),
    Wording("rate", "Bedrock", "Too many tokens, please wait before trying again.", _DOC,
            r"too many tokens, please wait",
            ("ThrottlingException", "ModelNotReadyException")),
    Wording("rate", "Mistral", "Service tier capacity exceeded for this model.", _DOC,
            r"service tier capacity exceeded"),
    Wording("rate", "MiniMax", "rate limit",
            "platform.minimax.io/docs/api-reference/errorcode, 2026-11-24", "",
            ("base_resp 1002",)),
    Wording("rate", "Z.ai", "High concurrency usage of this API",
            "docs.z.ai/api-reference/api-code, 2026-11-24", "", ("1302", "1303", "1305", "1312")),
]  # fmt: skip

TOKENS_PER_MINUTE = (
    rf"tokens per (?:min|minute|day)\b.{{0,40}}Limit:? (?P<limit>{_N}),.{{0,40}}?"
    rf"Requested:? (?P<requested>{_N})"
)
"""OpenAI and Groq: "Request too large for gpt-x on tokens per min (TPM): Limit 30000, Requested
45000". Where more is requested than the limit ever allows, waiting does not help."""

WORD_STATUS: tuple[tuple[str, int], ...] = (
    (
        r"image_(?:parse_error|too_small|file_not_found)|empty_image_file|"
        r"unsupported_image_media_type|failed_to_download_image|data_residency_mismatch",
        400,  # OpenAI's Responses, wire reference 2.3
    ),
    (r"insufficient_quota|rate_?limit|resource_exhausted|throttl", 429),
    (r"authentication|unauthenticated", 401),
    (r"billing|payment_required", 402),
    (r"permission|forbidden", 403),
    (r"not_?found", 404),
    (r"too_large", 413),
    (r"conflict", 409),
    (r"invalid|bad_request|context_length|validation|failed_precondition|out_of_range", 400),
    (r"overload|unavailable", 503),
    (r"modelstreamerror", 424),
    (r"timeout|deadline", 504),
    (r"cancelled", 499),
)
"""What an error inside a 200 would have been as a status, by its code and type; first match wins,
500 if none does. After the AI SDK's openai-stream-error.ts (2026-11), wire reference 9.4."""
