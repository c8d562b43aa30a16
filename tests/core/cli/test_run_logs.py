"""``headrace logs``: what it shows, of which run and task, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

LOUD = """
    import logging, sys

    @task
    def talk(x):
        context.logger.warning("logged %s", x)
        print("printed", x)
        print("two\\nlines")

    @task
    def mutter():
        print("wrong \\x1b[31mred", file=sys.stderr)

    @task
    def quiet(): pass

    with Flow("loud") as flow:
        talk.map([1, 2])
        mutter()
        quiet()
"""


@pytest.fixture
def loud(cli):
    """Return a command line with a run called ``night`` behind it."""
    cli.here("run", cli.file(LOUD), "--run-name", "night", "--quiet")
    return cli


def texts(done) -> list[str]:
    """Return what is after the date and the time."""
    return sorted(line[20:] for line in done.out.splitlines())


def test_all_that_a_run_said_is_shown(loud) -> None:
    done = loud.here("logs")
    assert done.code == 0
    assert texts(done) == sorted(
        [
            *(f"WARNING  talk-1[{x - 1}]: logged {x}" for x in (1, 2)),
            *(f"stdout   talk-1[{x - 1}]: printed {x}" for x in (1, 2)),
            *(f"stdout   talk-1[{x}]: {text}" for x in (0, 1) for text in ("two", "lines")),
            "stderr   mutter-1: wrong red",
        ]
    )


@pytest.mark.parametrize("name", ["talk", "talk-1"])
def test_a_task_goes_by_its_name_or_its_slug(loud, name) -> None:
    assert len(texts(loud.here("logs", "night", name))) == 8


def test_of_a_mapped_task_one_child_may_be_shown(loud) -> None:
    done = loud.here("logs", "latest", "talk[1]", "--level", "warning")
    assert texts(done) == ["WARNING  talk-1[1]: logged 2"]


def test_the_last_run_needs_no_name(loud) -> None:
    assert texts(loud.here("logs", "--task", "mutter")) == ["stderr   mutter-1: wrong red"]


def test_a_run_may_be_named_with_the_option_for_a_task(loud) -> None:
    assert texts(loud.here("logs", "night", "--task", "mutter")) == ["stderr   mutter-1: wrong red"]


@pytest.mark.parametrize("command", ["logs", "show"])
def test_a_task_is_given_in_one_way(loud, command: str) -> None:
    done = loud.here(command, "night", "talk", "--task", "mutter")
    assert (done.code, done.out) == (2, "")
    assert "TASK is given twice: 'talk', and 'mutter' with --task." in done.err


def test_only_the_end_may_be_shown(loud) -> None:
    done = loud.here("logs", "night", "talk[0]", "--tail", "1")
    assert texts(done) == ["stdout   talk-1[0]: lines"]


def test_json_has_an_object_for_each_record(loud) -> None:
    done = loud.here("logs", "night", "mutter", "--json")
    (found,) = [json.loads(line) for line in done.out.splitlines()]
    assert (found["task"], found["map_index"], found["level"], found["logger"]) == ("mutter-1", None, 30, "stderr")
    assert found["text"] == "wrong \x1b[31mred"


def test_silence_is_said(loud) -> None:
    done = loud.here("logs", "night", "quiet")
    assert (done.code, done.out) == (0, "")
    assert "Task 'quiet' of run 'night' has logged nothing." in done.err


def test_a_task_that_is_not_there_names_the_nearest(loud) -> None:
    done = loud.here("logs", "night", "tlak")
    assert done.code == 2
    assert "Did you mean 'talk'?" in done.err


def test_a_run_that_is_not_there_names_the_nearest(loud) -> None:
    done = loud.here("logs", "nihgt")
    assert done.code == 2
    assert "night" in done.err


def test_a_level_that_is_not_there_names_the_nearest(loud) -> None:
    done = loud.here("logs", "--level", "wrning")
    assert done.code == 2
    assert "WARNING" in done.err


def test_a_run_that_has_ended_is_not_followed_for_long(loud) -> None:
    assert texts(loud.here("logs", "-f", "--task", "mutter")) == ["stderr   mutter-1: wrong red"]


SLOW = """
    import time

    @task
    def count():
        for number in range(20):
            print("number", number)
            time.sleep(0.1)

    with Flow("slow") as flow:
        count()
"""


def started(cli, *arguments: str, **options) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "headrace", *arguments]
    return subprocess.Popen(
        command, cwd=cli.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def wait_for_the_run(cli) -> None:
    give_up_at = time.monotonic() + 20
    while not cli.here("logs", "slow").out:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def test_a_run_is_followed_until_it_ends(cli) -> None:
    with started(cli, "run", cli.file(SLOW), "--run-name", "slow", "--quiet") as run:
        wait_for_the_run(cli)
        with started(cli, "logs", "slow", "--follow") as logs:
            assert logs.stdout is not None
            found = [line.rpartition(": ")[2].strip() for line in logs.stdout]
        assert logs.returncode == 0
        assert found == [f"number {number}" for number in range(20)]
        run.communicate()


def test_following_ends_when_the_process_of_the_run_dies(cli) -> None:
    with started(cli, "run", cli.file(SLOW.replace("0.1", "1")), "--run-name", "slow", "--quiet") as run:
        wait_for_the_run(cli)
        with started(cli, "logs", "slow", "--follow") as logs:
            run.kill()
            out, _ = logs.communicate(timeout=20)
        assert logs.returncode == 0
        assert "number 0" in out
        run.communicate()


def test_control_c_ends_it_silently(cli) -> None:
    with started(cli, "run", cli.file(SLOW.replace("0.1", "1")), "--run-name", "slow", "--quiet") as run:
        wait_for_the_run(cli)
        with started(cli, "logs", "slow", "--follow") as logs:
            assert logs.stdout is not None
            logs.stdout.readline()
            logs.send_signal(signal.SIGINT)
            _, err = logs.communicate(timeout=20)
        assert (logs.returncode, err) == (130, "")
        run.kill()
        run.communicate()


def test_nobody_has_to_read_to_the_end(cli) -> None:
    text = LOUD.replace(
        'print("printed", x)', 'print("x" * 1000 + "\\\\n", end="") or [print("y" * 100) for _ in range(5000)]'
    )
    cli.here("run", cli.file(text), "--quiet")
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", "logs"], cwd=cli.folder, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert os.read(reading, 10)
    os.close(reading)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")
