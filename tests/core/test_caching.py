"""Validators, entries, locks and the store of the cache."""

from __future__ import annotations

import pickle
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace import Task, task
from headrace.caching import (
    Validator,
    all_inputs,
    all_parameters,
    duration_only,
    never_use,
    partial_inputs_only,
    partial_parameters_only,
)
from headrace.caching._entries import Entry
from headrace.caching._facts import code_of, compared
from headrace.caching._locks import KeyLock
from headrace.caching._pruning import Limits, keep_within, prune
from headrace.caching._store import CacheStore, open_cache
from headrace.envelope import digest_of, seal, unseal
from headrace.exceptions import (
    DefinitionTypeError,
    ForeignResultError,
    ResultError,
    TaskDefinitionError,
    UnhashableArgumentError,
)
from headrace.hashing import digest_arguments
from headrace.history.sealing import Sealer
from headrace.project import make_private, project_folder
from headrace.states import Cached
from headrace_plugins.file import FileStore
from headrace_plugins.memory import MemoryStore

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
EVERYTHING = [duration_only, all_inputs, all_parameters, partial_inputs_only, partial_parameters_only]


def cached(
    inputs: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None, expires: datetime | None = None
) -> Cached:
    return Cached(
        hashed_inputs=digest_arguments(inputs or {}),
        cached_parameters=parameters,
        cached_result_expiration=expires,
    )


class TestValidators:
    @pytest.mark.parametrize("validator", EVERYTHING)
    def test_no_expiration_means_for_ever(self, validator):
        assert validator(cached(), {}, {})

    @pytest.mark.parametrize("validator", EVERYTHING)
    def test_what_has_expired_is_not_used(self, validator):
        assert not validator(cached(expires=PAST), {}, {})

    @pytest.mark.parametrize("validator", EVERYTHING)
    def test_what_expires_later_is_used(self, validator):
        assert validator(cached(expires=FUTURE), {}, {})

    def test_never_use_never_does(self):
        assert not never_use(cached(expires=FUTURE), {}, {})

    def test_duration_only_looks_at_nothing_else(self):
        assert duration_only(cached({"x": 1}, {"p": 1}), {"x": 2}, {"p": 2})

    @pytest.mark.parametrize(
        ("inputs", "same"),
        [
            ({"x": 1, "y": [2]}, True),
            ({"x": 1, "y": [3]}, False),
            ({"x": 1}, False),
            ({"x": 1, "y": [2], "z": 0}, False),
        ],
    )
    def test_all_inputs_compares_all_of_them(self, inputs, same):
        assert all_inputs(cached({"x": 1, "y": [2]}), inputs, {"p": 1}) is same

    @pytest.mark.parametrize(("parameters", "same"), [({"p": 1, "q": 2}, True), ({"p": 1, "q": 3}, False), ({}, False)])
    def test_all_parameters_compares_all_of_them(self, parameters, same):
        assert all_parameters(cached({"x": 1}, {"p": 1, "q": 2}), {"x": 5}, parameters) is same

    @pytest.mark.parametrize(("inputs", "same"), [({"x": 1, "y": 9}, True), ({"x": 2, "y": 2}, False), ({}, False)])
    def test_partial_inputs_compares_the_named_ones(self, inputs, same):
        assert partial_inputs_only(validate_on=["x"])(cached({"x": 1, "y": 2}), inputs, {}) is same
        assert partial_inputs_only(cached({"x": 1, "y": 2}), inputs, {}, validate_on=["x"]) is same

    @pytest.mark.parametrize(("parameters", "same"), [({"p": 1, "q": 9}, True), ({"p": 2}, False), ({}, False)])
    def test_partial_parameters_compares_the_named_ones(self, parameters, same):
        assert partial_parameters_only(validate_on=["p"])(cached({}, {"p": 1, "q": 2}), {}, parameters) is same

    @pytest.mark.parametrize("validator", [partial_inputs_only, partial_parameters_only])
    def test_partial_ones_without_names_look_at_the_duration(self, validator):
        assert validator(cached({"x": 1}, {"p": 1}), {"x": 2}, {"p": 2})
        assert validator()(cached({"x": 1}, {"p": 1}), {"x": 2}, {"p": 2})

    def test_a_bare_text_is_no_list_of_names(self):
        with pytest.raises(DefinitionTypeError, match="validate_on"):
            partial_inputs_only(validate_on="day")

    def test_they_can_be_pickled_and_compared(self):
        for validator in (*EVERYTHING, partial_inputs_only(validate_on=["x"]), never_use):
            assert pickle.loads(pickle.dumps(validator)) == validator
        assert partial_inputs_only(validate_on=["a", "b"]) == partial_inputs_only(validate_on=["b", "a"])


class TestTaskArguments:
    def test_a_task_that_says_nothing_has_none(self):
        plain = Task()
        assert (plain.cache_for, plain.cache_validator, plain.cache_key, plain.target, plain.result) == (None,) * 5
        assert plain.storage is None

    def test_seconds_and_timedeltas_mean_the_same(self):
        assert Task(cache_for=90).cache_for == Task(cache_for=timedelta(seconds=90)).cache_for == timedelta(seconds=90)

    def test_without_a_validator_inputs_are_compared(self):
        assert Task(cache_for=1).cache_validator is all_inputs

    @pytest.mark.parametrize("options", [{"cache_for": "1h"}, {"cache_for": True}, {"cache_key": ["a"]}])
    def test_a_wrong_type_is_refused(self, options):
        with pytest.raises(DefinitionTypeError, match=next(iter(options))):
            Task(**options)

    @pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e300])
    def test_an_impossible_duration_is_refused(self, seconds):
        with pytest.raises(TaskDefinitionError, match="cache_for"):
            Task(cache_for=seconds)

    def test_a_validator_that_cannot_be_called_is_refused(self):
        with pytest.raises(DefinitionTypeError, match="cache_validator"):
            Task(cache_for=1, cache_validator=3)  # type: ignore[arg-type]

    def test_a_validator_without_cache_for_is_a_warning(self):
        with pytest.warns(UserWarning, match="nothing is cached"):
            Task(cache_validator=all_inputs)

    def test_a_validator_names_arguments_that_the_task_takes(self):
        with pytest.raises(TaskDefinitionError, match="'z'"):
            task(lambda x: x, name="t", cache_for=1, cache_validator=partial_inputs_only(validate_on=["z"]))

    def test_a_copy_can_change_one_of_them(self):
        one = Task(cache_for=1, cache_key="a")
        other = one.copy(cache_for=60)
        assert (one.cache_for, other.cache_for, other.cache_key) == (timedelta(seconds=1), timedelta(seconds=60), "a")

    def test_what_is_set_later_is_checked(self):
        plain = Task()
        with pytest.raises(DefinitionTypeError):
            plain.cache_for = "1h"  # type: ignore[assignment]
        plain.cache_for = timedelta(seconds=5)
        assert plain.cache_for == timedelta(seconds=5)


def entry(key: str = "k", *, bucket: str = "b", created: float = 0.0, expires: float | None = None) -> Entry:
    return Entry(
        bucket=bucket,
        key=key,
        task="t",
        flow="f",
        validator="all_inputs",
        index=None,
        inputs={"x": "1"},
        parameters={},
        code={},
        created=created,
        expires=expires,
        size=0,
        cached_parameters=b"\n\0",
    )


@pytest.fixture
def store(tmp_path) -> CacheStore:
    return cache_in(tmp_path)


def cache_in(folder: Path, key: bytes = b"k" * 32) -> CacheStore:
    store = FileStore(f"file:{folder}/cache")
    return CacheStore(store, Sealer(key), folder / "cache" / ".locks", place=f"{folder}/cache")


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("validator", [*EVERYTHING, never_use])
def test_there_is_one_of_each_validator_also_after_pickling(validator):
    assert pickle.loads(pickle.dumps(validator)) is validator


def test_a_partial_validator_that_was_told_names_is_pickled_with_them():
    chosen = partial_inputs_only(validate_on=["b", "a"])
    assert pickle.loads(pickle.dumps(chosen)) == chosen != partial_inputs_only


class TestStore:
    @pytest.mark.parametrize("data", [b"", b"\nvalue\0", b"x" * 200_000])
    def test_an_entry_comes_back_with_its_value(self, store, data):
        store.write(entry(), data)
        found = store.read("b", "k")
        assert (store.value_of(found), found.inputs, found.cached_parameters) == (data, {"x": "1"}, b"\n\0")
        assert found.size == len(data)

    def test_what_is_not_there_is_none(self, store):
        assert store.read("b", "k") is None

    def test_a_large_value_that_is_replaced_leaves_nothing_behind(self, store, tmp_path):
        for letter in b"a", b"b":
            store.write(entry(), letter * 200_000)
        assert len(files(tmp_path)) == 2
        assert store.value_of(store.read("b", "k"))[:1] == b"b"

    @pytest.mark.parametrize("size", [10, 200_000])
    def test_one_changed_bit_is_noticed_anywhere(self, store, tmp_path, size):
        store.write(entry(), b"x" * size)
        for path in list((tmp_path / "cache").rglob("*.*")):
            whole = path.read_bytes()
            for position in (0, 20, 60, len(whole) - 1):
                changed = bytearray(whole)
                changed[position] ^= 1
                path.write_bytes(changed)
                with pytest.raises(ResultError, match="damaged"):
                    store.value_of(store.read("b", "k"))
            path.write_bytes(whole)

    def test_entries_are_listed_with_the_newest_first(self, store):
        for number in range(3):
            store.write(entry(str(number), created=number), b"")
        store.write(entry("other", bucket="other"), b"")
        assert [e.key for e in store.entries("b")] == ["2", "1", "0"]
        assert len(list(store.entries())) == 4

    def test_what_is_damaged_is_told_and_left_out(self, store, tmp_path):
        store.write(entry("good"), b"")
        store.write(entry("bad"), b"")
        (tmp_path / "cache" / "b" / "bad.entry").write_bytes(b"no")
        told: list[str] = []
        assert [e.key for e in store.entries(damaged=lambda location, _: told.append(location))] == ["good"]
        assert told == ["b/bad.entry"]

    def test_pruning_removes_what_is_expired_damaged_or_orphaned(self, store, tmp_path):
        store.write(entry("old", expires=5), b"x" * 200_000)
        store.write(entry("new", expires=50), b"x" * 200_000)
        store.write(entry("damaged"), b"")
        (tmp_path / "cache" / "b" / "damaged.entry").write_bytes(b"no")
        (tmp_path / "cache" / "b" / "gone-1234.value").write_bytes(b"orphan")
        assert [e.key for e, _ in prune(store, 10, Limits()).removed] == ["old"]
        assert [name.partition("-")[0] for name in files(tmp_path)] == ["new", "new.entry"]

    def test_pruning_leaves_alone_what_somebody_is_computing(self, store):
        store.write(entry("old", expires=5), b"")
        lock = store.lock("b", "old")
        assert lock.acquire()
        assert prune(store, 10, Limits()).removed == []
        lock.release()
        assert len(prune(store, 10, Limits()).removed) == 1

    def test_a_bucket_can_be_emptied(self, store):
        store.write(entry("1"), b"x" * 200_000)
        store.write(entry("1", bucket="other"), b"")
        assert store.clear("b") == 1
        assert [e.bucket for e in store.entries()] == ["other"]


class TestSeals:
    """What this project has not sealed is never read, whoever wrote it."""

    def test_an_entry_of_another_project_is_refused_and_named(self, store, tmp_path):
        cache_in(tmp_path, b"o" * 32).write(entry(), b"value")
        with pytest.raises(ForeignResultError, match="/cache/b/k.entry was not written by this project"):
            store.read("b", "k")

    def test_an_entry_without_a_seal_is_refused(self, store):
        store.write_at("b/k.entry", entry().encode(None))
        with pytest.raises(ForeignResultError):
            store.read("b", "k")

    def test_an_entry_that_was_changed_under_a_new_digest_is_refused(self, store):
        store.write(entry(), b"value")
        content = unseal(store.bytes_at("b/k.entry"), "it")
        store.write_at("b/k.entry", seal(content.replace(b"value", b"other")))
        with pytest.raises(ForeignResultError):
            store.read("b", "k")

    def test_a_large_value_that_was_replaced_is_refused(self, store):
        store.write(entry(), b"x" * 200_000)
        (location,) = store.locations("b", ".value")
        store.write_at(location, seal(b"y" * 200_000))
        with pytest.raises(ForeignResultError, match=location):
            store.value_of(store.read("b", "k"))

    def test_an_entry_that_was_moved_is_refused(self, store):
        store.write(entry("wrong"), b"value")
        store.write_at("b/k.entry", store.bytes_at("b/wrong.entry"))
        with pytest.raises(ResultError, match="of another location"):
            store.read("b", "k")

    def test_a_value_that_belongs_to_another_entry_is_no_part_of_this_one(self, store):
        sealed = Sealer(b"k" * 32)
        planted = replace(entry(), value_at="b/other-12345678.value", digest=digest_of(b"x").hex())
        store.write_at("b/k.entry", planted.encode(sealed))
        with pytest.raises(ResultError, match="of another location"):
            store.read("b", "k")

    @pytest.mark.parametrize("changes", [{"created": "x"}, {"size": None}, {"expires": []}, {"key": 1}, {"bucket": {}}])
    def test_pruning_removes_what_has_facts_of_the_wrong_kind(self, store, changes):
        store.write(entry("good"), b"")
        store.write_at("b/k.entry", replace(entry(), **changes).encode(None))
        store.write_at("b/list.entry", seal(b"[1]\n"))
        store.write_at("b/deep.entry", seal(b"[" * 100_000))
        prune(store, 10, Limits(max_bytes=10_000_000, max_age=1000))
        assert store.locations("b", ".entry") == ["b/good.entry"]

    def test_others_are_left_out_of_lists_and_told(self, store, tmp_path):
        store.write(entry("ours"), b"")
        cache_in(tmp_path, b"o" * 32).write(entry("theirs"), b"")
        told: list[ResultError] = []
        assert [e.key for e in store.entries(damaged=lambda _, error: told.append(error))] == ["ours"]
        assert [type(error) for error in told] == [ForeignResultError]

    def test_pruning_counts_and_keeps_what_others_may_still_use(self, store, tmp_path):
        other = cache_in(tmp_path, b"o" * 32)
        other.write(entry("good"), b"x" * 100_000)
        other.write(entry("old", expires=5), b"x" * 100_000)
        assert [e.key for e, _ in prune(store, 10, Limits()).removed] == ["old"]
        assert [e.key for e in other.entries()] == ["good"]
        assert prune(store, 10, Limits()).bytes > 100_000
        assert [e.key for e, _ in prune(store, 10, Limits(max_bytes=50_000)).removed] == ["good"]
        assert other.locations(None, ".value") == []

    def test_a_value_of_another_project_that_is_replaced_leaves_nothing_behind(self, store, tmp_path):
        cache_in(tmp_path, b"o" * 32).write(entry(), b"x" * 200_000)
        store.write(entry(), b"y" * 200_000)
        assert len(store.locations("b", ".value")) == 1


class TestLimits:
    @pytest.fixture
    def full(self, store):
        """Four entries of a little more than 1000 bytes, one a second."""
        for second in range(4):
            store.write(entry(str(second), created=second), b"x" * 1000)
        return store

    def keys(self, store) -> list[str]:
        return sorted(e.key for e in store.entries())

    def test_what_is_too_old_goes(self, full):
        pruned = prune(full, 12, Limits(max_age=10))
        assert [(e.key, why) for e, why in pruned.removed] == [("0", "old"), ("1", "old"), ("2", "old")]
        assert (self.keys(full), pruned.oldest) == (["3"], 3)

    def test_the_oldest_go_to_make_room(self, full):
        pruned = prune(full, 12, Limits(max_bytes=4000))
        assert [(e.key, why) for e, why in pruned.removed] == [("0", "space"), ("1", "space")]
        assert 2000 < pruned.bytes <= 3600

    def test_what_fits_stays(self, full):
        total = prune(full, 12, Limits()).bytes
        assert 4000 < total < 6000
        assert prune(full, 12, Limits(max_bytes=total, max_age=100)).removed == []

    def test_values_that_lie_apart_count(self, store):
        store.write(entry("0", created=0), b"x" * 100_000)
        store.write(entry("1", created=1), b"x")
        pruned = prune(store, 12, Limits(max_bytes=50_000))
        assert [e.key for e, _ in pruned.removed] == ["0"]
        assert store.locations(None, ".value") == []

    def test_what_is_to_be_kept_stays_whatever_the_limits(self, full):
        prune(full, 12, Limits(max_bytes=1, max_age=1), keep={"b/1.entry"})
        assert self.keys(full) == ["1"]

    def test_what_somebody_is_computing_stays(self, full):
        lock = full.lock("b", "0")
        assert lock.acquire()
        prune(full, 12, Limits(max_age=1))
        lock.release()
        assert self.keys(full) == ["0"]

    def test_an_account_saves_looking_through_the_entries(self, full):
        limits = Limits(max_bytes=100_000)
        keep_within(full, limits, 10, full.written.total, ())
        (location,) = full.locations("b", "0.entry")
        full.write_at(location, b"damaged, which a look through the entries would remove")
        keep_within(full, limits, 20, 1000, ())
        assert location in full.locations("b", ".entry")

    def test_the_account_adds_up_until_there_is_too_much(self, full):
        limits = Limits(max_bytes=10_000)
        keep_within(full, limits, 10, full.written.total, ())
        for second in range(4, 20):
            before = full.written.total
            full.write(entry(str(second), created=second), b"x" * 1000)
            keep_within(full, limits, 20, full.written.total - before, ())
        left = prune(full, 20, Limits()).bytes
        assert 6000 < left <= 10_000
        assert "19" in self.keys(full)

    def test_the_account_knows_when_something_becomes_too_old(self, full):
        limits = Limits(max_age=10)
        keep_within(full, limits, 5, full.written.total, ())
        keep_within(full, limits, 9, 1, ())
        assert len(self.keys(full)) == 4
        keep_within(full, limits, 11, 1, ())
        assert self.keys(full) == ["2", "3"]

    @pytest.mark.parametrize("account", [b"", b"no", b"[1]", b"[null, 0, 0]"])
    def test_a_damaged_account_is_made_anew(self, full, account):
        full.write_at("usage.json", account)
        keep_within(full, Limits(max_age=10), 12, 1, ())
        assert self.keys(full) == ["3"]

    def test_an_account_is_made_anew_after_a_day_or_if_nobody_knows_what_was_written(self, full):
        for now, written in ((90_000.0, 1), (100.0, 0)):
            full.write_at("usage.json", b"[0, 90000, 0]")
            full.write(entry("expired", expires=5), b"")
            keep_within(full, Limits(max_bytes=100_000), now, written, ())
            assert "expired" not in self.keys(full)

    def test_two_do_not_prune_at_once(self, full):
        lock = full.lock_at("usage")
        assert lock.acquire()
        keep_within(full, Limits(max_age=1), 12, 1, ())
        lock.release()
        assert len(self.keys(full)) == 4

    def test_a_store_can_be_pickled_and_begins_to_count_anew(self, full):
        assert pickle.loads(pickle.dumps(full)).written.total == 0


class TestLocks:
    def test_one_holder_at_a_time(self, tmp_path):
        one, other = KeyLock(tmp_path / "k.lock"), KeyLock(tmp_path / "k.lock")
        assert (one.acquire(), other.acquire()) == (True, False)
        one.release()
        assert other.acquire()
        other.release()

    def test_no_file_is_left_behind(self, tmp_path):
        lock = KeyLock(tmp_path / "k.lock")
        lock.acquire()
        lock.release()
        lock.release()
        assert list(tmp_path.iterdir()) == []

    def test_threads_never_hold_it_together(self, tmp_path):
        inside: list[int] = []
        most: list[int] = []

        def work() -> None:
            done = 0
            while done < 50:
                lock = KeyLock(tmp_path / "k.lock")
                if lock.acquire():
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    lock.release()
                    done += 1

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (max(most), len(most)) == (1, 200)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ResultError, match=r"file/k\.lock"):
            KeyLock(tmp_path / "file" / "k.lock").acquire()


class TestFacts:
    def test_what_is_not_compared_is_not_hashed(self):
        facts = compared(partial_inputs_only(validate_on=["x"]), {}, {"x": 1, "lock": threading.Lock()}, {}, None)
        assert list(facts["inputs"]) == ["x"]

    def test_an_argument_without_a_hash_is_named(self):
        with pytest.raises(UnhashableArgumentError, match="'lock'"):
            compared(all_inputs, {}, {"lock": threading.Lock()}, {}, None)

    @pytest.mark.parametrize("validator", [duration_only, all_parameters, partial_inputs_only, partial_parameters_only])
    def test_children_are_kept_apart(self, validator):
        keys = {compared(validator, {}, {}, {}, index)["key"] for index in (None, 0, 1)}
        assert len(keys) == 3

    def test_children_with_equal_inputs_share_an_entry(self):
        one, other = (compared(all_inputs, {}, {"x": 1}, {}, index) for index in (0, 1))
        assert one == other

    def test_any_difference_makes_another_key(self):
        base: tuple[Validator, dict[str, str], dict[str, Any], dict[str, Any]] = (
            all_inputs,
            {"run": "1"},
            {"x": 1},
            {},
        )
        keys = {
            compared(*base, None)["key"],
            compared(duration_only, *base[1:], None)["key"],
            compared(base[0], {"run": "2"}, *base[2:], None)["key"],
            compared(*base[:2], {"x": 2}, base[3], None)["key"],
        }
        assert len(keys) == 4

    def test_the_code_of_a_function_counts(self):
        assert code_of(task(lambda x: x)) != code_of(task(lambda x: x + 1))
        assert code_of(task(lambda x: x)) == code_of(task(lambda x: x, cache_for=60, name="t"))

    def test_a_function_without_source_counts_by_name(self):
        names: dict[str, Any] = {}
        exec("def typed(x): return x", names)
        assert code_of(task(names["typed"])) == code_of(task(names["typed"]))

    def test_attributes_of_a_class_count(self):
        class Query(Task):
            def __init__(self, text: Any, **options: Any) -> None:
                self.text = text
                super().__init__(**options)

        assert code_of(Query("a")) == code_of(Query("a", name="n", cache_for=3)) != code_of(Query("b"))
        with pytest.raises(UnhashableArgumentError, match="cache_key"):
            code_of(Query(threading.Lock()))


class TestFolders:
    def test_the_nearest_project_above_counts(self, tmp_path):
        (tmp_path / ".headrace").mkdir()
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert project_folder(tmp_path / "a" / "b", {"HOME": "/nowhere"}) == tmp_path / ".headrace"

    def test_the_folder_of_the_user_is_no_project_for_those_below(self, tmp_path):
        (tmp_path / ".headrace").mkdir()
        (tmp_path / "a").mkdir()
        assert project_folder(tmp_path / "a", {"HOME": str(tmp_path)}) == tmp_path / "a" / ".headrace"
        assert project_folder(tmp_path, {"HOME": str(tmp_path)}) == tmp_path / ".headrace"

    def test_a_new_project_folder_is_ignored_as_a_whole(self, tmp_path):
        make_private(tmp_path / ".headrace" / "cache")
        assert (tmp_path / ".headrace" / ".gitignore").read_text().endswith("*\n")

    def test_a_project_folder_with_a_configuration_stays_visible(self, tmp_path):
        (tmp_path / ".headrace").mkdir()
        make_private(tmp_path / ".headrace" / "cache")
        assert not (tmp_path / ".headrace" / ".gitignore").exists()
        assert (tmp_path / ".headrace" / "cache" / ".gitignore").exists()

    def test_a_configured_cache_is_used_instead(self, tmp_path):
        stores: list[str] = []

        def make(url: str) -> MemoryStore:
            stores.append(url)
            return MemoryStore(url)

        cache = open_cache({"cache": {"url": "memory:"}}, make)
        cache.write(entry(), b"1")
        assert stores == ["memory:"]
        assert [e.key for e in cache.entries()] == ["k"]

    def test_a_cache_in_memory_needs_no_key(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        cache = open_cache({"cache": {"url": "memory:"}}, MemoryStore)
        cache.prepare()
        cache.write(entry(), b"1")
        assert list(tmp_path.iterdir()) == []

    def test_a_cache_elsewhere_is_sealed_with_the_key_of_the_project(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        caches = []
        for project in "one", "two", "one":
            monkeypatch.setenv("HEADRACE_HOME", f"{tmp_path}/{project}")
            caches.append(open_cache({"cache": {"url": f"file:{tmp_path}/shared"}}, FileStore))
            if project == "one":
                caches[0].write(entry(), b"1")
        assert caches[2].read("b", "k") is not None
        with pytest.raises(ForeignResultError, match=f"{tmp_path}/shared/b/k.entry"):
            caches[1].read("b", "k")


@pytest.mark.parametrize("make", [lambda path: FileStore(f"file:{path}"), lambda path: MemoryStore()])
class TestListing:
    def test_a_store_lists_what_lies_below_a_folder(self, make, tmp_path):
        store = make(tmp_path / "store")
        for location in ("a/1", "a/b/2", "ab/3", "4"):
            store.write(location, b"")
        assert sorted(store.locations("a")) == ["a/1", "a/b/2"]
        assert sorted(store.locations()) == ["4", "a/1", "a/b/2", "ab/3"]

    def test_nothing_is_listed_where_there_is_nothing(self, make, tmp_path):
        assert list(make(tmp_path / "store").locations("a")) == []
