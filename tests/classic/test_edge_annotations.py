"""``mapped``, ``unmapped`` and ``flatten``, section 1.4 of the classic reference."""

from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Parameter, Task, flatten, mapped, task, unmapped
from headrace.edges import Edge, EdgeAnnotation


@task
def echo(x):
    return x


@task
def pair(x, y):
    return x, y


def result_of(flow: Flow, wanted: Task, **parameters: Any) -> Any:
    return flow.run(parameters).result[wanted].result


def test_each_is_an_annotation_with_one_mark():
    assert (mapped.annotations, unmapped.annotations, flatten.annotations) == (
        {"mapped": True},
        {"mapped": False},
        {"flattened": True},
    )
    assert all(issubclass(kind, EdgeAnnotation) for kind in (mapped, unmapped, flatten))


def test_making_one_makes_no_task():
    with Flow("f") as flow:
        assert unmapped([1, 2]).value == [1, 2]
        assert not flow.tasks


@pytest.mark.parametrize("annotate", [lambda x: flatten(mapped(x)), lambda x: mapped(flatten(x))])
def test_they_nest_in_any_order(annotate):
    with Flow("f") as flow:
        found = echo(annotate([[1], [2, 3]]))
    assert result_of(flow, found) == [1, 2, 3]


def test_of_two_that_disagree_the_inner_one_wins():
    with Flow("f") as flow:
        mapped_after_all = echo(unmapped(mapped([1, 2])))
        whole_after_all = pair.map([0], mapped(unmapped([1, 2])))
    assert result_of(flow, mapped_after_all) == [1, 2]
    assert result_of(flow, whole_after_all) == [(0, [1, 2])]


@pytest.mark.parametrize(("annotation", "argument"), [(mapped, False), (unmapped, True)])
def test_they_beat_the_argument_of_a_call_and_of_an_edge(annotation, argument):
    with Flow("f") as flow:
        one = echo([1])
        called = echo(annotation(one), mapped=argument)
        bound = echo.copy().bind(annotation(one), mapped=argument)
        edge = flow.add_edge(annotation(one), echo.copy(), key="x", mapped=argument)
        bare = Task()
        flow.set_dependencies(bare, upstream_tasks=[annotation(one)], mapped=argument)
    edges = [*flow.edges_to(called), *flow.edges_to(bound), edge, *flow.edges_to(bare)]
    assert [each.mapped for each in edges] == [annotation is mapped] * 4


def test_mapped_in_a_plain_call_maps_that_argument_alone():
    with Flow("f") as flow:
        found = pair(mapped([1, 2]), y=[3, 4])
    assert result_of(flow, found) == [(1, [3, 4]), (2, [3, 4])]


def test_upstream_tasks_can_be_annotated():
    order: list[Any] = []

    @task
    def note(x):
        order.append(x)

    with Flow("f") as flow:
        first = note.map([1, 2])
        note.map([3, 4], upstream_tasks=[unmapped(first)])
    assert flow.run().is_successful()
    assert order == [1, 2, 3, 4]


def test_parameters_and_items_can_be_annotated():
    with Flow("f") as flow:
        numbers = Parameter("numbers")
        found = pair(mapped(numbers), unmapped(numbers[0]))
    assert result_of(flow, found, numbers=[1, 2]) == [(1, 1), (2, 1)]


def test_an_edge_says_what_it_was_marked_with():
    with Flow("f") as flow:
        one = echo([[1]])
        two = echo(mapped(flatten(one)))
    assert flow.edges == {Edge(one, two, key="x", mapped=True, flattened=True)}
