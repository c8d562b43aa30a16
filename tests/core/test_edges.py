from __future__ import annotations

import copy
import pickle
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Task, flatten, mapped, task, unmapped
from headrace.edges import Edge, EdgeAnnotation
from headrace.exceptions import DefinitionTypeError

UP, DOWN = Task(name="up"), Task(name="down")


class TestEdge:
    def test_defaults(self):
        edge = Edge(UP, DOWN)
        assert (edge.upstream_task, edge.downstream_task) == (UP, DOWN)
        assert (edge.key, edge.mapped, edge.flattened) == (None, False, False)

    def test_arguments_are_in_the_classic_order(self):
        edge = Edge(UP, DOWN, "x", True, True)
        assert (edge.key, edge.mapped, edge.flattened) == ("x", True, True)

    def test_tasks_are_both_ends(self):
        assert Edge(UP, DOWN).tasks == {UP, DOWN}

    def test_an_edge_to_itself_is_a_value_error(self):
        with pytest.raises(ValueError, match="itself"):
            Edge(UP, UP)

    @pytest.mark.parametrize("key", ["", "a b", "1a", "class", "a.b", "x=1"])
    def test_a_key_that_is_no_argument_name_is_a_value_error(self, key):
        with pytest.raises(ValueError, match="cannot be an argument of task 'down'"):
            Edge(UP, DOWN, key=key)

    def test_a_word_of_the_language_is_called_so(self):
        with pytest.raises(ValueError, match=r"'class'.*'down'.*a word of the language"):
            Edge(UP, DOWN, key="class")

    def test_a_key_that_is_no_text_is_a_type_error(self):
        with pytest.raises(DefinitionTypeError, match="'down' are named by texts, and got 5"):
            Edge(UP, DOWN, key=5)  # type: ignore[arg-type]

    @pytest.mark.parametrize("key", ["größe", "名", "_"])
    def test_a_key_may_be_any_identifier(self, key):
        assert Edge(UP, DOWN, key=key).key == key

    def test_equal_edges_are_equal_in_all_five_fields(self):
        assert Edge(UP, DOWN, "x", True, True) == Edge(UP, DOWN, "x", True, True)
        assert len({Edge(UP, DOWN, "x"), Edge(UP, DOWN, "x")}) == 1

    @pytest.mark.parametrize(
        "other",
        [
            Edge(DOWN, UP, "x"),
            Edge(UP, Task(name="down"), "x"),
            Edge(UP, DOWN, "y"),
            Edge(UP, DOWN),
            Edge(UP, DOWN, "x", mapped=True),
            Edge(UP, DOWN, "x", flattened=True),
            "edge",
        ],
    )
    def test_a_difference_in_any_field_makes_them_different(self, other):
        assert Edge(UP, DOWN, "x") != other

    def test_the_repr_shows_what_it_connects(self):
        assert repr(Edge(UP, DOWN)) == "<Edge: up to down>"
        assert repr(Edge(UP, DOWN, "x", True, True)) == "<Edge: up to down as 'x', mapped, flattened>"

    @pytest.mark.parametrize("module", [pickle, cloudpickle])
    def test_a_pickled_edge_has_a_hash_that_fits_its_new_tasks(self, module):
        new = module.loads(module.dumps(Edge(UP, DOWN, "x", mapped=True)))
        assert new == Edge(new.upstream_task, new.downstream_task, "x", mapped=True)
        assert hash(new) == hash(Edge(new.upstream_task, new.downstream_task, "x", mapped=True))

    def test_a_shallow_copy_is_equal_and_a_deep_one_has_tasks_of_its_own(self):
        edge = Edge(UP, DOWN, "x")
        assert copy.copy(edge) == edge
        assert copy.deepcopy(edge).upstream_task is not UP


class TestAnnotations:
    @pytest.mark.parametrize(
        ("annotation", "merged"),
        [
            (mapped(1), {"mapped": True}),
            (unmapped(1), {"mapped": False}),
            (flatten(1), {"flattened": True}),
            (flatten(mapped(1)), {"mapped": True, "flattened": True}),
            (mapped(flatten(1)), {"mapped": True, "flattened": True}),
            (unmapped(flatten(1)), {"mapped": False, "flattened": True}),
        ],
    )
    def test_they_nest_in_any_order(self, annotation, merged):
        assert annotation.merged == merged
        assert annotation.value == 1

    def test_the_inner_one_wins(self):
        assert unmapped(mapped(1)).merged == {"mapped": True}
        assert mapped(unmapped(1)).merged == {"mapped": False}

    def test_they_are_edge_annotations(self):
        assert all(issubclass(kind, EdgeAnnotation) for kind in (mapped, unmapped, flatten))

    def test_the_repr_shows_the_value(self):
        assert repr(mapped([1])) == "mapped([1])"

    def test_one_that_says_nothing_changes_nothing(self):
        assert EdgeAnnotation(1).merged == {}

    def test_they_pickle(self):
        new = pickle.loads(pickle.dumps(flatten(mapped([1]))))
        assert (new.value, new.merged) == ([1], {"mapped": True, "flattened": True})


@task
def echo(x: Any) -> Any:
    return x


class TestInAFlow:
    def test_they_set_the_fields_of_the_edge(self):
        with Flow("f") as flow:
            one = echo([[1]])
            (edge,) = flow.edges_to(echo(mapped(flatten(one))))
        assert (edge.mapped, edge.flattened) == (True, True)

    def test_they_beat_the_argument_of_the_call(self):
        with Flow("f") as flow:
            one = echo([1])
            (edge,) = flow.edges_to(echo(unmapped(one), mapped=True))
        assert edge.mapped is False

    def test_they_beat_the_argument_of_add_edge(self):
        flow = Flow("f")
        edge = flow.add_edge(unmapped(UP), echo.copy(), key="x", mapped=True)
        assert edge.mapped is False

    def test_flatten_works_without_mapping(self):
        with Flow("f") as flow:
            result = echo(flatten([[1], [2, 3]]))
        assert flow.run().result[result].result == [1, 2, 3]

    def test_flatten_leaves_what_is_not_nested_throughout(self):
        with Flow("f") as flow:
            result = echo(flatten([[1], 2]))
        assert flow.run().result[result].result == [[1], 2]
