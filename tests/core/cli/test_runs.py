"""``headrace runs`` and ``headrace show``: what they list, and what they say where there is nothing to list."""

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
    assert "crashed (killed)" in cli.here("runs").out
    assert cli.here("show").out.splitlines()[4].split()[:2] == ["end-1", "crashed"]


# show


def test_a_run_is_shown_task_by_task(history) -> None:
    done = history.here("show", "second")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "second of flow halves: failed: Some reference tasks failed."
    rows = {line.split()[0]: line for line in lines[4:]}
    assert rows["half-1"].split() == ["half-1", "failed", "2", "of", "3", "succeeded"]
    assert rows["total-1"].split()[1:3] == ["not", "run"]
    assert "half[1]" not in done.out


def test_the_last_run_is_the_one_that_is_shown_by_default(history) -> None:
    assert history.here("show").out.startswith("third of flow single: succeeded")


def test_the_beginning_of_an_id_names_a_run(history) -> None:
    first = json.loads(history.here("runs", "--json").out)[-1]
    assert history.here("show", first["id"][:13]).out.startswith("first of flow single")


@pytest.mark.parametrize("task", ["half", "half-1"])
def test_of_one_task_every_child_is_shown(history, task: str) -> None:
    lines = history.here("show", "second", task).out.splitlines()[4:]
    assert [line.split()[:2] for line in lines] == [
        ["half-1", "failed"],
        ["half[0]", "succeeded"],
        ["half[1]", "failed"],
        ["half[2]", "succeeded"],
    ]
    assert lines[2].endswith("1        ValueError: three is odd")


def test_a_run_is_shown_as_json(history) -> None:
    found = json.loads(history.here("show", "second", "half", "--json").out)
    assert (found["name"], found["state"]) == ("second", "Failed")
    assert [(each["task"], each["map_index"], each["state"]) for each in found["task_runs"]] == [
        ("half-1", None, "Mapped"),
        ("half-1", 0, "Success"),
        ("half-1", 1, "Failed"),
        ("half-1", 2, "Success"),
    ]
    assert found["task_runs"][0]["children"] == 3


def test_the_nearest_names_are_said_of_a_run_that_is_not_there(history) -> None:
    done = history.here("show", "secnd")
    assert done.code == 2
    assert "There is no run 'secnd'" in done.err
    assert "The nearest: second" in done.err
    assert "Traceback" not in done.err


def test_the_nearest_name_is_said_of_a_task_that_is_not_there(history) -> None:
    done = history.here("show", "second", "halv")
    assert done.code == 2
    assert "Run 'second' has no task 'halv'." in done.err
    assert "Did you mean 'half'?" in done.err


def test_without_a_history_there_is_nothing_to_show(cli) -> None:
    done = cli.here("show")
    assert done.code == 2
    assert "It has no runs." in done.err
    assert not (cli.folder / ".headrace").exists()
