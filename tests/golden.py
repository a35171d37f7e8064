"""What goes over the wire, written down: a request a case, a file a wire.

    python tests/golden.py      rewrites the files (`make golden`)

A changed byte is thereby seen in review. `test_golden.py` holds the files against the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from contract.cases import HISTORIES, QUESTION, REPLIES, TOOLS, WIRES, answers_to, provider, request
from llmwire.adapters import ADAPTERS
from llmwire.errors import BackendError
from llmwire.request import LLMRequest, OutputFormat
from llmwire.types import LLMMessage

FOLDER = Path(__file__).parent / "golden"

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
OPTIONS: dict[str, dict[str, object]] = {
    "streamed": {"stream": True},
    "no tools": {"tools": ()},
    "settings": {
        "tools": (),
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 100,
        "stop": ("END",),
        "seed": 7,
        "metadata": {"user_id": "u1"},
    },
    "some tool": {"tool_choice": "required"},
    "no tool": {"tool_choice": "none"},
    "one tool": {"tool_choice": TOOLS[0]},
    "one call at most": {"parallel_tool_calls": False},
    "thinking low": {"thinking": "low", "max_tokens": 20_000},
    "thinking high": {"thinking": "high", "max_tokens": 20_000},
    "thinking off": {"thinking": "off"},
    "JSON": {"tools": (), "output": OutputFormat()},
    "JSON by schema": {"tools": (), "output": OutputFormat(SCHEMA, "weather")},
    "cache key": {"cache_key": "conversation-1"},
    "extra body": {"extra_body": {"service_tier": "flex"}},
}


def requests(wire: str) -> dict[str, LLMRequest]:
    """Every case of the table as a request on this wire."""
    found = {f"history: {name}": request(wire, messages) for name, messages in HISTORIES.items()}
    for name, reply in REPLIES.items():
        turns = (QUESTION, reply.message, *answers_to(reply), LLMMessage("user", "Go on."))
        found[f"after a reply: {name}"] = request(wire, turns)
    for name, options in OPTIONS.items():
        found[f"option: {name}"] = request(wire, **options)
    return found


def written(wire: str) -> str:
    """The file of a wire: method, path, headers, body, and what was adapted."""
    out = []
    for name, asked in requests(wire).items():
        out.append(f"=== {name}")
        try:
            made = ADAPTERS[wire].prepare_request(asked, provider(wire))
        except BackendError as e:
            out += [f"{type(e).__name__}: {e.message}", ""]
            continue
        out.append(f"{made.method} {made.endpoint}")
        out += [f"{key}: {value}" for key, value in made.headers.items()]
        out.append(made.body.decode())
        out += [f"# {a.action} {a.path}: {a.reason}" for a in made.adaptations]
        out.append("")
    return "\n".join(out)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for wire in WIRES:
        (FOLDER / f"{wire}.txt").write_text(written(wire), "utf-8")
    for stale in set(FOLDER.glob("*.txt")) - {FOLDER / f"{wire}.txt" for wire in WIRES}:
        stale.unlink()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
