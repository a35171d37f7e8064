"""aimock records our embedded server, and then answers in its place.

So it reads each stream of ours, understands it, and writes it anew in its own words.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from llmwire import ADAPTERS, ProviderConfig
from llmwire.testing import LocalServer

from .aimock import BASES, MODELS, serving, stops_for_calls
from .checks import Peer
from .install import FOLDER
from .litellm import ANSWERS

BEHIND = {
    "openai": "/openai",
    "anthropic": "/anthropic",
    "gemini": "/gemini",
    "bedrock-converse": "/bedrock",
    "ollama": "/ollama",
}
"""Our address for each of its upstreams. It reads no whole answer of Responses."""

OPTIONS = {"bedrock-converse": "bedrock"}
CHECKS = ("whole", "streamed", "tools", "tools streamed", "thinking", "output")
LACKS = {"ollama": {"thinking": "it says `reasoning_content`, which is `thinking` at Ollama's"}}


@contextmanager
def peers() -> Iterator[Iterable[Peer]]:
    """Raises `NotHere` where it can't be installed."""
    recordings = FOLDER / "recordings"
    shutil.rmtree(recordings, ignore_errors=True)
    recordings.mkdir(parents=True)
    wires = [wire for wire in BEHIND if wire in ADAPTERS]
    with LocalServer() as server:
        options = ["--record"]
        for wire in wires:
            options += [f"--provider-{OPTIONS.get(wire, wire)}", server.url + BEHIND[wire]]
        with serving(recordings, *options) as url:
            yield _peers(url, wires, server)


def _peers(url: str, wires: list[str], server: LocalServer) -> Iterator[Peer]:
    for label in ("aimock recording us", "aimock replaying us"):
        for wire in wires:
            yield Peer(
                label,
                wire,
                ProviderConfig("aimock", url + BASES[wire], "", wire, region="us-east-1"),
                # A recording is found by the model, not by the wire.
                MODELS.get(wire, "mock") + f"-{wire}" * (wire not in MODELS),
                ANSWERS,
                lacks=LACKS.get(wire, {}),
                only=CHECKS,
                usage=wire == "openai",  # it records no other
                stops_for_calls=stops_for_calls(wire),
            )
        server.close()
