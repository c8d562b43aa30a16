"""What travels besides arguments and results: the context, log lines, what goes to a store."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headrace import Flow, Parameter, Secret, context, task
from headrace.log import RunContextFilter
from headrace.testing.executors._base import ExecutorTests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Journey"]

_KEYS = (
    *("flow_name", "flow_run_id", "flow_run_name", "parameters", "color"),
    *("task_name", "task_full_name", "task_slug", "task_tags", "task_run_id", "task_run_name", "task_run_count"),
    *("map_index", "today", "scheduled_start_time"),
)


@task(name="look", tags=["blue"])
def _look(number: int) -> dict[str, Any]:
    del number
    return {key: context.get(key, "is not there") for key in _KEYS}


def _length(text: str) -> int:
    return len(text)


class _Catcher(logging.Handler):
    """Keeps the records that reach this process's handlers."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.addFilter(RunContextFilter())

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        self.records.append(record)

    def of(self, logger: str) -> list[tuple[int, str]]:
        """Return level and message of what a logger logged."""
        return [(record.levelno, record.getMessage()) for record in self.records if record.name == logger]


@contextmanager
def _caught(*loggers: str) -> Iterator[_Catcher]:
    """Catch what these loggers log, from INFO on."""
    catcher = _Catcher()
    before = {name: logging.getLogger(name).level for name in loggers}
    logging.root.addHandler(catcher)
    try:
        for name in loggers:
            logging.getLogger(name).setLevel(logging.INFO)
        yield catcher
    finally:
        logging.root.removeHandler(catcher)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class Journey(ExecutorTests):
    """The context, the log and the result store are the same wherever a task runs."""

    def test_a_task_sees_the_context_of_its_run(self) -> None:
        """``headrace.context`` shows the run, the task, and what was given to the run."""
        with Flow("names") as flow:
            color = Parameter("tint", default="red")
            alone = _look(color)
            children = _look.map([0, 1])
        states = self.run(flow, run_name="monday", context={"color": ["green"]}, tint="pink").result
        for seen in (states[alone].result, *states[children].result):
            assert seen["flow_name"] == "names"
            assert seen["flow_run_name"] == "monday"
            assert seen["parameters"] == {"tint": "pink"}
            assert seen["color"] == ["green"]
            assert (seen["task_name"], seen["task_tags"], seen["task_run_count"]) == ("look", {"blue"}, 1)
            assert len(seen["today"]) == len("2026-01-31")
            assert seen["task_run_id"].startswith(seen["flow_run_id"])
        assert len({seen["flow_run_id"] for seen in (states[alone].result, *states[children].result)}) == 1
        assert states[alone].result["task_full_name"] == "look"
        assert [seen["task_full_name"] for seen in states[children].result] == ["look[0]", "look[1]"]
        assert [seen["map_index"] for seen in states[children].result] == [0, 1]
        assert states[alone].result["task_slug"] == flow.slugs[alone]

    def test_two_runs_do_not_see_each_others_context(self) -> None:
        """Workers that outlive a run show the next one nothing of it."""
        executor = self.make_executor()
        with Flow("again") as flow:
            seen = _look(1)
        first = self.run(flow, executor=executor, context={"color": "red"}).result[seen].result
        second = self.run(flow, executor=executor).result[seen].result
        assert (first["color"], second["color"]) == ("red", "is not there")
        assert first["flow_run_id"] != second["flow_run_id"]

    def test_secrets_of_the_run_are_resolved_where_the_task_runs(self) -> None:
        """A secret that was given to the run is found by a task; only its name travels as a value."""

        def use(secret: Secret) -> int:
            return len(secret.get())

        with Flow("secrets") as flow:
            length = task(use, name="use")(Secret("KIT_PASSWORD"))
        state = self.run(flow, context={"secrets": {"KIT_PASSWORD": "xyzzy-plugh"}}).result[length]
        assert state.result == len("xyzzy-plugh")

    def test_log_lines_of_tasks_are_handled_by_the_process_that_drives_the_run(self) -> None:
        """Records of any logger reach the driver's handlers with level, message and traceback, in order."""

        def talk() -> None:
            context.logger.info("first %s", 1)
            logging.getLogger("kit.of.somebody").warning("second %(name)s", {"name": "Grüße"})
            context.logger.debug("nobody wants this")
            try:
                int("no number")
            except ValueError:
                context.logger.exception("third")

        with _caught("headrace", "kit.of.somebody") as catcher:
            assert self.state_of(talk, name="talk").is_successful()
        assert catcher.of("headrace.talk") == [(logging.INFO, "first 1"), (logging.ERROR, "third")]
        assert catcher.of("kit.of.somebody") == [(logging.WARNING, "second Grüße")]
        (third,) = [record for record in catcher.records if record.getMessage() == "third"]
        assert "no number" in logging.Formatter().format(third)

    def test_log_records_say_what_run_they_are_of(self) -> None:
        """``RunContextFilter`` finds names and ids of the run and the task, wherever the record was made."""

        def talk(number: int) -> None:
            logging.getLogger("kit.of.somebody").info("number %s", number)

        with Flow("talkative") as flow:
            children = task(talk, name="talk").map([0, 1])
        with _caught("headrace", "kit.of.somebody") as catcher:
            self.run(flow)
        records = {record.getMessage(): record.__dict__ for record in catcher.records if record.name.startswith("kit")}
        assert sorted(records) == ["number 0", "number 1"]
        for number in (0, 1):
            found = records[f"number {number}"]
            assert (found["flow_name"], found["task_name"]) == ("talkative", "talk")
            assert found["task_slug"] == flow.slugs[children]
            assert found["task_run_id"] == f"{found['flow_run_id']}/{found['task_slug']}/{number}"

    def test_lines_that_a_failing_task_logged_are_not_lost(self) -> None:
        """All records are handled by the time the run has ended, in the order they were made, many at once too."""

        def talk(number: int) -> None:
            for line in range(200):
                context.logger.info("%s: %s", number, line)
            raise ValueError(number)

        with _caught("headrace") as catcher:
            with Flow("many lines") as flow:
                task(talk, name="talk").map([0, 1, 2])
            self.run(flow)
        for number in range(3):
            lines = [text for level, text in catcher.of(f"headrace.talk[{number}]") if level == logging.INFO]
            assert lines == [f"{number}: {line}" for line in range(200)]

    def test_what_a_task_prints_is_logged_if_it_asks_for_it(self) -> None:
        """With ``log_stdout`` each printed line becomes a line of the task's logger."""

        def talk() -> None:
            print("one\ntwo", end="")  # noqa: T201 - what it is about
            print(" and a half")  # noqa: T201

        with _caught("headrace") as catcher:
            assert self.state_of(talk, name="talk", log_stdout=True).is_successful()
        assert catcher.of("headrace.talk") == [(logging.INFO, "one"), (logging.INFO, "two and a half")]

    def test_results_reach_the_store_and_can_be_read_back(self, tmp_path: Path) -> None:
        """Results that are to be kept in a store are there, and their states say where."""
        with Flow("stored") as flow:
            made = task(lambda: "value " * 1000, name="make")()
            length = task(_length, name="measure")(made)
        states = self.run(flow, results=f"file:{tmp_path}", keep_results="none").result
        assert states[length].result == 6000
        assert states[made].location is not None
        assert (tmp_path / states[made].location).is_file()
        assert states[made].result == "value " * 1000

    def test_a_target_that_is_there_is_not_made_again(self, tmp_path: Path) -> None:
        """A task with a target writes it where it runs, and the next run finds it."""
        store = f"file:{tmp_path}"

        @task(target="{number}.txt", result=store)
        def square(number: int) -> int:
            with (tmp_path / "runs.txt").open("a") as file:
                file.write("run\n")
            return number * number

        with Flow("targets") as flow:
            last = square(7)
        names = []
        for _ in range(2):
            state = self.run(flow).result[last]
            assert state.result == 49
            names.append(type(state).__name__)
        assert names == ["Success", "Cached"]
        assert (tmp_path / "runs.txt").read_text() == "run\n"
