"""Writes a model of 1.4 million weights for llama.cpp: `python tiny_model.py FILE`.

Needs numpy and gguf (of the environment it is run in). The model is a table of which token follows
which, put into the weights of one llama layer: each token's embedding is a direction of its own, the
attention and the feed-forward part add nothing, and the output matrix has the successors. So it
says known texts, to the letter, in thousands of tokens a second; what it is asked decides only
which special token the chat template ends with, and that is what its answer follows from. What a
grammar leaves open (arguments of a call, JSON) it fills with the likeliest of what is allowed.
"""

import sys
from itertools import pairwise

import gguf
import numpy as np

WIDTH, FEED_FORWARD, HEADS = 512, 64, 8
SPECIAL = (
    "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|counting|>",
    "<|pondering|>", "<|calling|>", "<tool_call>", "</tool_call>", "<think>", "</think>",
)  # fmt: skip
CHAINS: tuple[tuple[str | bytes, ...], ...] = (
    # Letters whose bytes are tokens of their own: a server must not cut them apart.
    ("<|assistant|>", "Hello", " from", " a", " very", " small", " model", ",", " na", b"\xc3",
     b"\xaf", "ve", b" \xe2", b"\x98", b"\x83", ".", "<|end|>"),
    # Never ends by itself.
    ("<|counting|>", " zero", " one", " two", " three", " four", " five", " six", " seven",
     " zero"),
    ("<|pondering|>", "<think>", "Let", " me", " see", "</think>", "Hello"),
    ("<|calling|>", "<tool_call>", "\n", "{"),
    ("</tool_call>", "<|end|>"),
    # In a string that a grammar asks for.
    ('"', "Oslo"), ("Oslo", '"'),
)  # fmt: skip
LIKELY = ('"', "</tool_call>", "}", "{", ":", ",", "]", "7", "t")
"""What comes first where a grammar forbids the successor."""

TEMPLATE = r"""
{%- if tools %}{{- '<|system|>' }}{%- for tool in tools %}{{- tool | tojson }}{{- '\n' }}{%- endfor %}{{- '<|end|>' }}{%- endif %}
{%- set ns = namespace(asked='') %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{{- '<|assistant|>' }}
{%- if message.reasoning_content %}{{- '<think>' + message.reasoning_content + '</think>' }}{%- endif %}
{%- if message.content %}{{- message.content }}{%- endif %}
{%- for call in message.tool_calls or [] %}{{- '<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}{{- call.function.arguments | tojson }}{{- '}\n</tool_call>' }}{%- endfor %}
{{- '<|end|>' }}
{%- else %}
{{- '<|' + message.role + '|>' + message.content + '<|end|>' }}
{%- if message.role == 'user' %}{%- set ns.asked = message.content %}{%- endif %}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>' }}
{%- if 'Count' in ns.asked %}{{- '<|counting|>' }}
{%- elif 'Think' in ns.asked %}{{- '<|pondering|>' }}
{%- elif tools and messages[-1].role != 'tool' %}{{- '<|calling|>' }}
{%- endif %}
{%- endif %}"""


def _letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary (as GPT-2's)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    names = {b: chr(b) for b in shown} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [names[b] for b in range(256)]


class Vocabulary:
    def __init__(self) -> None:
        self.letters = _letters()
        self.tokens = list(self.letters)
        for name in SPECIAL:
            self.add(name)

    def add(self, token: str | bytes) -> int:
        """The number of a token, which joins the vocabulary if it is new."""
        if token not in SPECIAL:
            data = token.encode() if isinstance(token, str) else token
            token = "".join(self.letters[b] for b in data)
        assert isinstance(token, str)
        if token not in self.tokens:
            self.tokens.append(token)
        return self.tokens.index(token)


def write(path: str) -> None:
    vocabulary = Vocabulary()
    followers = [
        (vocabulary.add(a), vocabulary.add(b)) for chain in CHAINS for a, b in pairwise(chain)
    ]
    likely = [vocabulary.add(token) for token in LIKELY]
    size = len(vocabulary.tokens)

    random = np.random.default_rng(7)
    output = (random.normal(size=(size, WIDTH)) * 0.001).astype(np.float32)
    for rank, token in enumerate(likely):
        output[token] += 0.5 - 0.05 * rank
    for before, after in followers:
        output[after, before] = 2.0
    tensors = {
        "token_embd": np.eye(size, WIDTH),
        "output": output,
        "output_norm": np.ones(WIDTH),
        "blk.0.attn_norm": np.ones(WIDTH),
        "blk.0.attn_q": random.normal(size=(WIDTH, WIDTH)) * 0.02,
        "blk.0.attn_k": random.normal(size=(WIDTH, WIDTH)) * 0.02,
        "blk.0.attn_v": random.normal(size=(WIDTH, WIDTH)) * 0.02,
        "blk.0.attn_output": np.zeros((WIDTH, WIDTH)),
        "blk.0.ffn_norm": np.ones(WIDTH),
        "blk.0.ffn_gate": random.normal(size=(FEED_FORWARD, WIDTH)) * 0.02,
        "blk.0.ffn_up": random.normal(size=(FEED_FORWARD, WIDTH)) * 0.02,
        "blk.0.ffn_down": np.zeros((WIDTH, FEED_FORWARD)),
    }

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(1 << 17)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_merges(["H e"])  # one must be there
    writer.add_token_types(
        [
            gguf.TokenType.CONTROL if token in SPECIAL else gguf.TokenType.NORMAL
            for token in vocabulary.tokens
        ]
    )
    writer.add_bos_token_id(vocabulary.add("<|end|>"))
    writer.add_eos_token_id(vocabulary.add("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE.lstrip())
    for name, values in tensors.items():
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
