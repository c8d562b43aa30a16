"""The live display on a real (pseudo-)terminal, and when there is none to be had."""

from __future__ import annotations

import re

import pytest

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
STEPS = """
    import time

    @task
    def load():
        print("[bold]printed[/bold]")
        context.logger.warning("logged %s", "[red]as it is[/red]")
        time.sleep(0.4)
        return [1, 2, 3, 4]

    @task(max_retries=1, retry_delay=0.4)
    def clean(x):
        if x == 3 and context.task_run_count == 1:
            raise ValueError("three")
        return x

    with Flow("steps") as flow:
        clean.map(load())
"""
STUBBORN = """
    import time

    @task
    def wait():
        while True:
            try:
                time.sleep(60)
            except KeyboardInterrupt:
                pass

    with Flow("stubborn") as flow:
        wait()
"""
GENTLE = """
    import time

    @task
    def wait(): time.sleep(60)

    with Flow("gentle") as flow:
        wait()
"""


def test_the_display_shows_tasks_and_counts_and_gives_the_cursor_back(cli) -> None:
    terminal = cli.on_terminal("run", cli.file(STEPS), size=(100, 30))
    terminal.wait_for("▶ load")
    terminal.wait_for("3/4")
    code = terminal.end()
    text = terminal.text
    assert code == 0
    assert "↻" in text or "1 retrying" in text
    assert "✓ clean" in text
    assert "steps succeeded in" in text
    assert terminal.written.count(HIDE) == 1
    assert terminal.written.rindex(SHOW) > terminal.written.rindex(HIDE)


def test_prints_and_log_lines_appear_once_and_unchanged(cli) -> None:
    terminal = cli.on_terminal("run", cli.file(STEPS))
    terminal.end()
    text = terminal.text
    assert text.count("[bold]printed[/bold]") == 1
    assert text.count("WARNING load: logged [red]as it is[/red]") == 1


def test_no_colors_are_used_where_none_are_wanted(cli) -> None:
    terminal = cli.on_terminal("run", cli.file(STEPS), NO_COLOR="1")
    terminal.end()
    colors = re.findall(r"\x1b\[([0-9;]*)m", terminal.written)
    assert not [
        code for code in colors if any(30 <= int(part or 0) < 50 or int(part or 0) > 89 for part in code.split(";"))
    ]


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"CI": "true"}])
def test_where_nothing_can_be_redrawn_lines_are_plain(cli, variables: dict[str, str]) -> None:
    terminal = cli.on_terminal("run", cli.file(STEPS), **variables)
    assert terminal.end() == 0
    assert "\x1b" not in terminal.written
    assert "✓ load  succeeded" in terminal.written


def test_through_a_pipe_there_are_no_escape_sequences(cli) -> None:
    done = cli.apart("run", cli.file(STEPS), FORCE_COLOR="1", TERM="xterm")
    assert "\x1b" not in done.out + done.err
    assert "✓ clean  4 succeeded" in done.out


def test_only_ascii_is_written_where_only_ascii_can_be(cli) -> None:
    done = cli.apart("run", cli.file(STEPS), PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.out.isascii()
    assert "+ load  succeeded" in done.out


def test_an_interrupt_gives_the_cursor_back_and_shows_what_was_cancelled(cli) -> None:
    terminal = cli.on_terminal("run", cli.file(GENTLE))
    terminal.wait_for("▶ wait")
    terminal.interrupt()
    assert terminal.end() == 130
    assert terminal.written.rindex(SHOW) > terminal.written.rindex(HIDE)
    text = terminal.text
    assert "■ gentle was cancelled after" in text
    assert "Traceback" not in text


def test_a_second_interrupt_gives_the_cursor_back_too(cli) -> None:
    terminal = cli.on_terminal("run", cli.file(STUBBORN))
    terminal.wait_for("▶ wait")
    terminal.interrupt()
    terminal.wait_for("Ctrl-C again")
    terminal.interrupt()
    assert terminal.end() == 130
    assert terminal.written.rindex(SHOW) > terminal.written.rindex(HIDE)
    assert "Left at once, while 1 task was running." in terminal.written


def test_a_task_that_raises_system_exit_does_not_break_the_display(cli) -> None:
    file = cli.file("""
        import sys

        @task
        def leave(): sys.exit(3)

        with Flow("leaving") as flow:
            leave()
    """)
    terminal = cli.on_terminal("run", file)
    assert terminal.end() == 1
    assert "leaving failed" in terminal.written
    assert terminal.written.rindex(SHOW) > terminal.written.rindex(HIDE)


def test_a_handler_on_the_terminal_is_led_above_the_display(cli) -> None:
    file = cli.file("""
        import logging, time
        logging.basicConfig(format="mine %(message)s")

        @task
        def talk():
            context.logger.warning("a fact")
            time.sleep(0.3)

        with Flow("talk") as flow:
            talk()
    """)
    terminal = cli.on_terminal("run", file)
    terminal.end()
    lines = terminal.text.replace("\r", "\n").splitlines()
    assert lines.count("mine a fact") == 1


def test_many_tasks_fit_the_screen(cli) -> None:
    file = cli.file("""
        import time

        @task
        def step(): time.sleep(0.01)

        with Flow("many") as flow:
            for i in range(60):
                step(task_args={"name": f"step-{i}"})
    """)
    terminal = cli.on_terminal("run", file, size=(60, 16))
    terminal.wait_for("more:")
    assert terminal.end() == 0
    frames = terminal.written.split("\x1b[1A")
    assert max(map(len, (frame.splitlines() for frame in frames))) <= 16
    for line in terminal.text.replace("\r", "\n").splitlines():
        assert len(line) <= 60
