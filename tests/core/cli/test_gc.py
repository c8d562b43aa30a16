"""``headrace gc``: what it removes, what it says of that."""

from __future__ import annotations

import json
import os

import pytest

LARGE = """
    @task
    def made(): return "x" * 200_000

    with Flow("large") as flow:
        made()
"""


@pytest.fixture
def three(cli):
    """Return a command line with three runs behind it."""
    file = cli.file(LARGE)
    for name in ("first", "second", "third"):
        cli.here("run", file, "--quiet", "--run-name", name)
    return cli


def names(cli) -> list[str]:
    return [run["name"] for run in json.loads(cli.here("runs", "--json").out)]


def test_what_was_removed_and_freed_is_said(three) -> None:
    done = three.here("gc", "--keep-runs", "1")
    assert done.code == 0
    assert done.out.startswith("Removed 2 runs, 2 result files, 0 leftovers: 3")
    assert done.out.rstrip().endswith("left.")
    assert done.err == ""
    assert names(three) == ["third"]


def test_a_dry_run_lists_what_would_go_and_why(three) -> None:
    done = three.here("gc", "--keep-runs", "1", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[:2] == ["second  too many", "first   too many"]
    assert done.out.splitlines()[2].startswith("Would remove 2 runs, 2 result files, 0 leftovers: about 4")
    assert names(three) == ["third", "second", "first"]


def test_the_same_as_json(three) -> None:
    found = json.loads(three.here("gc", "--keep-runs", "2", "--json").out)
    assert [(run["name"], run["flow_name"], run["why"]) for run in found["runs"]] == [("first", "large", "number")]
    assert (found["dry_run"], found["results"], found["leftovers"], found["damaged"]) == (False, 1, [], [])
    assert found["bytes_before"] - found["bytes_after"] >= 200_000


def test_limits_come_from_the_configuration_unless_they_are_given(three) -> None:
    (three.folder / ".headrace" / "config.toml").write_text("[history]\nkeep_runs = 1\n")
    assert three.apart("gc", "--keep-runs", "2").code == 0
    assert names(three) == ["third", "second"]
    assert three.apart("gc").out.startswith("Removed 1 run, 1 result file, 0 leftovers")


def test_without_a_limit_runs_stay_and_it_says_so(three) -> None:
    done = three.here("gc")
    assert done.code == 0
    assert "No limit is set" in done.err
    assert len(names(three)) == 3


def test_without_a_history_there_is_nothing_to_remove_and_none_is_made(cli) -> None:
    done = cli.here("gc", "--keep-runs", "1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "Removed 0 runs, 0 result files, 0 leftovers: 0 B freed, 0 B left.\n"
    assert not (cli.folder / ".headrace").exists()


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("option", ["--keep-days", "--keep-runs", "--max-mb"])
def test_a_limit_that_is_no_amount_is_a_mistake(cli, option: str, value: str) -> None:
    done = cli.here("gc", option, value)
    assert done.code == 2
    assert option in done.err


def test_what_was_set_aside_is_named(three) -> None:
    aside = three.folder / ".headrace" / "history" / "runs.db.live" / "some.damaged"
    aside.write_text("?")
    os.utime(aside, (0, 0))
    assert f"Left to you: {aside}" in three.here("gc").out
