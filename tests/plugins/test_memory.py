from __future__ import annotations

import threading

import pytest

from headrace import Engine, Flow, task
from headrace.exceptions import ResultLocationError, ResultNotFoundError
from headrace_plugins.memory import MemoryStore, headrace_result_stores


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestStore:
    def test_what_is_written_can_be_read(self, store):
        store.write("a/b", b"data")
        assert store.read("a/b") == b"data"

    def test_a_write_replaces(self, store):
        store.write("a", b"old")
        store.write("a", b"new")
        assert store.read("a") == b"new"

    def test_what_was_never_written_is_not_found(self, store):
        with pytest.raises(ResultNotFoundError, match="'a'"):
            store.read("a")

    def test_exists(self, store):
        assert not store.exists("a")
        store.write("a", b"")
        assert store.exists("a")

    def test_delete_removes_and_does_nothing_twice(self, store):
        store.write("a", b"data")
        store.delete("a")
        store.delete("a")
        assert not store.exists("a")

    def test_later_changes_of_the_bytes_do_not_matter(self, store):
        data = bytearray(b"data")
        store.write("a", data)
        data[0] = 0
        assert store.read("a") == b"data"

    def test_different_spellings_of_a_location_are_one(self, store):
        store.write("a//./b", b"data")
        assert store.read("a/b") == b"data"

    @pytest.mark.parametrize("call", ["read", "exists", "delete", "write"])
    @pytest.mark.parametrize("location", ["", ".", "/a", "../a", "a/../../b", "a/..", "a\0b"])
    def test_a_location_outside_is_a_value_error(self, store, call, location):
        arguments = (location, b"data") if call == "write" else (location,)
        with pytest.raises(ResultLocationError):
            getattr(store, call)(*arguments)

    def test_stores_are_independent(self, store):
        store.write("a", b"data")
        assert not MemoryStore().exists("a")

    def test_threads_can_write_at_the_same_time(self, store):
        def write(number: int) -> None:
            for i in range(200):
                store.write(f"{number}/{i}", str(i).encode())

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(store.read(f"{number}/{i}") == str(i).encode() for number in range(4) for i in range(200))


def test_the_plugin_offers_the_store_under_its_scheme():
    (spec,) = headrace_result_stores()
    assert spec.name == "memory"
    assert isinstance(Engine().registry.create_from_url("store", "memory:"), MemoryStore)


def test_a_run_can_keep_its_results_there():
    with Flow("f") as flow:
        result = task(lambda: list(range(10)), name="numbers")()
        task(lambda x: None, name="reader")(result)
    state = flow.run(results="memory:", keep_results="none").result[result]
    assert state.result == list(range(10))
    assert state.location is not None
