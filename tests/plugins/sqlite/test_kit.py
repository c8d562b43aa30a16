"""The tests that a history inherits notice what a history may do wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.abc import RunJournal
from headrace.exceptions import RunEndedError
from headrace.history import ValueRecord
from headrace.testing import RunStoreConformance
from headrace_plugins.sqlite.store import SQLiteRunStore


class Journal(RunJournal):
    """Does what the journal behind it does."""

    def __init__(self, journal: RunJournal) -> None:
        self.behind: Any = journal

    def began(self, *said: Any) -> None:
        self.behind.began(*said)

    def expanded(self, *said: Any) -> None:
        self.behind.expanded(*said)

    def waiting(self, *said: Any) -> None:
        self.behind.waiting(*said)

    def attempted(self, *said: Any) -> None:
        self.behind.attempted(*said)

    def finished(self, *said: Any) -> None:
        self.behind.finished(*said)

    def taken_over(self, *said: Any) -> None:
        self.behind.taken_over(*said)

    def noted(self, *said: Any) -> None:
        self.behind.noted(*said)

    def logged(self, *said: Any) -> None:
        self.behind.logged(*said)

    def bound_logs(self, *said: Any) -> None:
        self.behind.bound_logs(*said)

    def entered(self, *said: Any) -> None:
        self.behind.entered(*said)

    def flush(self) -> None:
        self.behind.flush()

    def ended(self, *said: Any) -> None:
        self.behind.ended(*said)

    def cancel_request(self) -> str | None:
        found: str | None = self.behind.cancel_request()
        return found

    def limited_tags(self) -> frozenset[str]:
        found: frozenset[str] = self.behind.limited_tags()
        return found

    def take_slots(self, *asked: Any) -> bool:
        found: bool = self.behind.take_slots(*asked)
        return found

    def abandon(self, why: str | None = None, /) -> None:
        self.behind.abandon(why)


class DropsValues(Journal):
    def finished(self, *said: Any) -> None:
        self.behind.finished(*said[:7])


class MovesValues(Journal):
    def finished(self, *said: Any) -> None:
        value = said[7] if len(said) > 7 else None
        self.behind.finished(*said[:7], value and ValueRecord(value.data or b"", *value[1:]), *said[8:])


class TakesNoneForZero(Journal):
    def expanded(self, *said: Any) -> None:
        if said[1]:
            self.behind.expanded(*said)


class ForgetsAttempts(Journal):
    def attempted(self, *said: Any) -> None:
        pass


class SaysTwice(Journal):
    def finished(self, *said: Any) -> None:
        self.behind.finished(*said)
        self.behind.noted(said[0], said[1], "kind", "text")


class LogsNothing(Journal):
    def logged(self, *said: Any) -> None:
        pass


class LogsWithoutBounds(Journal):
    def bound_logs(self, *said: Any) -> None:
        self.behind.bound_logs(1 << 30, 1 << 30)


class HearsNothing(Journal):
    def cancel_request(self) -> None:
        return None


class SeesNoLimits(Journal):
    def limited_tags(self) -> frozenset[str]:
        return frozenset()


class GivesSlotsToAll(Journal):
    def take_slots(self, *asked: Any) -> bool:
        super().take_slots(*asked)
        return True


class GivesNoSlotTwice(Journal):
    """Keeps slots as long as the run goes on."""

    def finished(self, *said: Any) -> None:
        pass


class KeepsNoOrder(Journal):
    """Sends everybody who cannot begin to the end of the line."""

    def take_slots(self, *asked: Any) -> bool:
        found = super().take_slots(*asked)
        if not found:
            self.waiting(asked[0], asked[1], 1, "Scheduled", None, 10.0)
            self.behind.flush()
        return found


class DoesNotFlush(Journal):
    def flush(self) -> None:
        pass


class EndsTooEarly(Journal):
    def ended(self, *said: Any) -> None:
        self.behind.abandon()


class ForgetsWhy(Journal):
    def abandon(self, why: str | None = None, /) -> None:
        self.behind.abandon()


class StaysOpen(Journal):
    def abandon(self, why: str | None = None, /) -> None:
        pass


def store_with(wrap: Callable[[RunJournal], RunJournal]) -> type[SQLiteRunStore]:
    class Wrapping(SQLiteRunStore):
        def begin(self, *args: Any, **options: Any) -> RunJournal:
            return wrap(super().begin(*args, **options))

    return Wrapping


class ResumesTwice(SQLiteRunStore):
    def begin(self, *args: Any, **options: Any) -> RunJournal:
        return super().begin(*args, **{**options, "again": True})


class TakesNothingOver(SQLiteRunStore):
    def begin(self, *args: Any, **options: Any) -> RunJournal:
        return super().begin(*args, **{**options, "taken_over": ()})


class TakesAllForDead(SQLiteRunStore):
    def is_alive(self, run_id: str) -> bool | None:
        super().is_alive(run_id)
        return False


class NeverSweeps(SQLiteRunStore):
    def sweep(self, *, foreign: bool = False) -> tuple[()]:
        return ()


class ForgetsNothing(SQLiteRunStore):
    def delete(self, run_id: str) -> tuple[()]:
        self._read(lambda connection: self._key(run_id, connection), run_id)
        return ()


class CancelsWhateverIsAsked(SQLiteRunStore):
    def request_cancel(self, run_id: str, reason: str = "") -> None:
        with contextlib.suppress(RunEndedError):
            super().request_cancel(run_id, reason)


class FindsNothing(SQLiteRunStore):
    def check(self) -> list[Any]:
        return []


class IgnoresLogQueries(SQLiteRunStore):
    def logs(self, run_id: str, query: Any = None) -> Any:
        return super().logs(run_id)


class IgnoresQueries(SQLiteRunStore):
    def task_runs(self, run_id: str, query: Any = None) -> Any:
        return super().task_runs(run_id)


MUTANTS = [
    (store_with(DropsValues), "test_a_task_run_that_finished_has_its_value"),
    (store_with(MovesValues), "test_values_of_all_sorts_come_back"),
    (store_with(TakesNoneForZero), "test_the_number_of_children_is_known_before_the_first_one"),
    (store_with(ForgetsAttempts), "test_earlier_attempts_are_listed_in_order"),
    (store_with(SaysTwice), "test_remarks_are_kept_in_order"),
    (store_with(LogsNothing), "test_what_was_logged_is_found"),
    (store_with(LogsWithoutBounds), "test_a_task_run_that_logs_too_much_keeps_its_beginning_and_its_end"),
    (store_with(LogsWithoutBounds), "test_a_run_that_logs_too_much_keeps_its_beginning_and_its_end"),
    (IgnoresLogQueries, "test_logs_are_found_by_what_they_are"),
    (store_with(HearsNothing), "test_a_run_hears_that_it_is_to_end"),
    (CancelsWhateverIsAsked, "test_only_a_run_that_goes_on_can_be_asked_to_end"),
    (store_with(SeesNoLimits), "test_runs_see_which_tags_are_limited"),
    (store_with(GivesSlotsToAll), "test_it_is_all_or_nothing"),
    (store_with(GivesNoSlotTwice), "test_no_more_run_than_there_are_slots"),
    (store_with(KeepsNoOrder), "test_who_came_first_is_served_first"),
    (NeverSweeps, "test_a_killed_process_holds_nothing"),
    (store_with(DoesNotFlush), "test_a_task_run_that_began_is_running"),
    (store_with(EndsTooEarly), "test_all_of_it_is_there_when_it_has_ended"),
    (store_with(StaysOpen), "test_an_abandoned_run_is_one_whose_owner_died"),
    (store_with(ForgetsWhy), "test_a_run_that_was_interrupted_again_is_cancelled"),
    (ResumesTwice, "test_a_run_is_resumed_once"),
    (TakesNothingOver, "test_a_run_has_what_the_one_before_it_finished"),
    (TakesAllForDead, "test_a_run_is_alive_until_it_ends"),
    (NeverSweeps, "test_what_a_killed_process_said_is_there"),
    (ForgetsNothing, "test_a_run_can_be_forgotten"),
    (FindsNothing, "test_a_dead_run_is_found_and_repaired"),
    (IgnoresQueries, "test_task_runs_are_found_by_what_they_are"),
]


@pytest.mark.parametrize(("store_class", "name"), MUTANTS, ids=[name.removeprefix("test_") for _, name in MUTANTS])
def test_what_is_wrong_is_noticed(tmp_path: Path, store_class: type[SQLiteRunStore], name: str) -> None:
    class Kit(RunStoreConformance):
        def url(self, place: Path) -> str:
            return f"sqlite:{place}/runs.db"

    # A process of its own needs a class that it can import.
    Kit.store_class = SQLiteRunStore
    kit, test = Kit(), getattr(Kit, name)
    with store_class(kit.url(tmp_path)) as store, store_class(kit.url(tmp_path)) as other:
        given = {"store": store, "other": other, "place": tmp_path, "value": ValueRecord()}
        wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount + test.__code__.co_kwonlyargcount]
        with pytest.raises((AssertionError, ValueError, LookupError, pytest.fail.Exception)):
            test(kit, **{each: given[each] for each in wanted if each in given})


def test_a_history_cannot_be_tested_without_a_place() -> None:
    class Nowhere(RunStoreConformance):
        store_class = SQLiteRunStore

    with pytest.raises(TypeError, match="url"):
        Nowhere()  # type: ignore[abstract]
