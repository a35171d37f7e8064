"""Runs everything, or what is named: `python -m interop llamacpp`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable

from . import aimock, litellm, llamacpp
from .checks import run
from .table import Result, render, summary

SERVERS = {"llamacpp": llamacpp, "aimock": aimock, "litellm": litellm}


def _as_client(server: str, make: Callable[..., object]) -> list[Result]:
    return []


def main() -> int:
    parser = argparse.ArgumentParser(prog="interop")
    parser.add_argument("what", nargs="*")
    arguments = parser.parse_args()
    results: list[Result] = []
    for name in arguments.what:
        with SERVERS[name].peers() as peers:
            for peer in peers:
                results += asyncio.run(run(peer))
    print(render(results))
    print(summary(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
