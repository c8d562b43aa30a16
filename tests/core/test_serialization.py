"""Flows as JSON documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

import headrace
from headrace import (
    DateTimeParameter,
    Flow,
    Parameter,
    Task,
    caching,
    case,
    flatten,
    resource_manager,
    task,
    triggers,
    unmapped,
)
from headrace.exceptions import MissingTaskError, SerializationError
from headrace.results import LocalResult, Result
from headrace.retries import exponential_backoff
from headrace.schedules import IntervalSchedule
from headrace.serialization import PlaceholderTask
from headrace.serializers import PickleSerializer
from headrace_plugins.compression import GzipSerializer
from headrace_plugins.local import LocalExecutor
from headrace_plugins.memory import MemoryStore


def log_failure(tracked, state):
    """A handler that can be found by name."""


@task(
    name="plus",
    tags=["b", "a"],
    max_retries=2,
    retry_delay=exponential_backoff(5),
    retry_on=ValueError,
    trigger=triggers.some_successful(at_least=1),
    timeout=1.5,
    on_failure=log_failure,
)
def add(x: int, y: int = 1) -> int:
    return x + y


@task
def total(xs):
    return sum(xs)


class Times(Task):
    def __init__(self, factor, **task_args):
        self.factor = factor
        super().__init__(**task_args)

    def run(self, x):
        return x * self.factor


@dataclass
class Range:
    low: int
    high: int


class _Room:
    def __init__(self, name):
        self.name = name

    def setup(self):
        return self.name

    def cleanup(self, resource):
        pass


Room: Any = resource_manager(_Room)


def everything() -> Flow:
    """Make a flow with something of each kind."""
    with Flow("everything", executor="threads", results="memory:") as flow:
        n = Parameter("n", default=(3, 4))
        added = add.map([1, 2, 3], unmapped(10))
        found = total(added)
        with case(found, 36):
            times = Times(2, slug="own")(found)
        with Room("red") as room:
            total([times, room, n[0]], upstream_tasks=[DateTimeParameter("t", default="2026-01-31")])
        total(flatten([[1], [2]]))
    return flow


def again(flow: Flow) -> Flow:
    """Return ``flow`` after a trip through JSON text."""
    return Flow.deserialize(json.loads(json.dumps(flow.serialize())))


def only(flow: Flow, slug: str) -> Task:
    (found,) = flow.get_tasks(slug=slug)
    return found


class TestDocument:
    def test_it_says_who_wrote_it_and_how(self):
        document = Flow("f").serialize()
        assert (document["headrace"], document["format"], document["name"]) == (headrace.__version__, 1, "f")

    def test_tasks_say_what_they_are(self):
        with Flow("f") as flow:
            add(1)
        (record,) = flow.serialize()["tasks"]
        assert record["slug"] == "plus-a-b-1"
        assert record["tags"] == ["a", "b"]
        assert record["type"] == "headrace.tasks:FunctionTask"
        assert record["function"] == f"{__name__}:add"
        assert record["options"]["max_retries"] == 2
        assert record["inputs"] == {
            "x": {"type": "int", "required": True},
            "y": {"type": "int", "required": False, "default": 1},
        }

    def test_a_task_alone_can_be_serialized(self):
        assert add.serialize()["name"] == "plus"

    def test_tasks_and_edges_come_in_the_order_of_adding(self):
        with Flow("f") as flow:
            z = add.copy(name="z", tags=None)(1)
            total([z, add.copy(name="a")(2)])
        document = flow.serialize()
        assert [record["slug"] for record in document["tasks"]] == list(flow.slugs.values())
        assert [(edge["downstream"], edge["key"]) for edge in document["edges"]] == [
            (flow.slugs[edge.downstream_task], edge.key) for edge in flow.edges
        ]

    def test_parameters_are_summed_up(self):
        with Flow("f") as flow:
            total([Parameter("b", default=[1]), Parameter("a", type=int)])
        assert flow.serialize()["parameters"] == [
            {"name": "a", "required": True, "type": "int"},
            {"name": "b", "required": False, "type": "list", "default": [1]},
        ]

    def test_a_default_that_cannot_be_written_names_the_parameter(self):
        with Flow("f") as flow:
            Parameter("n", default=[object()])()
        with pytest.raises(SerializationError, match=r"Parameter 'n' cannot be serialized: its default\[0\].*object"):
            flow.serialize()

    def test_other_values_that_cannot_be_written_are_opaque(self):
        with Flow("f") as flow:
            total(object())
        assert flow.serialize()["constants"] == {"total-1": {"xs": {"$": "opaque", "type": "object"}}}

    def test_reference_tasks_are_named(self):
        with Flow("f") as flow:
            one = add(1)
            total([one])
        flow.set_reference_tasks([one])
        assert flow.serialize()["reference_tasks"] == ["plus-a-b-1"]

    def test_an_empty_flow(self):
        assert again(Flow("f")).run().is_successful()


class TestRoundTrip:
    def test_a_flow_made_anew_has_the_same_document(self):
        flow = everything()
        assert again(flow).serialize() == flow.serialize()

    def test_a_flow_made_anew_runs_like_the_first(self):
        flow = everything()
        one, other = flow.run(executor="local"), again(flow).run(executor="local")
        assert one.is_failed() is other.is_failed() is True  # "red" is no number
        ends = [[(s, type(state).__name__) for s, state in zip(f.slugs.values(), r.result.values(), strict=True)]
                for f, r in ((flow, one), (again(flow), other))]  # fmt: skip
        assert ends[0] == ends[1]

    def test_tasks_are_real(self):
        new = again(everything())
        assert not new.get_tasks(task_type=PlaceholderTask)
        assert isinstance(only(new, "own-copy"), Times)

    def test_options_are_kept(self):
        with Flow("f") as flow:
            add(1)
        made = only(again(flow), "plus-a-b-1")
        assert (made.max_retries, made.retry_on, made.timeout) == (2, frozenset([ValueError]), 1.5)
        assert repr(made.trigger) == "some_successful(at_least=1, at_most=None)"
        assert made.retry_delay == exponential_backoff(5)
        assert len(made.state_handlers) == 1

    @pytest.mark.parametrize(
        "value",
        [
            None,
            1.5,
            float("inf"),
            (1, [2, (3,)]),
            {1: {2}, "a": frozenset([(1, 2)])},
            {"$": "import"},
            b"\x00\xff",
            date(2026, 1, 31),
            datetime(2026, 1, 31, tzinfo=UTC),
            timedelta(microseconds=7),
            Path("a/b"),
            Range(1, 5),
            list[int],
            int | None,
            Optional[int],  # noqa: UP045 - which is another object
            Literal["a", 1],
            dict[str, tuple[int, ...]],
            Any,
            ValueError,
            len,
            ...,
        ],
    )
    def test_constants_arrive_as_what_they_were(self, value):
        echo = Times(1, name="echo")
        with Flow("f") as flow:
            made = echo(value)
        new = again(flow)
        found = new.constants[only(new, flow.slugs[made])]["x"]
        assert found == value
        assert repr(found) == repr(value)

    def test_slugs_stay_where_tasks_were_removed(self):
        with Flow("f") as flow:
            first, _ = total([1]), total([2])
        flow.replace(first, total.copy())
        new = again(flow)
        assert list(new.slugs.values()) == list(flow.slugs.values())
        with new:
            total([3])
        assert len(set(new.slugs.values())) == 3

    def test_reference_tasks_are_kept(self):
        with Flow("f") as flow:
            one = add(1)
            total([one])
        flow.set_reference_tasks([one])
        new = again(flow)
        assert new.reference_tasks() == {only(new, "plus-a-b-1")}
        assert not again(Flow("g")).chose_reference_tasks

    def test_flow_handlers_are_kept(self):
        flow = Flow("f", on_failure=log_failure, terminal_state_handler=log_failure)
        new = again(flow)
        assert new.terminal_state_handler is log_failure
        assert new.serialize() == flow.serialize()

    def test_subflows_are_kept(self):
        with Flow("inner") as inner:
            add(Parameter("n"))
        with Flow("outer") as flow:
            made = inner(n=4)
        new = again(flow)
        assert new.serialize() == flow.serialize()
        assert new.run().result[only(new, flow.slugs[made])].result == 5

    def test_a_large_flow_takes_linear_time(self):
        with Flow("f") as flow:
            one = add(1)
            for _ in range(3000):
                one = add(one)
        assert len(again(flow).tasks) == 3001


class TestPlaceholders:
    def inner(self) -> Flow:
        @task
        def hidden(x):
            return x

        with Flow("f") as flow:
            total([hidden(1)])
        return flow

    def test_what_cannot_be_imported_is_a_placeholder(self):
        made = only(again(self.inner()), "hidden-1")
        assert isinstance(made, PlaceholderTask)
        assert "hidden" in made.missing
        assert made.name == "hidden"

    def test_a_flow_with_one_refuses_to_run_before_anything_runs(self):
        with pytest.raises(MissingTaskError, match=r"'hidden'.*nothing can import it.*flow\.replace"):
            again(self.inner()).run()

    def test_it_cannot_be_run_by_hand_either(self):
        with pytest.raises(MissingTaskError):
            only(again(self.inner()), "hidden-1").run()

    def test_it_can_be_drawn_and_looked_at(self):
        new = again(self.inner())
        assert "hidden" in new.visualize(format="text")
        assert [t.name for t in new.sorted_tasks()] == ["hidden", "List", "total"]

    def test_it_keeps_its_record(self):
        flow = self.inner()
        assert again(again(flow)).serialize() == flow.serialize()

    def test_a_replaced_one_lets_the_flow_run(self):
        new = again(self.inner())
        new.replace(only(new, "hidden-1"), Times(5))
        assert new.run().result[only(new, "total-1")].result == 5

    @pytest.mark.parametrize("build", [lambda: total(object()), lambda: total(lambda: 1), Times(object())])
    def test_a_task_that_misses_a_value_is_one_too(self, build):
        with Flow("f") as flow:
            build(1) if isinstance(build, Task) else build()
        document = flow.serialize()
        new = again(flow)
        (made,) = new.tasks
        assert isinstance(made, PlaceholderTask)
        assert new.serialize() == document
        with pytest.raises(MissingTaskError, match="is missing"):
            new.run()

    def test_a_subflow_that_misses_a_task_is_one(self):
        with Flow("outer") as flow:
            self.inner()()
        (made,) = again(flow).tasks
        assert isinstance(made, PlaceholderTask)
        assert "misses task 'hidden'" in made.missing

    def test_a_changed_signature_makes_one(self):
        with Flow("f") as flow:
            add(1, y=2)
        document = flow.serialize()
        document["constants"]["plus-a-b-1"]["z"] = 3
        (made,) = Flow.deserialize(document).tasks
        assert isinstance(made, PlaceholderTask)
        assert "no longer takes an argument 'z'" in made.missing

    @pytest.mark.parametrize("name", ["json:loads.nothing", "no_such_module:x", "json:dumps"])
    def test_a_class_that_is_no_task_or_nowhere_makes_one(self, name):
        with Flow("f") as flow:
            Times(1)(1)
        document = flow.serialize()
        document["tasks"][0]["type"] = name
        (made,) = Flow.deserialize(document).tasks
        assert isinstance(made, PlaceholderTask)

    def test_a_handler_that_cannot_be_found_fails_the_run(self):
        new = again(Flow("f", state_handlers=[lambda *_: None]))
        assert new.serialize()["state_handlers"][0]["$"] == "opaque"
        assert not new.run().is_successful()


class TestFormats:
    def test_a_later_format_is_refused_with_a_reason(self):
        document = {**Flow("f").serialize(), "format": 2, "headrace": "9.0"}
        with pytest.raises(SerializationError, match=r"headrace 9\.0 in format 2.*up to 1.*Upgrade"):
            Flow.deserialize(document)

    @pytest.mark.parametrize("document", [{}, {"format": "1"}, {"format": True}, {"format": 0}])
    def test_what_has_no_format_is_no_flow(self, document):
        with pytest.raises(SerializationError, match="not a serialized flow"):
            Flow.deserialize(document)

    @pytest.mark.parametrize("key", ["name", "tasks", "edges", "constants", "reference_tasks"])
    def test_a_damaged_document_is_a_value_error(self, key):
        document = everything().serialize()
        del document[key]
        with pytest.raises(SerializationError, match="damaged") as caught:
            Flow.deserialize(document)
        assert isinstance(caught.value, ValueError)


class TestHash:
    def test_equal_flows_have_equal_hashes(self):
        assert everything().serialized_hash() == everything().serialized_hash()
        assert again(everything()).serialized_hash() == everything().serialized_hash()

    @pytest.mark.parametrize(
        "change",
        [
            lambda flow: flow.add_task(Times(1)),
            lambda flow: setattr(flow, "name", "other"),
            lambda flow: setattr(only(flow, "own-copy"), "factor", 3),
        ],
    )
    def test_any_change_changes_it(self, change):
        flow = everything()
        before = flow.serialized_hash()
        change(flow)
        assert flow.serialized_hash() != before

    def test_the_version_of_headrace_does_not_matter(self, monkeypatch):
        before = everything().serialized_hash()
        monkeypatch.setattr(headrace, "__version__", "9.0")
        assert everything().serialized_hash() == before


class TestFlowOptions:
    def test_a_schedule_is_kept(self):
        schedule = IntervalSchedule(datetime(2026, 1, 31, tzinfo=UTC), timedelta(hours=1))
        flow = Flow("f", schedule, serializer="json")
        new = again(flow)
        assert new.schedule == schedule
        assert new.serialize() == flow.serialize()

    def test_an_executor_that_cannot_be_written_is_not_passed_over(self):
        flow = Flow("f", executor=LocalExecutor())
        new = again(flow)
        assert new.serialize() == flow.serialize()
        with pytest.raises(TypeError, match=r"missing: A value of type headrace_plugins\.local\.LocalExecutor"):
            new.run()
        assert new.run(executor="local").is_successful()


def where_it_goes(**names):
    return f"{names['x']}.json"


def is_fresh(state, inputs, parameters):
    return True


@task(cache_for=60, cache_validator=caching.partial_inputs_only(validate_on=["x"]), cache_key="twice")
def cached(x, y=0):
    return x + y


@task(target="{x}.json", result="file:kept", serializer="json", checkpoint=True)
def stored(x):
    return x


@task
def plain(x):
    return x


@task(resources={"gpu": 1, "memory": 0.5})
def demanding(x):
    return x


def test_the_resources_of_a_task_are_kept():
    with Flow("f") as flow:
        demanding(1, task_args={"slug": "it"})
        plain(1, task_args={"slug": "modest"})
    assert only(again(flow), "it").resources == {"gpu": 1, "memory": 0.5}
    assert only(again(flow), "modest").resources is None
    assert "resources" not in plain.serialize()["options"]


class TestStorageOptions:
    def test_they_are_among_the_options_of_a_task(self):
        record = stored.serialize()
        options = record["options"]
        assert (options["result"], options["target"], options["serializer"]) == ("file:kept", "{x}.json", "json")
        assert options["checkpoint"] is True
        assert cached.serialize()["options"]["cache_key"] == "twice"
        assert "storage" not in record["attributes"]

    def test_those_that_were_not_given_are_not_written(self):
        options = plain.serialize()["options"]
        assert not {"result", "target", "serializer", "cache_for", "cache_validator", "cache_key"} & options.keys()
        with Flow("f") as flow:
            plain(1, task_args={"slug": "it"})
        assert only(again(flow), "it").storage is None

    @pytest.mark.parametrize(
        "options",
        [
            {"result": "memory:", "serializer": "pickle+gzip"},
            {"result": Result(location="{task_name}/{x}", serializer="json", store="memory:")},
            {"result": LocalResult(dir="kept", location=where_it_goes)},
            {"target": where_it_goes, "checkpoint": False},
            {"serializer": PickleSerializer()},
            {"serializer": GzipSerializer()},
            {"cache_for": timedelta(days=1)},
            {"cache_for": 1.5, "cache_validator": caching.duration_only},
            {"cache_for": 1.5, "cache_validator": caching.never_use},
            {"cache_for": 1.5, "cache_validator": caching.partial_parameters_only(validate_on=["a", "b"])},
            {"cache_for": 1.5, "cache_validator": is_fresh, "cache_key": "k"},
        ],
    )
    def test_they_come_back_as_they_were(self, options):
        with Flow("f") as flow:
            plain(1, task_args={"slug": "it", **options})
        before, after = only(flow, "it"), only(again(flow), "it")
        assert not isinstance(after, PlaceholderTask)
        assert (after.storage, after.checkpoint) == (before.storage, before.checkpoint)
        assert after.storage is None or before.storage is None or after.storage.is_cached is before.storage.is_cached

    def test_a_flow_made_anew_finds_what_the_first_one_kept(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with Flow("f") as flow:
            found, kept = cached(1), stored(2)
        flow.run()
        new = again(flow)
        states = new.run().result
        assert all(states[only(new, flow.slugs[each])].is_cached() for each in (found, kept))

    def test_a_store_that_cannot_be_written_makes_a_placeholder_that_says_so(self):
        with Flow("f") as flow:
            plain(1, task_args={"result": MemoryStore(), "slug": "it"})
        after = only(again(flow), "it")
        assert isinstance(after, PlaceholderTask)
        assert after.missing.startswith("its result is missing: A value of type headrace_plugins.memory.MemoryStore")
