"""``headrace show``: a run as a tree of tasks, and one task run in full."""

from __future__ import annotations

import json
import time

import pytest

HALVES = """
    @task(max_retries=1, retry_delay=0)
    def half(x):
        if x == 3:
            raise ValueError("three is odd\\nand so on")
        return x / 2

    @task
    def total(xs, scale): return sum(xs) * scale

    with Flow("halves") as flow:
        total(half.map([2, 3, 4]), Parameter("scale", default=2))
"""
MANY = """
    @task
    def check(x):
        if x >= 20: raise ValueError(f"{x} is too large")

    with Flow("many") as flow:
        check.map(list(range(28)))
"""
LARGE = """
    @task
    def letters(): return "x" * 100_000

    @task(cache_for=3600)
    def kept(): return 1

    with Flow("large") as flow:
        letters()
        kept()
"""


@pytest.fixture
def history(cli):
    """Return a command line with runs ``halves``, which failed, and ``large`` behind it."""
    cli.here("run", cli.file(HALVES), "--run-name", "halves", "--quiet")
    cli.here("run", cli.file(LARGE), "--run-name", "large", "--quiet")
    return cli


def rows(done) -> list[list[str]]:
    """Return the cells below the head of the table."""
    return [line.split() for line in done.out.splitlines()[4:]]


def test_a_run_is_shown_task_by_task_with_the_children_that_failed(history) -> None:
    done = history.here("show", "halves")
    assert done.code == 0
    assert done.out.splitlines()[0] == "halves of flow halves: failed: Some reference tasks failed."
    half, child, more, total = rows(done)
    assert half[:3] == ["✗", "half-1", "failed"]
    assert half[-6:] == ["2", "of", "3", "succeeded,", "1", "failed"]
    assert child[:4] == ["✗", "├", "half-1[1]", "failed"]
    assert child[-5:] == ["2", "ValueError:", "three", "is", "odd"]
    assert more == ["└", "2", "more"]
    assert total[:4] == ["⊘", "total-1", "not", "run"]


def test_what_nobody_wrote_as_a_task_is_shown_only_if_asked_for(history) -> None:
    assert "scale" not in history.here("show", "halves").out
    everything = history.here("show", "halves", "--all").out
    assert "✓  scale" in everything
    assert "half-1[0]" in everything


def test_the_last_run_is_the_one_that_is_shown_by_default(history) -> None:
    assert history.here("show").out.startswith("large of flow large: succeeded")


def test_the_beginning_of_an_id_names_a_run(history) -> None:
    first = json.loads(history.here("runs", "--json").out)[-1]
    assert history.here("show", first["id"][:13]).out.startswith("halves of flow halves")


def test_of_many_children_a_few_that_failed_are_listed_and_the_slowest_named(cli) -> None:
    cli.here("run", cli.file(MANY), "--quiet")
    found = rows(cli.here("show"))
    assert found[0][-6:] == ["20", "of", "28", "succeeded,", "8", "failed"]
    assert [row[2] for row in found[1:6]] == [f"check-1[{index}]" for index in range(20, 25)]
    assert found[6][:4] == ["└", "23", "more", "slowest:"]
    assert len(found) == 7


def test_every_child_is_listed_if_asked_for(cli) -> None:
    cli.here("run", cli.file(MANY), "--quiet")
    assert len(rows(cli.here("show", "--all"))) == 30  # the task, its children, and the list that it maps over


def test_a_run_is_shown_as_json(history) -> None:
    found = json.loads(history.here("show", "halves", "--json").out)
    assert (found["name"], found["state"]) == ("halves", "Failed")
    half, total = found["tasks"]
    assert (half["slug"], half["state"], half["children"]["total"]) == ("half-1", "Failed", 3)
    assert half["children"]["states"] == {"Failed": 1, "Success": 2}
    assert [(each["map_index"], each["state"], each["attempt"]) for each in half["children"]["listed"]] == [
        (1, "Failed", 2)
    ]
    assert (total["state"], total["upstream"][0]["task"]) == ("TriggerFailed", "half-1")


# one task


@pytest.mark.parametrize("arguments", [["halves", "half"], ["halves", "half-1"], ["halves", "--task", "half"]])
def test_of_a_mapped_task_every_child_is_shown(history, arguments: list[str]) -> None:
    done = history.here("show", *arguments)
    assert done.out.splitlines()[0] == "half-1 of halves: failed"
    children = [line.split()[2:4] for line in done.out.splitlines() if "half-1[" in line]
    assert children == [["half-1[0]", "succeeded"], ["half-1[1]", "failed"], ["half-1[2]", "succeeded"]]


def test_one_child_is_shown_in_full(history) -> None:
    lines = history.here("show", "halves", "half[1]").out.splitlines()
    assert lines[:3] == ["half-1[1] of halves: failed", "  ValueError: three is odd", "  and so on"]
    facts = dict(line.split(None, 1) for line in lines[4:] if line)
    assert facts["attempt"] == "2"
    assert facts["error"] == "ValueError"
    assert facts["1"].split()[0] == "failed"
    assert facts["1"].endswith("ValueError: three is odd")


def test_a_result_is_shown_with_its_place_and_type(history) -> None:
    assert "result  str, at " in history.here("show", "large", "letters").out
    assert "B, in the history" in history.here("show", "halves", "half[0]").out


def test_remarks_are_shown(history) -> None:
    assert "cache  not found; kept as " in history.here("show", "large", "kept").out


def test_one_task_run_is_shown_as_json(history) -> None:
    found = json.loads(history.here("show", "halves", "half[1]", "--json").out)
    assert found["run"]["name"] == "halves"
    assert found["task"]["slug"] == "half-1"
    assert (found["task_run"]["map_index"], found["task_run"]["value"]["type"]) == (1, "ValueError")
    assert [(each["attempt"], each["state"]) for each in found["attempts"]] == [(1, "Failed")]


# mistakes


def test_the_nearest_names_are_said_of_a_run_that_is_not_there(history) -> None:
    done = history.here("show", "halvs")
    assert done.code == 2
    assert "There is no run 'halvs'" in done.err
    assert "The nearest: halves" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("halv", "Run 'halves' has no task 'halv'.\nDid you mean 'half'?"),
        ("halv[2]", "Run 'halves' has no task 'halv'.\nDid you mean 'half'?"),
        ("half[3]", "has 3 children, and none 3.\nThe last one is half-1[2]."),
        ("total[0]", "is not mapped, so it has no child 0.\nLeave out the brackets: total-1."),
    ],
)
def test_what_there_is_is_said_of_a_task_that_is_not_there(history, task: str, said: str) -> None:
    done = history.here("show", "halves", task)
    assert done.code == 2
    assert said in done.err


def test_without_a_history_there_is_nothing_to_show(cli) -> None:
    done = cli.here("show")
    assert done.code == 2
    assert "It has no runs." in done.err
    assert not (cli.folder / ".headrace").exists()


def test_a_map_that_was_taken_over_in_part_took_what_it_took_here(cli) -> None:
    text = """
        import os

        @task
        def some(x):
            if x == 2 and not os.path.exists("mended"): raise ValueError("no")

        with Flow("broken") as flow:
            some.map([1, 2])
    """
    cli.here("run", cli.file(text), "--quiet")
    (cli.folder / "mended").touch()
    time.sleep(1)
    cli.here("resume")
    (found,) = json.loads(cli.here("show", "--json").out)["tasks"]
    assert found["took"] < 1
