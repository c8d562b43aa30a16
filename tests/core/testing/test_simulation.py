"""The simulation of runs that crash: it finds nothing in headrace, and it finds what is put in on purpose."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from headrace import Engine
from headrace.engine.resumed_runs import prepare_resume
from headrace.history import TaskRunRecord
from headrace.testing.simulate import main
from headrace.testing.simulation import Round, play
from headrace.testing.simulation.memory import MemoryHistory

ROUNDS = 60


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    logging.disable(logging.CRITICAL)
    with Engine(no_plugins=True) as engine:
        yield engine
    logging.disable(logging.NOTSET)


def broken(engine: Engine, **options: Any) -> str:
    """Return what breaks first within a few rounds."""
    for seed in range(ROUNDS):
        played = play(seed, engine, **options)
        if played.broken:
            return "\n".join(played.broken)
    return ""


def test_nothing_breaks(engine: Engine) -> None:
    assert broken(engine) == ""


def test_a_seed_repeats_its_round(engine: Engine) -> None:
    def round_of(seed: int) -> Round:
        return play(seed, engine)

    assert [round_of(seed) for seed in range(10)] == [round_of(seed) for seed in range(10)]
    assert round_of(1).script != round_of(2).script


def test_processes_crash_completions_are_lost_and_chains_are_handed_over(engine: Engine) -> None:
    played = [play(seed, engine) for seed in range(30)]
    assert sum(each.crashes for each in played) > 20
    assert sum(each.lost_completions for each in played) > 0
    assert sum(each.power_cuts for each in played) > 0
    assert sum(each.chains for each in played) > 0


def test_what_is_forgotten_on_the_way_to_the_next_run_is_noticed(engine: Engine) -> None:
    def forgetful(*arguments: Any, **options: Any) -> Any:
        prepared = prepare_resume(*arguments, **options)
        taken = prepared.resumption
        states = dict(list(taken.states.items())[:-1])
        return replace(prepared, resumption=replace(taken, states=states, taken_over=taken.taken_over[:-1]))

    assert "had finished and ran again" in broken(engine, prepare=forgetful)


def test_a_history_that_loses_what_it_was_told_is_noticed(engine: Engine) -> None:
    assert "was acknowledged" in broken(engine, make_history=lambda random: _Careless(random, "lose"))


def test_a_success_that_was_none_is_noticed(engine: Engine) -> None:
    assert "I2:" in broken(engine, make_history=lambda random: _Careless(random, "invent"))


class _Careless(MemoryHistory):
    """Says of what was running when a process died that it succeeded, or forgets the last thing that finished."""

    def __init__(self, random: Random, way: str) -> None:
        super().__init__(random)
        self.way = way

    def kill(self, journals: Any) -> None:
        super().kill(journals)
        for run in self._runs.values():
            run.take_in()
            for key, row in list(run.rows.items()):
                if self.way == "invent" and row.state == "Running" and row.child_count is None:
                    run.rows[key] = row._replace(state="Success")
                if self.way == "lose" and row.is_finished:
                    run.rows[key] = _unfinished(row)


def _unfinished(row: TaskRunRecord) -> TaskRunRecord:
    return row._replace(state="Running", value=None)


def test_the_command_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "5", "--count", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seed"], found["rounds"], found["failed"]) == (5, 3, 0)


def test_the_history_of_a_plugin_can_be_simulated_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "3", "--history", "sqlite:runs.db"]) == 0
    assert "rounds 3" in capsys.readouterr().out
