"""Calls through bad weather on a virtual clock; `python -m llmwire.testing.simulation` runs more."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from llmwire import intake, stream
from llmwire.testing import simulation
from llmwire.testing.chaos import VirtualLoop

SEEDS = range(400)


def test_nothing_comes_out_that_should_not() -> None:
    outcomes = simulation.simulate(SEEDS)
    assert [o for o in outcomes if o.wrong] == []
    endings = {o.ending for o in outcomes}
    assert {"reply", "cancelled", "broken off", "TimeoutError_", "IncompleteStreamError"} <= endings
    assert {o.wire for o in outcomes} == set(simulation.sse_wires())


def test_a_seed_says_it_all() -> None:
    assert simulation.simulate(range(40)) == simulation.simulate(range(40))


def _retry_what_was_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_or_end = stream.ReplyStream._retry_or_end

    async def forgetful(self: Any, e: Any) -> None:
        if self._intake is not None:
            self._intake.committed = False
        await retry_or_end(self, e)

    monkeypatch.setattr(stream.ReplyStream, "_retry_or_end", forgetful)


def _take_an_end_for_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake.Intake, "finish", lambda self: self.release())


def _never_close(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: Any) -> None:
        self._response = self._direct = None

    monkeypatch.setattr(stream.ReplyStream, "_drop_response", keep)


@pytest.mark.parametrize(
    "plant", [_retry_what_was_delivered, _take_an_end_for_success, _never_close]
)
def test_it_notices_what_is_wrong(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert any(o.wrong for o in simulation.simulate(range(200)))


def test_a_wait_without_a_limit_is_noticed() -> None:
    with closing(VirtualLoop()) as loop, pytest.raises(RuntimeError, match="nothing will ever"):
        loop.run_until_complete(loop.create_future())


def test_the_command_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulation.main(["--seed", "7", "--runs", "1"]) == 0
    out = capsys.readouterr().out
    assert "Attempt(" in out and "seed=7" in out and "0 wrong" in out
    assert simulation.main(["--runs", "20", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["runs"] == 20 and told["wrong"] == []
