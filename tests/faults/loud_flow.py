"""Tasks that say too much, or what should not be said, and a flow that runs one of them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

from headrace import Flow, Parameter, context, task

LINES = 200_000
LONG = 100_000_000
THREADS = 50
LINES_OF_THREAD = 20
LINES_OF_C = 500
ODD = "NUL \0, ESC \x1b[31m, lone \udcff, line \u2028, bell \a"
RAW = b"\xff\xfe \x00 \x1b]0;title\x07 raw\n"
LINE_BEFORE_KILL = "{:06d} " + "x" * 93
KILL_AFTER = 5000


def many_lines() -> None:
    for number in range(LINES):
        print(number)


def long_line() -> None:
    for _ in range(LONG // 1_000_000):
        sys.stdout.write("x" * 1_000_000)
    print("end")


def odd_text() -> None:
    print(ODD.encode(errors="backslashreplace").decode())
    context.logger.warning(ODD)
    sys.stdout.flush()
    os.write(1, RAW)


def threads() -> None:
    logger = context.logger

    def talk(thread: int) -> None:
        for line in range(LINES_OF_THREAD):
            logger.warning("thread %d line %d", thread, line)

    all_of_them = [threading.Thread(target=talk, args=(number,)) for number in range(THREADS)]
    for each in all_of_them:
        each.start()
    for each in all_of_them:
        each.join()


def c_output() -> None:
    library = ctypes.CDLL(None)
    for number in range(LINES_OF_C):
        library.puts(b"c %d" % number)
    library.fflush(None)
    subprocess.run([sys.executable, "-c", "print('c end')"], check=True)


def killed() -> None:
    for number in range(KILL_AFTER):
        print(LINE_BEFORE_KILL.format(number), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


WAYS = {each.__name__: each for each in (many_lines, long_line, odd_text, threads, c_output, killed)}


@task(log_stdout=True)
def talk(way: str) -> None:
    WAYS[way]()


with Flow("loud") as flow:
    talk(Parameter("way"))
