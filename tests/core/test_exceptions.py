from __future__ import annotations

import copy
import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from headrace import exceptions
from headrace.exceptions import HeadraceError, describe, nearest

EXAMPLES: dict[str, HeadraceError] = {
    "ConfigError": exceptions.ConfigError("bad", hint="Mend it."),
    "CycleError": exceptions.CycleError("f", ["a", "b", "a"]),
    "DefinitionTypeError": exceptions.DefinitionTypeError("bad"),
    "ForeignResultError": exceptions.ForeignResultError("/srv/cache/load/1.entry"),
    "DuplicateKeyError": exceptions.DuplicateKeyError("f/t", "x"),
    "DuplicateParameterError": exceptions.DuplicateParameterError("f", "n"),
    "ExecutorError": exceptions.ExecutorError("lost"),
    "FlowDefinitionError": exceptions.FlowDefinitionError("bad"),
    "FlowFileError": exceptions.FlowFileError("none"),
    "HeadraceError": HeadraceError("bad", hint="Mend it."),
    "MappingError": exceptions.MappingError("bad"),
    "MissingDependencyError": exceptions.MissingDependencyError("HttpTask", "httpx2", "http"),
    "MissingParameterError": exceptions.MissingParameterError("f", ["n", "m"]),
    "NoActiveFlowError": exceptions.NoActiveFlowError("t"),
    "ParameterError": exceptions.ParameterError("bad"),
    "ParameterTypeError": exceptions.ParameterTypeError("n", "x", "a number"),
    "PluginConflictError": exceptions.PluginConflictError("store", "s3", ["one", "two"]),
    "PluginError": exceptions.PluginError("bad"),
    "PluginLoadError": exceptions.PluginLoadError("store", "s3", "headrace-s3", "no module"),
    "PluginNotFoundError": exceptions.PluginNotFoundError("executor", "dusk", ["dask", "local"]),
    "PluginOptionError": exceptions.PluginOptionError("bad"),
    "ResultError": exceptions.ResultError("bad"),
    "ResultLocationError": exceptions.ResultLocationError("outside"),
    "ResultNotFoundError": exceptions.ResultNotFoundError("none"),
    "ResultReleasedError": exceptions.ResultReleasedError(),
    "StateHandlerError": exceptions.StateHandlerError("bad"),
    "TaskDefinitionError": exceptions.TaskDefinitionError("bad"),
    "TaskRunError": exceptions.TaskRunError("bad"),
    "TaskTimeoutError": exceptions.TaskTimeoutError("late"),
    "TriggerFailedError": exceptions.TriggerFailedError("no"),
    "UnknownParameterError": exceptions.UnknownParameterError("f", "yaer", ["year"]),
}
FAMILIES = {
    "ConfigError": ValueError,
    "CycleError": ValueError,
    "DefinitionTypeError": TypeError,
    "DuplicateKeyError": ValueError,
    "DuplicateParameterError": ValueError,
    "ExecutorError": RuntimeError,
    "FlowFileError": ValueError,
    "MissingDependencyError": ImportError,
    "MissingParameterError": ValueError,
    "NoActiveFlowError": ValueError,
    "ParameterTypeError": ValueError,
    "PluginConflictError": LookupError,
    "PluginLoadError": ImportError,
    "PluginNotFoundError": LookupError,
    "PluginOptionError": ValueError,
    "ResultLocationError": ValueError,
    "ResultNotFoundError": LookupError,
    "ResultReleasedError": LookupError,
    "TaskDefinitionError": ValueError,
    "TaskRunError": RuntimeError,
    "TaskTimeoutError": TimeoutError,
    "UnknownParameterError": ValueError,
}
PLACEHOLDERS: dict[str, Any] = {"str": "word", "Iterable[str]": ("one", "two"), "int": 3, "float": 0.5}


def placeholder(name: str) -> HeadraceError:
    """Make an error that has no example above from arguments of the right types."""
    cls = getattr(exceptions, name)
    needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty]
    error: HeadraceError = cls(*[PLACEHOLDERS[p.annotation] for p in needed])
    return error


EXAMPLES |= {name: placeholder(name) for name in exceptions.__all__ if name not in EXAMPLES}
every_error = pytest.mark.parametrize("name", EXAMPLES)


def test_every_error_is_exported():
    assert sorted(exceptions.__all__) == sorted(EXAMPLES)
    defined = {name for name, value in vars(exceptions).items() if isinstance(value, type)}
    assert defined == set(EXAMPLES)


@every_error
class TestEveryError:
    def test_it_is_a_headrace_error_of_its_own_class(self, name):
        assert type(EXAMPLES[name]).__name__ == name
        assert isinstance(EXAMPLES[name], HeadraceError)
        assert isinstance(EXAMPLES[name], Exception)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
    def test_it_can_be_pickled_and_copied_with_all_it_knows(self, name, duplicate):
        error = EXAMPLES[name]
        new = duplicate(error)
        assert type(new) is type(error)
        assert str(new) == str(error)
        assert (new.args, vars(new)) == (error.args, vars(error))

    def test_its_text_is_the_message_and_the_hint(self, name):
        error = EXAMPLES[name]
        assert str(error) == (f"{error.message} {error.hint}" if error.hint else error.message)

    def test_messages_and_hints_are_sentences(self, name):
        error = EXAMPLES[name]
        if error.hint:
            assert re.match(r"[A-Z].*[.?]$", error.hint)


@pytest.mark.parametrize(("name", "family"), FAMILIES.items())
def test_it_is_also_an_error_that_python_users_expect(name, family):
    assert isinstance(EXAMPLES[name], family)


def test_the_tree_in_the_documentation_is_the_tree_in_the_code():
    drawn = re.findall(r"^([│├└─ ]*)(\w+Error)\b", exceptions.__doc__ or "", re.MULTILINE)
    above: list[str] = []
    parents: dict[str, str | None] = {}
    for indent, name in drawn:
        depth = len(indent) // 4
        del above[depth:]
        parents[name] = above[-1] if above else None
        above.append(name)
    real = {name: getattr(exceptions, name).__mro__[1].__name__ for name in EXAMPLES}
    assert parents == {**real, "HeadraceError": None}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("CycleError", ["'f'", "a -> b -> a", "Remove"]),
        ("DuplicateKeyError", ["'x'", "'f/t'"]),
        ("DuplicateParameterError", ["'f'", "'n'"]),
        ("MissingDependencyError", ["HttpTask", "httpx2", 'pip install "headrace[http]"']),
        ("MissingParameterError", ["'f'", "'n', 'm'", "-p n="]),
        ("NoActiveFlowError", ["'t'", "with Flow", "t.run("]),
        ("ParameterTypeError", ["'n'", "a number", "'x'"]),
        ("PluginConflictError", ["store", "'s3'", "one and by two"]),
        ("PluginLoadError", ["store", "'s3'", "headrace-s3", "no module", "plugins doctor"]),
        ("PluginNotFoundError", ["executor", "'dusk'", "Did you mean 'dask'?", "Known: dask, local"]),
        ("ResultReleasedError", ["keep_results", "results="]),
        ("UnknownParameterError", ["'f'", "'yaer'", "Did you mean 'year'?"]),
    ],
)
def test_messages_say_what_was_found_where_and_what_to_do(name, parts):
    assert [part for part in parts if part not in str(EXAMPLES[name])] == []


class TestFacts:
    def test_they_are_attributes_of_the_error(self):
        examples: Any = EXAMPLES
        assert examples["CycleError"].names == ("a", "b", "a")
        assert examples["MissingParameterError"].names == ("n", "m")
        assert examples["PluginNotFoundError"].kind == "executor"
        assert examples["PluginLoadError"].distribution == "headrace-s3"
        assert examples["PluginConflictError"].distributions == ("one", "two")
        assert (examples["MissingDependencyError"].module, examples["MissingDependencyError"].extra) == (
            "httpx2",
            "http",
        )

    def test_a_flow_without_parameters_says_so(self):
        assert "takes no parameters" in str(exceptions.UnknownParameterError("f", "n", []))


class TestNearest:
    def test_it_asks_about_the_nearest_and_lists_all(self):
        assert nearest("yaer", ["month", "year"]) == "Did you mean 'year'? Known: month, year."

    def test_it_asks_about_nothing_far_off(self):
        assert nearest("zzz", ["b", "a"]) == "Known: a, b."

    def test_it_says_nothing_if_nothing_is_known(self):
        assert nearest("x", []) == ""


class TestDescribe:
    def test_it_gives_class_and_message(self):
        assert describe(ValueError("bad")) == "ValueError: bad"
        assert describe(MemoryError()) == "MemoryError"

    def test_it_never_raises(self):
        class Shy(Exception):
            def __str__(self):
                raise RuntimeError("no")

        assert describe(Shy()) == "Shy: (its message cannot be shown)"


def test_a_cause_survives_within_the_process():
    with pytest.raises(exceptions.TaskDefinitionError) as caught:
        try:
            Path("/nowhere/at/all").read_text(encoding="utf-8")
        except OSError as error:
            raise exceptions.TaskDefinitionError("bad") from error
    assert isinstance(copy.copy(caught.value), ValueError)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
