"""The `llmwire` command.

Exit codes: 0 done; 1 it failed, and one line on stderr says why (a broken configuration is such a
failure); 2 the command line is wrong; 130 stopped with Ctrl-C. `serve` ends with 0 on Ctrl-C,
since that is how it is meant to end. A reader that goes away (`| head`) ends it quietly with 0.

Answers and JSON documents go to stdout, everything else to stderr. Modules are imported by the
command that needs them: `--help` loads no HTTP library and no event loop.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code. Does not call `sys.exit`."""
    from .parser import build_parser

    try:
        return _run(build_parser().parse_args(argv))
    except SystemExit as e:  # argparse: help and usage errors, already printed
        return e.code if isinstance(e.code, int) else USAGE
    except BrokenPipeError:
        _forget_stdout()
        return OK
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(args: object) -> int:
    from ..errors import BackendError
    from .common import Failed, UsageError
    from .terminal import Terminal

    debug = getattr(args, "debug", False)
    terminal = Terminal()
    command = import_module(f".{args.module}", __name__)  # type: ignore[attr-defined]
    try:
        code: int = command.run(args, terminal)
        sys.stdout.flush()
        return code
    except UsageError as e:
        terminal.error(str(e))
        return USAGE
    except BackendError as e:
        if getattr(args, "json", False):
            terminal.json({"error": describe(e)})
        if debug:
            _print_traceback()
        terminal.error(_line(e))
        return FAILED
    except Failed as e:
        terminal.error(str(e))
        return FAILED
    except BrokenPipeError:
        raise
    except OSError as e:  # writing failed: a full disk
        if debug:
            _print_traceback()
        _forget_stdout()
        terminal.error(e.strerror or str(e))
        return FAILED
    except Exception as e:
        if debug:
            _print_traceback()
        terminal.error(
            f"unexpected {type(e).__name__}: {e} (this is a defect of llmwire; --debug shows where)"
        )
        return FAILED


def describe(error: object) -> dict[str, object]:
    """An error as a JSON object for programs."""
    from ..errors import BackendError
    from ..types import to_builtins

    if not isinstance(error, BackendError):
        return {"type": type(error).__name__, "message": str(error)}
    return {
        "type": type(error).__name__,
        "message": error.message,
        "provider": error.provider or None,
        "model": error.model or None,
        "status": error.status,
        "code": error.code,
        "request_id": error.request_id,
        "retryable": error.retryable,
        "retry_after": error.retry_after,
        "partial": to_builtins(error.partial) if error.partial is not None else None,
    }


def _line(error: object) -> str:
    from ..errors import BackendError

    text = str(error)
    if isinstance(error, BackendError):
        if error.retry_after:
            text += f"; try again in {error.retry_after:g} s"
        if error.partial is not None and error.partial.message.parts:
            text += "; what came before it is not a whole answer"
    return text


def _print_traceback() -> None:
    import traceback

    from .terminal import safe

    print(safe(traceback.format_exc()), file=sys.stderr, end="")


def _forget_stdout() -> None:
    # The interpreter flushes stdout once more at exit and would complain again.
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
