"""What is printed while a live display stands below."""

from __future__ import annotations

import io
import logging
import sys
import threading
from contextlib import ExitStack

import pytest

from headrace.cli.scrollback import Scrollback


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> FakeTerminal:
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


def test_complete_lines_are_handed_over_and_the_rest_waits(terminal: FakeTerminal) -> None:
    scrollback = Scrollback(colors=True)
    with ExitStack() as stack:
        scrollback.redirect(stack)
        print("one")
        print("tw", end="")
        assert scrollback.take() == "one\n"
        print("o")
        assert scrollback.take() == "two\n"
    assert terminal.getvalue() == ""


def test_the_end_takes_everything(terminal: FakeTerminal) -> None:
    scrollback = Scrollback(colors=True)
    with ExitStack() as stack:
        scrollback.redirect(stack)
        print("unfinished", end="")
    assert scrollback.take(everything=True) == "unfinished\n"
    assert scrollback.take(everything=True) == ""


def test_streams_come_back_and_old_references_pass_on(terminal: FakeTerminal) -> None:
    with ExitStack() as stack:
        Scrollback(colors=True).redirect(stack)
        kept = sys.stdout
    assert sys.stdout is terminal
    kept.write("late")
    assert terminal.getvalue() == "late"


def test_what_somebody_put_on_top_stays(terminal: FakeTerminal) -> None:
    on_top = io.StringIO()
    with ExitStack() as stack:
        Scrollback(colors=True).redirect(stack)
        sys.stdout = on_top
    assert sys.stdout is on_top


def test_a_stream_that_is_no_terminal_is_left_alone(terminal: FakeTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with ExitStack() as stack:
        Scrollback(colors=True).redirect(stack)
        print("to the pipe", file=sys.stderr)
    assert pipe.getvalue() == "to the pipe\n"


def test_logging_handlers_are_redirected_for_the_time_being(terminal: FakeTerminal) -> None:
    handler = logging.StreamHandler(terminal)
    logger = logging.getLogger("test.scrollback")
    logger.addHandler(handler)
    scrollback = Scrollback(colors=True)
    try:
        with ExitStack() as stack:
            scrollback.redirect(stack)
            logger.warning("a fact")
            assert scrollback.take() == "a fact\n"
        assert handler.stream is terminal
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\x1b[31mred\x1b[0m\n", "a\x1b[31mred\x1b[0m\x1b[0m\n"),
        ("up\x1b[A and \x1b[2Jcleared\n", "up and cleared\x1b[0m\n"),
        ("\x1b]0;title\x07text\n", "text\x1b[0m\n"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("windows\r\n", "windows\n"),
        ("bell\x07\tand tab\n", "bell\tand tab\n"),
        ("[bold]markup[/bold]\n", "[bold]markup[/bold]\n"),
    ],
)
def test_only_colors_get_through(terminal: FakeTerminal, written: str, shown: str) -> None:
    scrollback = Scrollback(colors=True)
    with ExitStack() as stack:
        scrollback.redirect(stack)
        sys.stdout.write(written)
    assert scrollback.take() == shown


def test_no_colors_get_through_where_none_are_wanted(terminal: FakeTerminal) -> None:
    scrollback = Scrollback(colors=False)
    with ExitStack() as stack:
        scrollback.redirect(stack)
        print("a\x1b[31mred\x1b[0m")
    assert scrollback.take() == "ared\n"


def test_nothing_is_lost_between_threads(terminal: FakeTerminal) -> None:
    scrollback = Scrollback(colors=True)
    with ExitStack() as stack:
        scrollback.redirect(stack)
        threads = [threading.Thread(target=lambda: [sys.stdout.write("x\n") for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        found = ""
        while any(thread.is_alive() for thread in threads):
            found += scrollback.take()
    assert found + scrollback.take() == "x\n" * 4000


def test_only_text_can_be_written(terminal: FakeTerminal) -> None:
    with ExitStack() as stack:
        Scrollback(colors=True).redirect(stack)
        with pytest.raises(TypeError, match="takes a string, not bytes"):
            sys.stdout.write(b"x")  # type: ignore[arg-type]
