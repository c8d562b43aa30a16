"""``headrace why``: what decided that a task run is in the state it is in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

FLOW = """
    from headrace import case
    from headrace.signals import SKIP
    from headrace.triggers import all_failed, any_failed

    @task(max_retries=1, retry_delay=0)
    def parse(x):
        if x % 2: raise ValueError(f"{x} is odd")
        return x

    @task
    def count(xs): return len(xs)

    @task
    def double(x): return 2 * x

    @task
    def report(n, more): return n

    @task(trigger=any_failed)
    def alarm(xs): return "!"

    @task(trigger=all_failed)
    def only_if_all_failed(x): return x

    @task
    def rest(): raise SKIP("nothing to do")

    @task
    def after(x): return x

    with Flow("daily") as flow:
        parsed = parse.map([2, 3, 4])
        report(count(parsed), double.map(parsed))
        only_if_all_failed(after(after(rest())))
        alarm(parsed)
"""


def why(cli, *arguments: str) -> tuple[str, list[str]]:
    """Return the first line and the others, without what they are indented by."""
    done = cli.here("why", *arguments)
    assert done.code == 0, done.err
    first, *others = done.out.splitlines()
    return first, [line.strip() for line in others]


@pytest.fixture(name="daily")
def _daily(cli):
    cli.here("run", cli.file(FLOW), "--quiet")
    return cli


def test_what_was_not_run_is_traced_to_the_errors_it_goes_back_to(daily) -> None:
    first, others = why(daily, "latest", "report")
    assert first == "report-1 was not run."
    assert "its trigger is all_successful" in others
    assert "count-1 was not run" in others
    assert "double-1[1] was not run" in others
    roots = others[others.index("What it goes back to:") + 1 :]
    assert roots == ["parse-1[1] failed in attempt 2: ValueError: 3 is odd"]


def test_a_child_follows_the_child_before_it(daily) -> None:
    assert why(daily, "latest", "double[1]")[1][-1] == "parse-1[1] failed in attempt 2: ValueError: 3 is odd"
    assert why(daily, "latest", "double[0]")[0] == "double-1[0] succeeded."


def test_what_is_skipped_is_traced_to_the_task_that_asked_for_it(daily) -> None:
    first, others = why(daily, "latest", "after-2")
    assert first == "after-2 was skipped."
    assert others[-2:] == ["What it goes back to:", "rest-1 was skipped: nothing to do"]


def test_what_failed_is_told_with_all_attempts(daily) -> None:
    assert why(daily, "latest", "parse[1]") == (
        "parse-1[1] failed.",
        ["ValueError: 3 is odd", "attempt 1 failed: ValueError: 3 is odd"],
    )


def test_a_map_is_told_by_the_children_that_failed(daily) -> None:
    first, others = why(daily, "latest", "parse")
    assert first == "parse-1 failed, as its children say."
    assert others == ["parse-1[1] failed in attempt 2: ValueError: 3 is odd"]


def test_a_map_over_nothing_says_so(cli) -> None:
    text = """
        @task
        def half(x): return x / 2

        with Flow("nothing") as flow:
            half.map([])
    """
    cli.here("run", cli.file(text), "--quiet")
    assert cli.here("why", "latest", "half").out == "half-1 succeeded: it was mapped over nothing.\n"


def test_what_succeeded_is_told_plainly(daily) -> None:
    first, others = why(daily, "latest", "alarm")
    assert first == "alarm-1 succeeded."
    assert others[0].startswith("its only attempt took ")


def test_a_trigger_that_wanted_failures_is_told_with_what_it_saw(cli) -> None:
    cli.here(
        "run",
        cli.file("""
            from headrace.triggers import all_failed

            @task
            def one(): return 1

            @task(trigger=all_failed)
            def sorry(x): return x

            with Flow("fine") as flow:
                sorry(one())
        """),
        "--quiet",
    )
    assert why(cli, "latest", "sorry")[1] == [
        "Trigger failed: not all upstream tasks failed.",
        "its trigger is all_failed",
        "one-1 succeeded",
    ]


def test_reasons_are_told_as_json(daily) -> None:
    found = json.loads(daily.here("why", "latest", "report", "--json").out)
    assert (found["task_run"], found["state"]) == ("report-1", "TriggerFailed")
    roots = [(each["task_run"], each["state"]) for each in found["reasons"] if each["kind"] == "root"]
    assert roots == [("parse-1[1]", "Failed")]


# the cache


CACHED = """
    @task(cache_for=3600)
    def load(day, pages=2): return [day] * pages

    with Flow("cached") as flow:
        load(Parameter("day", default="mon"))
"""


@pytest.fixture(name="cached")
def _cached(cli):
    file = cli.file(CACHED)
    for name, day in (("first", "mon"), ("second", "tue"), ("third", "tue")):
        assert cli.here("run", file, "-p", f"day={day}", "--run-name", name, "--quiet").code == 0
    return cli


def test_what_was_cached_for_the_first_time_says_so(cached) -> None:
    assert why(cached, "first", "load")[1][-1] == "nothing was cached under 'load' before"


def test_what_was_not_found_in_the_cache_names_the_field_that_differs(cached) -> None:
    last = why(cached, "second", "load")[1][-1]
    assert last.startswith("it was not found in the cache: from the nearest entry ")
    assert last.endswith(" it differs in this: argument 'day' has changed")


def test_what_was_found_in_the_cache_names_what_was_the_same(cached) -> None:
    first, others = why(cached, "third", "load")
    assert first == "load-1 was found in the cache."
    assert "with the same argument 'day' and the same code" in others[-1]


def test_changed_code_is_named(cached) -> None:
    cached.here("run", cached.file(CACHED.replace("[day]", "[day, day]")), "-p", "day=tue", "--quiet")
    assert why(cached, "latest", "load")[1][-1].endswith(" it differs in this: code has changed")


def test_an_entry_that_is_gone_is_no_reason_to_fail(cached) -> None:
    cached.here("cache", "rm", "load")
    assert "has been removed or replaced since" in why(cached, "second", "load")[1][-1]
    assert "has been removed or replaced since" in why(cached, "third", "load")[1][-1]


def test_an_entry_that_had_expired_is_named(cli) -> None:
    file = cli.file(CACHED.replace("3600", "0.001"))
    cli.here("run", file, "--quiet")
    cli.here("run", file, "--quiet")
    assert why(cli, "latest", "load")[1][-1] == "it looked into the cache, but what was there had expired"


# what did not begin, and what ran again


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_what_never_began_says_what_it_waited_for_and_how_the_run_ended(cli) -> None:
    file = cli.file("""
        import os, signal

        @task
        def end(): os.kill(os.getpid(), signal.SIGKILL)

        @task
        def after(x): return x

        with Flow("deadly") as flow:
            after(end())
    """)
    assert cli.apart("run", file).code == -signal.SIGKILL
    first, others = why(cli, "latest", "after")
    assert first == "after-1 never began."
    assert others[0].startswith("the run ended before it could, as Crashed: ")


def test_what_stayed_in_a_resumed_run_says_why(cli) -> None:
    text = """
        @task
        def make(): return "x" * 40_000

        @task
        def size(x): return len(x)

        @task
        def last(x): {}

        with Flow("lost") as flow:
            text = make()
            size(text)
            last(text)
    """
    cli.here("run", cli.file(text.format("raise ValueError('no')")), "--run-name", "first", "--quiet")
    shutil.rmtree(cli.folder / ".headrace" / "results")
    cli.file(text.format("pass"))
    assert cli.here("resume", "first").code == 0
    first, others = why(cli, "latest", "size")
    assert first == "size-1 did not run here: what it came to was taken over."
    assert others[0].startswith("it ran in run first: ")
    assert others[1:] == ["it stayed although something before it ran again: what it is called with is what it was"]


def test_what_ran_again_in_a_resumed_run_says_why(cli) -> None:
    text = """
        @task
        def one(): return 1

        @task
        def two(x): {}

        with Flow("steps") as flow:
            two(one())
    """
    cli.here("run", cli.file(text.format("raise ValueError('no')")), "--run-name", "first", "--quiet")
    assert cli.here("resume", "first", "--from", "two", "--json").code == 1
    assert why(cli, "latest", "one") == (
        "one-1 did not run here: what it came to was taken over.",
        [f"it ran in run first: `headrace why {json.loads(cli.here('runs', '--json').out)[-1]['id'][:8]} one-1`"],
    )
    assert "it ran in this run, which goes on from run" in why(cli, "latest", "two")[1][-1]


def test_a_parameter_has_its_value_without_running(cached) -> None:
    assert why(cached, "first", "day")[0] == "day is a parameter: it has its value without running."


def test_a_task_that_is_not_there_is_a_mistake(daily) -> None:
    done = daily.here("why", "latest", "reprot")
    assert done.code == 2
    assert "Did you mean 'report'?" in done.err


# while it goes on


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
def test_what_goes_on_says_what_it_waits_for(cli) -> None:
    file = cli.file("""
        import time
        from pathlib import Path

        @task(max_retries=1, retry_delay=60)
        def slow(x):
            if x == 0: raise ValueError("not yet")
            Path("begun").touch()
            while True: time.sleep(0.01)

        @task
        def total(xs): return sum(xs)

        with Flow("live") as flow:
            total(slow.map([0, 1]))
    """)
    with cli.start(
        "run", file, "--executor", "threads", "-o", "workers=1", HEADRACE__ENGINE__CANCEL_GRACE="0"
    ) as process:
        deadline = time.monotonic() + 20
        while not (cli.folder / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        # What a journal was told can be read after a moment.
        while "slow-1[0] waits" not in cli.here("why", "latest", "slow[0]").out and time.monotonic() < deadline:
            time.sleep(0.01)
        total, whole, child = (why(cli, "latest", name) for name in ("total", "slow", "slow[0]"))
        process.kill()
        process.communicate()
    assert total == ("total-1 has not begun.", ["it waits for slow-1, which is running"])
    assert whole[0] == "slow-1 is running."
    assert "1 of 2 children: each waits for its next attempt" in whole[1]
    assert child[0] == "slow-1[0] waits for its next attempt."
    assert child[1][1] == "attempt 1 failed: ValueError: not yet"
    assert child[1][2].startswith("it waits until ")
