"""HttpDownload: the file is there and whole, or not there."""

from __future__ import annotations

import ctypes
import gzip
import threading
import time
from pathlib import Path

import pytest

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace_tasklib.http import HttpDownload, HttpError, HttpTransientError


def test_writes_the_body_and_returns_the_path(server, tmp_path):
    body = bytes(range(256)) * 4000
    server.answer("/a", body=body)
    path = HttpDownload(server.url + "/a", tmp_path / "a.bin").run()
    assert path == tmp_path / "a.bin"
    assert path.read_bytes() == body
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_takes_the_path_as_text(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.answer("/a", body=b"x")
    assert HttpDownload().run(server.url + "/a", "a.txt") == Path("a.txt")


def test_makes_missing_parent_folders(server, tmp_path):
    server.answer("/a", body=b"x")
    assert HttpDownload(server.url + "/a", tmp_path / "b" / "c" / "a").run().read_bytes() == b"x"


def test_replaces_a_file(server, tmp_path):
    (tmp_path / "a").write_text("a longer old content")
    server.answer("/a", body=b"new")
    assert HttpDownload(server.url + "/a", tmp_path / "a").run().read_text() == "new"


def test_gives_the_file_the_usual_permissions(server, tmp_path):
    (tmp_path / "usual").touch()
    server.answer("/a", body=b"x")
    path = HttpDownload(server.url + "/a", tmp_path / "a").run()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_decompresses_what_was_compressed_for_the_way(server, tmp_path):
    server.answer("/a", body=gzip.compress(b"plain"), headers={"Content-Encoding": "gzip"})
    assert HttpDownload(server.url + "/a", tmp_path / "a").run().read_bytes() == b"plain"


def test_a_truncated_body_leaves_nothing(server, tmp_path):
    server.answer("/a", body=b"x" * 100_000, promised=200_000)
    with pytest.raises(HttpTransientError, match="broke off"):
        HttpDownload(server.url + "/a", tmp_path / "a").run()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_as_it_was(server, tmp_path):
    (tmp_path / "a").write_text("old")
    server.answer("/a", body=b"half", promised=8)
    with pytest.raises(HttpTransientError):
        HttpDownload(server.url + "/a", tmp_path / "a").run()
    assert (tmp_path / "a").read_text() == "old"


def test_an_interruption_leaves_nothing(server, tmp_path):
    """The exception is raised into the task's thread, as a soft timeout does, while the body arrives."""
    server.answer("/a", body=b"x" * 100_000, promised=10**9, for_ever=True)
    caught = []

    def run():
        try:
            HttpDownload(server.url + "/a", tmp_path / "a").run()
        except BaseException as error:
            caught.append(type(error))

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 5
    # Until something was written, the exception could land between opening the file and the block that closes it.
    while not any(p.stat().st_size for p in tmp_path.glob(".a.*.part")) and time.monotonic() < deadline:
        time.sleep(0.005)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(KeyboardInterrupt))
    thread.join(5)
    assert caught == [KeyboardInterrupt]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_bad_status_writes_nothing(server, tmp_path, status):
    server.answer("/a", status, b"page")
    with pytest.raises(HttpError, match=str(status)):
        HttpDownload(server.url + "/a", tmp_path / "a", follow_redirects=False).run()
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_server_makes_no_folder(free_port, tmp_path):
    with pytest.raises(HttpTransientError):
        HttpDownload(f"http://127.0.0.1:{free_port}/", tmp_path / "b" / "a").run()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_as_path_is_refused(tmp_path):
    with pytest.raises(TaskDefinitionError, match="is a folder"):
        HttpDownload("http://127.0.0.1/", tmp_path).run()


@pytest.mark.parametrize("path", [None, 3])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(DefinitionTypeError, match="`path`"):
        HttpDownload("http://127.0.0.1/", path).run()


def test_a_file_where_a_parent_should_be_is_named(server, tmp_path):
    server.answer("/a", body=b"x")
    (tmp_path / "b").touch()
    with pytest.raises(OSError, match="b"):
        HttpDownload(server.url + "/a", tmp_path / "b" / "a").run()
