from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace.signatures import RunSignature


def signature(source: str) -> RunSignature:
    namespace: dict[str, Any] = {}
    exec(f"def run({source}): ...", namespace)
    return RunSignature("run", namespace["run"])


class TestReading:
    def test_star_args_are_a_value_error(self):
        with pytest.raises(TaskDefinitionError, match=r"`\*items`"):
            signature("*items")

    def test_positional_only_arguments_are_a_type_error(self):
        with pytest.raises(DefinitionTypeError, match="'x'"):
            signature("x, /")

    @pytest.mark.parametrize("name", ["flow", "mapped", "task_args", "upstream_tasks"])
    @pytest.mark.parametrize("form", ["{}", "*, {}", "{}=1", "**{}"])
    def test_names_that_calls_use_are_a_value_error(self, name, form):
        with pytest.raises(TaskDefinitionError, match=name):
            signature(form.format(name))

    def test_an_unreadable_signature_is_a_value_error_with_its_cause(self):
        with pytest.raises(TaskDefinitionError, match="cannot be read") as caught:
            RunSignature("max", max)
        assert isinstance(caught.value.__cause__, ValueError)

    def test_what_is_no_function_is_a_value_error_with_its_cause(self):
        with pytest.raises(TaskDefinitionError) as caught:
            RunSignature("five", 5)  # type: ignore[arg-type]
        assert isinstance(caught.value.__cause__, TypeError)

    @pytest.mark.parametrize("function", [print, len, "".join, str.upper, numpy.add])
    def test_what_is_not_written_in_python_is_to_be_wrapped(self, function):
        with pytest.raises((TaskDefinitionError, DefinitionTypeError), match="Wrap it in a Python function"):
            RunSignature("Task", function)

    @pytest.mark.parametrize("source", ["*items", "x, /"])
    def test_what_is_written_in_python_is_to_be_changed(self, source):
        with pytest.raises((TaskDefinitionError, DefinitionTypeError), match=r"take a list|Remove the `/`"):
            signature(source)

    def test_known_are_the_named_arguments(self):
        assert signature("a, b=1, *, c, **rest").known == {"a", "b", "c"}


class TestAccepts:
    def test_named_arguments(self):
        assert signature("a, *, b=1").accepts("a")
        assert signature("a, *, b=1").accepts("b")
        assert not signature("a").accepts("c")

    def test_anything_with_keyword_arguments(self):
        assert signature("**rest").accepts("anything")


class TestBind:
    def test_positions_become_names(self):
        assert signature("a, b").bind("t", (1, 2), {}) == {"a": 1, "b": 2}

    def test_positions_and_names_mix(self):
        assert signature("a, b, *, c").bind("t", (1,), {"c": 3, "b": 2}) == {"a": 1, "b": 2, "c": 3}

    def test_defaults_are_left_to_the_function(self):
        assert signature("a, b=2").bind("t", (1,), {}) == {"a": 1}

    def test_keyword_arguments_are_flattened(self):
        assert signature("a, **rest").bind("t", (1,), {"b": 2}) == {"a": 1, "b": 2}

    def test_the_name_of_the_keyword_arguments_is_free(self):
        assert signature("**rest").bind("t", (), {"rest": 1}) == {"rest": 1}

    def test_an_argument_may_be_named_self(self):
        assert signature("self").bind("t", (1,), {}) == {"self": 1}

    @pytest.mark.parametrize(
        ("source", "args", "kwargs", "said"),
        [
            ("a", (), {}, "missing a required argument: 'a'"),
            ("a", (1, 2), {}, "too many positional arguments"),
            ("a", (1,), {"a": 2}, "multiple values for argument 'a'"),
            ("a", (1,), {"b": 2}, "unexpected keyword argument 'b'"),
            ("*, a", (1,), {}, "too many positional arguments"),
            ("*, a", (), {}, "missing a required"),
            ("", (1,), {}, "too many positional arguments"),
        ],
    )
    def test_a_misfit_says_what_python_would_say(self, source, args, kwargs, said):
        with pytest.raises(DefinitionTypeError, match=said) as caught:
            signature(source).bind("load", args, kwargs)
        assert str(caught.value).startswith("load was called with")

    @given(
        st.sampled_from(["", "a", "a, b", "a, b=1", "a=1, *, c", "*, a, b=2", "a, **rest", "**rest", "b, *, a=1, **z"]),
        st.lists(st.integers(), max_size=3),
        st.dictionaries(st.sampled_from("abcd"), st.integers(), max_size=3),
    )
    def test_it_accepts_and_gives_exactly_what_inspect_does(self, source, args, kwargs):
        checked = signature(source)
        try:
            bound = checked.signature.bind(*args, **kwargs)
        except TypeError:
            with pytest.raises(DefinitionTypeError):
                checked.bind("t", args, kwargs)
            return
        expected = dict(bound.arguments)
        for name in ("rest", "z"):
            if name in checked.signature.parameters:
                expected |= expected.pop(name, {})
        assert checked.bind("t", args, kwargs) == expected
