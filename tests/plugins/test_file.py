from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace import Engine, Flow, task
from headrace.exceptions import ResultError, ResultLocationError, ResultNotFoundError
from headrace_plugins.file import FileStore, headrace_result_stores


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(f"file://{tmp_path}/store")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name == "nt" or os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


class TestUrl:
    @pytest.mark.parametrize(
        ("url", "root"),
        [
            ("file:results", "results"),
            ("file:a/b", "a/b"),
            ("file:///srv/results", "/srv/results"),
            ("file://localhost/srv", "/srv"),
            ("file:with%20space", "with space"),
            ("file:~/results", str(Path.home() / "results")),
        ],
    )
    def test_it_names_a_folder(self, url, root):
        assert FileStore(url).root == Path(root)

    def test_the_default_lies_under_the_project(self):
        assert FileStore().root == Path(".headrace/results")

    @pytest.mark.parametrize("url", ["file:", "file://", "file://other.machine/srv"])
    def test_a_url_without_a_folder_of_this_machine_is_a_value_error(self, url):
        with pytest.raises(ResultLocationError, match=r"file:folder"):
            FileStore(url)

    def test_making_a_store_makes_no_folder(self, tmp_path):
        FileStore(f"file://{tmp_path}/new")
        assert list(tmp_path.iterdir()) == []


class TestStore:
    def test_what_is_written_can_be_read(self, store):
        store.write("a/b/c", b"data")
        assert store.read("a/b/c") == b"data"

    def test_another_store_of_the_same_folder_can_read_it(self, store):
        store.write("a", b"data")
        assert FileStore(f"file://{store.root}").read("a") == b"data"

    def test_a_write_replaces(self, store):
        store.write("a", b"old")
        store.write("a", b"new")
        assert store.read("a") == b"new"

    def test_nothing_but_the_result_is_left(self, store):
        store.write("a", b"old")
        store.write("a", b"new")
        assert files(store.root) == ["a"]

    def test_empty_bytes_are_bytes(self, store):
        store.write("a", b"")
        assert store.exists("a")
        assert store.read("a") == b""

    def test_exists(self, store):
        assert not store.exists("a")
        store.write("a", b"data")
        assert store.exists("a")

    def test_delete_removes_and_does_nothing_twice(self, store):
        store.write("a", b"data")
        store.delete("a")
        store.delete("a")
        assert not store.exists("a")

    def test_a_name_of_250_bytes_is_fine(self, store):
        store.write("x" * 250, b"data")
        assert store.read("x" * 250) == b"data"

    def test_others_on_the_machine_cannot_read_results(self, store):
        store.write("a", b"data")
        assert (store.root / "a").stat().st_mode & 0o077 == 0


class TestNothingThere:
    @pytest.mark.parametrize("location", ["missing", "missing/below", "file/below", "folder", "x" * 300])
    def test_exists_says_so(self, store, location):
        store.write("file", b"data")
        store.write("folder/inside", b"data")
        assert store.exists(location) is False

    @pytest.mark.parametrize("location", ["missing", "missing/below", "file/below", "folder"])
    def test_read_is_not_found_and_names_the_path(self, store, location):
        store.write("file", b"data")
        store.write("folder/inside", b"data")
        with pytest.raises(ResultNotFoundError, match=location) as caught:
            store.read(location)
        assert isinstance(caught.value.__cause__, OSError)

    @pytest.mark.parametrize("location", ["missing", "missing/below", "file/below", "folder"])
    def test_delete_does_nothing(self, store, location):
        store.write("file", b"data")
        store.write("folder/inside", b"data")
        store.delete(location)
        assert files(store.root) == ["file", "folder/inside"]


@pytest.mark.parametrize("call", ["read", "exists", "delete", "write"])
class TestEscapes:
    @pytest.mark.parametrize("location", ["", ".", "/etc/passwd", "../a", "a/../../b", "..", "a/..", "a\0b"])
    def test_a_location_outside_is_a_value_error(self, store, call, location):
        with pytest.raises(ResultLocationError):
            getattr(store, call)(*((location, b"data") if call == "write" else (location,)))

    @pytest.mark.parametrize("location", ["link", "link/below", "folder/link"])
    def test_a_link_that_leads_out_is_a_value_error(self, store, tmp_path, call, location):
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "below").write_bytes(b"secret")
        (store.root / "folder").mkdir(parents=True)
        target = outside if location == "link/below" else outside / "below"
        (store.root / location.removesuffix("/below")).symlink_to(target)
        with pytest.raises(ResultLocationError, match="symbolic link"):
            getattr(store, call)(*((location, b"data") if call == "write" else (location,)))
        assert (outside / "below").read_bytes() == b"secret"

    def test_a_link_to_itself_is_a_value_error(self, store, call):
        store.root.mkdir()
        (store.root / "loop").symlink_to("loop")
        with pytest.raises(ResultLocationError, match="symbolic link"):
            getattr(store, call)(*(("loop", b"data") if call == "write" else ("loop",)))

    def test_the_store_itself_may_be_a_link(self, store, tmp_path, call):
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "a").write_bytes(b"data")
        store.root.symlink_to(tmp_path / "real")
        getattr(store, call)(*(("a", b"data") if call == "write" else ("a",)))


class TestTrouble:
    def test_a_file_in_the_place_of_the_folder_is_an_error_that_names_the_path(self, tmp_path):
        (tmp_path / "store").write_bytes(b"in the way")
        with pytest.raises(ResultError, match=r"store/a cannot be written.*free space and the permissions") as caught:
            FileStore(f"file://{tmp_path}/store").write("a", b"data")
        assert isinstance(caught.value.__cause__, OSError)
        assert files(tmp_path) == ["store"]

    def test_a_folder_in_the_place_of_the_file_is_an_error_and_stays(self, store):
        store.write("a/b", b"data")
        with pytest.raises(ResultError, match="cannot be written"):
            store.write("a", b"data")
        assert files(store.root) == ["a/b"]

    def test_a_name_that_is_too_long_is_an_error_and_leaves_nothing(self, store):
        with pytest.raises(ResultError, match="too long"):
            store.write("x" * 300, b"data")
        assert files(store.root) == []

    def test_what_is_no_bytes_leaves_nothing(self, store):
        with pytest.raises(TypeError):
            store.write("a", "text")
        assert files(store.root) == []

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_without_permission_is_an_error(self, store):
        store.root.mkdir(mode=0o500)
        with pytest.raises(ResultError, match="Permission denied"):
            store.write("a", b"data")

    def test_a_full_disk_is_an_error_that_leaves_the_old_result_and_no_partial_file(self, small_disk):
        store = FileStore(f"file://{small_disk}")
        store.write("a", b"old")
        with pytest.raises(ResultError, match="No space left") as caught:
            store.write("a", b"x" * 1_000_000)
        assert getattr(caught.value.__cause__, "errno", None) == errno.ENOSPC
        assert files(small_disk) == ["a"]
        assert store.read("a") == b"old"

    def test_a_disk_that_was_full_can_be_written_again(self, small_disk):
        store = FileStore(f"file://{small_disk}")
        with pytest.raises(ResultError):
            store.write("a", b"x" * 1_000_000)
        store.write("a", b"small")
        assert store.read("a") == b"small"

    def test_a_full_disk_fails_the_task_that_returned_the_result_and_no_other(self, small_disk):
        with Flow("f") as flow:
            large = task(lambda: "x" * 1_000_000, name="large")()
            small = task(lambda: 1, name="small")()
        state = flow.run(results=f"file://{small_disk}")
        assert isinstance(state.result[large].result, ResultError)
        assert state.result[small].is_successful()

    @pytest.mark.skipif(sys.platform == "win32", reason="limits are a matter of POSIX")
    def test_a_limit_on_the_size_of_files_leaves_no_partial_file(self, tmp_path):
        code = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "from headrace_plugins.file import FileStore\n"
            "from headrace.exceptions import ResultError\n"
            "try: FileStore(sys.argv[1]).write('a', b'x' * 100_000)\n"
            "except ResultError as error: print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, f"file://{tmp_path}"], capture_output=True, text=True, check=True
        )
        assert "File too large" in done.stdout
        assert files(tmp_path) == []

    def test_a_process_that_is_killed_while_writing_leaves_the_old_result(self, store):
        store.write("a", b"old")
        code = (
            "import os, sys\n"
            "from headrace_plugins.file import FileStore\n"
            "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
            "FileStore(sys.argv[1]).write('a', b'new')\n"
        )
        subprocess.run([sys.executable, "-c", code, f"file://{store.root}"], capture_output=True, check=False)
        assert store.read("a") == b"old"


class TestConcurrency:
    def test_readers_see_one_of_the_results_whole(self, store):
        values = [bytes([number]) * 50_000 for number in range(4)]
        store.write("a", values[0])
        torn: list[bytes] = []
        done = threading.Event()

        def write(value: bytes) -> None:
            for _ in range(20):
                store.write("a", value)

        def read() -> None:
            while not done.is_set():
                found = store.read("a")
                if found not in values:
                    torn.append(found)

        writers = [threading.Thread(target=write, args=(value,)) for value in values]
        reader = threading.Thread(target=read)
        for thread in (*writers, reader):
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        reader.join()
        assert torn == []
        assert files(store.root) == ["a"]

    def test_threads_can_make_the_same_folders_at_the_same_time(self, store):
        barrier = threading.Barrier(8)
        errors: list[BaseException] = []

        def write(number: int) -> None:
            barrier.wait()
            try:
                store.write(f"a/b/c/{number}", b"data")
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(files(store.root)) == 8

    def test_a_run_on_threads_stores_every_mapped_result(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda x: x * 2, name="double").map(list(range(50)))
        state = flow.run(results=f"file://{tmp_path}", executor="threads")
        assert state.result[result].result == [2 * i for i in range(50)]
        assert len({child.location for child in state.result[result].map_states}) == 50
        assert len(files(tmp_path)) == 50


class TestInARun:
    def test_results_are_stored_where_the_state_says(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: [1, 2], name="numbers")()
        state = flow.run(results=f"file://{tmp_path}").result[result]
        assert state.location.endswith("/numbers-1.result")
        assert files(tmp_path) == [state.location]

    def test_released_results_of_tasks_with_similar_names_are_read_back(self, tmp_path):
        with Flow("f") as flow:
            one = task(lambda: "first", name="é")()
            two = task(lambda: "second", name="ü")()
            task(lambda x, y: None, name="reader")(one, two)
        state = flow.run(results=f"file://{tmp_path}", keep_results="none")
        assert (state.result[one].result, state.result[two].result) == ("first", "second")

    def test_a_released_result_that_was_damaged_since_is_an_error(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: "x" * 100, name="text")()
            task(lambda x: None, name="reader")(result)
        state = flow.run(results=f"file://{tmp_path}", keep_results="none").result[result]
        path = tmp_path / state.location
        path.write_bytes(path.read_bytes().replace(b"xxx", b"yyy"))
        with pytest.raises(ResultError, match="digest does not match"):
            _ = state.result

    def test_a_task_can_opt_out(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: 1, checkpoint=False)()
        assert flow.run(results=f"file://{tmp_path}").result[result].location is None
        assert files(tmp_path) == []

    def test_a_result_that_cannot_be_pickled_fails_its_task_and_leaves_nothing(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: (threading.Lock(),), name="lock")()
        state = flow.run(results=f"file://{tmp_path}").result[result]
        assert isinstance(state.result, TypeError)
        assert files(tmp_path) == []

    def test_a_task_with_100000_tags_can_store_its_result(self, tmp_path):
        many = [str(i) for i in range(100_000)]
        with Flow("f") as flow:
            result = task(lambda: 1, tags=many)()
        assert flow.run(results=f"file://{tmp_path}").result[result].is_successful()


def test_the_plugin_offers_the_store_under_its_scheme(tmp_path):
    (spec,) = headrace_result_stores()
    assert spec.name == "file"
    found = Engine().registry.create_from_url("store", f"file://{tmp_path}")
    assert isinstance(found, FileStore)
    assert found.root == tmp_path
