"""`llmwire count`: how many tokens a prompt is."""

from __future__ import annotations

import argparse

from .common import messages_of, target_of
from .loop import run_async
from .terminal import Terminal

_HOW = {
    "endpoint": "counted by the provider",
    "probe": "read from the usage of a small call, which is billed",
    "estimate": "estimated from the text's length",
}


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    messages = messages_of(args)
    from ..backend import GenericBackend, TokenCount

    with target_of(args, terminal) as target:

        async def count() -> TokenCount:
            async with GenericBackend(provider=target.provider) as backend:
                return await backend.count_tokens(model=target.model, messages=messages)

        tokens = run_async(count())
        if args.json:
            terminal.json({"tokens": int(tokens), "method": tokens.method, "model": target.label})
        else:
            terminal.line(str(int(tokens)))
            terminal.note(f"{target.label} · {tokens.method}: {_HOW.get(tokens.method, '')}")
    return 0
