"""Flows whose history is on a server, from beginning to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from headrace import Engine, Flow, task
from headrace.exceptions import HistoryError
from headrace_postgres import PostgresRunStore, plugin

FLOW = """
from pathlib import Path
from time import sleep

from headrace import Flow, task


@task
def number(n):
    with open("side.log", "a") as log:
        log.write(f"{n}\\n")
    while n == 5 and not Path("mended").exists():
        Path("stuck").touch()
        sleep(0.05)
    return n


@task
def total(numbers):
    return sum(numbers)


with Flow("numbers") as flow:
    total(number.map(list(range(8))))

if __name__ == "__main__":
    import sys

    flow.run(record=sys.argv[1], run_name="script")
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a flow, which is the current one."""
    (tmp_path / "counting.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def url(url_of: Callable[..., str], project: Path) -> str:
    """The URL of its history, with its journals where they belong."""
    return url_of(project).replace(f"&journals={project}", "")


def headrace(*arguments: str, check: bool = True) -> str:
    """Run the command line and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    assert "s3cr3t" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def configure(project: Path, url: str) -> None:
    (project / ".headrace").mkdir(exist_ok=True)
    (project / ".headrace" / "config.toml").write_text(f'[history]\nstore = "{url}"\n')


def kill_when_stuck(project: Path, *command: str) -> None:
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 60
        while not (project / "stuck").exists():
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    (project / "stuck").unlink()


def test_a_run_that_is_killed_goes_on_where_it_was(project: Path, url: str) -> None:
    """With the history that the configuration names: what has finished does not run again."""
    configure(project, url)
    kill_when_stuck(project, sys.executable, "-m", "headrace", "run", "counting.py", "--run-name", "first")
    (run,) = json.loads(headrace("runs", "--json"))
    assert (run["state"], run["cause"], run["name"]) == ("Crashed", "died", "first")
    began = [line for line in (project / "side.log").read_text().splitlines() if line != "5"]
    (project / "mended").touch()
    headrace("resume")
    again = (project / "side.log").read_text().splitlines()
    assert all(again.count(line) == 1 for line in began)
    last, first = json.loads(headrace("runs", "--json"))
    assert (last["state"], last["resumed_from"], first["resumed_by"]) == ("Success", first["id"], last["id"])
    with PostgresRunStore(url) as store:
        assert store.check() == []
        taken = [each.taken_from for each in store.task_runs(last["id"]) if each.taken_from]
        assert len(taken) >= len(began)
    assert [path.name for path in (project / ".headrace" / "history").rglob("*.journal")] == []


def test_a_script_is_recorded(project: Path, url: str) -> None:
    kill_when_stuck(project, sys.executable, "counting.py", url)
    with PostgresRunStore(url) as store:
        (run,) = store.sweep()
        assert (run.name, run.state, run.cause) == ("script", "Crashed", "died")
        assert run.counts["Success"] >= 5


def test_flow_run_records_by_url(project: Path, url: str) -> None:
    @task
    def double(x: int) -> int:
        print("doubling", x)
        return 2 * x

    with Flow("doubles", on_failure=None) as flow:
        double.map([1, 2, 3])
    state = flow.run(record=url, run_name="doubles")
    assert state.is_successful()
    with PostgresRunStore(url) as store:
        run = store.run("doubles")
        assert run.state == "Success"
        assert sum(each.children for each in store.tally(run.id)) == 3


def test_a_run_that_ends_while_the_server_is_away_has_ended_as_it_did(project: Path, own_server) -> None:
    """The tasks run to the end; whoever ran the flow is told, and the history says the same later."""

    @task
    def stop() -> None:
        own_server.stop()

    @task
    def go_on() -> int:
        return 7

    with Flow("away") as flow:
        go_on(upstream_tasks=[stop()])
    store = PostgresRunStore(own_server.url(), patience=1.0)
    with store, pytest.raises(HistoryError, match="could not be written"):
        flow.run(record=store)
    own_server.start()
    with PostgresRunStore(own_server.url()) as store:
        (run,) = store.sweep()
        assert (run.state, run.counts) == ("Success", {"Success": 2})


def test_a_server_that_cannot_be_used_costs_a_warning_and_not_the_run(
    project: Path, server, caplog: pytest.LogCaptureFixture
) -> None:
    with Flow("quick") as flow:
        task(lambda text: len(text), name="length")("abc")
    state = flow.run(record=server.url(password="s3cr3t-guess"))
    assert state.is_successful()
    assert "not recorded" in caplog.text
    assert "password authentication failed" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_commands_tell_what_is_wrong_with_the_server(project: Path, server) -> None:
    configure(project, server.url(password="s3cr3t-guess"))
    said = headrace("runs", check=False)
    assert "password authentication failed" in said
    assert "Traceback" not in said
    assert "PGPASSWORD" in said


def test_a_wrong_url_is_an_error_without_the_password(project: Path) -> None:
    configure(project, "postgresql://me:s3cr3t#1@h/team")
    assert "written as %XX" in headrace("runs", check=False)


def test_the_entry_points_have_the_names_of_what_they_offer() -> None:
    found = {
        (record.name, record.value, record.distribution)
        for record in Engine().registry.records("history")
        if record.distribution == "headrace-postgres"
    }
    names = {spec.name for spec in plugin.headrace_run_stores()}
    assert found == {(name, "headrace_postgres.plugin", "headrace-postgres") for name in names}
    assert names == {"postgres", "postgresql"}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_both_schemes_make_the_store(scheme: str) -> None:
    with Engine() as engine:
        store = engine.registry.create_from_url("history", f"{scheme}://me@h/team")
    assert isinstance(store, PostgresRunStore)


def test_the_driver_is_imported_when_it_is_used() -> None:
    """Neither finding the plugin nor importing the package costs the import of psycopg."""
    code = "import sys, headrace_postgres, headrace_postgres.plugin; print('psycopg' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_is_not_connected_and_may_connect(project: Path, url: str) -> None:
    """What is open belongs to the parent, whose connections work on; the child may use the store anew."""
    from headrace.testing.history._base import a_run, a_task, succeed

    with PostgresRunStore(url) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        assert store.run(run.id).state == "Running"
        inherited = store._writer().presence._connection
        assert inherited is not None
        child = os.fork()
        if child == 0:
            with suppress(BaseException):
                is_cut = os.path.samestat(os.fstat(inherited.fileno()), Path(os.devnull).stat())
                os._exit(0 if is_cut and store.run(run.id).state == "Running" else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        succeed(journal)
        journal.ended("Success", None, 12.0)
        assert store.run(run.id).state == "Success"
