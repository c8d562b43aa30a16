"""The driver's end of the connection to its supervisor."""

from __future__ import annotations

import os
import sys

import pytest

from headrace.exceptions import ExecutorError
from headrace.remote import Levels
from headrace_plugins.processes.link import Supervisor
from headrace_plugins.processes.supervisor import Setup

SETUP = Setup(os.getpid(), Levels({}, 0))


def open_descriptors() -> int:
    from pathlib import Path

    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("python", ["/nowhere/python", ""])
def test_a_python_that_cannot_be_started_is_a_clear_error_and_leaves_nothing(monkeypatch, python):
    monkeypatch.setattr(sys, "executable", python)
    before = open_descriptors()
    with pytest.raises(ExecutorError, match="could not start its supervisor"):
        Supervisor(SETUP)
    assert open_descriptors() == before


def test_a_supervisor_ends_when_it_is_closed():
    supervisor = Supervisor(SETUP)
    supervisor.close()
    assert supervisor.ending == "it ended with exit code 0"


def test_closing_twice_does_no_harm():
    supervisor = Supervisor(SETUP)
    supervisor.close()
    supervisor.close()


def test_a_supervisor_that_cannot_work_says_how_it_ended(monkeypatch, tmp_path, capfd):
    """As where the modules it needs are not to be found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    supervisor = Supervisor(SETUP)
    assert supervisor.receive() is None
    assert supervisor.ending == "it ended with exit code 1"
    supervisor.close()
    assert "Error" in capfd.readouterr().err


def test_modules_in_the_current_folder_are_not_those_of_the_same_name_elsewhere(monkeypatch, tmp_path, capfd):
    for name in ("json", "pickle", "socket"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported by mistake')")
    monkeypatch.chdir(tmp_path)
    supervisor = Supervisor(SETUP)
    supervisor.close()
    assert supervisor.ending == "it ended with exit code 0"
    assert "mistake" not in capfd.readouterr().err


def test_orders_to_a_supervisor_that_is_gone_harm_nobody(supervisor):
    gone = Supervisor(SETUP)
    gone.close()
    gone.kill(1)
    gone.signal(1, 15)  # type: ignore[arg-type]
