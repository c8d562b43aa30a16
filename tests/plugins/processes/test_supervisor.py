"""The process that makes, kills and reports workers."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace import Flow, task
from headrace.engine.worker import Outcome
from headrace.remote import Levels
from headrace.states import Crashed
from headrace.triggers import all_finished
from headrace_plugins.processes.channel import Channel
from headrace_plugins.processes.executor import ProcessesExecutor
from headrace_plugins.processes.link import Supervisor
from headrace_plugins.processes.protocol import End, Page
from headrace_plugins.processes.supervisor import Setup

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system has no subreapers")


class Shop:
    """A real supervisor, and workers that are given nothing to do."""

    def __init__(self, **options) -> None:
        self.supervisor = Supervisor(Setup(os.getpid(), Levels({}, 0), **options))
        self.pid: int = self.supervisor._process.pid
        self.channels: dict[int, Channel] = {}
        self.pages: dict[int, Page] = {}

    def start(self, id_: int = 1) -> int:
        """Return the number of a new worker's process."""
        ours, theirs = socket.socketpair()
        self.pages[id_], file = Page.create()
        self.channels[id_] = Channel(ours)
        self.supervisor.start(id_, theirs, file)
        theirs.close()
        os.close(file)
        deadline = time.monotonic() + 20
        while not self.pages[id_].pid and not select.select([ours], [], [], 0)[0]:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return self.pages[id_].pid

    def end(self) -> End:
        ready, _, _ = select.select([self.supervisor.control], [], [], 20)
        assert ready, "the supervisor says nothing"
        end = self.supervisor.receive()
        assert end is not None
        return end

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()
        for page in self.pages.values():
            page.close()
        self.supervisor.close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


def descends_from(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in found for each in (int(child), *descends_from(int(child)))]


# -- workers -------------------------------------------------------------------------------------------------------


def test_a_worker_leads_a_session_of_its_own(shop):
    """So that what it has started can be sent signals together with it, and keys pressed at a terminal reach none."""
    pid = shop.start()
    assert os.getsid(pid) == pid != os.getsid(shop.pid) != os.getsid(0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_worker_that_dies_is_reported_with_the_signal(shop, number):
    pid = shop.start(7)
    os.kill(pid, number)
    end = shop.end()
    assert (end.worker, os.WTERMSIG(end.status)) == (7, number)


def test_the_report_says_how_much_memory_was_used(shop):
    os.kill(shop.start(), signal.SIGKILL)
    assert 5_000_000 < shop.end().peak < 1_000_000_000


def test_a_worker_without_anything_to_do_ends_when_its_connection_is_closed(shop):
    shop.start()
    shop.channels[1].close()
    assert shop.end().status == 0


def test_only_the_worker_that_is_meant_is_killed(shop):
    pids = {id_: shop.start(id_) for id_ in (1, 2, 3)}
    shop.supervisor.kill(2)
    assert shop.end().worker == 2
    assert os.getsid(pids[1])
    assert os.getsid(pids[3])


def test_an_order_for_a_worker_that_is_gone_does_no_harm(shop):
    os.kill(shop.start(1), signal.SIGKILL)
    shop.end()
    shop.supervisor.kill(1)
    shop.supervisor.signal(1, signal.SIGTERM)
    assert shop.start(2)


def test_a_signal_reaches_the_worker_that_is_meant(shop):
    shop.start()
    # Python forgets about a signal that comes just before it waits, until it has waited.
    time.sleep(0.3)
    shop.supervisor.signal(1, signal.SIGTERM)
    assert os.WTERMSIG(shop.end().status) == signal.SIGTERM


def test_workers_inherit_no_connection_of_another(shop):
    """Otherwise the end of one would not be noticed before that of the other."""
    shop.start(1)
    pid = shop.start(2)
    sockets = [each for each in Path(f"/proc/{pid}/fd").iterdir() if "socket" in str(each.readlink())]
    assert len(sockets) == 1


def test_modules_are_imported_before_workers_are_made(tmp_path, monkeypatch):
    (tmp_path / "heavy_module_of_test.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with Flow("preloaded") as flow:
        found = task(lambda: "heavy_module_of_test" in sys.modules, name="look")()
    executor = ProcessesExecutor(workers=1, preload=["heavy_module_of_test", "no_such_module_of_test"])
    assert flow.run(executor=executor).result[found].result is True


@pytest.mark.parametrize("text", ["raise ValueError", "import sys; sys.exit(5)"])
def test_a_module_that_cannot_be_imported_before_harms_nobody(tmp_path, monkeypatch, text, states_of):
    (tmp_path / "broken_module_of_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    (state,) = states_of(lambda: 1, executor=ProcessesExecutor(workers=1, preload=["broken_module_of_test"]))
    assert state.result == 1


def test_a_process_that_cannot_be_made_is_a_clear_error(tmp_path, monkeypatch, states_of):
    """As where there are no process numbers left: neither a hang nor the end of the run."""
    text = f"import os\ndef refuse(): raise BlockingIOError({errno.EAGAIN}, 'no')\nos.fork = refuse"
    (tmp_path / "no_fork_of_test.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    states = states_of(lambda: 1, lambda: 2, executor=ProcessesExecutor(workers=2, preload=["no_fork_of_test"]))
    for state in states:
        assert isinstance(state, Crashed)
        assert os.strerror(errno.EAGAIN) in str(state.message)


# -- what workers leave behind -------------------------------------------------------------------------------------


def start_child(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    path.write_text(f"{child.pid}\n")


def start_in_a_session_of_its_own(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    path.write_text(f"{child.pid}\n")


def fork(path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        time.sleep(300)
        os._exit(0)
    path.write_text(f"{pid}\n")


def become_a_daemon(path: Path) -> None:
    """Fork twice, which makes it the child of whoever takes orphans in."""
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid:
            path.write_text(f"{pid}\n")
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(300)
    os.wait()


# The last two need a system that hands orphans over.
STARTS: list[Callable[[Path], None]] = [start_child, fork, start_in_a_session_of_its_own, become_a_daemon]
if sys.platform != "linux":
    del STARTS[2:]


@pytest.mark.parametrize("how", ["ends", "dies", "is late", "is cancelled"])
def test_nothing_that_tasks_have_started_outlives_the_run(tmp_path, is_gone, pid_in, how):
    def run(start: Callable[[Path], None]) -> None:
        start(tmp_path / start.__name__)
        if how == "dies":
            os._exit(1)
        if how != "ends":
            time.sleep(300)

    def interrupt() -> None:
        for start in STARTS:
            pid_in(tmp_path / start.__name__)
        if how == "is cancelled":
            raise KeyboardInterrupt

    with Flow("leaves something behind") as flow:
        task(run, name="run", timeout=1 if how == "is late" else None).map(STARTS)
        task(interrupt, name="interrupt")()
    try:
        flow.run(executor=ProcessesExecutor(workers=1 + len(STARTS), kill_grace=0.1))
    except KeyboardInterrupt:
        assert how == "is cancelled"
    assert [start for start in STARTS if not is_gone(pid_in(tmp_path / start.__name__), 1)] == []


@linux
def test_what_a_worker_leaves_behind_is_gone_before_the_run_ends(tmp_path, is_gone, pid_in):
    def die(path: Path) -> None:
        become_a_daemon(path)
        os._exit(1)

    def look(path: Path) -> bool:
        return bool(is_gone(pid_in(path), 10))

    with Flow("leaves something behind") as flow:
        dead = task(die, name="die", on_failure=lambda *_: None)(tmp_path / "pid")
        looked = task(look, name="look", trigger=all_finished)(tmp_path / "pid", upstream_tasks=[dead])
    assert flow.run(executor=ProcessesExecutor(workers=2)).result[looked].result is True


@linux
def test_a_worker_that_lives_keeps_its_children(tmp_path, pid_in):
    """The death of one does not take what another has started."""

    def keep(path: Path) -> int | None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
        path.write_text(f"{child.pid}\n")
        deadline = time.monotonic() + 20
        while not (path.parent / "dead").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        found = child.poll()
        child.kill()
        child.wait()
        return found

    def die(path: Path) -> None:
        pid_in(path)
        (path.parent / "dead").touch()
        os._exit(1)

    with Flow("two") as flow:
        kept = task(keep, name="keep")(tmp_path / "pid")
        task(die, name="die")(tmp_path / "pid")
        flow.set_reference_tasks([kept])
    assert flow.run(executor=ProcessesExecutor(workers=2)).result[kept].result is None


# -- its own end ---------------------------------------------------------------------------------------------------


def test_it_ends_with_its_workers_when_the_driver_closes_the_connection(shop, is_gone):
    pid = shop.start()
    shop.supervisor.close()
    assert is_gone(pid, 1)
    assert shop.supervisor.ending == "it ended with exit code 0"


@linux
def test_workers_do_not_outlive_a_supervisor_that_is_killed(shop, is_gone):
    pid = shop.start()
    os.kill(shop.pid, signal.SIGKILL)
    assert is_gone(pid, 2)


def test_workers_do_not_outlive_a_supervisor_that_is_asked_to_end(shop, is_gone):
    pid = shop.start()
    os.kill(shop.pid, signal.SIGTERM)
    assert is_gone(pid, 5)
    assert shop.supervisor.ending == "it ended with exit code 0"


def test_it_does_not_hear_a_ctrl_c(shop):
    shop.start(1)
    os.kill(shop.pid, signal.SIGINT)
    assert shop.start(2)


def test_a_run_goes_on_when_its_supervisor_is_killed(tmp_path):
    def kill(path: Path) -> int:
        if not path.exists():
            path.touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return 1

    with Flow("without a supervisor") as flow:
        before = [task(lambda number: number, name="before")(number) for number in range(5)]
        killed = task(kill, name="kill", max_retries=1, retry_delay=0)(tmp_path / "killed", upstream_tasks=before)
        after = [task(lambda number: number, name="after")(number, upstream_tasks=[killed]) for number in range(5)]
    state = flow.run(executor=ProcessesExecutor(workers=2))
    assert state.is_successful()
    (first,) = state.result[killed].attempts
    assert isinstance(first, Crashed)
    assert [state.result[each].result for each in after] == list(range(5))


@linux
def test_what_tasks_have_started_does_not_outlive_a_supervisor_that_is_killed(tmp_path, is_gone, pid_in):
    def kill(path: Path) -> None:
        start_child(path)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)

    with Flow("without a supervisor") as flow:
        killed = task(kill, name="kill")(tmp_path / "pid")
    state = flow.run(executor=ProcessesExecutor(workers=1))
    assert isinstance(state.result[killed], Crashed)
    assert is_gone(pid_in(tmp_path / "pid"), 2)


@linux
def test_no_dead_process_is_left_unburied(tmp_path, new_job):
    """After many crashes the supervisor has no children that nobody has asked about."""
    shop = Shop()
    outcomes: list[Outcome] = []
    try:
        for id_ in range(1, 30):
            os.kill(shop.start(id_), signal.SIGKILL)
            shop.end()
        assert outcomes == []
        assert descends_from(shop.pid) == []
        assert len(list(Path(f"/proc/{shop.pid}/fd").iterdir())) < 12
    finally:
        shop.close()
