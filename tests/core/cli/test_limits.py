"""``headrace limits``: what it lists and changes."""

from __future__ import annotations

import json
import time

import pytest

CALLS = """
    import time

    @task(tags=["api"])
    def call(x):
        open(f"called{x}", "w").close()
        while not context.cancel_requested:
            time.sleep(0.01)

    with Flow("calls") as flow:
        call.map([7, 8])
"""
QUICK = """
    @task(tags=["api", "disk"])
    def call(): return 1

    with Flow("quick") as flow:
        call()
"""


@pytest.fixture
def running(cli):
    """Start a run whose mapped task has a limit, and wait until the first child runs."""
    cli.here("limits", "set", "api", "1")
    process = cli.start("run", cli.file(CALLS), "--run-name", "night", "--executor", "threads", "-o", "workers=2")
    deadline = time.monotonic() + 20
    while not (cli.folder / "called7").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    yield process
    process.kill()
    process.communicate()


def test_a_project_has_no_limits_at_first(cli) -> None:
    done = cli.here("limits")
    assert (done.code, done.out, done.err) == (0, "", "No tag has a limit here.\n")
    assert json.loads(cli.here("limits", "--json").out) == []


def test_limits_are_set_listed_and_removed(cli) -> None:
    assert cli.here("limits", "set", "disk", "4").out == "At most 4 with tag disk run at once.\n"
    assert cli.here("limits", "set", "api", "0").out == "None with tag api begins from now on.\n"
    rows = [line.split() for line in cli.here("limits").out.splitlines()]
    assert rows == [["TAG", "SLOTS", "TAKEN", "RUN", "TASK", "SINCE"], ["api", "0", "0"], ["disk", "4", "0"]]
    assert cli.here("limits", "remove", "api").out == "Tag api has no limit any more.\n"
    assert [limit["tag"] for limit in json.loads(cli.here("limits", "--json").out)] == ["disk"]


def test_it_is_shown_who_holds_a_slot(cli, running) -> None:
    done = cli.here("limits")
    assert done.out.splitlines()[1].split()[:5] == ["api", "1", "1", "night", "call-api-1[0]"]
    ((holder,),) = [limit["holders"] for limit in json.loads(cli.here("limits", "--json").out)]
    assert (holder["run_name"], holder["task"], holder["map_index"]) == ("night", "call-api-1", 0)
    assert time.time() - 60 < holder["since"] <= time.time()
    shown = cli.here("show", "night", "call")
    assert "queued" in shown.out
    assert "Waits for a slot of api." in shown.out


def test_a_run_that_is_cancelled_holds_nothing(cli, running) -> None:
    assert cli.here("cancel", "night", "--wait", "10").code == 0
    assert json.loads(cli.here("limits", "--json").out)[0]["taken"] == 0


def test_a_limit_that_is_not_there_cannot_be_removed(cli) -> None:
    cli.here("limits", "set", "api", "1")
    done = cli.here("limits", "remove", "apo")
    assert done.code == 2
    assert "Tag 'apo' has no limit here." in done.err
    assert "'api'" in done.err


@pytest.mark.parametrize("wrong", ["-1", "many"])
def test_a_limit_that_cannot_be_is_refused(cli, wrong) -> None:
    assert cli.here("limits", "set", "--", "api", wrong).code == 2


def test_a_run_that_is_not_recorded_says_that_it_keeps_to_no_limit(cli) -> None:
    cli.here("limits", "set", "api", "0")
    done = cli.here("run", cli.file(QUICK), "--no-record")
    assert done.code == 0
    assert done.err == "Warning: this run is not recorded, so it does not keep to the limit of api.\n"
    cli.here("limits", "remove", "api")
    assert cli.here("run", cli.file(QUICK), "--no-record").err == ""


def test_a_terminal_shows_who_is_queued(cli) -> None:
    cli.here("limits", "set", "api", "0")
    terminal = cli.on_terminal("run", cli.file(QUICK))
    terminal.wait_for("Waits for a slot of api")
    cli.here("limits", "set", "api", "1")
    assert terminal.end() == 0


@pytest.mark.parametrize("arguments", [("api", "10000000000000000000000"), ("", "1"), (" ", "1")])
def test_a_limit_that_makes_no_sense_is_a_mistake(cli, arguments: tuple[str, str]) -> None:
    done = cli.here("limits", "set", *arguments)
    assert done.code == 2
    assert "Invalid value for" in done.err
    assert json.loads(cli.here("limits", "--json").out) == []
