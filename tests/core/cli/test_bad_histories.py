"""What every command says of a history that cannot be read or written; and that none puts another in its place."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LARGE = """
    import os
    from pathlib import Path

    def note(text):
        with open("side.log", "a") as log:
            log.write(text + "\\n")

    @task
    def made():
        note("made")
        return "x" * 200_000

    @task
    def size(text):
        note("size")
        if not Path("mended").exists():
            raise ValueError("not yet")
        return len(text)

    with Flow("large") as flow:
        size(made())
"""
READING = (
    ["runs"],
    ["show"],
    ["logs"],
    ["why", "latest", "size"],
    ["diff", "latest", "latest"],
    ["export", "latest"],
    ["resume"],
    ["resume", "--dry-run"],
    ["replay", "latest", "size"],
    ["cancel", "latest"],
    ["limits"],
    ["gc"],
)


@pytest.fixture
def failed(cli):
    """Return a command line after a run, ``first``, in which a task failed, and with that mended."""
    assert cli.here("run", cli.file(LARGE), "--quiet", "--run-name", "first").code == 1
    (cli.folder / "mended").touch()
    (cli.folder / "side.log").unlink()
    return cli


def notes(cli) -> list[str]:
    log = cli.folder / "side.log"
    return log.read_text().split() if log.exists() else []


def database(cli) -> Path:
    return cli.folder / ".headrace" / "history" / "runs.db"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def break_beginning(path: Path) -> None:
    path.write_bytes(b"\0" * 20 + path.read_bytes()[20:])


def break_pages(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 100] = b"\xff" * 100
    path.write_bytes(data)


def make_another(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE customers (name TEXT)")


def make_newer(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_history_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("a file")


def make_project_a_file(path: Path) -> None:
    shutil.rmtree(path.parents[1])
    path.parents[1].write_text("a file")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is an empty file, which headrace never writes"),
    "cut short": (cut, "is damaged: database disk image is malformed"),
    "beginning damaged": (break_beginning, "is no SQLite database"),
    "pages damaged": (break_pages, "is damaged: database disk image is malformed"),
    "text": (lambda path: path.write_text("not a database, but longer than a header" * 9), "is no SQLite database"),
    "of another program": (make_another, "of some other program, and no history of headrace"),
    "of a newer version": (make_newer, "has form 99, and this headrace knows forms up to"),
    "a folder": (make_folder, "should be a file, and"),
    "its folder a file": (make_history_a_file, "/.headrace/history is a file"),
    "the project a file": (make_project_a_file, "/.headrace is a file"),
}
bad = pytest.mark.parametrize(("spoil", "said"), list(BAD.values()), ids=list(BAD))


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return all that lies in the project's folder."""
    top = folder / ".headrace"
    paths = [top, *top.rglob("*")]
    return {str(path): path.read_bytes() if path.is_file() else None for path in paths if path.name != "last-gc"}


@bad
def test_what_is_wrong_is_said_and_what_is_there_stays(failed, spoil, said: str) -> None:
    spoil(database(failed))
    before = everything(failed.folder)
    for command in READING:
        done = failed.here(*command)
        assert done.code == 2, command
        assert said in done.err, command
        assert done.err.startswith("Error: "), command
        assert len(done.err.splitlines()) == 2, f"of {command} a message, and what to do"
        assert everything(failed.folder) == before, command
    assert notes(failed) == []


@bad
def test_a_run_goes_on_without_being_recorded(failed, spoil, said: str) -> None:
    spoil(database(failed))
    before = everything(failed.folder)
    done = failed.apart("run", "flow.py", "--quiet")
    assert done.code == 0
    assert done.err.count("WARNING") == 1
    assert "This run is not recorded: " in done.err
    assert said in done.err
    after = everything(failed.folder)
    assert {name: after[name] for name in before} == before
    assert not database(failed).exists() or str(database(failed)) in before
    assert notes(failed) == ["made", "size"]


@bad
def test_the_doctor_finds_it(failed, spoil, said: str) -> None:
    spoil(database(failed))
    before = everything(failed.folder)
    done = failed.here("doctor", "--json")
    found = json.loads(done.out)["findings"]
    assert done.code == 1
    assert any(said in each["what"] for each in found) or "a file" in said
    assert all(each["hint"] or each["repairable"] for each in found)
    assert everything(failed.folder) == before


@pytest.mark.parametrize("seed", range(6))
def test_changed_bits_are_never_more_than_a_message(failed, seed: int) -> None:
    """Some of them change nothing that a command looks at; no command stops on what it did not expect."""
    randomness, path = random.Random(seed), database(failed)
    data = bytearray(path.read_bytes())
    for _ in range(randomness.choice([1, 30, 300])):
        data[randomness.randrange(len(data))] ^= 1 << randomness.randrange(8)
    path.write_bytes(data)
    for command in (*READING, ["doctor"], ["run", "flow.py", "--quiet"]):
        done = failed.here(*command)
        assert done.code in {0, 1, 2}, command
        assert "did not expect" not in done.err, command
        assert "Traceback" not in done.err, command


# Permissions


def restrained() -> list[str]:
    """Return what makes a command of root's ask for permissions, as everybody else's does."""
    if os.name != "posix" or os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


needs_permissions = pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None), reason="needs permissions to matter"
)


def run_restrained(cli, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*restrained(), sys.executable, "-m", "headrace", *arguments]
    return subprocess.run(
        command, cwd=cli.folder, env=cli.environment(), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def closing() -> Iterator[Callable[[Path, int], None]]:
    """Yield what changes permissions until the end of the test."""
    were: list[tuple[Path, int]] = []

    def close(path: Path, mode: int) -> None:
        were.append((path, path.stat().st_mode))
        path.chmod(mode)

    yield close
    for path, mode in reversed(were):
        path.chmod(mode)


@needs_permissions
def test_what_may_not_be_written_is_still_listed(failed, closing) -> None:
    for path in (database(failed), database(failed).parent):
        closing(path, 0o500)
    for command in (["runs"], ["show"], ["resume", "--dry-run"]):
        done = run_restrained(failed, *command)
        assert (done.returncode, done.stderr) == (0, ""), command
    done = run_restrained(failed, "run", "flow.py", "--quiet")
    assert done.returncode == 0
    assert done.stderr.count("WARNING") == 1
    assert "This run is not recorded: " in done.stderr
    done = run_restrained(failed, "doctor")
    assert done.returncode == 1
    assert "Nothing can be written here, so runs are not recorded." in done.stdout


@needs_permissions
def test_a_run_is_not_resumed_where_that_cannot_be_recorded(failed, closing) -> None:
    """Somebody else could resume it at the same time."""
    for path in (database(failed), database(failed).parent, database(failed).with_name("runs.db.live")):
        closing(path, 0o500)
    done = run_restrained(failed, "resume")
    assert done.returncode == 2
    assert "cannot be" in done.stderr
    assert "Traceback" not in done.stderr
    assert notes(failed) == []


@needs_permissions
@pytest.mark.parametrize("closed", ["file", "folder"])
def test_what_may_not_be_read_is_named(failed, closing, closed: str) -> None:
    closing(database(failed) if closed == "file" else database(failed).parent, 0o000)
    for command in READING:
        done = run_restrained(failed, *command)
        assert done.returncode == 2, command
        assert str(database(failed)) in done.stderr or "key" in done.stderr, command
        assert "Traceback" not in done.stderr
        assert "did not expect" not in done.stderr
    done = run_restrained(failed, "run", "flow.py", "--quiet")
    assert done.returncode == 0
    assert "This run is not recorded: " in done.stderr
    assert run_restrained(failed, "doctor").returncode == 1


@needs_permissions
def test_a_folder_that_may_not_be_written_costs_a_warning(cli, closing) -> None:
    file = cli.file("""
        @task
        def one(): return 1

        with Flow("single") as flow:
            one()
    """)
    closing(cli.folder, 0o500)
    done = run_restrained(cli, "run", file, "--quiet")
    assert done.returncode == 0
    assert done.stderr.count("WARNING") == 1
    assert f"The folder {cli.folder / '.headrace' / 'history'} cannot be made: Permission denied." in done.stderr
    assert run_restrained(cli, "runs").stderr == "No run was recorded here.\n"


# Other places


def test_a_folder_that_is_not_there_is_not_made(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE__HISTORY__STORE", "sqlite:missing/runs.db")
    file = cli.file(LARGE)
    (cli.folder / "mended").touch()
    done = cli.apart("run", file, "--quiet")
    assert done.code == 0
    assert f"{cli.folder / 'missing'} does not exist, and should be a folder" in done.err
    assert cli.apart("runs").err == "No run was recorded here.\n"
    assert not (cli.folder / "missing").exists()


# Says that all is on a network file system; the list of mounts of a process is its own.
ON_NETWORK = """
import os, subprocess, sys
with open("/proc/self/mountinfo") as file:
    text = file.read()
with open("mounts", "w") as file:
    file.write("1 1 0:1 / / rw - nfs4 server:/ rw\\n")
subprocess.run(["mount", "--bind", "mounts", f"/proc/{os.getpid()}/mountinfo"], check=True)
from headrace.cli import main
main(sys.argv[1:])
"""


def can_mount() -> bool:
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return not subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode


needs_mounts = pytest.mark.skipif(not can_mount(), reason="needs to mount file systems")


@needs_mounts
def test_on_a_network_it_works_without_a_write_ahead_log_and_the_doctor_says_so(cli) -> None:
    file = cli.file(LARGE)
    (cli.folder / "mended").touch()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "--mount", sys.executable, "-c", ON_NETWORK, *arguments]
        return subprocess.run(
            command, cwd=cli.folder, env=cli.environment(), capture_output=True, text=True, check=False, timeout=60
        )

    assert run("run", file, "--quiet", "--run-name", "first").returncode == 0
    assert "first" in run("runs").stdout
    done = run("doctor")
    assert done.returncode == 1, done.stderr
    assert "This is on a network file system (nfs4)" in done.stdout
    assert "rollback journal: it is on a network file system (nfs4)" in done.stdout


# A full disk

FILLING = """
    import os
    from pathlib import Path

    @task
    def made(number):
        with open("side.log", "a") as log:
            log.write(f"{number}\\n")
        return os.urandom(SIZE)

    @task
    def total(all): return sum(map(len, all))

    with Flow("filling") as flow:
        total(made.map(list(range(60))))
"""


@needs_mounts
@pytest.mark.parametrize(
    ("executor", "size"),
    [("local", 20_000), ("local", 100_000), ("threads", 20_000), ("processes", 100_000)],
    ids=["local, in the history", "local, in files", "threads, in the history", "processes, in files"],
)
def test_a_disk_that_fills_up_ends_the_run_and_when_there_is_room_it_goes_on(cli, executor: str, size: int) -> None:
    place = cli.folder / "small"
    place.mkdir()
    file = cli.file(FILLING.replace("SIZE", str(size)))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], check=True)
    try:
        done = cli.apart("run", file, "--quiet", "--executor", executor, HEADRACE_HOME=str(place / "project"))
        first = (cli.folder / "side.log").read_text().split()
        assert done.code == 1
        assert "No space left on device" in done.err + done.out or "the disk is full" in done.err + done.out
        assert str(place) in done.err + done.out
        assert "Traceback" not in done.err
        listed = cli.apart("runs", HEADRACE_HOME=str(place / "project"))
        assert (listed.code, "filling" in listed.out) == (0, True), listed.err
        subprocess.run(["mount", "-o", "remount,size=200m", str(place)], check=True)
        (run,) = json.loads(cli.apart("runs", "--json", HEADRACE_HOME=str(place / "project")).out)
        # The journal may have had room for all of it, and just the tables not.
        if run["state"] != "Success":
            assert (run["state"], run["cause"]) == ("Crashed", "abandoned")
            assert "No space left on device" in run["message"] or "the disk is full" in run["message"]
        done = cli.apart("resume", HEADRACE_HOME=str(place / "project"))
        assert done.code == 0, done.err
        calls = (cli.folder / "side.log").read_text().split()
        assert {int(call) for call in calls} == set(range(60))
        if size < 32_768:
            # One that could be recorded does not run again.
            assert len(calls) - 60 <= len(first)
        checked = cli.apart("doctor", "--json", "--deep", HEADRACE_HOME=str(place / "project"))
        assert json.loads(checked.out)["findings"] == [], checked.out
    finally:
        subprocess.run(["umount", str(place)], check=True)


# What is in a history


@pytest.mark.parametrize("command", [["show"], ["resume"], ["resume", "--dry-run"]], ids=" ".join)
def test_of_a_run_that_is_not_there_the_nearest_are_named(failed, command: list[str]) -> None:
    done = failed.here(*command[:1], "frist", *command[1:])
    assert done.code == 2
    assert "There is no run 'frist'" in done.err
    assert "The nearest: first" in done.err
    assert notes(failed) == []


def result_of_first(cli) -> Path:
    (found,) = (cli.folder / ".headrace" / "results").rglob("*.result")
    return found


def change_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "spoil",
    [change_a_bit, lambda path: path.write_bytes(b""), lambda path: path.unlink()],
    ids=["changed", "empty", "gone"],
)
def test_a_result_that_is_not_what_was_recorded_is_made_again(failed, spoil) -> None:
    spoil(result_of_first(failed))
    shown = failed.here("resume", "--dry-run")
    assert shown.code == 0
    assert "made-1" in shown.out
    done = failed.here("resume")
    assert done.code == 0, done.err
    assert notes(failed) == ["made", "size"]


def test_a_pickle_that_somebody_planted_is_never_loaded(failed) -> None:
    """Under a digest that is right, or one that is not, it is not what the run has recorded."""
    import pickle

    from headrace.envelope import seal

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (failed.folder / "planted",)

    for data in (pickle.dumps(Planted()), seal(pickle.dumps(Planted()))):
        result_of_first(failed).write_bytes(data)
        for command in (["resume", "--dry-run"], ["show"], ["doctor", "--deep"], ["gc"]):
            failed.here(*command)
    assert failed.here("resume").code == 0
    assert notes(failed) == ["made", "size"]
    assert not (failed.folder / "planted").exists()


def test_a_pickle_in_the_file_of_the_history_is_never_loaded(cli) -> None:
    import pickle

    file = cli.file(LARGE.replace("200_000", "2_000"))
    cli.here("run", file, "--quiet", "--run-name", "first")
    (cli.folder / "mended").touch()
    planted = pickle.dumps(_Toucher(str(cli.folder / "planted")))
    with sqlite3.connect(database(cli)) as connection:
        assert connection.execute("UPDATE task_runs SET data = ? WHERE data IS NOT NULL", [planted]).rowcount
    for command in (["show"], ["resume", "--dry-run"], ["resume"], ["doctor", "--deep"]):
        cli.here(*command)
    assert not (cli.folder / "planted").exists()
    with sqlite3.connect(database(cli)) as connection:
        connection.execute("UPDATE runs SET parameters = ?", [planted])
    done = cli.here("resume", "first")
    assert done.code == 2
    assert not (cli.folder / "planted").exists()


class _Toucher:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.path),)


def test_a_key_that_is_lost_is_not_made_anew_by_whoever_resumes(failed) -> None:
    key = database(failed).with_name("key")
    key.unlink()
    done = failed.here("resume")
    assert done.code == 2
    assert str(key) in done.err
    assert not key.exists()
    assert notes(failed) == []


@pytest.mark.parametrize(
    ("place", "commands"),
    [
        ("logs.text", [["logs"], ["export", "latest"]]),
        ("logs.logger", [["logs"], ["export", "latest"]]),
        ("notes.text", [["export", "latest"], ["show", "latest", "size"]]),
        ("notes.kind", [["export", "latest"]]),
        ("runs.name", [["runs"], ["show"], ["logs"], ["resume"]]),
        ("runs.message", [["runs"], ["export", "latest"]]),
        ("tasks.slug", [["show"], ["logs"], ["export", "latest"]]),
        ("task_runs.message", [["show"], ["export", "latest"]]),
        ("task_runs.type_name", [["show", "latest", "made"], ["export", "latest"]]),
        ("counts.state", [["runs"]]),
    ],
)
def test_bytes_in_place_of_a_text_are_damage_that_doctor_puts_right(failed, place: str, commands) -> None:
    table, column = place.split(".")
    with sqlite3.connect(database(failed)) as connection:
        connection.execute("INSERT INTO notes (run, node, map_index, kind, text) VALUES (1, 1, -1, 'cache', 'none')")
        connection.execute("INSERT INTO logs VALUES (NULL, 1, 900000, 1, -1, 1, 0.5, 20, 'stdout', 'said')")
        assert connection.execute(f"UPDATE OR IGNORE {table} SET {column} = x'ff00'").rowcount
    for command in commands:
        done = failed.here(*command)
        assert done.code == 2, command
        assert f"The history at {database(failed)} is damaged: " in done.err, command
        assert "headrace doctor" in done.err, command
    assert f"rows of {table!r} have bytes where a text should be." in failed.here("doctor").out
    assert failed.here("doctor", "--repair", "--yes").code == 0
    assert failed.here("doctor").code == 0
    for command in commands if table not in {"runs", "tasks"} else [["runs"]]:
        assert failed.here(*command).code == 0, command
