"""llmwire with servers and clients of others: `python -m interop [llamacpp aimock ...]`.

Prints a table. Exit code 1 if anything failed; 2 if something could not be run, 0 with --missing-ok.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Callable, Iterator

from . import aimock, litellm, llamacpp, recorder, sdks
from .checks import run
from .install import NotHere
from .table import Result, render, summary

Run = Callable[[], Iterator[Result]]


def _against(module: object) -> Run:
    def results() -> Iterator[Result]:
        with module.peers() as peers:  # type: ignore[attr-defined]
            for peer in peers:
                yield from asyncio.run(run(peer))

    return results


WHAT: dict[str, Run] = {
    "llamacpp": _against(llamacpp),
    "aimock": _against(aimock),
    "recorder": _against(recorder),
    "litellm": _against(litellm),
    "python": sdks.python_clients,
    "node": sdks.node_clients,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m interop", description=__doc__)
    parser.add_argument("what", nargs="*", choices=[[], *WHAT], help="all, if none is named")
    parser.add_argument("--missing-ok", action="store_true", help="exit 0 if all that ran passed")
    arguments = parser.parse_args()
    named = arguments.what or list(WHAT)
    results: list[Result] = []
    for name in named:
        begun = time.monotonic()
        print(f"{name} …", flush=True)
        try:
            results += WHAT[name]()
        except NotHere as e:
            results.append(Result(name, "", "", "all", "not run", str(e)))
        except Exception as e:  # the others are tried all the same
            results.append(Result(name, "", "", "all", "failed", f"{type(e).__name__}: {e}"))
        print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)
    print(f"\n{render(results)}\n\n{summary(results)}")
    outcomes = {result.outcome for result in results}
    if "failed" in outcomes:
        return 1
    return 2 if "not run" in outcomes and not arguments.missing_ok else 0


if __name__ == "__main__":
    sys.exit(main())
