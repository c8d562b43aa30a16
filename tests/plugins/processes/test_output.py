"""What workers and what they start write is shown, and known by task run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.whereabouts import Place
from headrace_plugins.processes.output import Output, Reader, new_token

TOKEN = new_token()


def reader() -> tuple[Reader, int]:
    reading, writing = os.pipe()
    return Reader(reading, "stdout", TOKEN), writing


def mark(number: int) -> bytes:
    return TOKEN + b"%d\n" % number


def joined(pieces: list[tuple[int, bytes]]) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for number, piece in pieces:
        found[number] = found.get(number, b"") + piece
    return {number: data for number, data in found.items() if data}


WRITTEN = b"before" + mark(1) + b"one\0\x1b[head" + mark(2) + mark(3) + b"three\n"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_what_is_written_is_split_by_calls_wherever_it_is_cut(size):
    made, writing = reader()
    pieces: list[tuple[int, bytes]] = []
    for start in range(0, len(WRITTEN), size):
        pieces += made.split(WRITTEN[start : start + size])
    made.close()
    os.close(writing)
    assert joined(pieces) == {0: b"before", 1: b"one\0\x1b[head", 3: b"three\n"}


def test_a_character_that_is_cut_is_whole_again():
    made, writing = reader()
    assert made.decode("é".encode()[:1]) + made.decode("é".encode()[1:] + b"\xff!") == "é\\xff!"
    made.close()
    os.close(writing)


def test_a_reader_says_when_nothing_more_comes():
    made, writing = reader()
    assert made.read() == (b"", True)
    os.write(writing, b"last")
    os.close(writing)
    assert made.read() == (b"last", False)
    made.close()


def test_output_is_handed_on_by_task_run(capfd):
    taken = []
    output = Output(lambda *said: taken.append(said), TOKEN)
    out, err = output.make_pipes()
    first, second = Place("run", "a"), Place("run", "b", 3, 1)
    output.expect(1, first)
    output.expect(2, second)
    os.write(out, mark(1) + b"hello\n" + mark(2) + b"there\n")
    os.write(err, mark(1) + b"oh\n")
    os.close(out)
    os.close(err)
    for ended in output.read():
        ended.close()
    output.hand_on()
    assert sorted(taken) == sorted(
        [(first, "stdout", "hello\n"), (second, "stdout", "there\n"), (first, "stderr", "oh\n")]
    )
    assert capfd.readouterr() == ("hello\nthere\n", "oh\n")
    output.close()


FLOW = """
    import ctypes, logging, os, subprocess, sys, threading
    from headrace import Flow, task
    from headrace.engine import Engine
    from headrace.engine.recorded_runs import open_history
    from headrace.history import LogQuery

    {tasks}

    with Flow("loud") as flow:
        {calls}

    if __name__ == "__main__":
        flow.run(record=True, executor="processes")
        with Engine() as engine, open_history(True, engine) as store:
            run = store.run("latest")
            slugs = {{task.node: task.slug for task in store.tasks(run.id)}}
            for log in store.logs(run.id):
                for line in log.text.splitlines() or [""]:
                    print(slugs.get(log.node), log.map_index, log.logger, line, file=open("kept.txt", "a"))
"""


def run(folder: Path, tasks: str, calls: str) -> subprocess.CompletedProcess[bytes]:
    text = dedent(FLOW).replace("{tasks}", dedent(tasks)).format(calls=calls)
    (folder / "flow.py").write_text(text)
    (folder / ".headrace").mkdir()
    return subprocess.run([sys.executable, "flow.py"], cwd=folder, capture_output=True, timeout=60, check=False)


def kept(done: subprocess.CompletedProcess[bytes], folder: Path) -> list[str]:
    assert done.returncode == 0, done.stderr
    return (folder / "kept.txt").read_text().splitlines()


def test_c_code_and_other_programs_are_heard(tmp_path):
    tasks = """
    @task
    def talk(x):
        print("Python", x)
        ctypes.CDLL(None).printf(b"C %d", ctypes.c_int(x))
        subprocess.run(["sh", "-c", "echo; echo program; echo wrong >&2"])
        threading.Thread(target=lambda: logging.getLogger("thread").warning("logged")).run()
    """
    done = run(tmp_path, tasks, "talk.map([1, 2])")
    found = kept(done, tmp_path)
    for x in (1, 2):
        whose = f"talk-1 {x - 1}"
        assert [line for line in found if line.startswith(f"{whose} stdout")] == [
            f"{whose} stdout Python {x}",
            f"{whose} stdout C {x}",
            f"{whose} stdout program",
        ]
        assert f"{whose} stderr wrong" in found
        assert f"{whose} thread logged" in found
    assert done.stdout.count(b"program\n") == 2
    assert done.stderr.count(b"wrong\n") == 2


def test_the_last_words_of_a_killed_worker_are_kept(tmp_path):
    tasks = """
    @task
    def die():
        for number in range(2000):
            print(number, "x" * 1000)
        print("last words", end="")
        os.kill(os.getpid(), 9)
    """
    done = run(tmp_path, tasks, "die()")
    found = [line for line in kept(done, tmp_path) if " stdout " in line]
    assert found[-1] == "die-1 -1 stdout last words"
    numbers = [int(line.split()[3]) for line in found[:-1]]
    assert numbers[:3] == [0, 1, 2]
    assert numbers[-60:] == list(range(1940, 2000))
    assert len(numbers) < 1300
    assert done.stdout.count(b"\n") >= 2000


def test_quick_tasks_that_wait_at_one_worker_keep_apart(tmp_path):
    tasks = """
    @task
    def say(x):
        print("said", x)
    """
    done = run(tmp_path, tasks, "say.map(list(range(300)))")
    assert sorted(kept(done, tmp_path)) == sorted(f"say-1 {x} stdout said {x}" for x in range(300))


def test_a_secret_that_a_worker_finds_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__TOKEN", "hunter2hunter2")
    tasks = """
    from headrace.secrets import Secret

    @task
    def leak(x):
        value = Secret("TOKEN").get()
        print("secret", value)
        subprocess.run(["echo", value])
    """
    done = run(tmp_path, tasks, "leak.map([1, 2, 3])")
    found = kept(done, tmp_path)
    assert sum("secret" in line for line in found) == 3
    assert not any("hunter2" in line for line in found)
    files = [path for path in (tmp_path / ".headrace").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


def test_a_task_that_closes_its_streams_harms_nobody(tmp_path):
    tasks = """
    @task
    def close(x):
        os.close(1)
        os.close(2)

    @task
    def say(x):
        print("said", x)
    """
    done = run(tmp_path, tasks, "say(close(1))")
    assert kept(done, tmp_path) == ["say-1 -1 stdout said None"]
