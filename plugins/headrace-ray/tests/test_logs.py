"""What tasks log reaches the log of the run: with the outcome, or sooner if the task goes on."""

from __future__ import annotations

import logging
import os
import time


def test_lines_come_with_the_outcome_in_order(desk, caplog):
    def talk():
        for number in range(5):
            logging.getLogger("of.the.test").warning("line %d", number)

    desk.outcomes(talk)
    assert [line for line in caplog.messages if line.startswith("line")] == [f"line {number}" for number in range(5)]


def test_lines_of_a_task_that_goes_on_come_before_it_ends(desk, caplog, tmp_path):
    def talk():
        logging.getLogger("of.the.test").warning("early line")
        deadline = time.monotonic() + 30
        while not (tmp_path / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        logging.getLogger("of.the.test").warning("late line")

    desk.submit(talk)
    deadline = time.monotonic() + 25
    while "early line" not in caplog.messages:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "late line" not in caplog.messages
    (tmp_path / "go").touch()
    desk.collect(1)
    assert [line for line in caplog.messages if line.endswith(" line")] == ["early line", "late line"]


def test_of_a_task_whose_worker_dies_the_lines_of_the_last_second_are_lost(desk, caplog):
    def talk():
        logging.getLogger("of.the.test").warning("early line")
        time.sleep(6)
        logging.getLogger("of.the.test").warning("last words")
        os._exit(1)

    desk.outcomes(talk)
    assert "early line" in caplog.messages
    assert "last words" not in caplog.messages


def test_levels_are_those_of_the_driver(desk, caplog):
    def talk():
        logging.getLogger("of.the.test").info("nobody wants this")
        logging.getLogger("of.the.test").warning("wanted")

    caplog.set_level(logging.WARNING, "of.the.test")
    desk.outcomes(talk)
    assert "wanted" in caplog.messages
    assert "nobody wants this" not in caplog.messages
