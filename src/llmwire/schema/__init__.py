"""JSON Schemas: what providers take of them (`rules`), one rewrite that fits a schema to that
(`fit`), what a service refuses (`faults`), and what a schema says of a value (`values`)."""

from __future__ import annotations

from .fit import FittedSchema as FittedSchema
from .fit import fit_schema as fit_schema
from .rules import ANTHROPIC as ANTHROPIC
from .rules import GEMINI as GEMINI
from .rules import MISTRAL as MISTRAL
from .rules import OPENAI as OPENAI
from .rules import PLAIN as PLAIN
from .rules import Schema as Schema
from .rules import SchemaRules as SchemaRules
from .values import mismatch as mismatch
from .values import without_added_nulls as without_added_nulls
