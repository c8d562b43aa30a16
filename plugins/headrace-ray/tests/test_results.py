"""Results stay with Ray: small ones as pickles, large ones as objects, and the driver reads neither unasked."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import numpy
import pytest

from headrace import Flow, task, unmapped
from headrace.exceptions import ResultError
from headrace.states import Success
from headrace_ray import RayExecutor
from headrace_ray.references import InlineReference, StoredReference


@task
def zeros(size):
    return numpy.zeros(size, dtype="uint8")


@task
def size_of(array):
    return int(array.nbytes)


@task
def same(value):
    return value


def _raw(state):
    return state._result


def test_small_results_travel_with_the_outcome_and_large_ones_do_not(desk):
    small, large = desk.outcomes(lambda: b"x" * 1000, lambda: b"x" * 10_000)
    assert isinstance(_raw(small), InlineReference)
    assert isinstance(_raw(large), StoredReference)
    assert len(small.result) == 1000
    assert len(large.result) == 10_000
    assert 1000 < _raw(small).size < 1100
    assert 10_000 < _raw(large).size < 10_100


def test_a_map_over_a_stored_list_is_cut_where_it_is(desk):
    (made,) = desk.outcomes(lambda: list(range(50_000)))
    reference = _raw(made)
    elements = [reference.element(index) for index in (0, 1, 49_999)]
    assert 10 < len(reference._pieces) < 100
    assert [element.load() for element in elements] == [0, 1, 49_999]
    (summed,) = desk.outcomes(lambda values: values[0] + values[1] + values[2], values=elements)
    assert summed.result == 50_000


def test_elements_that_are_large_are_pieces_of_their_own(desk):
    (made,) = desk.outcomes(lambda: [bytes([number]) * 100_000 for number in range(5)])
    reference = _raw(made)
    assert reference.element(3).load() == b"\x03" * 100_000
    assert len(reference._pieces) == 5


def test_elements_of_a_small_list_can_be_passed_on(desk):
    (made,) = desk.outcomes(lambda: ["a", "b", "c"])
    reference = _raw(made)
    assert reference.element(1).load() == "b"
    (passed,) = desk.outcomes(lambda texts: texts, texts=[reference.element(2), reference.element(0)])
    assert passed.result == ["c", "a"]


def test_a_reference_is_found_wherever_it_is_in_an_argument(desk):
    (made,) = desk.outcomes(lambda: b"x" * 20_000)
    nested = {"here": [(1, _raw(made))], "there": _raw(made)}
    (found,) = desk.outcomes(
        lambda value: [len(value["here"][0][1]), value["here"][0][1] is value["there"]], value=nested
    )
    assert found.result == [20_000, True]


def test_an_array_that_comes_home_can_be_written_to():
    with Flow("home") as flow:
        made = zeros(100_000)
    array = flow.run(executor="ray", keep_results="all").result[made].result
    array[0] = 1
    assert array.sum() == 1


def test_a_large_argument_is_put_once_for_all_children(desk):
    big = b"x" * 500_000
    with Flow("constant") as flow:
        sizes = task(lambda _number, data: len(data), name="measure").map(list(range(20)), unmapped(big))
    executor = RayExecutor()
    put = []
    original = _counting_put(put)
    with original:
        state = flow.run(executor=executor, keep_results="all")
    assert state.result[sizes].result == [500_000] * 20
    assert len(put) == 1


def _counting_put(put):
    import ray

    patch = pytest.MonkeyPatch.context()

    class Counting:
        def __enter__(self):
            self.patch = patch.__enter__()
            real = ray.put
            self.patch.setattr(ray, "put", lambda *args, **kwargs: put.append(args) or real(*args, **kwargs))

        def __exit__(self, *error):
            patch.__exit__(*error)

    return Counting()


def test_a_large_task_is_put_once():
    captured = b"x" * 300_000
    with Flow("closure") as flow:
        sizes = task(lambda number: len(captured) + number, name="measure").map(list(range(10)))
    put = []
    with _counting_put(put):
        state = flow.run(executor="ray", keep_results="all")
    assert state.result[sizes].result == [300_000 + number for number in range(10)]
    assert len(put) == 1


def test_large_parameters_are_put_once():
    from headrace import Parameter

    with Flow("parameters") as flow:
        text = Parameter("text")
        sizes = task(lambda value, _number: len(value), name="measure").map(unmapped(text), list(range(10)))
    state = flow.run(executor="ray", keep_results="all", parameters={"text": "y" * 200_000})
    assert state.result[sizes].result == [200_000] * 10


def test_results_of_other_kinds_of_success_stay_too(desk):
    from headrace import signals

    def early():
        raise signals.SUCCESS("early", result=[1, 2, 3])

    (state,) = desk.outcomes(early)
    assert type(state) is Success
    assert state.message == "early"
    assert _raw(state).length == 3
    assert state.result == [1, 2, 3]


def test_a_reference_cannot_be_pickled_for_anything_else(desk):
    import pickle

    (made,) = desk.outcomes(lambda: b"x" * 20_000)
    with pytest.raises(LookupError):
        pickle.dumps(_raw(made))


def test_a_result_whose_ray_is_gone_says_so():
    from headrace_ray.cluster import Connection
    from headrace_ray.dispatch import Store

    store = Store(Connection(own=True, fixed=True))
    reference = StoredReference("made", None, 10, None, store)
    store.closed = True
    assert not reference.outlives_run
    with pytest.raises(ResultError, match="'made' was kept by a Ray that is not connected any more"):
        reference.load()


def test_passing_on_a_gigabyte_leaves_the_memory_of_the_driver_as_it_was():
    """A hundred times ten megabytes between tasks: within 50 MB of what the driver had before."""
    with Flow("arrays") as flow:
        sizes = size_of.map(same.map(zeros.map([10_000_000] * 100)))
        total = task(lambda numbers: sum(numbers) + 0, name="total")(sizes)
    flow.run(executor="ray")
    gc.collect()
    before = _resident()
    peak, done = [before], threading.Event()

    def watch():
        while not done.wait(0.02):
            peak.append(_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    state = flow.run(executor="ray")
    done.set()
    watcher.join()
    assert state.result[total].result == 1_000_000_000
    assert max(peak) - before < 50_000_000


def _resident():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def test_the_object_store_is_let_go_of_with_the_results():
    """Twenty times 20 MB, one after the other, fit into 200 MB without being written to disk."""
    import ray

    with Flow("chain") as flow:
        last = zeros(20_000_000)
        for _ in range(20):
            last = task(lambda array: array + 1, name="add")(last)
        length = size_of(last)
    began = time.monotonic()
    assert flow.run(executor="ray").result[length].result == 20_000_000
    assert time.monotonic() - began < 60
    assert ray.cluster_resources()["object_store_memory"] <= 200 * 2**20
