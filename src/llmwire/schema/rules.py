"""What each provider's schema mode takes of JSON Schema: data.

Sources: wire reference 1.2, 3.2, 4, 5.2, 6.2 (2026-11-22); the schema helpers of openai 3.57,
anthropic 2.13 and mistralai 3.7; Anthropic's list of what it supports (tool-use-concepts.md in
github.com/anthropics/skills, read 2026-11-25); a comparison of schema modes with the official SDKs
(developersdigest.tech, 2026-10-18).
"""

from __future__ import annotations

import re
from typing import TypeAlias

from msgspec import Struct

from ..plain import JSON

Schema: TypeAlias = dict[str, JSON]


class SchemaRules(Struct, frozen=True):
    """What one schema mode takes. The plain rules take everything as it is."""

    closed: bool = False
    """Objects must say `additionalProperties: false`."""
    typed: bool = False
    """Every place must say its type: no values of any kind, no objects with free keys."""
    all_required: bool = False
    """Every property must be required: one that may be absent becomes one that may be null."""
    checks: frozenset[str] | None = None
    """The keywords it checks, beside structure; None: all."""
    formats: frozenset[str] | None = None
    """The values of `format` it knows; None: all."""
    most_min_items: int | None = None
    """The largest `minItems` it takes; None: any."""
    tuples: bool = True
    """Whether it knows `prefixItems`."""
    combined: bool = True
    """Whether it knows `allOf` and `oneOf`, and takes a `$ref` with neighbours."""
    consts: bool = True
    """Whether it knows `const`."""
    recursive: bool = True
    """Whether a schema may contain itself."""
    loose: bool = True
    """Whether it also takes, as advice, a schema that the reply is not held to."""

    def check(self, key: str, value: JSON) -> bool:
        """Whether the mode checks this keyword with this value."""
        if self.checks is None:
            return True
        if key not in self.checks:
            return False
        if key == "format":
            return self.formats is None or value in self.formats
        if key == "minItems":
            return self.most_min_items is None or value <= self.most_min_items
        if key == "pattern":  # strict modes compile it to an automaton, which can't look around
            return _LOOKAROUND.search(str(value)) is None
        return True


STRUCTURE = frozenset((
    "type", "properties", "required", "additionalProperties", "items", "prefixItems", "anyOf",
    "oneOf", "allOf", "$ref", "$defs", "definitions", "enum", "const", "title", "description",
))  # fmt: skip
"""The keywords that every mode knows in some way."""

_LOOKAROUND = re.compile(r"\(\?(?!:)")
_FORMATS = frozenset((
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid",
))  # fmt: skip
_NUMBERS = frozenset(("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))

PLAIN = SchemaRules()
"""Servers that make a grammar of any schema: vLLM, llama.cpp, SGLang, Ollama."""

OPENAI = SchemaRules(
    closed=True,
    typed=True,
    all_required=True,
    checks=_NUMBERS | {"pattern", "format", "minItems", "maxItems"},
    formats=_FORMATS,
    tuples=False,
    combined=False,
)
"""OpenAI's strict mode, in Chat Completions, Responses and tools; its imitators take it too."""

ANTHROPIC = SchemaRules(
    closed=True,
    typed=True,
    checks=frozenset(("format", "minItems")),
    formats=_FORMATS | {"uri"},
    most_min_items=1,
    tuples=False,
    combined=False,
    recursive=False,
    loose=False,
)
"""Anthropic's `output_config.format` and strict tools; Bedrock's `outputConfig` too."""

GEMINI = SchemaRules(
    checks=frozenset(("format", "minItems", "maxItems", "minimum", "maximum", "propertyOrdering")),
    combined=False,
    consts=False,
)
"""Gemini's `responseJsonSchema` and `parametersJsonSchema`."""

MISTRAL = SchemaRules(closed=True, combined=False)
"""Mistral's `json_schema`: objects are closed, the rest is taken as it is."""
