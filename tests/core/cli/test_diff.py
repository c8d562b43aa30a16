"""``headrace diff``: what differs between two runs, and the exit code."""

from __future__ import annotations

import json
import time

import pytest

FLOW = """
    import time

    @task
    def numbers(first): return [first, 2, 3]

    @task
    def half(x):
        if x == 4: raise ValueError("no")
        return x / 2

    @task
    def total(xs, password): return sum(xs)

    @task
    def pause(): time.sleep(PAUSE)

    with Flow("halves") as flow:
        total(half.map(numbers(Parameter("first", default=1))), Parameter("password", default="sesame-open"))
        pause()
"""


BROKEN = """
    import os

    @task
    def some(x):
        if x == 2 and not os.path.exists("mended"): raise ValueError("no")

    with Flow("broken") as flow:
        some.map([1, 2])
"""


@pytest.fixture(name="runs")
def _runs(cli):
    """Return a command line with run ``first`` behind it, and what runs the flow again, changed."""

    def again(name: str, *options: str, **changes: str) -> None:
        text = FLOW.replace("PAUSE", changes.pop("PAUSE", "0"))
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        cli.here("run", cli.file(text), "--run-name", name, "--quiet", *options)

    again("first")
    return cli, again


def found(cli, *arguments: str):
    done = cli.here("diff", *arguments, "--json")
    return done.code, json.loads(done.out)


def test_two_runs_of_the_same_do_not_differ(runs) -> None:
    cli, again = runs
    again("second")
    done = cli.here("diff", "first", "second")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Nothing differs.")
    code, document = found(cli, "first", "second")
    assert (code, document["same"], document["tasks"]) == (0, True, [])


def test_parameters_states_and_results_that_differ_are_listed(runs) -> None:
    cli, again = runs
    again("second", "-p", "first=4")
    code, document = found(cli, "first", "second")
    assert code == 1
    assert document["parameters"] == [{"name": "first", "before": "1", "after": "4"}]
    assert document["facts"] == [{"name": "state", "before": "Success", "after": "Failed"}]
    tasks = {each["task"]: each for each in document["tasks"]}
    assert tasks["numbers-1"]["differs"] == ["result"]
    assert tasks["half-1"]["children"] == {
        "before": {"Success": 3},
        "after": {"Failed": 1, "Success": 2},
        "states_differ": 1,
        "results_differ": 0,
        "first": [0],
    }
    assert tasks["total-1"]["states"] == ["Success", "TriggerFailed"]
    out = cli.here("diff", "first").out
    assert "first  1 → 4" in out
    assert "1 child ended differently, such as [0]" in out


def test_children_with_other_results_are_counted(runs) -> None:
    cli, again = runs
    again("second", **{"x / 2": "x // 2"})
    tasks = {each["task"]: each for each in found(cli, "first", "second")[1]["tasks"]}
    assert tasks["half-1"]["differs"] == ["code", "result"]
    assert tasks["half-1"]["children"]["results_differ"] == 3


def test_a_parameter_that_has_the_name_of_a_secret_is_masked(runs) -> None:
    cli, again = runs
    again("second", "-p", "password=another-one", "-p", "first=2")
    done = cli.here("diff", "first", "second")
    assert "another-one" not in done.out + done.err
    assert "sesame" not in done.out + done.err


def test_tasks_that_came_and_went_are_listed(runs) -> None:
    cli, again = runs
    again("second", pause="wait")
    changes = {each["task"]: each["differs"] for each in found(cli, "first", "second")[1]["tasks"]}
    assert changes == {"wait-1": ["added"], "pause-1": ["removed"]}
    out = cli.here("diff", "first", "second").out
    assert "+  wait-1" in out
    assert "-  pause-1" in out


def test_a_change_of_what_a_task_depends_on_is_listed(runs) -> None:
    cli, again = runs
    again("second", **{"        pause()": "        pause().set_upstream(flow.get_tasks(name='total')[0])"})
    changes = {each["task"]: each["differs"] for each in found(cli, "first", "second")[1]["tasks"]}
    assert changes == {"pause-1": ["upstream"]}


def test_time_alone_is_shown_and_makes_no_difference(runs) -> None:
    cli, again = runs
    # The same code, which waits for longer.
    (cli.folder / "seconds").write_text("0.3")
    text = {
        "time.sleep(0)": "time.sleep(float(Path('seconds').read_text()))",
        "import time": "import time; from pathlib import Path",
    }
    again("third", **text)
    (cli.folder / "seconds").write_text("0")
    again("fourth", **text)
    code, document = found(cli, "third", "fourth")
    assert (code, document["same"]) == (0, True)
    assert [(each["task"], each["differs"]) for each in document["tasks"]] == [("pause-1", [])]


def test_a_run_that_is_not_there_is_a_mistake(runs) -> None:
    done = runs[0].here("diff", "first", "secnd")
    assert done.code == 2
    assert "There is no run 'secnd'" in done.err


def test_a_resumed_run_differs_in_what_came_of_it_alone(cli) -> None:
    cli.here("run", cli.file(BROKEN), "--run-name", "first", "--quiet")
    (cli.folder / "mended").touch()
    cli.here("resume")
    code, document = found(cli, "first", "first.2")
    assert code == 1
    assert [change["name"] for change in document["facts"]] == ["state"]


def test_a_map_that_was_taken_over_in_part_took_what_it_took_in_each_run(cli) -> None:
    cli.here("run", cli.file(BROKEN), "--run-name", "first", "--quiet")
    (cli.folder / "mended").touch()
    time.sleep(1)
    cli.here("resume")
    _, document = found(cli, "first", "first.2")
    (mapped,) = (each for each in document["tasks"] if each["task"] == "some-1")
    assert mapped["took"][1] < 1
