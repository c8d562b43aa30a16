from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.atomic import write_atomically
from headrace.exceptions import ConfigError
from headrace.fault_points import POINTS, VARIABLE, is_armed, reached

ROOT = Path(__file__).parents[2]


def test_every_point_is_somewhere_in_the_code_and_has_a_name_that_is_known() -> None:
    sources = [*(ROOT / "core").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    found = {name for path in sources for name in re.findall(r"reached\(\"([\w.]+)\"", path.read_text("utf-8"))}
    assert found == set(POINTS)


def test_points_do_nothing_unless_they_are_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not is_armed()
    for name in POINTS:
        reached(name)


def test_a_point_raises_what_is_asked_for_each_time_or_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "run.begin=ENOSPC, file.*=EIO@2")
    for _ in range(2):
        with pytest.raises(OSError, match="run.begin") as caught:
            reached("run.begin")
        assert caught.value.errno == errno.ENOSPC
    reached("file.opened")
    with pytest.raises(OSError, match=r"file\.written"):
        reached("file.written")
    reached("file.flushed")


def test_a_point_can_raise_what_fails_there_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "database.commit=EIO")
    with pytest.raises(ValueError, match="fault point database.commit"):
        reached("database.commit", lambda error: ValueError(str(error)))


def test_points_that_are_reached_can_be_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, f"*=note:{tmp_path}/points.txt")
    write_atomically(tmp_path / "file", b"data")
    names = (tmp_path / "points.txt").read_text().split()
    assert names == ["file.opened", "file.written", "file.flushed", "file.renamed", "file.durable"]


@pytest.mark.parametrize("point", ["file.written", "file.flushed"])
def test_a_file_whose_disk_is_full_stays_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, point: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    monkeypatch.setenv(VARIABLE, f"{point}=ENOSPC")
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_point_can_kill_its_process() -> None:
    code = f"import os; os.environ[{VARIABLE!r}] = 'run.begin=kill@2'\n"
    code += "from headrace.fault_points import reached\nreached('run.begin')\nprint('once', flush=True)\n"
    done = subprocess.run([sys.executable, "-c", code + "reached('run.begin')"], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"once\n")


@pytest.mark.parametrize("text", ["nowhere=kill", "run.begin=explode", "run.begin=kill@soon", "run.begin"])
def test_what_is_no_fault_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match=re.escape(text)):
        reached("run.end" + "ing")
