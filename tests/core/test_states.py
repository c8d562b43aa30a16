from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import cloudpickle
import numpy as np
import pytest

from headrace import states
from headrace.references import ReleasedValue
from headrace.states import (
    Cached,
    Cancelled,
    Cancelling,
    Crashed,
    Failed,
    Finished,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Submitted,
    Success,
    TimedOut,
    TriggerFailed,
    ValidationFailed,
)

HIERARCHY = {
    State: (object, "#696969"),
    Pending: (State, "#7ebdff"),
    Scheduled: (Pending, "#ffab00"),
    Paused: (Scheduled, "#99a8e8"),
    Resume: (Scheduled, "#f58c0c"),
    Retrying: (Scheduled, "#f66a0a"),
    Submitted: (State, "#ffdf5d"),
    Queued: (State, "#ffea7f"),
    Running: (State, "#3d67ff"),
    Cancelling: (Running, "#e8e8e8"),
    Finished: (State, "#003ccb"),
    Looped: (Finished, "#003ccb"),
    Cancelled: (Finished, "#bdbdbd"),
    Success: (Finished, "#28a745"),
    Cached: (Success, "#34d058"),
    Mapped: (Success, "#003ccb"),
    Skipped: (Success, "#62757f"),
    Failed: (Finished, "#eb0000"),
    TimedOut: (Failed, "#ff4e33"),
    TriggerFailed: (Failed, "#ff5131"),
    Crashed: (Failed, "#c42800"),
    ValidationFailed: (Failed, "#ff5131"),
}
PREDICATES: dict[str, set[type[State]]] = {
    "is_pending": {Pending, Scheduled, Paused, Resume, Retrying},
    "is_scheduled": {Scheduled, Paused, Resume, Retrying, Queued},
    "is_queued": {Queued},
    "is_submitted": {Submitted},
    "is_retrying": {Retrying},
    "is_paused": {Paused},
    "is_running": {Running, Cancelling},
    "is_finished": {c for c in HIERARCHY if issubclass(c, Finished)},
    "is_looped": {Looped},
    "is_successful": {Success, Cached, Mapped, Skipped},
    "is_cached": {Cached},
    "is_mapped": {Mapped},
    "is_skipped": {Skipped},
    "is_failed": {Failed, TimedOut, TriggerFailed, Crashed, ValidationFailed},
    "is_cancelled": {Cancelled},
    "is_crashed": {Crashed},
}
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
every_class = pytest.mark.parametrize("cls", HIERARCHY, ids=lambda cls: cls.__name__)


class NeedsTwo(Exception):
    """An exception that pickles, and then cannot be read back."""

    def __init__(self, one, two):
        super().__init__(one)


class Locked(Exception):
    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


class Secretive(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("no")

    def __repr__(self):
        raise RuntimeError("no")


class Noted(Success):
    """A state as users write them: without slots."""


def test_every_class_is_exported():
    assert {getattr(states, name) for name in states.__all__} == set(HIERARCHY)
    assert states.__all__ == sorted(states.__all__)


@every_class
class TestEveryClass:
    def test_parent_and_colour(self, cls):
        assert (cls.__base__, cls.color) == HIERARCHY[cls]

    @pytest.mark.parametrize("predicate", PREDICATES)
    def test_predicates(self, cls, predicate):
        assert getattr(cls(), predicate)() is (cls in PREDICATES[predicate])

    def test_message_and_result_come_first(self, cls):
        state = cls("why", 5)
        assert (state.message, state.result) == ("why", 5)

    def test_everything_can_be_given_by_keyword(self, cls):
        state = cls(message="why", result=5, context={"a": 1}, cached_inputs={"b": 2})
        assert (state.message, state.result, state.context, state.cached_inputs) == ("why", 5, {"a": 1}, {"b": 2})

    def test_defaults(self, cls):
        state = cls()
        assert (state.message, state.context, state.cached_inputs) == (None, {}, None)
        assert (state.started, state.location, state.duration) == (None, None, None)
        assert state.result == ([] if cls is Mapped else None)

    def test_the_repr_shows_class_and_message(self, cls):
        assert repr(cls("why")) == f'<{cls.__name__}: "why">'
        assert repr(cls()) == f"<{cls.__name__}>"

    def test_it_has_no_dictionary(self, cls):
        assert not hasattr(cls(), "__dict__")

    @pytest.mark.parametrize("module", [pickle, cloudpickle])
    def test_it_survives_pickling(self, cls, module):
        state = cls("why", [1], context={"a": 1})
        new = module.loads(module.dumps(state))
        assert new == state
        assert (new.message, new.context, new.timestamp) == ("why", {"a": 1}, state.timestamp)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_copies_are_equal_and_independent(self, cls, duplicate):
        state = cls("why", [1])
        new = duplicate(state)
        assert new == state
        new.message = "because"
        assert state.message == "why"

    def test_a_state_of_another_class_is_not_equal(self, cls):
        other = Success if cls is not Success else Failed
        assert cls() != other()

    def test_it_hashes_by_identity(self, cls):
        assert len({cls(), cls()}) == 2


class TestFields:
    @pytest.mark.parametrize("cls", [Scheduled, Resume, Retrying, Queued])
    def test_scheduled_is_for_now_by_default(self, cls):
        before = datetime.now(UTC)
        start_time = cls().start_time
        assert start_time is not None
        assert before <= start_time <= datetime.now(UTC)

    @pytest.mark.parametrize("cls", [Scheduled, Paused, Resume, Retrying, Queued])
    def test_a_start_time_is_kept(self, cls):
        assert cls(start_time=MOMENT).start_time == MOMENT
        assert cls("why", None, MOMENT).start_time == MOMENT

    @pytest.mark.parametrize("cls", [Scheduled, Paused, Resume, Retrying, Queued])
    @pytest.mark.parametrize("wrong", [5, "2026-01-31", MOMENT.date()])
    def test_a_start_time_is_a_datetime(self, cls, wrong):
        with pytest.raises(TypeError, match="start_time"):
            cls(start_time=wrong)

    def test_paused_waits_for_ever_by_default(self):
        assert Paused().start_time is None

    def test_retrying_counts_runs(self):
        assert Retrying().run_count == 1
        assert Retrying(run_count=3).run_count == 3

    def test_looped_counts_loops(self):
        assert Looped().loop_count == 1
        assert Looped(loop_count=3).loop_count == 3

    def test_cached_remembers_what_it_depends_on(self):
        state = Cached(hashed_inputs={"x": "1"}, cached_parameters={"n": 1}, cached_result_expiration=MOMENT)
        assert (state.hashed_inputs, state.cached_parameters) == ({"x": "1"}, {"n": 1})
        assert state.cached_result_expiration == MOMENT
        assert Cached().cached_result_expiration is None

    def test_mapped_counts_its_children(self):
        assert Mapped(map_states=[Success(), Failed()]).n_map_states == 2
        assert Mapped(n_map_states=7).n_map_states == 7
        assert (Mapped().n_map_states, Mapped().map_states) == (0, [])

    def test_mapped_gathers_the_results_of_its_children(self):
        assert Mapped(map_states=[Success(result=1), Failed(result=2)]).result == [1, 2]

    def test_mapped_can_be_given_a_result_of_its_own(self):
        state = Mapped(map_states=[Success(result=1)])
        state.result = [5]
        assert state.result == [5]

    def test_the_result_can_be_set(self):
        state = Success()
        state.result = 5
        assert state.result == 5

    def test_the_timestamp_is_now(self):
        before = time.time()
        assert before <= Success().timestamp <= time.time()

    def test_the_duration_is_since_the_start_of_the_attempt(self):
        state = Success()
        state.started = state.timestamp - 2
        assert state.duration == pytest.approx(2)

    def test_a_released_result_is_loaded_when_it_is_read(self):
        state = Success(result=ReleasedValue(lambda: 5))
        assert state.result == 5


class TestEquality:
    def test_message_context_and_time_do_not_count(self):
        one, other = Success("a", 1, context={"a": 1}), Success("b", 1)
        other.timestamp += 5
        assert one == other

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (Success(result=1), Success(result=2)),
            (Scheduled(start_time=MOMENT), Scheduled(start_time=MOMENT.replace(year=2027))),
            (Retrying(start_time=MOMENT), Retrying(start_time=MOMENT, run_count=2)),
            (Looped(), Looped(loop_count=2)),
            (Cached(), Cached(hashed_inputs={"x": "1"})),
            (Cached(), Cached(cached_parameters={"x": 1})),
            (Cached(), Cached(cached_result_expiration=MOMENT)),
            (Mapped(map_states=[Success()]), Mapped(map_states=[Failed()])),
            (Mapped(n_map_states=1), Mapped(n_map_states=2)),
            (Queued(start_time=MOMENT), Queued(start_time=MOMENT.replace(year=2027))),
            (Success(cached_inputs={"x": 1}), Success(cached_inputs={"x": 2})),
            (Failed(), TimedOut()),
        ],
    )
    def test_result_class_and_own_fields_count(self, one, other):
        assert one != other

    def test_other_objects_are_never_equal(self):
        assert Success() != "Success"
        assert Success() != None  # noqa: E711

    def test_arrays_are_compared_by_content(self):
        one = Success(result=np.array([1, 2]))
        assert one == Success(result=np.array([1, 2]))
        assert one != Success(result=np.array([1, 3]))

    @pytest.mark.parametrize("other", [np.array([1]), np.array([[1, 1]]), np.array([]), 1, [1, 1], None])
    def test_an_array_is_not_equal_to_what_it_could_be_broadcast_to(self, other):
        assert Success(result=np.array([1, 1])) != Success(result=other)

    def test_arrays_inside_collections_raise_nothing(self):
        array = np.array([1, 2])
        assert Success(result=[array]) == Success(result=[array])
        assert (Success(result={"a": array}) == Success(result={"a": array + 0})) is False

    def test_arrays_in_the_states_of_mapped_children(self):
        one, other = (Mapped(map_states=[Success(result=np.array([1, 2]))]) for _ in range(2))
        assert one == other

    def test_a_value_whose_comparison_raises_is_equal_to_itself_only(self):
        class Stubborn:
            def __eq__(self, other):
                raise RuntimeError("no")

            __hash__ = None  # type: ignore[assignment]

        value = Stubborn()
        assert Success(result=value) == Success(result=value)
        assert Success(result=value) != Success(result=Stubborn())

    def test_lists_that_hold_themselves_raise_nothing(self):
        one: list[Any] = []
        other: list[Any] = []
        one.append(other)
        other.append(one)
        assert (Success(result=one) == Success(result=other)) is False


class TestClasses:
    def test_children_are_all_classes_below(self):
        assert Failed.children() == [TimedOut, TriggerFailed, Crashed, ValidationFailed]
        assert Failed.children(include_self=True)[0] is Failed
        assert set(Scheduled.children(names_only=True)) == {"Paused", "Resume", "Retrying"}

    def test_parents_are_all_classes_above_the_nearest_first(self):
        assert Retrying.parents() == [Scheduled, Pending, State]
        assert Retrying.parents(include_self=True)[0] is Retrying
        assert Skipped.parents(names_only=True) == ["Success", "Finished", "State"]


class TestPickling:
    def test_an_ordinary_exception_stays_one(self):
        found = pickle.loads(pickle.dumps(Failed(result=ValueError("bad")))).result
        assert isinstance(found, ValueError)
        assert str(found) == "bad"

    @pytest.mark.parametrize("error", [Locked(), NeedsTwo(1, 2)])
    def test_an_exception_that_cannot_travel_becomes_a_text_that_describes_it(self, error):
        found = pickle.loads(pickle.dumps(Failed(result=error))).result
        assert type(error).__name__ in found
        assert repr(error) in found

    def test_not_even_a_repr_is_needed(self):
        assert "Secretive" in pickle.loads(pickle.dumps(Failed(result=Secretive()))).result

    def test_a_copy_keeps_an_exception_that_cannot_travel(self):
        error = Locked()
        assert copy.copy(Failed(result=error)).result is error

    def test_pickling_changes_nothing_about_the_original(self):
        error = Locked()
        state = Failed(result=error)
        pickle.dumps(state)
        assert state.result is error

    def test_a_released_result_travels_as_none_and_is_copied_as_it_is(self):
        state = Success(result=ReleasedValue(lambda: 5))
        assert pickle.loads(pickle.dumps(state)).result is None
        assert copy.copy(state).result == 5

    def test_a_result_that_cannot_be_pickled_is_an_error(self):
        with pytest.raises(TypeError):
            pickle.dumps(Success(result=threading.Lock()))

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
    def test_attributes_of_a_class_without_slots_come_along(self, duplicate):
        state = Noted("why")
        state.note = "kept"  # type: ignore[attr-defined]
        assert duplicate(state).note == "kept"

    def test_own_fields_come_along(self):
        state = pickle.loads(pickle.dumps(Retrying("why", start_time=MOMENT, run_count=3)))
        assert (state.start_time, state.run_count) == (MOMENT, 3)

    def test_the_states_of_mapped_children_come_along(self):
        state = pickle.loads(pickle.dumps(Mapped(map_states=[Success(result=1), Failed(result=KeyError("k"))])))
        assert [type(child) for child in state.map_states] == [Success, Failed]


def test_states_can_be_imported_without_datetime():
    code = "import sys, headrace.states; print('datetime' in sys.modules, 'cloudpickle' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
