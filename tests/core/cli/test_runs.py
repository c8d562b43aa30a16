"""``headrace runs``: what it lists, and what it says where there is nothing to list."""

from __future__ import annotations

import json
import os
import signal

import pytest

HALVES = """
    @task
    def half(x):
        if x == 3:
            raise ValueError("three is odd")
        return x / 2

    @task
    def total(xs): return sum(xs)

    with Flow("halves") as flow:
        total(half.map([2, 3, 4]))
"""
ONE = """
    @task
    def one(): return 1

    with Flow("single") as flow:
        one()
"""


def run(cli, text: str, name: str, *options: str) -> None:
    cli.here("run", cli.file(text), "--run-name", name, "--quiet", *options)


@pytest.fixture
def history(cli):
    """Return a command line with three runs behind it: ``first``, ``second``, which failed, and ``third``."""
    run(cli, ONE, "first")
    run(cli, HALVES, "second")
    run(cli, ONE, "third")
    return cli


def names(done) -> list[str]:
    """Return the first cell of each line below the head."""
    return [line.split()[0] for line in done.out.splitlines()[1:]]


# runs


def test_runs_are_listed_the_last_one_first(history) -> None:
    done = history.here("runs")
    assert done.code == 0
    assert done.out.splitlines()[0].split() == ["RUN", "FLOW", "STATE", "TASKS", "STARTED", "TOOK"]
    assert names(done) == ["third", "second", "first"]
    assert done.out.splitlines()[2].split()[1:3] == ["halves", "failed"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--flow", "single"], ["third", "first"]),
        (["--state", "Failed"], ["second"]),
        (["--state", "failed"], ["second"]),
        (["--state", "succeeded"], ["third", "first"]),
        (["--state", "Failed", "--state", "Success"], ["third", "second", "first"]),
        (["--flow", "single", "-n", "1"], ["third"]),
    ],
)
def test_runs_are_listed_by_what_they_are(history, options: list[str], expected: list[str]) -> None:
    assert names(history.here("runs", *options)) == expected


def test_runs_are_listed_as_json(history) -> None:
    found = json.loads(history.here("runs", "--json").out)
    assert [(each["name"], each["flow_name"], each["state"]) for each in found] == [
        ("third", "single", "Success"),
        ("second", "halves", "Failed"),
        ("first", "single", "Success"),
    ]
    assert found[1]["counts"]["Failed"] == 1
    assert found[1]["ended"] >= found[1]["created"]
    assert "parameters" not in found[1]


def test_only_runs_since_a_moment_are_listed(history) -> None:
    assert names(history.here("runs", "--since", "1h")) == ["third", "second", "first"]
    assert names(history.here("runs", "--since", "2020-01-31")) == ["third", "second", "first"]
    done = history.here("runs", "--since", "2999-01-31T18:00+00:00")
    assert (done.out, done.err) == ("", "No such run was recorded here.\n")


def test_a_moment_that_is_none_is_a_mistake(history) -> None:
    done = history.here("runs", "--since", "yesterdayish")
    assert done.code == 2
    assert "'yesterdayish' is no moment" in done.err


def test_what_is_counted_are_the_tasks_that_somebody_wrote(history) -> None:
    found = json.loads(history.here("runs", "--json").out)
    assert [each["task_count"] for each in found] == [1, 2, 1]


def test_without_a_history_there_are_no_runs_and_none_is_made(cli) -> None:
    done = cli.here("runs")
    assert (done.code, done.out, done.err) == (0, "", "No run was recorded here.\n")
    assert cli.here("runs", "--json").out == "[]\n"
    assert not (cli.folder / ".headrace").exists()


def test_where_no_run_fits_it_is_not_said_that_there_are_none(history) -> None:
    assert history.here("runs", "--flow", "other").err == "No such run was recorded here.\n"


def test_a_state_that_is_none_is_a_mistake(history) -> None:
    done = history.here("runs", "--state", "Faild")
    assert done.code == 2
    assert "There is no state 'Faild'. Did you mean 'Failed'?" in done.err


def test_a_run_that_is_not_to_be_recorded_is_not(cli) -> None:
    run(cli, ONE, "first", "--no-record")
    assert cli.here("runs").err == "No run was recorded here.\n"
    assert not (cli.folder / ".headrace").exists()


def test_runs_are_found_from_a_folder_below_the_project_s(history, monkeypatch: pytest.MonkeyPatch) -> None:
    (history.folder / "below").mkdir()
    monkeypatch.chdir(history.folder / "below")
    assert names(history.here("runs")) == ["third", "second", "first"]


def test_the_configuration_says_where_runs_are_recorded(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE__HISTORY__STORE", "sqlite:runs.db")
    file = cli.file(ONE)
    cli.apart("run", file, "--run-name", "first")
    assert names(cli.apart("runs")) == ["first"]
    assert (cli.folder / "runs.db").is_file()


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_run_whose_process_was_killed_is_listed_as_crashed(cli) -> None:
    file = cli.file("""
        import os, signal

        @task
        def end(): os.kill(os.getpid(), signal.SIGKILL)

        with Flow("deadly") as flow:
            end()
    """)
    assert cli.apart("run", file, "--run-name", "first").code == -signal.SIGKILL
    assert "crashed (died)" in cli.here("runs").out
    assert cli.here("show").out.splitlines()[4].split()[1:3] == ["end-1", "crashed"]


# --watch


def test_watching_through_a_pipe_tells_each_run_and_each_change(history) -> None:
    with history.start("runs", "--watch", PYTHONUNBUFFERED="1") as process:
        lines = [process.stdout.readline() for _ in range(3)]
        run(history, ONE, "fourth")
        lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert [line.split()[2] for line in lines] == ["first", "second", "third", "fourth"]
    assert lines[1].rstrip().endswith("second of flow halves: failed: Some reference tasks failed.")
    assert (process.returncode, err) == (0, "")
    assert "fourth" not in out or "succeeded" in out


def test_watching_as_json_prints_a_document_a_line(history) -> None:
    with history.start("runs", "--watch", "--json", "-n", "1", PYTHONUNBUFFERED="1") as process:
        found = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert (found["name"], found["state"]) == ("third", "Success")


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_watching_on_a_terminal_draws_the_list_anew_and_ends_quietly(history) -> None:
    terminal = history.on_terminal("runs", "--watch")
    terminal.wait_for("first")
    run(history, ONE, "fourth")
    terminal.wait_for("fourth")
    terminal.interrupt()
    assert terminal.end() == 0
    assert "Interrupted" not in terminal.text
    assert "Traceback" not in terminal.text
