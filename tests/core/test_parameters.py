from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import traceback
from datetime import UTC, date, datetime, time
from enum import Enum
from pathlib import Path
from typing import Any

import cloudpickle
import pendulum
import pytest

from headrace import DateTimeParameter, Flow, Parameter, Task, context, task
from headrace.exceptions import (
    DuplicateParameterError,
    MissingParameterError,
    ParameterTypeError,
    TaskDefinitionError,
    UnknownParameterError,
)
from headrace.parameters import NO_DEFAULT


@task
def echo(x):
    return x


def flow_with(*parameters: Parameter) -> tuple[Flow, Task]:
    with Flow("f") as flow:
        result = echo(list(parameters))
    return flow, result


class TestNew:
    def test_the_slug_is_the_name(self):
        parameter = Parameter("n")
        assert (parameter.name, parameter.slug) == ("n", "n")

    def test_it_is_required_without_a_default(self):
        assert Parameter("n").required is True

    @pytest.mark.parametrize("default", [0, "", [], None])
    def test_any_default_makes_it_optional(self, default):
        assert Parameter("n", default=default).required is False

    def test_required_can_be_forced(self):
        assert Parameter("n", default=1, required=True).required is True

    def test_tags_are_kept(self):
        assert Parameter("n", tags=["t"]).tags == {"t"}

    @pytest.mark.parametrize("name", ["", None, 5])
    def test_it_needs_a_name(self, name):
        with pytest.raises(TaskDefinitionError, match="name"):
            Parameter(name)

    def test_a_secret_one_has_no_default_but_none(self):
        assert Parameter("p", secret=True).required
        assert not Parameter("p", None, secret=True).required
        with pytest.raises(TaskDefinitionError, match="'p' is secret and has a default"):
            Parameter("p", "hunter2", secret=True)

    def test_a_secret_one_is_in_no_message(self):
        secret = "hunter" + "2"
        for read in Parameter("p", type=int, secret=True).parse, Parameter("p", type=int, secret=True).read:
            with pytest.raises(ParameterTypeError) as caught:
                read(secret)
            assert secret not in "".join(traceback.format_exception(caught.value))

    def test_copies_of_a_secret_one_are_secret(self):
        assert Parameter("p", secret=True).copy("q").secret
        assert not Parameter("p").secret

    def test_the_repr_shows_the_name(self):
        assert repr(Parameter("n")) == "<Parameter: n>"

    def test_arguments_are_in_the_classic_order(self):
        parameter = Parameter("n", 1, True, ["t"])
        assert (parameter.default, parameter.required, parameter.tags) == (1, True, {"t"})


class TestInAFlow:
    def test_a_call_adds_the_parameter_itself(self):
        parameter = Parameter("n")
        with Flow("f") as flow:
            assert parameter() is parameter
        assert flow.parameters() == {parameter}

    def test_a_call_can_name_the_flow(self):
        flow, parameter = Flow("f"), Parameter("n")
        parameter(flow=flow)
        assert parameter in flow.tasks

    def test_a_call_outside_a_flow_is_a_value_error(self):
        with pytest.raises(ValueError, match="outside a flow"):
            Parameter("n")()

    def test_use_as_an_argument_adds_it(self):
        parameter = Parameter("n")
        flow, _ = flow_with(parameter)
        assert flow.parameters() == {parameter}
        assert flow.slugs[parameter] == "n"

    def test_two_of_one_name_are_a_value_error(self):
        with Flow("f"):
            Parameter("n")()
            with pytest.raises(DuplicateParameterError, match="'n'"):
                Parameter("n")()

    def test_the_same_object_can_be_used_twice(self):
        parameter = Parameter("n")
        flow, result = flow_with(parameter, parameter)
        assert flow.run(n=1).result[result].result == [1, 1]

    @pytest.mark.parametrize("connect", ["set_upstream", "add_edge", "bar"])
    def test_it_cannot_be_downstream(self, connect):
        parameter, before, flow = Parameter("n"), Task(), Flow("f")
        with flow, pytest.raises(ValueError, match="upstream"):
            if connect == "set_upstream":
                parameter.set_upstream(before)
            elif connect == "add_edge":
                flow.add_edge(before, parameter)
            else:
                _ = before | parameter

    def test_it_has_no_arguments_to_be_mapped_over(self):
        with Flow("f"), pytest.raises(TypeError, match=r"'n' takes no arguments.*some_task\.map"):
            Parameter("n").map([1])

    def test_a_copy_needs_a_new_name(self):
        with pytest.raises(TypeError):
            Parameter("n").copy()  # type: ignore[call-arg]

    def test_a_copy_has_the_new_name_and_slug(self):
        new = Parameter("n", default=3, tags=["t"]).copy("m")
        assert (new.name, new.slug, new.default, new.tags) == ("m", "m", 3, {"t"})


class TestRun:
    def test_values_by_keyword(self):
        flow, result = flow_with(Parameter("n"))
        assert flow.run(n=4).result[result].result == [4]

    def test_values_in_a_dictionary(self):
        flow, result = flow_with(Parameter("n"))
        assert flow.run({"n": 4}).result[result].result == [4]
        assert flow.run(parameters={"n": 4}).result[result].result == [4]

    def test_a_keyword_wins_over_the_dictionary_and_leaves_it_alone(self):
        flow, result = flow_with(Parameter("n"))
        given = {"n": 1}
        assert flow.run(given, n=2).result[result].result == [2]
        assert given == {"n": 1}

    def test_the_default_applies(self):
        flow, result = flow_with(Parameter("n", default=None), Parameter("m", default=2))
        assert flow.run().result[result].result == [None, 2]

    def test_a_required_one_that_is_missing_is_named(self):
        flow, _ = flow_with(Parameter("n"), Parameter("m"), Parameter("o", default=1))
        with pytest.raises(MissingParameterError, match="'n', 'm'") as caught:
            flow.run()
        assert caught.value.names == ("n", "m")
        assert isinstance(caught.value, ValueError)

    def test_a_forced_one_is_missing_in_spite_of_its_default(self):
        flow, _ = flow_with(Parameter("n", default=1, required=True))
        with pytest.raises(MissingParameterError):
            flow.run()

    def test_an_unknown_one_is_a_value_error_that_lists_the_known(self):
        flow, _ = flow_with(Parameter("year"))
        with pytest.raises(UnknownParameterError, match=r"Did you mean 'year'\? Known: year"):
            flow.run({"yaer": 1})

    def test_an_unknown_keyword_is_a_value_error(self):
        flow, _ = flow_with(Parameter("year"))
        with pytest.raises(ValueError, match="yaer"):
            flow.run(yaer=1)

    def test_a_name_that_is_no_text_is_unknown(self):
        flow, _ = flow_with(Parameter("n"))
        with pytest.raises(UnknownParameterError):
            flow.run({1: 1, "n": 2})  # type: ignore[dict-item]

    @pytest.mark.parametrize("name", ["flow", "self", "context", "run_name", "notify", "name", "größe", "a b"])
    def test_a_parameter_may_have_any_name(self, name):
        flow, result = flow_with(Parameter(name))
        given: dict[str, Any] = {name: 1}
        assert flow.run(**given).result[result].result == [1]

    @pytest.mark.parametrize("name", ["parameters", "executor", "engine"])
    def test_names_that_run_takes_itself_work_in_the_dictionary(self, name):
        flow, result = flow_with(Parameter(name))
        assert flow.run({name: 1}).result[result].result == [1]

    def test_one_that_nobody_uses_is_resolved_too(self):
        flow, unused = Flow("f"), Parameter("n", default=3)
        flow.add_task(unused)
        state = flow.run()
        assert state.result[unused].result == 3
        assert state.result[unused].is_successful()

    def test_all_values_are_in_the_context(self):
        with Flow("f") as flow:
            Parameter("n", default=3)()
            result = task(lambda: dict(context.parameters))()
        assert flow.run().result[result].result == {"n": 3}

    def test_run_by_hand_gives_the_value_of_the_context_or_the_default(self):
        parameter = Parameter("n", default=3)
        assert parameter.run() == 3
        with context(parameters={"n": 4}):
            assert parameter.run() == 4

    def test_run_by_hand_fails_for_a_required_one(self):
        with pytest.raises(ValueError, match="'n'"):
            Parameter("n").run()


class Colour(Enum):
    RED = "r"


class TestTypes:
    @pytest.mark.parametrize(
        ("parameter", "expected"),
        [
            (Parameter("n"), Any),
            (Parameter("n", default=None), Any),
            (Parameter("n", default=3), int),
            (Parameter("n", default=True), bool),
            (Parameter("n", default=3, type=float), float),
            (Parameter("n", default=Colour.RED), Colour),
        ],
    )
    def test_the_type_is_declared_or_that_of_the_default(self, parameter, expected):
        assert parameter.value_type is expected

    @pytest.mark.parametrize(
        ("parameter", "text", "value"),
        [
            (Parameter("n", default=3), "4", 4),
            (Parameter("n", default=0.5), "4", 4.0),
            (Parameter("n", default=False), "yes", True),
            (Parameter("n", default=Path("a")), "5", Path("5")),
            (Parameter("n", default=Colour.RED), "RED", Colour.RED),
            (Parameter("n", default=[1]), "[2, 3]", [2, 3]),
            (Parameter("n", type=date), "2026-01-31", date(2026, 1, 31)),
            (Parameter("n"), "[1]", [1]),
            (Parameter("n"), "plain", "plain"),
            (Parameter("n", default="x"), "5", "5"),
        ],
    )
    def test_texts_are_read_as_the_type(self, parameter, text, value):
        found = parameter.parse(text)
        assert found == value
        assert type(found) is type(value)

    def test_a_text_of_another_type_is_an_error_that_names_what_is_expected(self):
        with pytest.raises(ParameterTypeError, match=r"'n' expects a whole number, and got 'many'"):
            Parameter("n", default=3).parse("many")


class TestDateTimes:
    @pytest.mark.parametrize(
        ("given", "moment"),
        [
            ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
            ("2026-01-31T10:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
            ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
            (date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
            (datetime(2026, 1, 31, 10), datetime(2026, 1, 31, 10, tzinfo=UTC)),  # noqa: DTZ001 - what is tested
            (datetime(2026, 1, 31, 10, tzinfo=UTC), datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ],
    )
    def test_what_is_given_becomes_a_moment(self, given, moment):
        flow, result = flow_with(DateTimeParameter("t"))
        (found,) = flow.run(t=given).result[result].result
        assert found == moment
        assert isinstance(found, pendulum.DateTime)

    def test_a_default_is_read_too_and_makes_it_optional(self):
        flow, result = flow_with(DateTimeParameter("t", default="2026-01-31"))
        assert flow.run().result[result].result == [datetime(2026, 1, 31, tzinfo=UTC)]

    def test_none_stays_none(self):
        flow, result = flow_with(DateTimeParameter("t", default=None))
        assert flow.run().result[result].result == [None]

    def test_it_is_required_without_a_default(self):
        flow, _ = flow_with(DateTimeParameter("t"))
        with pytest.raises(MissingParameterError, match="'t'"):
            flow.run()

    @pytest.mark.parametrize("given", ["soon", "", "P1D", "2026-01-01/2026-02-01", 5, time(10)])
    def test_anything_else_is_refused_before_the_run(self, given):
        flow, _ = flow_with(DateTimeParameter("t"))
        with pytest.raises(ParameterTypeError, match="'t' expects a time such as"):
            flow.run(t=given)

    def test_the_command_line_knows_its_type(self):
        parameter = DateTimeParameter("t")
        assert parameter.value_type is datetime
        assert parameter.parse("2026-01-31T10:00Z") == datetime(2026, 1, 31, 10, tzinfo=UTC)
        with pytest.raises(ParameterTypeError, match="a time such as"):
            parameter.parse("soon")

    def test_a_copy_reads_moments_too(self):
        assert DateTimeParameter("t").copy("u").resolve({"u": "2026-01-31"}) == datetime(2026, 1, 31, tzinfo=UTC)

    def test_a_flow_that_has_one_is_built_without_pendulum(self):
        code = "import sys\nfrom headrace import *\nwith Flow('f'): DateTimeParameter('t', default='now')()\n"
        found = subprocess.run(
            [sys.executable, "-c", code + "print('pendulum' in sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.strip() == "False"


class TestPickling:
    @pytest.mark.parametrize(
        "duplicate", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p)), lambda p: p.copy("n")]
    )
    def test_copies_are_still_required(self, duplicate):
        new = duplicate(Parameter("n"))
        assert new.required
        assert new.default is NO_DEFAULT
        flow, result = flow_with(new)
        assert flow.run(n=2).result[result].result == [2]
        with pytest.raises(MissingParameterError):
            flow.run()

    def test_a_flow_with_parameters_survives_cloudpickle(self):
        flow, _ = flow_with(Parameter("n"), Parameter("m", default=2))
        new = cloudpickle.loads(cloudpickle.dumps(flow))
        (result,) = new.get_tasks(name="echo")
        assert new.run(n=1).result[result].result == [1, 2]
