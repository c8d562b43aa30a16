"""Counting a run, drawing its lines, and telling what came of it."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from headrace import Engine, Flow, Parameter, task
from headrace.cli.document import SilentReport
from headrace.cli.looks import duration, look_of
from headrace.cli.outcome import Outcome
from headrace.cli.plain import PlainReport
from headrace.cli.progress import Progress
from headrace.cli.rows import bar, chosen, footer, rest_line, row
from headrace.signals import SKIP
from headrace.states import Failed, Finished, Mapped, Pending, State, Success
from headrace_plugins.threads import ThreadsExecutor


@task
def number(x: Any = 1) -> Any:
    return x


@task
def invert(x: float) -> float:
    return 1 / x


@task
def skip() -> None:
    raise SKIP("not today")


def watched(flow: Flow, **options: Any) -> Outcome:
    report = SilentReport(flow)
    state = flow.run(engine=Engine(plugins=[report.progress]), **options)
    return Outcome(progress=report.progress, state=state)


def lines(flow: Flow) -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with PlainReport(flow, stream) as report:
        flow.run(engine=Engine(plugins=[report.progress]))
    stream.seek(0)
    return stream.read().splitlines()


# Counting


def test_what_people_did_not_write_as_a_task_is_not_counted() -> None:
    with Flow("f") as flow:
        number([number(Parameter("p", default=1)), {"a": number(2)}])
    progress = Progress(flow)
    assert [t.name for t in progress.visible] == ["number", "number", "number"]
    assert progress.count(Pending) == 3


def test_tasks_are_tallied_by_how_they_end() -> None:
    with Flow("f") as flow:
        number(invert(0))
        skip()
        number(2)
    progress = watched(flow).progress
    assert progress.count(Finished) == 4
    assert progress.count(Failed) == 1
    assert not progress.active


def test_children_are_counted_by_how_they_end() -> None:
    with Flow("f") as flow:
        invert.map([1, 0, 2, 0])
    mapped = watched(flow).progress.visible[0]
    assert (mapped.total, mapped.finished_children, mapped.count(Failed)) == (4, 4, 2)
    assert issubclass(mapped.kind, Failed)


def test_a_mapped_task_whose_children_were_all_skipped_counts_as_skipped() -> None:
    @task
    def never(x: int) -> None:
        raise SKIP("no")

    with Flow("f") as flow:
        never.map([1, 2])
    assert look_of(watched(flow).progress.visible[0].kind).word == "skipped"


def test_a_map_over_nothing_succeeds() -> None:
    with Flow("f") as flow:
        number.map([])
    mapped = watched(flow).progress.visible[0]
    assert (mapped.total, mapped.kind) == (0, Success)


def test_attempts_and_durations_are_noted() -> None:
    tries = []

    @task(max_retries=2, retry_delay=0)
    def flaky() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("again")

    with Flow("f") as flow:
        flaky()
    found = watched(flow).progress.visible[0]
    assert found.attempt == 3
    assert 0 <= (found.duration(time.time()) or -1) < 5


def test_what_waited_for_a_worker_did_not_take_that_long() -> None:
    @task
    def nap(x: int) -> None:
        time.sleep(0.2)

    with Flow("f") as flow:
        for number_ in range(4):
            nap(number_)
    found = watched(flow, executor=ThreadsExecutor(workers=1)).progress.visible
    assert max(each.duration(time.time()) or 0 for each in found) < 0.4


def test_the_next_tasks_are_those_that_have_not_begun() -> None:
    with Flow("f") as flow:
        for i in range(5):
            number(i, task_args={"name": f"n{i}"})
    progress = Progress(flow)
    assert [t.name for t in progress.waiting(2)] == ["n0", "n1"]
    flow.run(engine=Engine(plugins=[progress]))
    assert list(progress.waiting(2)) == []


# The last line


def test_a_success_that_hides_a_failure_says_so() -> None:
    with Flow("f") as flow:
        invert(0)
        good = number()
    flow.set_reference_tasks([good])
    outcome = watched(flow)
    assert outcome.exit_code == 0
    assert outcome.last_line().endswith(", although 'invert' failed")


def test_a_failure_says_how_many_tasks_could_not_run() -> None:
    with Flow("f") as flow:
        number(number(invert(0)))
    assert watched(flow).last_line().endswith(": 'invert' failed and 2 tasks could not run")


def test_several_failures_are_counted_and_the_first_is_named() -> None:
    with Flow("f") as flow:
        invert(0)
        invert(0, task_args={"name": "other"})
        number()
    assert watched(flow).last_line().endswith(": 2 of 3 tasks failed, first 'invert'")


def test_a_failure_without_a_failed_task_gives_its_message() -> None:
    def refuse(_flow: Flow, state: State, _reference: object) -> State | None:
        return Failed("Too little data.") if state.is_finished() else None

    with Flow("f", terminal_state_handler=refuse) as flow:
        number()
    outcome = watched(flow)
    assert outcome.exit_code == 1
    assert outcome.last_line().endswith(": Too little data.")


def test_a_run_without_a_final_state_was_cancelled() -> None:
    with Flow("f") as flow:
        number()
    outcome = Outcome(progress=Progress(flow), state=None, interrupted=True)
    assert outcome.exit_code == 130
    assert outcome.last_line() == "f was cancelled after 0 ms: 0 of 1 task had finished"


def test_failures_at_one_place_are_one_error() -> None:
    with Flow("f") as flow:
        number(invert.map([0, 1, 0]))
        invert(0)
    [(first, count)] = watched(flow).failures_by_place()
    assert (first.name, count) == ("invert[0]", 3)


# Plain lines


def test_each_task_that_ends_gets_a_line() -> None:
    with Flow("f") as flow:
        number(invert(0))
        skip()
    first, *rest = lines(flow)
    assert first.startswith("f: 3 tasks, run f-")
    assert sorted(line.rpartition("  ")[0] or line for line in rest) == [
        "↷ skip  skipped",
        "⊘ number",
        "✗ invert  failed",
    ]


def test_children_are_summed_up_and_only_their_first_failures_listed() -> None:
    with Flow("f") as flow:
        invert.map([0] * 8 + [1])
    found = lines(flow)[1:]
    assert [line for line in found if line.startswith("✗ invert[")] == [f"✗ invert[{i}]  failed" for i in range(5)]
    assert found[5] == "  more children of invert fail; they are counted when it ends"
    assert found[6].startswith("✗ invert  1 succeeded, 8 failed  ")
    assert len(found) == 7


def test_a_retry_is_one_line_and_not_a_failure_too() -> None:
    tries = []

    @task(max_retries=1, retry_delay=0)
    def flaky() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise ValueError("again")

    with Flow("f") as flow:
        flaky()
    _, retry, end = lines(flow)
    assert retry.startswith("↻ flaky  attempt 1 of 2 failed, again")
    assert end.startswith("✓ flaky  succeeded")


def test_a_failure_that_is_not_worth_a_retry_is_a_failure() -> None:
    @task(max_retries=3, retry_delay=0, retry_on=KeyError)
    def fails() -> None:
        raise ValueError("for good")

    with Flow("f") as flow:
        fails()
    assert [line[:16] for line in lines(flow)[1:]] == ["✗ fails  failed "]


def test_escape_sequences_in_names_stay_out_of_lines() -> None:
    with Flow("f") as flow:
        number(task_args={"name": "a\x1b[2Jb"})
    assert lines(flow)[1].startswith("✓ ab  ")


# Lines of the display


def big(count: int) -> Progress:
    with Flow("big") as flow:
        for i in range(count):
            number(i, task_args={"name": f"n{i}"})
    return Progress(flow)


def test_all_tasks_are_shown_where_there_is_room() -> None:
    progress = big(5)
    assert chosen(progress, 5) == progress.visible
    assert rest_line(progress, progress.visible) is None


def test_where_there_is_no_room_the_rest_is_counted() -> None:
    progress = big(50)
    shown = chosen(progress, 10)
    assert [t.name for t in shown] == [f"n{i}" for i in range(10)]
    rest = rest_line(progress, shown)
    assert rest is not None
    assert rest.plain == " … and 40 more: 40 waiting"


def test_what_runs_is_shown_before_what_waits() -> None:
    progress = big(50)
    running = progress.visible[40]
    progress.active[running.slug] = running
    assert running in chosen(progress, 3)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    with Flow("a flow with quite a long name, longer than usual") as flow:
        invert.map([1, 0] * 600, task_args={"name": "数" * 30})
        invert(0, task_args={"name": "x" * 100})
    progress = watched(flow).progress
    for found in progress.visible:
        assert row(found, max(8, width * 2 // 5), width, time.time()).cell_len <= width
    assert footer(progress, "*", "", width, time.time()).cell_len <= width


@pytest.mark.parametrize(
    ("done", "total", "failed", "greens", "reds"),
    [(0, 10, 0, 0, 0), (10, 10, 0, 10, 0), (5, 10, 0, 5, 0), (10, 10, 1, 9, 1), (0, 0, 0, 10, 0), (10, 10, 10, 0, 10)],
)
def test_a_bar_is_as_long_as_what_is_done(done: int, total: int, failed: int, greens: int, reds: int) -> None:
    text = bar(done, total, failed, 10)
    cells = {"green": 0, "red": 0, "bright_black": 0}
    for span in text.spans:
        cells[str(span.style)] += span.end - span.start
    assert (cells["green"], cells["red"], text.cell_len) == (greens, reds, 10)


# Looks


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0994, "99 ms"),
        (0.0996, "0.10 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.96, "1m 00s"),
        (3599.4, "59m 59s"),
        (3599.6, "1h 00m"),
        (90000, "25h 00m"),
        (-1, "0 ms"),
    ],
)
def test_time_spans_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_every_state_has_a_look_of_its_own_or_its_parents() -> None:
    for kind in State.children(include_self=False):
        look = look_of(kind)
        assert look.word
        assert len(look.symbol) == len(look.ascii) == 1
        assert look.ascii.isascii()


def test_the_state_of_somebody_else_looks_like_its_parent() -> None:
    class Postponed(Failed):
        pass

    assert look_of(Postponed) == look_of(Failed)
    assert look_of(Mapped).word == "succeeded"
