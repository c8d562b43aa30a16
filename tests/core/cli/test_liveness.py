"""A run whose process is gone is seen as such at once, by whoever looks next."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from headrace import Engine
from headrace.engine.recorded_runs import open_history

WAITING = """
    import time
    from pathlib import Path

    @task
    def wait():
        Path("begun").touch()
        time.sleep(60)

    with Flow("waiting") as flow:
        wait()
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes")


@pytest.fixture
def running(cli):
    """Yield the process of a run whose task has begun."""
    with cli.start("run", cli.file(WAITING), "--run-name", "under way") as process:
        while not (cli.folder / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield process
        process.kill()


@pytest.mark.parametrize("command", [["runs", "--json"], ["show", "--json"]], ids=" ".join)
def test_the_next_command_sees_a_dead_run_within_a_second(cli, running, command: list[str]) -> None:
    assert json.loads(cli.here("runs", "--json").out)[0]["state"] == "Running"
    running.send_signal(signal.SIGKILL)
    began = time.monotonic()
    while True:
        seen = json.loads(cli.here(*command).out)
        run = seen[0] if isinstance(seen, list) else seen
        if run["state"] != "Running":
            break
        assert time.monotonic() - began < 1.0
    assert time.monotonic() - began < 1.0
    assert (run["state"], run["cause"]) == ("Crashed", "died")


def test_a_process_that_watches_sees_it_within_a_second(cli, running) -> None:
    with Engine() as engine, open_history(True, engine) as store:
        run = store.run("latest")
        assert store.is_alive(run.id)
        running.send_signal(signal.SIGKILL)
        began = time.monotonic()
        while store.is_alive(run.id):
            assert time.monotonic() - began < 1.0
            time.sleep(0.01)
        assert [(each.id, each.cause) for each in store.sweep()] == [(run.id, "died")]


def test_a_run_that_stands_still_is_alive(cli, running) -> None:
    """Nothing counts the seconds since it was last heard of."""
    # Whoever is stopped amid a transaction holds everybody up.
    time.sleep(0.5)
    running.send_signal(signal.SIGSTOP)
    try:
        time.sleep(0.5)
        assert json.loads(cli.here("runs", "--json").out)[0]["state"] == "Running"
    finally:
        running.send_signal(signal.SIGCONT)
