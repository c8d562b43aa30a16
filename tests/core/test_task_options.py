from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from headrace import Flow, Task, config, task
from headrace.exceptions import TaskDefinitionError
from headrace.retries import exponential_backoff
from headrace.states import Failed, Success
from headrace.triggers import all_failed, all_successful

NO = float("nan")
ENDLESS = float("inf")


def handler(tracked, old, new):
    return None


class TestTags:
    def test_any_iterable_of_texts_becomes_a_set(self):
        assert Task(tags=iter(["a", "b", "a"])).tags == {"a", "b"}

    def test_a_bare_text_is_a_type_error(self):
        with pytest.raises(TypeError, match="tags"):
            Task(tags="etl")

    def test_an_empty_text_is_a_type_error(self):
        with pytest.raises(TypeError, match="tags"):
            Task(tags="")

    @pytest.mark.parametrize("wrong", [[1], ["a", None], [b"a"]])
    def test_a_tag_that_is_no_text_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="tags"):
            Task(tags=wrong)

    def test_what_is_not_iterable_is_a_type_error(self):
        with pytest.raises(TypeError):
            Task(tags=5)  # type: ignore[arg-type]


class TestRetries:
    def test_retries_without_a_delay_are_a_value_error(self):
        with pytest.raises(ValueError, match="retry_delay"):
            Task(max_retries=1)

    def test_a_delay_without_retries_is_a_value_error(self):
        with pytest.raises(ValueError, match="max_retries"):
            Task(retry_delay=timedelta(seconds=1))

    def test_a_delay_with_no_retries_is_a_value_error(self):
        with pytest.raises(ValueError, match="max_retries"):
            Task(max_retries=0, retry_delay=1)

    def test_a_filter_without_retries_is_a_value_error(self):
        with pytest.raises(ValueError, match="max_retries"):
            Task(retry_on=ValueError)

    def test_negative_retries_are_a_value_error(self):
        with pytest.raises(ValueError, match="negative"):
            Task(max_retries=-1, retry_delay=1)

    @pytest.mark.parametrize("wrong", [True, 1.0, "1"])
    def test_retries_are_counted_in_whole_numbers(self, wrong):
        with pytest.raises(TypeError, match="max_retries"):
            Task(max_retries=wrong, retry_delay=1)

    @pytest.mark.parametrize("delay", [3, 3.0, timedelta(seconds=3)])
    def test_a_delay_may_be_seconds_or_a_timedelta(self, delay):
        assert Task(max_retries=1, retry_delay=delay).retry_delay == timedelta(seconds=3)

    def test_no_delay_at_all_is_a_delay(self):
        assert Task(max_retries=1, retry_delay=0).retry_delay == timedelta(0)

    @pytest.mark.parametrize("delays", [[1, timedelta(seconds=2)], (1.0, 2)])
    def test_a_delay_may_be_a_list(self, delays):
        assert Task(max_retries=2, retry_delay=delays).retry_delay == [timedelta(seconds=1), timedelta(seconds=2)]

    def test_a_delay_may_be_a_callable(self):
        backoff = exponential_backoff()
        assert Task(max_retries=2, retry_delay=backoff).retry_delay is backoff

    @pytest.mark.parametrize("wrong", ["soon", True, ["soon"], [True], {1}, [[1]]])
    def test_other_delays_are_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="retry_delay"):
            Task(max_retries=1, retry_delay=wrong)

    @pytest.mark.parametrize("wrong", [-1, timedelta(seconds=-1), [1, -1], [], ENDLESS, NO, 1e300])
    def test_impossible_delays_are_a_value_error(self, wrong):
        with pytest.raises(ValueError, match="retry_delay"):
            Task(max_retries=1, retry_delay=wrong)

    @pytest.mark.parametrize("given", [KeyError, [KeyError], (KeyError,), {KeyError}, iter([KeyError])])
    def test_a_filter_is_one_class_or_several(self, given):
        assert Task(max_retries=1, retry_delay=0, retry_on=given).retry_on == frozenset([KeyError])

    def test_without_a_filter_there_is_none(self):
        assert Task(max_retries=1, retry_delay=0).retry_on is None

    @pytest.mark.parametrize("wrong", ["ValueError", 5, int, [int], KeyError(), KeyboardInterrupt, [KeyError, "x"]])
    def test_a_filter_of_anything_but_exceptions_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="retry_on"):
            Task(max_retries=1, retry_delay=0, retry_on=wrong)


class TestTimeout:
    @pytest.mark.parametrize("given", [2, 2.0, timedelta(seconds=2)])
    def test_it_is_kept_in_seconds(self, given):
        kept = Task(timeout=given).timeout
        assert kept == 2.0
        assert isinstance(kept, float)

    @pytest.mark.parametrize("given", [0.25, timedelta(milliseconds=250)])
    def test_fractions_count(self, given):
        assert Task(timeout=given).timeout == 0.25

    @pytest.mark.parametrize("wrong", [0, -1, timedelta(0), timedelta(days=-1), NO, ENDLESS])
    def test_impossible_timeouts_are_a_value_error(self, wrong):
        with pytest.raises(ValueError, match="timeout"):
            Task(timeout=wrong)

    @pytest.mark.parametrize("wrong", ["1", True, [1]])
    def test_other_timeouts_are_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="timeout"):
            Task(timeout=wrong)

    @pytest.mark.parametrize("none", [0, False])
    def test_a_configured_zero_means_none(self, none):
        with config.set_temporary_config({"tasks.defaults.timeout": none}):
            assert Task().timeout is None


class TestNames:
    @pytest.mark.parametrize("option", ["name", "slug", "task_run_name"])
    def test_what_is_no_text_is_a_type_error(self, option):
        wrong: dict[str, Any] = {option: 5}
        with pytest.raises(TypeError, match=f"`{option}` of task"):
            Task(**wrong)
        with pytest.raises(TypeError, match=f"`{option}` of task"):
            Task().copy(**wrong)

    @pytest.mark.parametrize("template", ["{", "{}", "{0}", ""])
    def test_a_name_that_could_never_be_filled_in_is_a_value_error(self, template):
        with pytest.raises(TaskDefinitionError, match="`task_run_name` of task 'load'"):
            Task(name="load", task_run_name=template)

    @pytest.mark.parametrize("name", ["plain", "{day}", "{day:%Y}-{x[0].y}", len])
    def test_a_run_name_is_a_template_or_callable(self, name):
        assert Task(task_run_name=name).task_run_name is name


class TestTrigger:
    def test_all_successful_is_the_default(self):
        assert Task(trigger=None).trigger is all_successful

    def test_any_callable_is_kept(self):
        assert Task(trigger=all_failed).trigger is all_failed

    def test_what_cannot_be_called_is_a_type_error(self):
        with pytest.raises(TypeError, match="trigger"):
            Task(trigger="all_failed")  # type: ignore[arg-type]


class TestStateHandlers:
    @pytest.mark.parametrize("given", [[handler], (handler,)])
    def test_a_sequence_becomes_a_list(self, given):
        assert Task(state_handlers=given).state_handlers == [handler]

    def test_the_list_is_a_copy(self):
        given = [handler]
        Task(state_handlers=given).state_handlers.append(handler)
        assert given == [handler]

    @pytest.mark.parametrize("wrong", [handler, {handler}, 5, iter([handler])])
    def test_a_bare_callable_or_another_collection_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="state_handlers"):
            Task(state_handlers=wrong)

    def test_a_handler_that_cannot_be_called_is_a_type_error(self):
        for wrong in ("notify", None):
            with pytest.raises(TypeError, match="cannot be called"):
                Task(state_handlers=[wrong])  # type: ignore[list-item]

    def test_on_failure_is_the_last_handler(self):
        new = Task(state_handlers=[handler], on_failure=lambda task, state: None)
        assert len(new.state_handlers) == 2
        assert new.state_handlers[0] is handler

    def test_on_failure_is_called_for_failed_states_only(self):
        seen: list[Any] = []
        new = Task(on_failure=lambda *given: seen.append(given))
        failed = Failed()
        new.state_handlers[-1](new, Success(), Success())
        new.state_handlers[-1](new, Success(), failed)
        assert seen == [(new, failed)]

    def test_on_failure_replaces_no_state(self):
        new = Task(on_failure=lambda task, state: Success())
        assert new.state_handlers[-1](new, Success(), Failed()) is None

    def test_on_failure_that_cannot_be_called_is_a_type_error(self):
        with pytest.raises(TypeError, match="cannot be called"):
            Task(on_failure="mail")  # type: ignore[arg-type]


class TestResources:
    def test_amounts_may_be_whole_or_not(self):
        assert Task(resources={"gpu": 1, "memory": 0.5}).resources == {"gpu": 1, "memory": 0.5}

    def test_what_was_given_can_change_without_changing_the_task(self):
        given = {"gpu": 1}
        new = Task(resources=given)
        given["gpu"] = 2
        assert new.resources == {"gpu": 1}

    @pytest.mark.parametrize("wrong", ["gpu", ["gpu"], 1, {1: 1}, {"gpu": "1"}, {"gpu": True}, {"gpu": None}])
    def test_anything_but_numbers_by_name_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="resources"):
            Task(resources=wrong)

    @pytest.mark.parametrize("amount", [0, -1, -0.5, NO, ENDLESS])
    def test_an_amount_that_is_not_positive_and_finite_is_a_value_error(self, amount):
        with pytest.raises(ValueError, match="gpu"):
            Task(resources={"gpu": amount})

    def test_a_copy_keeps_them_and_can_have_others(self):
        original = Task(resources={"gpu": 1})
        assert original.copy().resources == {"gpu": 1}
        assert original.copy(resources={"gpu": 2}).resources == {"gpu": 2}
        assert original.copy(resources=None).resources is None
        assert original.resources == {"gpu": 1}

    def test_a_copy_is_checked_too(self):
        with pytest.raises(ValueError, match="gpu"):
            Task().copy(resources={"gpu": 0})

    def test_functions_and_calls_can_have_them(self):
        @task(resources={"gpu": 1})
        def train() -> None: ...

        with Flow("training") as flow:
            as_usual, alone = train(), train(task_args={"resources": {"gpu": 4}})
        assert (as_usual.resources, alone.resources) == ({"gpu": 1}, {"gpu": 4})
        assert len(flow.tasks) == 2

    @pytest.mark.parametrize("executor", ["local", "threads"])
    def test_executors_that_share_out_nothing_run_the_task(self, executor):
        with Flow("training") as flow:
            trained = task(lambda: 5, name="train", resources={"gpu": 100})()
        assert flow.run(executor=executor).result[trained].result == 5


class TestResume:
    @pytest.mark.parametrize("answer", ["rerun", "skip", "ask"])
    def test_it_is_one_of_three_answers(self, answer):
        assert Task(resume=answer).resume == answer

    def test_a_task_that_says_nothing_runs_again(self):
        assert Task().resume == "rerun"

    def test_any_other_text_is_a_value_error_that_names_the_nearest(self):
        with pytest.raises(ValueError, match="'rerun', 'skip' and 'ask'.*Did you mean 'skip'"):
            Task(resume="skipp")  # type: ignore[arg-type]

    @pytest.mark.parametrize("wrong", [True, 1, ["skip"]])
    def test_anything_else_is_a_type_error(self, wrong):
        with pytest.raises(TypeError, match="`resume` of task 'Task'"):
            Task(resume=wrong)

    def test_a_call_can_say_something_else_and_is_checked(self):
        with Flow("paying"):
            assert task(lambda: 5, name="pay", resume="ask")(task_args={"resume": "skip"}).resume == "skip"
            with pytest.raises(ValueError, match="resume"):
                task(lambda: 5, name="pay")(task_args={"resume": "never"})


class TestNout:
    @pytest.mark.parametrize("wrong", [-1, True, 1.0, "2"])
    def test_it_is_a_whole_number_that_is_not_negative(self, wrong):
        with pytest.raises(TypeError, match="nout"):
            Task(nout=wrong)

    @pytest.mark.parametrize(
        ("annotation", "length"),
        [
            (tuple[int, str], 2),
            (tuple[int], 1),
            (tuple[()], 0),
            (tuple[int, ...], None),
            (tuple, None),
            (list[int], None),
            ("tuple[int, str]", 2),
            ("Tuple[int, str, dict[str, tuple[int, int]]]", 3),
            ("typing.Tuple[int, str]", 2),
            ("tuple[int]", 1),
            ("tuple[()]", 0),
            ("tuple[int, ...]", None),
            ("tuple[int, str] | None", None),
            ("tuple", None),
            ("Tuple", None),
            ("tuple[", None),
            ("list[tuple[int, int]]", None),
            (None, None),
        ],
    )
    def test_it_is_read_from_the_return_annotation(self, annotation, length):
        def function(): ...

        function.__annotations__["return"] = annotation
        assert task(function).nout == length

    def test_it_is_read_from_an_annotation_of_the_typing_module(self):
        from typing import Tuple  # noqa: UP035

        def function() -> Any: ...

        for annotation, length in [(Tuple[int, str], 2), (Tuple[()], 0), (Tuple[int, ...], None), (Tuple, None)]:  # noqa: UP006
            function.__annotations__["return"] = annotation
            assert task(function).nout == length

    def test_what_is_given_wins_over_the_annotation(self):
        def function() -> tuple[int, str]: ...  # type: ignore[empty-body]

        assert task(nout=3)(function).nout == 3
