"""What the commands share: whom to ask, what to ask, and the line below an answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..config import ModelConfig, ProviderConfig
from ..pricing import Cost, cost_of, prices_of
from ..settings import OFFLINE, is_unconfigured, load_settings, resolve
from ..types import (
    Adaptation,
    BytesSource,
    FilePart,
    ImagePart,
    LLMChunk,
    LLMMessage,
    Part,
    TextPart,
)
from .terminal import Terminal, is_tty, json_text

if TYPE_CHECKING:
    from ..backend import CallOptions

FILE_LIMIT = 64 * 1024 * 1024
"""Bytes of one file or of stdin. Providers take requests of 20 to 50 MB at most."""


class Failed(Exception):
    """The command can't do its work; the text is for the user. Exit code 1."""


class UsageError(Exception):
    """The command line does not say what to do. Exit code 2."""


class Target(Struct, frozen=True):
    """Whom a command talks to."""

    provider: ProviderConfig
    model: ModelConfig
    label: str
    """What people call it: `provider:model`."""


@contextmanager
def target_of(args: argparse.Namespace, terminal: Terminal) -> Iterator[Target]:
    """The provider and model that `-m` or the configuration names.

    `offline` (or `offline:WIRE`), and nothing configured at all, mean the embedded server, which
    then runs until the context ends.
    """
    spec: str | None = args.model
    quiet = getattr(args, "quiet", False)
    wire = "openai"
    settings = None
    if spec is None:
        settings = load_settings()
        if is_offline(settings.default_model):
            spec = settings.default_model
    if not is_offline(spec):
        settings = settings or load_settings()
        if spec is not None or not is_unconfigured(settings):
            found = resolve(spec, settings)
            if found.implied and not quiet:
                terminal.note(
                    f"no model is configured: using {found.provider.name}:{found.model.name}, since "
                    f"{found.provider.api_key_env_var} is set (choose with -m or LLMWIRE_MODEL)"
                )
            yield Target(found.provider, found.model, f"{found.provider.name}:{found.model.name}")
            return
        if not quiet:
            terminal.note(
                "no provider is configured: the offline model answers, which is no language model "
                "(`llmwire models` shows what can be set)"
            )
    elif spec is not None:
        wire = spec.partition(":")[2] or wire
    with offline_target(wire) as target:
        yield target


@contextmanager
def target_named(spec: str) -> Iterator[Target]:
    """The provider and model that `spec` names, without a word about it."""
    if is_offline(spec):
        with offline_target(spec.partition(":")[2] or "openai") as target:
            yield target
        return
    found = resolve(spec, load_settings())
    yield Target(found.provider, found.model, f"{found.provider.name}:{found.model.name}")


def is_offline(spec: str | None) -> bool:
    return spec is not None and spec.partition(":")[0] == OFFLINE


@contextmanager
def offline_target(wire: str = "openai") -> Iterator[Target]:
    """The embedded server's own model over one wire format."""
    from ..adapters import ADAPTERS
    from ..testing import LocalServer

    if wire not in ADAPTERS:
        raise UsageError(f"no wire format is called {wire!r}; there are {', '.join(ADAPTERS)}")
    with LocalServer() as server:
        provider = server.provider(wire, name=OFFLINE)
        model = ModelConfig(
            OFFLINE, provider.name, temperature=None, input_price=0.0, output_price=0.0
        )
        yield Target(provider, model, OFFLINE)


# --- the question -----------------------------------------------------------------------------


def messages_of(args: argparse.Namespace) -> list[LLMMessage]:
    """The system prompt and one user message from arguments, stdin and files, in this order.

    Raises `UsageError` if there is nothing to ask, `Failed` for a file that can't be used.
    """
    texts = [" ".join(args.prompt)] if args.prompt else []
    if not is_tty(sys.stdin):
        piped = _stdin_text()
        if piped.strip():
            texts.append(piped.rstrip("\n") if texts else piped.strip("\n"))
    parts: list[Part] = []
    for name in args.file:
        part = file_part(name)
        if isinstance(part, TextPart):
            texts.append(part.text)
        else:
            parts.append(part)
    text = "\n\n".join(t for t in texts if t.strip())
    if not text and not parts:
        raise UsageError(
            f"nothing to ask: give a prompt (llmwire {args.command} 'Why is the sky blue?'), "
            "text on stdin, or a file with -f"
        )
    if text:
        parts.append(TextPart(text))
    return [*system_messages(args.system), LLMMessage("user", parts=parts)]


def system_messages(system: str | None) -> list[LLMMessage]:
    return [LLMMessage("system", system)] if system else []


def _stdin_text() -> str:
    if sys.stdin is None:
        return ""
    buffer = getattr(sys.stdin, "buffer", None)
    if buffer is None:  # replaced by a text stream
        return sys.stdin.read()
    data: bytes = buffer.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise Failed(f"stdin has more than {FILE_LIMIT >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise Failed(
            f"stdin is not UTF-8 text (byte {e.start}); give other files with -f"
        ) from None


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def file_part(name: str) -> Part:
    """A file as a part: images and PDFs by their first bytes, anything else as text under its
    name. Raises `Failed` for what is neither."""
    path = Path(name)
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except OSError as e:
        raise Failed(f"{name}: can't be read: {e.strerror or e}") from None
    if len(data) > FILE_LIMIT:
        raise Failed(f"{name}: has more than {FILE_LIMIT >> 20} MiB")
    media_type = next((kind for magic, kind in _MAGIC if data.startswith(magic)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        media_type = "image/webp"
    if media_type.startswith("image/"):
        return ImagePart(BytesSource(data, media_type))
    if media_type:
        return FilePart(BytesSource(data, media_type), path.name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Failed(f"{name}: is not text (UTF-8), PNG, JPEG, GIF, WebP or PDF")
    newline = "" if text.endswith("\n") else "\n"
    return TextPart(f'<file name="{path.name}">\n{text}{newline}</file>')


def options_of(args: argparse.Namespace) -> CallOptions:
    """What `-m`'s companions say, as the arguments of a call."""
    options: CallOptions = {}
    if args.temperature is not None:
        options["temperature"] = args.temperature
    if args.max_tokens is not None:
        options["max_tokens"] = args.max_tokens
    if args.thinking is not None:
        options["thinking"] = args.thinking
    return options


# --- below the answer -------------------------------------------------------------------------


def usage_line(reply: LLMChunk, target: Target, seconds: float | None = None) -> str:
    """Model, tokens, cost, time and stop reason, as far as they are known."""
    pieces = [target.label, tokens_text(reply)]
    if cost := cost_text(target_cost(reply, target)):
        pieces.append(cost)
    if seconds is not None:
        pieces.append(f"{seconds:.1f} s")
    if reply.stop is not None:
        raw = reply.stop.raw
        other = f" ({raw})" if reply.stop.reason == "other" and raw else ""
        pieces.append(reply.stop.reason + other)
    return " · ".join(pieces)


def target_cost(reply: LLMChunk, target: Target) -> Cost:
    return cost_of(reply.usage, target.model, prices_of(target.model, target.provider))


def tokens_text(reply: LLMChunk) -> str:
    usage = reply.usage
    if usage is None or (usage.input_total is None and usage.output_total is None):
        return "tokens not reported"

    def count(value: int | None) -> str:
        return "?" if value is None else f"{value:,}"

    text = f"{count(usage.input_total)} in"
    if usage.cache_read:
        text += f" ({usage.cache_read:,} cached)"
    text += f", {count(usage.output_total)} out"
    if usage.reasoning:
        text += f" ({usage.reasoning:,} thinking)"
    return text if usage.provenance == "reported" else f"{text} ({usage.provenance})"


def cost_text(cost: Cost) -> str:
    """Dollars; "" if nothing is known about them."""
    if cost.total is not None:
        about = "about " if cost.provenance == "estimated" and cost.total else ""
        return about + dollars(cost.total)
    return f"at least {dollars(cost.known)}" if cost.known else ""


def dollars(amount: float) -> str:
    if amount == 0:
        return "$0"
    return (
        f"${amount:.2f}"
        if amount >= 0.1
        else f"${amount:.3g}"
        if amount >= 1e-4
        else (f"${amount:.6f}".rstrip("0") if amount >= 1e-6 else "under $0.000001")
    )


def adaptation_text(a: Adaptation) -> str:
    values = ""
    if a.before is not None or a.after is not None:
        before, after = (json_text(v, indent=None)[:60] for v in (a.before, a.after))
        values = f" ({before} → {after})" if a.after is not None else f" ({before})"
    return f"{a.path} {a.action}{values}: {a.reason}"


def note_adaptations(reply_or_request: Any, terminal: Terminal) -> None:
    for adaptation in reply_or_request.adaptations:
        terminal.note(f"note: {adaptation_text(adaptation)}")


def note_ending(reply: LLMChunk, terminal: Terminal) -> None:
    """Says what a reader of the answer alone would not see."""
    stop = reply.stop.reason if reply.stop is not None else None
    if stop == "length":
        terminal.note("note: the answer was cut at the output limit (--max-tokens)")
    elif stop == "context_window":
        terminal.note("note: the answer was cut, the context window is full")
    elif stop == "content_filter":
        terminal.note("note: the provider's filter stopped the answer")
    if reply.message.refusal:
        terminal.note("note: the model refused")
    elif not reply.text.strip():
        calls = len(reply.tool_calls)
        what = f"{calls} tool call{'s' * (calls != 1)}" if calls else "nothing"
        if not calls and reply.reasoning:
            what = "only thinking"
        terminal.note(f"note: there is no text in the answer, but {what}")
