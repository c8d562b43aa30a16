"""The search for what cannot be pickled, in functions and classes that are pickled by value."""

from __future__ import annotations

import threading
import types
from typing import Any

import pytest

from headrace.unpicklable import find_among, find_unpicklable

SOURCE = """
import threading
from functools import cached_property

lock = threading.Lock()

def in_a_comprehension(): return [lock.locked() for _ in range(2)]
def in_a_lambda(): return (lambda: lock)()
def in_a_function():
    def inner():
        return [lock]
    return inner()

class WithAttribute:
    parts = [1, lock]

class WithMethod:
    __slots__ = ("name",)
    def method(self): return lock

class WithStaticMethod:
    @staticmethod
    def method(): return lock

class WithProperty:
    @property
    def held(self): return lock

class Below(WithMethod):
    pass

class Cycle:
    def first(self): return helper(Cycle)
    def second(self): return Cycle, lock

def helper(cls): return Cycle
"""


@pytest.fixture
def module() -> Any:
    """A module that cannot be imported, as a script is for workers: all that it defines is pickled by value."""
    made = types.ModuleType("headrace_test_of_what_cannot_be_pickled")
    exec(SOURCE, made.__dict__)
    return made


@pytest.mark.parametrize("name", ["in_a_comprehension", "in_a_lambda", "in_a_function"])
def test_globals_that_only_code_inside_of_a_function_uses_are_found(module, name):
    found = find_among({"task.run": getattr(module, name)})
    assert found is not None
    assert (found.path, found.type_name) == ("task.run.<lock>", "_thread.lock")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("WithAttribute", "result.parts[1]"),
        ("WithMethod", "result.method.<lock>"),
        ("WithStaticMethod", "result.method.__func__.<lock>"),
        ("WithProperty", "result.held.fget.<lock>"),
        ("Below", "result.__bases__[0].method.<lock>"),
    ],
)
def test_members_of_a_class_are_found(module, name, path):
    found = find_unpicklable(getattr(module, name), "result")
    assert found is not None
    assert (found.path, found.type_name) == (path, "_thread.lock")


def test_a_class_is_searched_for_its_instances(module):
    found = find_unpicklable([module.WithAttribute()], "result")
    assert found is not None
    assert found.path == "result[0].__class__.parts[1]"


def test_a_class_whose_methods_lead_back_to_it_ends_at_the_culprit(module):
    found = find_unpicklable(module.Cycle, "result")
    assert found is not None
    assert (found.path, found.type_name) == ("result.second.<lock>", "_thread.lock")


def test_values_that_hold_each_other_end_at_the_culprit():
    first: dict[str, Any] = {}
    first["second"] = {"first": first}
    first["lock"] = threading.Lock()
    found = find_unpicklable(first)
    assert found is not None
    assert found.path == 'value["lock"]'
