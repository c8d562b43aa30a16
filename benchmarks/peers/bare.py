"""Dask and Ray without headrace: the same calls, made with their own clients on a cluster that is there already."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from benchmarks.clusters import dask_client, ray_runtime
from benchmarks.contender import Contender
from benchmarks.graphs import Graph, gather


class BareClient(Contender):
    """Submits every task at once, with the futures of others as arguments, and asks for the last results."""

    clock = "wall"
    largest = 100_000

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._client: Any = None

    @abstractmethod
    def cluster(self) -> AbstractContextManager[Any]:
        """Start a cluster and yield what talks to it."""

    @abstractmethod
    def submit(self, client: Any, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Submit one call; return a future."""

    @abstractmethod
    def map(self, client: Any, function: Callable[..., Any], items: Sequence[Any]) -> list[Any]:
        """Submit a call for each item."""

    @abstractmethod
    def gather(self, client: Any, futures: Sequence[Any]) -> Sequence[Any]:
        """Return the results of futures."""

    def build(self, graph: Graph) -> Graph:
        if self._client is None:
            self._client = self._stack.enter_context(self.cluster())
        return graph

    def run(self, built: Graph) -> Sequence[Any]:
        client = self._client
        if built.children:
            (items,) = self.gather(client, [self.submit(client, _items, [built.children])])
            children = self.map(client, built.advance, items)
            return self.gather(client, [self.submit(client, gather, [children])])
        last_reader = {source: reader for reader, sources in enumerate(built.upstreams) for source in sources}
        futures: list[Any] = []
        for index, upstreams in enumerate(built.upstreams):
            function = built.function(upstreams)
            arguments = [futures[i] for i in upstreams]
            futures.append(self.submit(client, function, [arguments] if function is gather else arguments))
            for source in upstreams:
                if last_reader[source] == index:
                    futures[source] = None
        return self.gather(client, [futures[sink] for sink in built.sinks])

    def values(self, built: Graph, outcome: Sequence[Any]) -> Sequence[Any]:
        return outcome

    def close(self) -> None:
        self._stack.close()


class BareDask(BareClient):
    name = "distributed"
    distribution = "distributed"
    importing = "from distributed import Client"
    field = "dask"

    def cluster(self) -> AbstractContextManager[Any]:
        return dask_client()

    def submit(self, client: Any, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        return client.submit(function, *arguments, pure=False)

    def map(self, client: Any, function: Callable[..., Any], items: Sequence[Any]) -> list[Any]:
        futures: list[Any] = client.map(function, items, pure=False)
        return futures

    def gather(self, client: Any, futures: Sequence[Any]) -> Sequence[Any]:
        results: Sequence[Any] = client.gather(futures)
        return results


class BareRay(BareClient):
    name = "ray"
    distribution = "ray"
    importing = "import ray"
    field = "ray"

    def __init__(self) -> None:
        super().__init__()
        self._functions: dict[Callable[..., Any], Any] = {}

    def cluster(self) -> AbstractContextManager[Any]:
        return ray_runtime()

    def submit(self, client: Any, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        if function is gather:
            # References inside of a list stay references.
            return self._remote(client, _gather_all).remote(*arguments[0])
        return self._remote(client, function).remote(*arguments)

    def map(self, client: Any, function: Callable[..., Any], items: Sequence[Any]) -> list[Any]:
        remote = self._remote(client, function)
        return [remote.remote(item) for item in items]

    def gather(self, client: Any, futures: Sequence[Any]) -> Sequence[Any]:
        results: Sequence[Any] = client.get(list(futures))
        return results

    def _remote(self, client: Any, function: Callable[..., Any]) -> Any:
        if function not in self._functions:
            self._functions[function] = client.remote(function)
        return self._functions[function]


def _items(count: int) -> list[int]:
    return list(range(count))


def _gather_all(*values: int) -> int:
    return gather(values)
