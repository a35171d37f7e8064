"""What may reach a terminal. Text from models and servers is foreign: it is never trusted.

Control characters in it (ESC and other C0 except newline and tab, DEL, C1), bidirectional
overrides and lone surrogates become U+FFFD. The replacement goes character by character, so that
it does not matter how a stream was cut. Colours are ours alone, and only for terminals.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_JSON = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def safe(text: str) -> str:
    """Text that only prints. Windows line ends become newlines."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n"))


class SafeStream:
    """`safe` for text in pieces: a line end may be cut in two."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        self._held = "\r" if text.endswith("\r") else ""
        return safe(text[:-1] if self._held else text)

    def finish(self) -> str:
        held, self._held = self._held, ""
        return safe(held)


def json_text(value: Any, indent: int | None = 2) -> str:
    """JSON for programs that is harmless on a terminal too: what would not be is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return _UNSAFE_JSON.sub(lambda m: f"\\u{ord(m[0]):04x}", text)


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """NO_COLOR (set and not empty) wins over FORCE_COLOR, which wins over what the stream is."""
    if environ.get("NO_COLOR"):
        return False
    forced = environ.get("FORCE_COLOR")
    if forced:
        return forced != "0"
    if environ.get("TERM") == "dumb" or not is_tty(stream):
        return False
    # Old Windows consoles print escapes as they are; the newer ones say who they are.
    return os.name != "nt" or bool(environ.get("WT_SESSION") or environ.get("TERM"))


def is_tty(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


class Style:
    """Wraps text in colours, or not. Give it text that is already safe."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.enabled and text else text

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def bold(self, text: str) -> str:
        return self._wrap("1", text)

    def red(self, text: str) -> str:
        return self._wrap("31", text)

    def green(self, text: str) -> str:
        return self._wrap("32", text)

    def cyan(self, text: str) -> str:
        return self._wrap("36", text)


class Terminal:
    """stdout for answers, stderr for all the rest."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.out, self.err = sys.stdout, sys.stderr
        for stream in (self.out, self.err):
            # An answer in another script must not end in an encoding error.
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="replace")
        self.out_style = Style(wants_color(self.out, environ))
        self.err_style = Style(wants_color(self.err, environ))

    def write(self, text: str) -> None:
        """Finished text (safe, perhaps styled) to stdout, at once."""
        self.out.write(text)
        self.out.flush()

    def line(self, text: str = "") -> None:
        self.write(text + "\n")

    def json(self, value: Any) -> None:
        self.line(json_text(value))

    def note(self, text: str) -> None:
        """One dimmed line on stderr."""
        self._to_err(self.err_style.dim(safe(text)) + "\n")

    def error(self, text: str) -> None:
        """One line on stderr, whatever the text was."""
        label = self.err_style.red("llmwire: error:")
        self._to_err(f"{label} {safe(' '.join(text.split()))}\n")

    def thinking(self, text: str) -> None:
        """A piece of (safe) thinking, on stderr."""
        self._to_err(self.err_style.dim(text))

    def _to_err(self, text: str) -> None:
        self.out.flush()  # in a terminal both are one picture
        self.err.write(text)
        self.err.flush()
