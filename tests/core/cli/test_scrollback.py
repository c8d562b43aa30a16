"""What is printed while a live display stands below."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

import pytest

from headrace.cli.scrollback import Scrollback


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@contextmanager
def terminal() -> Iterator[FakeTerminal]:
    """Let standard output and error be one terminal."""
    stream = FakeTerminal()
    with redirect_stdout(stream), redirect_stderr(stream):
        yield stream


@contextmanager
def scrolling(*, colors: bool = True) -> Iterator[tuple[Scrollback, FakeTerminal]]:
    """Redirect what is printed inside the block."""
    scrollback = Scrollback(colors=colors)
    with terminal() as stream, ExitStack() as stack:
        scrollback.redirect(stack)
        yield scrollback, stream


def test_complete_lines_are_handed_over_and_the_rest_waits() -> None:
    with scrolling() as (scrollback, stream):
        print("one")
        print("tw", end="")
        assert scrollback.take() == "one\n"
        print("o")
        assert scrollback.take() == "two\n"
    assert stream.getvalue() == ""


def test_the_end_takes_everything() -> None:
    with scrolling() as (scrollback, _):
        print("unfinished", end="")
    assert scrollback.take(everything=True) == "unfinished\n"
    assert scrollback.take(everything=True) == ""


def test_streams_come_back_and_old_references_pass_on() -> None:
    with terminal() as stream:
        with ExitStack() as stack:
            Scrollback(colors=True).redirect(stack)
            kept = sys.stdout
        assert sys.stdout is stream
        kept.write("late")
        kept.flush()
    assert stream.getvalue() == "late"


def test_what_somebody_put_on_top_stays() -> None:
    on_top = io.StringIO()
    with terminal():
        with ExitStack() as stack:
            Scrollback(colors=True).redirect(stack)
            sys.stdout = on_top
        assert sys.stdout is on_top


def test_a_stream_that_is_no_terminal_is_left_alone() -> None:
    pipe = io.StringIO()
    with terminal(), redirect_stderr(pipe), ExitStack() as stack:
        Scrollback(colors=True).redirect(stack)
        print("to the pipe", file=sys.stderr)
    assert pipe.getvalue() == "to the pipe\n"


def test_logging_handlers_are_redirected_for_the_time_being() -> None:
    logger = logging.getLogger("test.scrollback")
    scrollback = Scrollback(colors=True)
    with terminal() as stream:
        handler = logging.StreamHandler(stream)
        logger.addHandler(handler)
        try:
            with ExitStack() as stack:
                scrollback.redirect(stack)
                logger.warning("a fact")
                assert scrollback.take() == "a fact\n"
            assert handler.stream is stream
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
def test_only_colors_get_through(written: str, shown: str) -> None:
    with scrolling() as (scrollback, _):
        sys.stdout.write(written)
    assert scrollback.take() == shown


def test_no_colors_get_through_where_none_are_wanted() -> None:
    with scrolling(colors=False) as (scrollback, _):
        print("a\x1b[31mred\x1b[0m")
    assert scrollback.take() == "ared\n"


def test_nothing_is_lost_between_threads() -> None:
    with scrolling() as (scrollback, _):
        out = sys.stdout
        threads = [threading.Thread(target=lambda: [out.write("x\n") for _ in range(1000)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        found = ""
        while any(thread.is_alive() for thread in threads):
            found += scrollback.take()
    assert found + scrollback.take() == "x\n" * 4000


def test_only_text_can_be_written() -> None:
    with scrolling(), pytest.raises(TypeError, match="takes a string, not bytes"):
        sys.stdout.write(b"x")  # type: ignore[arg-type]
