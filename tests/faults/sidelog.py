"""What tasks did, written by themselves, so that nobody has to believe headrace's own records."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """One thing that happened: ``moment`` by the monotonic clock, which all processes of a machine share."""

    moment: float
    event: str
    task: str
    number: int
    pid: int


class SideLog:
    """A file that any number of processes append lines to; may be sent to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def write(self, event: str, task: str, number: int = 0) -> None:
        """Append a line, in one system call, so that lines of different processes do not mix."""
        line = json.dumps([time.monotonic(), event, task, number, os.getpid()]) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def read(self) -> list[Entry]:
        """Return what has been written so far."""
        try:
            lines = Path(self.path).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [Entry(*json.loads(line)) for line in lines]

    def count(self, event: str, task: str | None = None) -> Counter[tuple[str, int]]:
        """Return how often ``event`` happened to each run, given by task and number."""
        found = (entry for entry in self.read() if entry.event == event)
        return Counter((entry.task, entry.number) for entry in found if task in (None, entry.task))

    def wait(self, event: str, times: int, seconds: float) -> bool:
        """Wait until ``event`` has happened ``times`` times; return False if that takes more than ``seconds``."""
        return wait_until(lambda: sum(self.count(event).values()) >= times, seconds)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` returns True; return False if that takes more than ``seconds``."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.01)
    return True
