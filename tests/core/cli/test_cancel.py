"""``headrace cancel`` and ``headrace run --timeout``: what becomes of the run, and what both processes say."""

from __future__ import annotations

import signal
import time

import pytest

SLOW = """
    import time

    @task
    def slow(marker):
        open(marker, "w").close()
        time.sleep(60)

    @task
    def after(x): pass

    with Flow("slow") as flow:
        after(slow(Parameter("marker", default="marker")))
"""
ONE = """
    @task
    def one(): return 1

    with Flow("single") as flow:
        one()
"""


@pytest.fixture
def running(cli):
    """Start runs of a flow that does not end by itself, and return each when its task runs."""
    processes = []

    def started(name: str, *options: str):
        process = cli.start("run", cli.file(SLOW), "--run-name", name, "-p", f"marker={name}.marker", *options)
        processes.append(process)
        deadline = time.monotonic() + 20
        while not (cli.folder / f"{name}.marker").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def test_a_run_in_another_process_ends_in_order(cli, running) -> None:
    process = running("night")
    done = cli.here("cancel", "night", "--reason", "the disk is needed", "--wait", "10")
    assert done.code == 0
    asked, ended = done.out.splitlines()
    assert asked == "Asked night to end."
    assert ended.startswith("night is cancelled after ")
    out, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    last = out.splitlines()[-1]
    assert "slow was cancelled after" in last
    assert "The run was cancelled on request: the disk is needed" in last
    assert "Ctrl-C" not in out
    assert "the disk is needed" in cli.here("show", "night").out


def test_without_waiting_it_returns_at_once(cli, running) -> None:
    process = running("night")
    done = cli.here("cancel", "night")
    assert (done.code, done.out) == (0, "Asked night to end.\n")
    process.communicate(timeout=10)
    assert process.returncode == 1


def test_several_runs_end_and_what_cannot_is_said(cli, running) -> None:
    processes = [running("first"), running("second")]
    done = cli.here("cancel", "first", "nowhere", "second", "--wait", "10")
    assert done.code == 2
    assert "There is no run 'nowhere'" in done.err
    assert sorted(line.split()[0] for line in done.out.splitlines()[2:]) == ["first", "second"]
    for process in processes:
        process.communicate(timeout=10)


def test_a_run_that_has_ended_cannot_be_cancelled(cli) -> None:
    cli.here("run", cli.file(ONE), "--run-name", "done", "--quiet")
    done = cli.here("cancel", "done")
    assert done.code == 2
    assert "Run 'done' has ended already: it is succeeded" in done.err


def test_a_run_whose_process_was_killed_cannot_be_cancelled(cli, running) -> None:
    process = running("night")
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = cli.here("cancel", "night")
    assert done.code == 2
    assert "Run 'night' has ended already: it is crashed (died)" in done.err


def test_a_process_that_does_not_react_is_reported(cli, running) -> None:
    process = running("night")
    # Not amid a transaction, of which it would keep the lock.
    time.sleep(0.5)
    process.send_signal(signal.SIGSTOP)
    done = cli.here("cancel", "night", "--wait", "0.5")
    assert done.code == 1
    assert "night has not ended within 0.5 s." in done.err
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=10)
    assert process.returncode == 1


def test_a_project_without_runs_has_none_to_cancel(cli) -> None:
    done = cli.here("cancel", "latest")
    assert done.code == 2
    assert "There is no run 'latest'" in done.err


def test_what_a_cancelled_run_has_finished_is_reused(cli, running) -> None:
    process = running("night")
    cli.here("cancel", "night", "--wait", "10")
    process.communicate(timeout=10)
    done = cli.here("resume", "night", "--dry-run")
    assert done.code == 0
    assert "slow" in done.out


def test_a_run_that_takes_too_long_is_ended(cli) -> None:
    done = cli.here("run", cli.file(SLOW), "--timeout", "0.5")
    assert done.code == 1
    assert "The run took longer than its timeout of 0.5 s." in done.out.splitlines()[-1]
    assert "timed out" in cli.here("runs").out


@pytest.mark.parametrize("wrong", ["0", "-1", "soon"])
def test_a_timeout_that_cannot_be_is_refused(cli, wrong) -> None:
    done = cli.here("run", cli.file(ONE), "--timeout", wrong)
    assert done.code == 2
    assert "--timeout" in done.err
