"""When to look after what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace_plugins.processes.alarms import Alarm, Alarms


def all_due(alarms: Alarms[str], now: float) -> list[tuple[str, Alarm]]:
    found = []
    while (due := alarms.due(now)) is not None:
        found.append(due)
    return found


def test_an_alarm_goes_off_once_at_its_moment():
    alarms = Alarms[str]()
    alarms.set(5.0, "a", Alarm.QUEUE)
    assert all_due(alarms, 4.9) == []
    assert all_due(alarms, 5.0) == [("a", Alarm.QUEUE)]
    assert all_due(alarms, 9.0) == []


def test_alarms_go_off_in_the_order_of_their_moments():
    alarms = Alarms[str]()
    for moment, owner in [(3.0, "c"), (1.0, "a"), (2.0, "b")]:
        alarms.set(moment, owner, Alarm.QUEUE)
    assert [owner for owner, _ in all_due(alarms, 9.0)] == ["a", "b", "c"]


def test_an_alarm_that_is_put_off_does_not_go_off_before():
    alarms = Alarms[str]()
    alarms.set(1.0, "a", Alarm.OVERDUE)
    alarms.set(5.0, "a", Alarm.OVERDUE)
    assert all_due(alarms, 4.0) == []
    assert all_due(alarms, 5.0) == [("a", Alarm.OVERDUE)]


def test_an_alarm_that_is_set_earlier_goes_off_once():
    alarms = Alarms[str]()
    alarms.set(5.0, "a", Alarm.OVERDUE)
    alarms.set(1.0, "a", Alarm.OVERDUE)
    assert all_due(alarms, 9.0) == [("a", Alarm.OVERDUE)]


def test_alarms_of_different_kinds_do_not_replace_each_other():
    alarms = Alarms[str]()
    alarms.set(1.0, "a", Alarm.OVERDUE)
    alarms.set(2.0, "a", Alarm.RETIRED)
    assert all_due(alarms, 9.0) == [("a", Alarm.OVERDUE), ("a", Alarm.RETIRED)]


def test_what_was_dropped_does_not_go_off():
    alarms = Alarms[str]()
    alarms.set(1.0, "a", Alarm.OVERDUE)
    alarms.set(1.0, "b", Alarm.OVERDUE)
    alarms.drop("a")
    assert all_due(alarms, 9.0) == [("b", Alarm.OVERDUE)]


def test_setting_tells_whether_somebody_who_waits_has_to_look_again():
    alarms = Alarms[str]()
    assert alarms.set(5.0, "a", Alarm.OVERDUE)
    assert not alarms.set(6.0, "b", Alarm.OVERDUE)
    assert alarms.set(4.0, "b", Alarm.OVERDUE)
    assert alarms.next == 4.0


def test_nothing_accumulates_where_alarms_are_put_off_again_and_again():
    alarms = Alarms[str]()
    for number in range(1000):
        alarms.set(number + 100.0, "a", Alarm.OVERDUE)
        alarms.due(float(number))
    assert len(alarms._entries) == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.sampled_from("abc"), st.sampled_from(Alarm), st.integers(0, 20)),
            st.tuples(st.just("drop"), st.sampled_from("abc")),
            st.tuples(st.just("look"), st.integers(0, 5)),
        )
    )
)
def test_alarms_do_what_a_dictionary_of_moments_would_do(steps):
    alarms, moments, now = Alarms[str](), dict[tuple[str, Alarm], float](), 0.0
    for step in steps:
        if step[0] == "set":
            alarms.set(now + step[3], step[1], step[2])
            moments[step[1], step[2]] = now + step[3]
        elif step[0] == "drop":
            alarms.drop(step[1])
            moments = {alarm: moment for alarm, moment in moments.items() if alarm[0] != step[1]}
        else:
            now += step[1]
            expected = {alarm for alarm, moment in moments.items() if moment <= now}
            moments = {alarm: moment for alarm, moment in moments.items() if alarm not in expected}
            assert sorted(all_due(alarms, now), key=str) == sorted(expected, key=str)
        assert not moments or (alarms.next is not None and alarms.next <= min(moments.values()))
