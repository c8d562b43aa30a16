from __future__ import annotations

import pytest
from benchmarks.contender import Contender, make_contender
from benchmarks.floor import Failed, Loop, Success
from benchmarks.graphs import Graph, make_graph
from benchmarks.peers import PEERS

SHAPES = ["independent", "chain", "fan-out-in", "map", "layered"]
# Prefect starts a server of its own, which takes longer than all other tests together.
QUICK = [peer for peer in PEERS if peer.distribution not in {None, "prefect"}]


def results(contender: Contender, graph: Graph) -> list[object]:
    try:
        built = contender.build(graph)
        contender.plan(built)
        return list(contender.values(built, contender.run(built)))
    finally:
        contender.close()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name", ["floor", "headrace", "headrace-threads", "headrace-processes", "futures", "process-pool"]
)
def test_a_contender_gives_the_right_results(name: str, shape: str) -> None:
    graph = make_graph(shape, 20)
    assert graph.check(results(make_contender(name), graph))


@pytest.mark.parametrize("shape", ["arrays", "burns"])
@pytest.mark.parametrize("name", ["headrace-processes", "process-pool"])
def test_what_is_done_on_processes_gives_the_right_results(name: str, shape: str) -> None:
    pytest.importorskip("numpy")
    graph = make_graph(shape, 5)
    assert graph.check(results(make_contender(name), graph))


@pytest.mark.parametrize("name", ["headrace-dask", "headrace-ray"])
@pytest.mark.filterwarnings("default")
def test_headrace_on_a_cluster_gives_the_right_results(name: str) -> None:
    pytest.importorskip(name.replace("-", "_"))
    graph = make_graph("map", 20)
    assert graph.check(results(make_contender(name), graph))


@pytest.mark.parametrize("peer", QUICK, ids=lambda peer: peer.name)
@pytest.mark.filterwarnings("default")
def test_an_installed_peer_gives_the_right_results(peer: Contender) -> None:
    pytest.importorskip(str(peer.distribution))
    graph = make_graph("layered", 20)
    assert graph.check(results(peer, graph))


def test_the_floor_does_not_run_what_comes_after_a_failure() -> None:
    def fail(value: int) -> int:
        raise ValueError(value)

    graph = Graph(name="broken", upstreams=[(), (0,), (1,)], sinks=[2], check=bool, advance=fail)
    states = Loop(graph).run()
    assert [type(state) for state in states] == [Success, Failed, Failed]
    assert states[2].message == "Trigger failed."


def test_the_floor_appends_one_event_a_task() -> None:
    loop = Loop(make_graph("chain", 10))
    loop.run()
    assert [index for index, _ in loop.events] == list(range(10))
