"""`llmwire serve`: the embedded server in the foreground, until Ctrl-C (exit code 0)."""

from __future__ import annotations

import argparse
import signal
from typing import TYPE_CHECKING

from ..adapters import ADAPTERS
from .terminal import Terminal

if TYPE_CHECKING:
    from ..testing import Heard, LocalServer


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    from ..testing import LocalServer

    def log(heard: Heard) -> None:
        terminal.note(f"{heard.method} {heard.path} ({heard.style or 'no wire'})")

    try:
        with LocalServer(port=args.port) as server:
            # A supervisor's stop is an orderly one too.
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            server.on_request = log
            _announce(server, terminal)
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    terminal.note("stopped")
    return 0


def _announce(server: LocalServer, terminal: Terminal) -> None:
    style = terminal.out_style
    terminal.line(style.bold(f"llmwire's embedded server at {server.url} (Ctrl-C stops it)"))
    terminal.line("The model `offline` answers: no language model, but over real wire formats.\n")
    for wire in ADAPTERS:
        terminal.line(f"  {wire:<17} {server.provider(wire).api_base}")
    openai = server.provider("openai").api_base
    terminal.line(
        f"""
  curl {openai}/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "offline", "messages": [{{"role": "user", "content": "Hello"}}]}}'

  OPENAI_BASE_URL={openai} OPENAI_API_KEY=none llmwire ask -m openai:offline Hello
"""
    )
