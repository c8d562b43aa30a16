"""How messages name places, types and functions."""

from __future__ import annotations

from functools import partial

import pytest

from headrace.task_options import check_state_handlers
from headrace.value_paths import callable_name


def tell(*_: object) -> None:
    """Do nothing."""


class Teller:
    def __call__(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (tell, "tell"),
        (lambda: 1, "<lambda>"),
        (partial(tell, 1), "tell"),
        (partial(partial(tell, 1), 2), "tell"),
        (Teller(), "Teller"),
        (Teller, "Teller"),
        (Teller().__call__, "__call__"),
        (check_state_handlers("task 't'", None, tell)[0], "tell"),
    ],
)
def test_a_function_is_called_what_its_author_calls_it(function, name):
    assert callable_name(function) == name
