from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from headrace import config, log, masking
from headrace.exceptions import ConfigError


@pytest.fixture(autouse=True)
def clean_logging(monkeypatch, tmp_path):
    """Give each test untouched loggers and the default configuration."""
    for name in [name for name in os.environ if name.startswith("HEADRACE__")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config.reload()
    yield
    log._detach()
    for name in ("headrace", "headrace.add", "extra", "extra.child"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    monkeypatch.undo()
    config.reload()


@contextlib.contextmanager
def no_root_handlers():
    """Take away what pytest attached, as in a process of its own."""
    handlers, logging.root.handlers = logging.root.handlers, []
    try:
        yield
    finally:
        logging.root.handlers = handlers


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", script], env=environ | variables, capture_output=True, text=True, check=True, cwd="/"
    )


def logger_without_family(handler: logging.Handler) -> logging.Logger:
    """Make a logger that no other handler listens to."""
    logger = logging.Logger("test")  # noqa: LOG001
    logger.addHandler(handler)
    return logger


def logger_into(found: list[str]) -> logging.Logger:
    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    return logger_without_family(Collect())


class TestGetLogger:
    def test_names_are_children_of_headrace(self):
        assert log.get_logger().name == "headrace"
        assert log.get_logger("headrace") is log.get_logger()
        assert log.get_logger("") is log.get_logger()
        assert log.get_logger("add").name == "headrace.add"
        assert log.get_logger("headrace.engine").name == "headrace.engine"
        assert log.get_logger("headraces").name == "headrace.headraces"

    def test_lines_are_seen_on_standard_error_without_any_configuration(self):
        done = run("from headrace import log; log.get_logger('add').info('one'); log.get_logger('add').debug('two')")
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert done.stderr.endswith("INFO     headrace.add: one\n")

    def test_importing_attaches_nothing_and_reads_nothing(self, tmp_path):
        (tmp_path / ".headrace").mkdir()
        (tmp_path / ".headrace" / "config.toml").write_text("not toml")
        done = run("import logging, headrace.log; print(logging.getLogger('headrace').handlers, logging.root.handlers)")
        assert done.stdout == "[] []\n"

    def test_the_configuration_sets_level_format_and_dates(self):
        done = run(
            "from headrace import log; log.get_logger('add').debug('one')",
            HEADRACE__LOGGING__LEVEL="debug",
            HEADRACE__LOGGING__FORMAT="%(asctime)s|%(levelname)s|%(task_name)s|%(message)s",
            HEADRACE__LOGGING__DATEFMT="now",
        )
        assert done.stderr == "now|DEBUG|None|one\n"

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_a_program_with_its_own_configuration_gets_every_line_once(self, when):
        basic = "logging.basicConfig(level='INFO', format='own %(message)s')\n"
        script = "log.get_logger('add')\n"
        script = basic + script if when == "before" else script + basic
        done = run(f"import logging; from headrace import log\n{script}log.get_logger('add').info('one')")
        assert done.stderr == "own one\n"

    def test_a_handler_on_headrace_is_respected(self):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        logging.getLogger("headrace").addHandler(handler)
        try:
            with no_root_handlers():
                log.get_logger("add").warning("one")
                assert logging.getLogger("headrace").handlers == [handler]
        finally:
            logging.getLogger("headrace").removeHandler(handler)
        assert stream.getvalue() == "one\n"

    def test_threads_that_start_together_attach_one_handler(self):
        barrier = threading.Barrier(8)

        def work() -> None:
            barrier.wait(5)
            log.get_logger("add")

        with no_root_handlers():
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(logging.getLogger("headrace").handlers) == 1

    def test_the_handler_follows_standard_error(self, capsys):
        with no_root_handlers():
            log.get_logger()
            stream = io.StringIO()
            with contextlib.redirect_stderr(stream):
                log.get_logger("add").info("inside")
            log.get_logger("add").info("outside")
        assert stream.getvalue().endswith("inside\n")
        assert capsys.readouterr().err.endswith("outside\n")

    def test_caplog_sees_lines(self, caplog):
        with caplog.at_level(logging.DEBUG):
            log.get_logger("add").debug("seen")
        assert caplog.record_tuples == [("headrace.add", logging.DEBUG, "seen")]

    def test_a_wrong_level_in_the_configuration_names_its_source(self, monkeypatch):
        monkeypatch.setenv("HEADRACE__LOGGING__LEVEL", "WARNIN")
        config.reload()
        message = "logging.level in HEADRACE__LOGGING__LEVEL is 'WARNIN'.* Did you mean 'WARNING'"
        with no_root_handlers(), pytest.raises(ConfigError, match=message):
            log.get_logger()

    @pytest.mark.parametrize("line", ["%(nope)s", "{message}", "%(message)d", "%(message"])
    def test_a_wrong_format_is_one_error_and_not_one_a_line(self, line):
        with config.set_temporary_config({"logging.format": line}), no_root_handlers():
            with pytest.raises(ConfigError, match=r"log format .* cannot be used"):
                log.get_logger()
            assert logging.getLogger("headrace").handlers == []


class TestConfigure:
    def test_what_is_given_wins_over_the_configuration(self):
        stream = io.StringIO()
        log.configure("WARNING", stream, "%(asctime)s %(message)s", "now")
        log.get_logger("add").info("one")
        log.get_logger("add").warning("two")
        assert stream.getvalue() == "now two\n"

    @pytest.mark.parametrize("level", ["debug", "DEBUG", 10, "10"])
    def test_levels_are_names_in_any_case_or_numbers(self, level):
        log.configure(level, io.StringIO())
        assert log.get_logger().level == logging.DEBUG

    @pytest.mark.parametrize("level", ["LOUD", "", "-1"])
    def test_an_unknown_level_is_refused_and_changes_nothing(self, level):
        stream = io.StringIO()
        log.configure("INFO", stream, "%(message)s")
        with pytest.raises(ConfigError, match="expected a logging level"):
            log.configure(level)
        log.get_logger().info("one")
        assert stream.getvalue() == "one\n"

    def test_it_replaces_its_own_handler_and_no_other(self):
        other = logging.NullHandler()
        logging.getLogger("headrace").addHandler(other)
        first, second = io.StringIO(), io.StringIO()
        try:
            log.configure(stream=first)
            log.configure(stream=second)
            log.get_logger().info("one")
            assert other in logging.getLogger("headrace").handlers
        finally:
            logging.getLogger("headrace").removeHandler(other)
        assert first.getvalue() == ""
        assert second.getvalue().endswith("one\n")

    def test_it_writes_though_the_root_logger_has_handlers(self, caplog):
        stream = io.StringIO()
        log.configure(stream=stream, format="%(message)s")
        log.get_logger().info("one")
        assert stream.getvalue() == "one\n"
        assert caplog.messages == ["one"]

    def test_extra_loggers_get_the_handler_once(self):
        stream = io.StringIO()
        with config.set_temporary_config({"logging.extra_loggers": ["extra.child", "extra", "headrace.add"]}):
            log.configure("DEBUG", stream, "%(name)s %(message)s")
        for name in ("extra", "extra.child", "headrace.add", "other"):
            logging.getLogger(name).debug("one")
        assert stream.getvalue() == "extra one\nextra.child one\nheadrace.add one\n"

    def test_root_as_an_extra_logger_gives_every_line_once(self):
        stream = io.StringIO()
        before = logging.root.level
        with config.set_temporary_config({"logging.extra_loggers": ["root"]}):
            log.configure("DEBUG", stream, "%(name)s %(message)s")
        logging.getLogger("headrace.add").debug("one")
        logging.getLogger("other").debug("one")
        logging.root.setLevel(before)
        assert stream.getvalue() == "headrace.add one\nother one\n"

    def test_no_logger_keeps_a_handler_that_was_replaced(self):
        stream = io.StringIO()
        with config.set_temporary_config({"logging.extra_loggers": ["extra"]}):
            log.configure(stream=stream)
        log.configure(stream=io.StringIO())
        logging.getLogger("extra").warning("one")
        assert stream.getvalue() == ""


class TestTemporaryLevel:
    def test_it_holds_inside_the_block_also_when_that_raises(self):
        log.configure("INFO", io.StringIO())
        with pytest.raises(ZeroDivisionError), log.temporary_level("DEBUG"):
            assert log.get_logger().isEnabledFor(logging.DEBUG)
            _ = 1 / 0
        assert log.get_logger().level == logging.INFO

    def test_it_is_not_undone_by_the_handler_that_attaches_itself(self):
        with no_root_handlers(), log.temporary_level("DEBUG"):
            assert log.get_logger("add").isEnabledFor(logging.DEBUG)

    def test_an_unknown_level_is_refused(self):
        with pytest.raises(ConfigError), log.temporary_level("LOUD"):
            pytest.fail("the block must not run")


class TestRunContext:
    def test_records_carry_names_and_ids_and_none_for_what_is_absent(self):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(flow_name)s %(task_slug)s %(message)s"))
        handler.addFilter(log.RunContextFilter({"flow_name": "weather"}.get))
        logger_without_family(handler).info("one")
        assert stream.getvalue() == "weather None one\n"

    def test_an_attribute_that_the_record_has_stays(self):
        record = logging.makeLogRecord({"task_name": "mine"})
        assert log.RunContextFilter({"task_name": "other"}.get).filter(record)
        assert record.__dict__["task_name"] == "mine"

    def test_the_context_of_headrace_is_read_when_the_line_is_logged(self):
        from headrace import context

        stream = io.StringIO()
        log.configure(stream=stream, format="%(flow_name)s %(task_run_id)s")
        with context(flow_name="weather", task_run_id="1"):
            log.get_logger().info("one")
        log.get_logger().info("one")
        assert stream.getvalue() == "weather 1\nNone None\n"

    def test_only_the_handler_of_headrace_adds_them(self, caplog):
        log.configure(stream=io.StringIO())
        logging.getLogger("elsewhere").warning("one")
        assert not hasattr(caplog.records[0], "flow_name")


class TestJson:
    def test_a_secret_that_json_has_a_word_for_leaves_json(self):
        masking.masker.add("null")
        stream = io.StringIO()
        log.configure(stream=stream, json=True)
        log.get_logger("add").info("the secret is null", extra={"nested": {"secret": ["null"]}})
        (line,) = self.lines(stream)
        assert line["message"] == "the secret is ********"
        assert line["nested"] == {"secret": ["********"]}
        assert line["flow_name"] is None

    def lines(self, stream: io.StringIO) -> list[dict[str, object]]:
        def refuse(name: str) -> object:
            pytest.fail(f"{name} is not JSON")

        return [json.loads(line, parse_constant=refuse) for line in stream.getvalue().splitlines()]

    def test_a_record_is_one_object_a_line(self):
        stream = io.StringIO()
        log.configure(stream=stream, json=True)
        log.get_logger("add").info("line %s\nline %s", 1, 2, extra={"rows": 5, "path": Path("x")})
        (line,) = self.lines(stream)
        assert str(line.pop("time")).endswith("+00:00")
        assert line == {
            "level": "INFO",
            "logger": "headrace.add",
            "message": "line 1\nline 2",
            "flow_name": None,
            "flow_run_id": None,
            "task_name": None,
            "task_slug": None,
            "task_run_id": None,
            "rows": 5,
            "path": "x",
        }

    def test_an_exception_and_a_stack_are_text(self):
        stream = io.StringIO()
        log.configure(stream=stream, json=True)
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            log.get_logger().exception("failed", stack_info=True)
        (line,) = self.lines(stream)
        assert str(line["exception"]).endswith("ZeroDivisionError: division by zero")
        assert str(line["stack"]).startswith("Stack (most recent call last)")

    def test_extras_that_json_does_not_have_become_text(self):
        circle: list[object] = []
        circle.append(circle)
        stream = io.StringIO()
        log.configure(stream=stream, json=True)
        for value in (float("nan"), {(1, 2): 3}, circle, {1}):
            log.get_logger().info("one", extra={"value": value})
        assert [line["value"] for line in self.lines(stream)] == ["nan", "{(1, 2): 3}", "[[...]]", "{1}"]
        assert [line["task_name"] for line in self.lines(stream)] == [None] * 4


@pytest.fixture
def lines():
    """A logger, and the lines it got."""
    found: list[str] = []
    return logger_into(found), found


class TestCaptureLines:
    def test_each_line_is_handed_on_without_its_end(self, capsys):
        found: list[str] = []
        with log.capture_lines(found.append):
            print("one\ntwo")
            print("rest", end="")
            assert found == ["one", "two"]
        assert found == ["one", "two", "rest"]
        assert capsys.readouterr().out == ""

    def test_the_innermost_block_gets_the_lines(self, lines):
        logger, logged = lines
        found: list[str] = []
        with log.capture_lines(found.append):
            print("out")
            with log.capture_stdout(logger):
                print("in")
        assert (found, logged) == (["out"], ["in"])

    def test_what_receives_the_lines_may_print(self, capsys):
        with log.capture_lines(lambda line: print(line.upper())):
            print("loud")
        assert capsys.readouterr().out == "LOUD\n"


class TestCaptureStdout:
    def test_complete_lines_go_to_the_logger_and_nothing_to_stdout(self, lines, capsys):
        logger, found = lines
        with log.capture_stdout(logger):
            print("one", 1)
            print("two\nthree")
            sys.stdout.writelines(["fo", "ur\r\n"])
        assert found == ["one 1", "two", "three", "four"]
        assert capsys.readouterr().out == ""

    def test_a_partial_line_waits_for_its_end_or_the_end_of_the_block(self, lines):
        logger, found = lines
        with log.capture_stdout(logger):
            print("a", end="", flush=True)
            assert found == []
            print("b")
            assert found == ["ab"]
            print("rest", end="")
        assert found == ["ab", "rest"]

    def test_output_without_line_ends_is_not_kept_for_ever(self, lines):
        logger, found = lines
        with log.capture_stdout(logger):
            for _ in range(200):
                print("x" * 1000, end="")
        assert "".join(found) == "x" * 200_000
        assert max(map(len, found)) < log.LONGEST_PARTIAL_LINE + 1000

    def test_what_was_printed_before_an_exception_is_logged(self, lines):
        logger, found = lines
        before = sys.stdout
        with pytest.raises(ZeroDivisionError), log.capture_stdout(logger):
            print("one", end="")
            _ = 1 / 0
        assert found == ["one"]
        assert sys.stdout is before

    def test_the_level_is_info_unless_given_and_the_place_is_that_of_the_print(self, caplog):
        with caplog.at_level(logging.DEBUG):
            with log.capture_stdout(logging.getLogger("a")):
                print("one")
            with log.capture_stdout(logging.getLogger("a"), logging.DEBUG):
                print("two")
        assert [record.levelno for record in caplog.records] == [logging.INFO, logging.DEBUG]
        assert {record.pathname for record in caplog.records} == {__file__}

    def test_percent_signs_are_text(self, lines):
        logger, found = lines
        with log.capture_stdout(logger):
            print("100 %d")
        assert found == ["100 %d"]

    def test_the_inner_of_two_blocks_gets_the_lines(self, lines):
        logger, found = lines
        inner: list[str] = []
        other = logger_into(inner)
        with log.capture_stdout(logger):
            print("outer")
            with log.capture_stdout(other):
                print("inner")
            print("outer again")
        assert found == ["outer", "outer again"]
        assert inner == ["inner"]

    def test_threads_get_their_own_lines_and_others_print_as_before(self, capsys):
        before = sys.stdout
        barrier = threading.Barrier(5)
        found: dict[int, list[str]] = {number: [] for number in range(4)}

        def captured(number: int) -> None:
            with log.capture_stdout(logger_into(found[number])):
                barrier.wait(5)
                for count in range(200):
                    print(number, count)
                barrier.wait(5)

        def free() -> None:
            barrier.wait(5)
            for _ in range(200):
                print("free")
            barrier.wait(5)

        threads = [threading.Thread(target=captured, args=(number,)) for number in range(4)]
        threads.append(threading.Thread(target=free))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {number: [f"{number} {count}" for count in range(200)] for number in range(4)}
        assert capsys.readouterr().out == "free\n" * 200
        assert sys.stdout is before

    def test_blocks_that_overlap_without_nesting_put_stdout_back(self, lines):
        logger, found = lines
        before = sys.stdout
        started, finish = threading.Event(), threading.Event()

        def other() -> None:
            with log.capture_stdout(logger):
                started.set()
                finish.wait(5)
                print("other")

        thread = threading.Thread(target=other)
        with log.capture_stdout(logger):
            thread.start()
            started.wait(5)
        assert sys.stdout is not before
        finish.set()
        thread.join()
        assert sys.stdout is before
        assert found == ["other"]

    def test_asyncio_tasks_get_their_own_lines(self):
        found: dict[int, list[str]] = {number: [] for number in range(3)}

        async def work(number: int) -> None:
            with log.capture_stdout(logger_into(found[number])):
                for _ in range(3):
                    print(number)
                    await asyncio.sleep(0)

        async def main() -> None:
            await asyncio.gather(*(work(number) for number in range(3)))

        asyncio.run(main())
        assert found == {number: [str(number)] * 3 for number in range(3)}

    def test_a_copied_context_is_captured_until_the_block_ends(self, lines, capsys):
        logger, found = lines
        with log.capture_stdout(logger):
            copied = contextvars.copy_context()
            copied.run(print, "inside")
            with log.capture_stdout(logger):  # keeps the stand-in installed for the next line
                outer = sys.stdout
        copied.run(print, "after")
        copied.run(print, "through the stand-in", file=outer)
        assert found == ["inside"]
        assert capsys.readouterr().out == "after\nthrough the stand-in\n"

    def test_a_handler_that_prints_does_not_get_its_line_back(self, capsys):
        class Printing(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                print("handled", record.getMessage())

        with log.capture_stdout(logger_without_family(Printing())):
            print("one")
        assert capsys.readouterr().out == "handled one\n"

    def test_the_stand_in_passes_everything_else_on(self, lines, capfd):
        original = sys.stdout
        with log.capture_stdout(lines[0]):
            assert sys.stdout is not original
            assert sys.stdout.isatty() is original.isatty()
            assert sys.stdout.encoding == original.encoding
            assert sys.stdout.fileno() == original.fileno()
            sys.stdout.buffer.write(b"bytes")
            sys.stdout.flush()
            assert not hasattr(sys.stdout, "no_such_attribute")
        assert capfd.readouterr().out == "bytes"

    def test_a_redirection_inside_the_block_wins_and_is_undone(self, lines):
        logger, found = lines
        original = sys.stdout
        stream = io.StringIO()
        with log.capture_stdout(logger):
            with contextlib.redirect_stdout(stream):
                print("redirected")
                with log.capture_stdout(logger):
                    print("captured")
                assert sys.stdout is stream
            print("after")
        assert stream.getvalue() == "redirected\n"
        assert found == ["captured", "after"]
        assert sys.stdout is original

    def test_a_stand_in_left_below_a_redirection_passes_on_and_goes_with_the_next_block(self, lines, capsys):
        logger, found = lines
        original = sys.stdout
        redirection = contextlib.redirect_stdout(io.StringIO())
        with log.capture_stdout(logger):
            redirection.__enter__()
        redirection.__exit__(None, None, None)
        print("free")
        with log.capture_stdout(logger):
            print("captured")
        assert sys.stdout is original
        assert capsys.readouterr().out == "free\n"
        assert found == ["captured"]

    def test_a_process_without_standard_output_can_capture(self, lines):
        logger, found = lines
        original, sys.stdout = sys.stdout, None
        try:
            with log.capture_stdout(logger):
                print("one")
                contextvars.Context().run(print, "lost", flush=True)
            assert sys.stdout is None
        finally:
            sys.stdout = original
        assert found == ["one"]

    def test_what_is_not_text_is_refused_as_by_any_text_stream(self, lines):
        with log.capture_stdout(lines[0]), pytest.raises(TypeError):
            sys.stdout.write(b"bytes")  # type: ignore[arg-type]
