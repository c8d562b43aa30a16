"""Logging, section 10.2 of the classic reference."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from headrace import Flow, Task, config, context, task
from headrace.log import RunContextFilter, configure, get_logger, temporary_level
from headrace.states import State


@task
def talk(x=None):
    context.logger.info("hello")


@pytest.fixture(autouse=True)
def _as_it_was():
    """Leave the loggers as they were."""
    loggers = [logging.getLogger(name) for name in ("headrace", "mine")]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def lines(work: Task, *, mapped: bool = False, **options: object) -> list[str]:
    """Run a task with log lines of a given form; return them."""
    stream = io.StringIO()
    configure(stream=stream, **options)  # type: ignore[arg-type]
    with Flow("daily") as flow:
        made = work.map([1, 2]) if mapped else work()
    state: State = flow.run()
    assert state.result[made].is_successful()
    return stream.getvalue().splitlines()


# Loggers


def test_there_is_one_root_logger_and_the_others_are_its_children():
    assert get_logger().name == "headrace"
    assert get_logger("mine").name == "headrace.mine"
    assert get_logger("mine").parent is get_logger()


def test_the_logger_in_the_context_has_the_name_of_the_task():
    assert lines(talk, format="%(name)s|%(message)s") == ["headrace.talk|hello"]


def test_that_of_a_mapped_child_has_its_index():
    assert sorted(lines(talk, mapped=True, format="%(name)s")) == ["headrace.talk[0]", "headrace.talk[1]"]


def test_the_logger_of_a_task_has_no_index():
    class Own(Task):
        def run(self, x):
            self.logger.info("hello")

    assert lines(Own(), mapped=True, format="%(name)s") == ["headrace.Own"] * 2


def test_a_run_in_which_nothing_goes_wrong_logs_nothing_by_itself():
    """A departure: the classic engine has two lines for each task."""
    assert lines(task(lambda: 1, name="quiet")) == []


# Handlers


def test_lines_go_to_standard_error(capsys):
    """A departure: the classic handler writes to standard output."""
    configure()
    get_logger().warning("hello")
    out, err = capsys.readouterr()
    assert (out, "hello" in err) == ("", True)


def test_the_configuration_sets_level_form_and_dates():
    with config.set_temporary_config(
        {"logging.level": "WARNING", "logging.format": "%(asctime)s %(message)s", "logging.datefmt": "day"}
    ):
        stream = io.StringIO()
        configure(stream=stream)
    get_logger().info("unheard")
    get_logger().warning("heard")
    assert stream.getvalue() == "day heard\n"


def test_extra_loggers_write_to_the_same_place():
    with config.set_temporary_config({"logging.extra_loggers": ["mine"], "logging.format": "%(name)s"}):
        stream = io.StringIO()
        configure(stream=stream)
    logging.getLogger("mine").info("hello")
    assert stream.getvalue() == "mine\n"


def test_a_level_holds_for_a_block():
    with temporary_level("ERROR"):
        assert not get_logger().isEnabledFor(logging.WARNING)
    assert get_logger().isEnabledFor(logging.WARNING)


# Records


def test_records_carry_the_names_and_ids_of_the_run():
    form = "%(flow_name)s|%(task_name)s|%(task_slug)s|%(flow_run_id).0s%(task_run_id).0s"
    assert lines(talk, format=form) == ["daily|talk|talk-1|"]


def test_a_handler_of_ones_own_gets_them_through_a_filter():
    seen: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record):
            seen.append(record)

    handler = Keeping()
    handler.addFilter(RunContextFilter())
    get_logger().addHandler(handler)
    get_logger().setLevel("INFO")
    with Flow("daily") as flow:
        talk()
    flow.run()
    assert [(record.__dict__["flow_name"], record.__dict__["task_name"]) for record in seen] == [("daily", "talk")]


# log_stdout


def test_what_a_task_prints_is_logged_at_info_under_its_own_name(capsys):
    """A departure: the classic lines are those of the runner."""
    printing = task(lambda: print("printed"), name="printing", log_stdout=True)
    assert lines(printing, format="%(levelname)s %(name)s %(message)s") == ["INFO headrace.printing printed"]
    assert capsys.readouterr().out == ""


def test_without_log_stdout_a_print_is_a_print(capsys):
    assert lines(task(lambda: print("printed"), name="printing")) == []
    assert capsys.readouterr().out == "printed\n"


def test_what_others_print_meanwhile_is_not_captured(capsys):
    """A departure: the classic capture is one for the whole process."""
    import threading

    @task(log_stdout=True)
    def prints_and_lets_print():
        other = threading.Thread(target=lambda: sys.stdout.write("of another thread\n"))
        other.start()
        other.join()
        print("of the task")

    assert lines(prints_and_lets_print, format="%(message)s") == ["of the task"]
    assert capsys.readouterr().out == "of another thread\n"
