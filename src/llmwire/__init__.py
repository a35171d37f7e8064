"""llmwire: one async client for every language model's wire format.

    async with llmwire.connect("anthropic:claude-sonnet-5") as model:
        reply = await model.complete("Hello")
        print(reply.text)

Importing this package imports no HTTP library; the first call does.

(PYTEST_DONT_REWRITE: we have a pytest plugin, and are often imported before pytest sees it.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and readers; `_PLACES` says the same at run time
    from .adapters import ADAPTERS as ADAPTERS
    from .adapters.anthropic import AnthropicAdapter as AnthropicAdapter
    from .adapters.base import APIAdapter as APIAdapter
    from .adapters.base import ModelLister as ModelLister
    from .adapters.base import PreparedRequest as PreparedRequest
    from .adapters.base import StreamDecoder as StreamDecoder
    from .adapters.base import TokenCounter as TokenCounter
    from .adapters.gemini import GeminiAdapter as GeminiAdapter
    from .adapters.gemini import VertexGeminiAdapter as VertexGeminiAdapter
    from .adapters.ollama import OllamaAdapter as OllamaAdapter
    from .adapters.openai import OpenAIAdapter as OpenAIAdapter
    from .adapters.reasoning import ReasoningAdapter as ReasoningAdapter
    from .adapters.responses import ResponsesAdapter as ResponsesAdapter
    from .adapters.vertex import VertexAnthropicAdapter as VertexAnthropicAdapter
    from .backend import GenericBackend as GenericBackend
    from .backend import TokenCount as TokenCount
    from .caching import CacheBreak as CacheBreak
    from .caching import explain_cache as explain_cache
    from .catalogue import ModelFacts as ModelFacts
    from .catalogue import facts_of as facts_of
    from .check import Finding as Finding
    from .check import HistoryCheck as HistoryCheck
    from .check import check_history as check_history
    from .config import Dialect as Dialect
    from .config import ModelConfig as ModelConfig
    from .config import ModelInfo as ModelInfo
    from .config import ProviderConfig as ProviderConfig
    from .config import ThinkingLevel as ThinkingLevel
    from .config import Timeouts as Timeouts
    from .connection import Connection as Connection
    from .connection import connect as connect
    from .content import audio as audio
    from .content import file as file
    from .content import image as image
    from .error_builder import BackendErrorBuilder as BackendErrorBuilder
    from .errors import ArgumentsError as ArgumentsError
    from .errors import AuthenticationError as AuthenticationError
    from .errors import BackendError as BackendError
    from .errors import ConfigError as ConfigError
    from .errors import ConflictError as ConflictError
    from .errors import ContentFilterError as ContentFilterError
    from .errors import ContextTooLongError as ContextTooLongError
    from .errors import DecodeError as DecodeError
    from .errors import HistoryRejectedError as HistoryRejectedError
    from .errors import IncompleteStreamError as IncompleteStreamError
    from .errors import InvalidRequestError as InvalidRequestError
    from .errors import ModelNotFoundError as ModelNotFoundError
    from .errors import NotFoundError as NotFoundError
    from .errors import OutputError as OutputError
    from .errors import OverloadedError as OverloadedError
    from .errors import PayloadSummary as PayloadSummary
    from .errors import PermissionDeniedError as PermissionDeniedError
    from .errors import QuotaError as QuotaError
    from .errors import RateLimitError as RateLimitError
    from .errors import RequestTooLargeError as RequestTooLargeError
    from .errors import ServerError as ServerError
    from .errors import StatusError as StatusError
    from .errors import StreamError as StreamError
    from .errors import TimeoutError_ as TimeoutError_
    from .errors import TransportError as TransportError
    from .errors import UnsupportedError as UnsupportedError
    from .fallback import Fallback as Fallback
    from .gate import RateLimits as RateLimits
    from .history import merge_consecutive_user_messages as merge_consecutive_user_messages
    from .price_library import library_prices as library_prices
    from .pricing import Cost as Cost
    from .pricing import Prices as Prices
    from .pricing import cost_of as cost_of
    from .pricing import prices_of as prices_of
    from .providers import PROVIDERS as PROVIDERS
    from .repair import repaired_after as repaired_after
    from .request import LLMRequest as LLMRequest
    from .request import OutputFormat as OutputFormat
    from .retry import RetryPolicy as RetryPolicy
    from .stream import ReplyStream as ReplyStream
    from .tools import FunctionTool as FunctionTool
    from .tools import tool as tool
    from .transport import Transport as Transport
    from .transport import TransportResponse as TransportResponse
    from .types import Adaptation as Adaptation
    from .types import AudioPart as AudioPart
    from .types import AvailableFunction as AvailableFunction
    from .types import AvailableTool as AvailableTool
    from .types import BytesSource as BytesSource
    from .types import CompactionPart as CompactionPart
    from .types import FilePart as FilePart
    from .types import FileSource as FileSource
    from .types import FunctionCall as FunctionCall
    from .types import ImagePart as ImagePart
    from .types import IncompleteToolCall as IncompleteToolCall
    from .types import LLMChunk as LLMChunk
    from .types import LLMMessage as LLMMessage
    from .types import LLMUsage as LLMUsage
    from .types import Native as Native
    from .types import OpaquePart as OpaquePart
    from .types import Part as Part
    from .types import PartDelta as PartDelta
    from .types import ReasoningPart as ReasoningPart
    from .types import RefusalPart as RefusalPart
    from .types import Retry as Retry
    from .types import Role as Role
    from .types import StopInfo as StopInfo
    from .types import StrToolChoice as StrToolChoice
    from .types import TextPart as TextPart
    from .types import ToolCall as ToolCall
    from .types import ToolResultPart as ToolResultPart
    from .types import UrlSource as UrlSource
    from .types import accumulate as accumulate

__version__ = "0.1.0"
"""The version of this package."""

_PLACES = {
    "adapters": "ADAPTERS",
    "adapters.anthropic": "AnthropicAdapter",
    "adapters.base": "APIAdapter ModelLister PreparedRequest StreamDecoder TokenCounter",
    "adapters.gemini": "GeminiAdapter VertexGeminiAdapter",
    "adapters.ollama": "OllamaAdapter",
    "adapters.openai": "OpenAIAdapter",
    "adapters.reasoning": "ReasoningAdapter",
    "adapters.responses": "ResponsesAdapter",
    "adapters.vertex": "VertexAnthropicAdapter",
    "backend": "GenericBackend TokenCount",
    "caching": "CacheBreak explain_cache",
    "catalogue": "ModelFacts facts_of",
    "check": "Finding HistoryCheck check_history",
    "config": "Dialect ModelConfig ModelInfo ProviderConfig ThinkingLevel Timeouts",
    "connection": "Connection connect",
    "content": "audio file image",
    "error_builder": "BackendErrorBuilder",
    "errors": "ArgumentsError AuthenticationError BackendError ConfigError ConflictError ContentFilterError "
    "ContextTooLongError DecodeError HistoryRejectedError IncompleteStreamError "
    "InvalidRequestError ModelNotFoundError NotFoundError OutputError OverloadedError PayloadSummary "
    "PermissionDeniedError QuotaError RateLimitError RequestTooLargeError ServerError "
    "StatusError StreamError TimeoutError_ TransportError UnsupportedError",
    "fallback": "Fallback",
    "gate": "RateLimits",
    "history": "merge_consecutive_user_messages",
    "price_library": "library_prices",
    "pricing": "Cost Prices cost_of prices_of",
    "providers": "PROVIDERS",
    "repair": "repaired_after",
    "request": "LLMRequest OutputFormat",
    "retry": "RetryPolicy",
    "stream": "ReplyStream",
    "tools": "FunctionTool tool",
    "transport": "Transport TransportResponse",
    "types": "Adaptation AudioPart AvailableFunction AvailableTool BytesSource CompactionPart "
    "FilePart FileSource FunctionCall ImagePart IncompleteToolCall LLMChunk LLMMessage LLMUsage "
    "Native OpaquePart Part PartDelta ReasoningPart RefusalPart Retry Role StopInfo StrToolChoice "
    "TextPart ToolCall ToolResultPart UrlSource accumulate",
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names.split()}

__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
