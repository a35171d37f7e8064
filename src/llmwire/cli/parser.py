"""The command line: what there is to say, and its help."""

from __future__ import annotations

import argparse

from .. import __version__

_DESCRIPTION = "Talk to language models of any provider, and see what goes over the wire."

_EPILOG = """\
models are named provider:model (openai:NAME, ollama:qwen3:8b, openrouter:anthropic/NAME) or by an
alias from the configuration; `offline` is a stand-in that needs no key and no network.

configuration, each over the one before: config.toml in your configuration folder, llmwire.toml
here or above, the file in LLMWIRE_CONFIG; LLMWIRE_MODEL names the default model. Keys are read
from the providers' own variables (OPENAI_API_KEY, ...); `llmwire models` shows which are set.

exit codes: 0 done, 1 failed (one line says why), 2 wrong command line, 130 stopped with Ctrl-C.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "llmwire",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"llmwire {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, summary: str, module: str = "") -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.add_argument("--debug", action="store_true", help="show a traceback with an error")
        sub.set_defaults(module=module or name, command=name)
        return sub

    ask = command("ask", "ask one question and print the answer")
    ask.epilog = (
        "The question is what the arguments, stdin (if it is no terminal) and the files say, in\n"
        "this order. Only the answer goes to stdout."
    )
    _prompt(ask)
    _request(ask)
    _json(ask)
    ask.add_argument("--no-stream", action="store_true", help="wait for the whole answer")
    _showing(ask)

    chat = command("chat", "talk; the conversation lasts until you leave")
    _request(chat)
    chat.add_argument("--load", metavar="FILE", help="go on with a conversation from /save")
    _showing(chat)
    chat.epilog = (
        "Ctrl-C stops an answer, and what had come of it stays in the conversation; Ctrl-D or\n"
        "/exit leaves. /help lists the commands."
    )

    models = command("models", "show providers, models and which keys are set")
    models.add_argument(
        "provider", nargs="?", metavar="PROVIDER", help="ask this provider which models it has"
    )
    models.add_argument(
        "--catalogue",
        action="store_true",
        help="show what is known of models (of PROVIDER), without asking anybody",
    )
    _json(models)

    count = command("count", "count the tokens of a prompt, and say how they were counted")
    _prompt(count)
    _model(count)
    _json(count)
    count.epilog = (
        "method `endpoint`: the provider counted, for nothing. `probe`: the provider has no such\n"
        "endpoint, so the smallest legal call was made and its usage read; that call is billed."
    )

    wire = command("wire", "print the request that would be sent, without sending it")
    _prompt(wire)
    _request(wire)
    _json(wire)
    wire.add_argument("--no-stream", action="store_true", help="the request for a whole answer")

    serve = command("serve", "run the embedded server, which speaks every wire format")
    serve.add_argument(
        "--port", type=_port, default=8484, help="0 takes any free one (default: %(default)s)"
    )
    serve.epilog = "It listens on loopback only. Ctrl-C stops it, with exit code 0."

    command("demo", "one conversation through every wire format, against the embedded server")
    return parser


def _prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", nargs="*", metavar="PROMPT", help="joined by spaces")
    parser.add_argument(
        "-f",
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="add a text file, an image (PNG, JPEG, GIF, WebP) or a PDF; may be repeated",
    )


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", metavar="MODEL", help="provider:model or an alias")
    parser.add_argument("-s", "--system", metavar="TEXT", help="the system prompt")


def _request(parser: argparse.ArgumentParser) -> None:
    from ..config import THINKING_LEVELS

    _model(parser)
    parser.add_argument(
        "--thinking",
        choices=THINKING_LEVELS,
        metavar="LEVEL",
        help=f"one of {', '.join(THINKING_LEVELS)}",
    )
    parser.add_argument("--max-tokens", type=_positive, metavar="N", help="most tokens to write")
    parser.add_argument(
        "--temperature", type=_temperature, metavar="T", help="0 to 2; less is more predictable"
    )


def _showing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show-thinking",
        action=argparse.BooleanOptionalAction,
        help="thinking on stderr (default: if stderr is a terminal)",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no notes, no usage line")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return value


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 2")
    return value


def _port(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return value
