"""The requests on every wire are byte for byte what was written down."""

from __future__ import annotations

import pytest

import golden
from contract.cases import WIRES


@pytest.mark.parametrize("wire", WIRES)
def test_requests_are_as_written_down(wire: str) -> None:
    file = golden.FOLDER / f"{wire}.txt"
    assert file.read_text("utf-8") == golden.written(wire), "if this is meant: make golden"


def test_no_file_is_left_over() -> None:
    assert {file.stem for file in golden.FOLDER.glob("*.txt")} == set(WIRES)
