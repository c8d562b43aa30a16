"""State handlers made of two functions."""

from __future__ import annotations

import pytest

from headrace import Flow, Task, task
from headrace.callbacks import Callback, callback_factory
from headrace.exceptions import DefinitionTypeError
from headrace.states import Failed, Running, Success


def shout(tracked, state):
    """A function that can be found by name."""


def is_over(state):
    return state.is_finished()


def test_the_function_is_called_with_the_new_state_if_the_check_is_true():
    told = []
    handler = callback_factory(lambda tracked, state: told.append((tracked, state)), check=lambda s: s.is_failed())
    made, failed = Task(), Failed("no")
    handler(made, Running(), failed)
    handler(made, Running(), Success("yes"))
    assert told == [(made, failed)]


def test_any_true_value_will_do():
    told = []
    callback_factory(lambda tracked, state: told.append(state.message), check=lambda s: s.message)(
        Task(), Running(), Success("yes")
    )
    assert told == ["yes"]


@pytest.mark.parametrize(("fn", "check"), [(5, is_over), (shout, None)])
def test_both_have_to_be_functions(fn, check):
    with pytest.raises(DefinitionTypeError, match="must be a function"):
        callback_factory(fn, check)


def test_one_made_of_functions_with_names_travels_with_a_serialized_flow():
    with Flow("f", state_handlers=[callback_factory(shout, is_over)]) as flow:
        task(lambda: 1, name="t")()
    assert Flow.deserialize(flow.serialize()).state_handlers == [Callback(shout, is_over)]
